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
            counted = await counts.count_jobs(connection)
            lags = await retention.lag(connection)
        for state, jobs in counted.jobs.items():
            QUEUE_JOBS.labels(state).set(jobs)
        QUEUE_OLDEST.set(counted.oldest_waiting_s)
        QUEUE_SILENT.set(counted.longest_silent_s)
        WEBHOOKS_PENDING.set(counted.webhooks_pending)
        QUEUE_UNCHECKED.set(counted.unchecked_s)
        REPORTS_PARKED.set(counted.parked)
        _tell_lag(lags)
        QUEUE_SEEN.set(self._now().timestamp())


def _tell_lag(lags: Mapping[str, retention.Lag]) -> None:
    for kind, lag in lags.items():
        if lag.oldest_s is not None:
            OLDEST_KEPT.labels(kind).set(lag.oldest_s)
        if lag.keep_s is not None:
            KEPT_FOR.labels(kind).set(lag.keep_s)
        if lag.completed_at is not None:
            RETENTION_ENDED.labels(kind).set(lag.completed_at)
