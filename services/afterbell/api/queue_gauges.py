"""Counts the queue in PostgreSQL now and then, for the metrics: a scrape reads what was counted last.

Every answer is bounded: a count stops at ``COUNTED_MAX``, and each part of the statement has an index of its own.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from afterbell.adapters.db import retention
from afterbell.adapters.db.database import Database
from afterbell.adapters.db.reports import counts
from afterbell.core.backoff import every
from afterbell.observability.metrics import (
    KEPT_FOR,
    OLDEST_KEPT,
    QUEUE_JOBS,
    QUEUE_OLDEST,
    QUEUE_SEEN,
    QUEUE_SILENT,
    QUEUE_UNCHECKED,
    REPORTS_PARKED,
    RETENTION_ENDED,
    WEBHOOKS_PENDING,
)
from afterbell.service import Service, repeat

EVERY_S: Final = 15.0


class QueueGauges:
    """Counts every ``every_s``. ``now`` is the wall clock of the moment that is told with the counts."""

    def __init__(self, database: Database, *, now: Callable[[], datetime], every_s: float = EVERY_S) -> None:
        self._database, self._now, self._every_s = database, now, every_s
        self._service = Service("queue_gauges", self._count_forever)

    def start(self) -> None:
        """Begin to count."""
        self._service.start()

    async def stop(self) -> None:
        """Stop counting."""
        await self._service.stop()

    async def _count_forever(self) -> None:
        # Old numbers with their moment are better than none.
        await repeat(self._count, name="queue_gauges", every_s=self._every_s, backoff=every(self._every_s))

    async def _count(self) -> None:
        async with self._database.statement() as connection:
            found = await counts.count_jobs(connection)
            kept = await retention.lag(connection)
        for state, jobs in found.jobs.items():
            QUEUE_JOBS.labels(state).set(jobs)
        QUEUE_OLDEST.set(found.oldest_waiting_s)
        QUEUE_SILENT.set(found.longest_silent_s)
        WEBHOOKS_PENDING.set(found.webhooks_pending)
        QUEUE_UNCHECKED.set(found.unchecked_s)
        REPORTS_PARKED.set(found.parked)
        _tell_lag(kept)
        QUEUE_SEEN.set(self._now().timestamp())


def _tell_lag(kept: Mapping[str, retention.Lag]) -> None:
    for kind, one in kept.items():
        if one.oldest_s is not None:
            OLDEST_KEPT.labels(kind).set(one.oldest_s)
        if one.keep_s is not None:
            KEPT_FOR.labels(kind).set(one.keep_s)
        if one.completed_at is not None:
            RETENTION_ENDED.labels(kind).set(one.completed_at)
