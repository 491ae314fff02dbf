"""Counts the queue in PostgreSQL now and then, for the metrics: a scrape reads what was counted last.

Every answer is bounded: a count stops at ``COUNTED_MAX``, and each part of the statement has an index of its own.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final

import structlog

from afterbell.adapters.db import standing
from afterbell.adapters.db.engine import Database
from afterbell.core.errors import StoreUnavailable
from afterbell.observability.metrics import QUEUE_JOBS, QUEUE_OLDEST, QUEUE_SEEN, QUEUE_SILENT, WEBHOOKS_PENDING

EVERY_S: Final = 15.0

log = structlog.get_logger(__name__)


class Census:
    """Counts every ``every_s``. ``now`` is the wall clock of the moment that is told with the counts."""

    def __init__(self, database: Database, *, now: Callable[[], datetime], every_s: float = EVERY_S) -> None:
        self._database, self._now, self._every_s = database, now, every_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to count."""
        self._task = asyncio.create_task(self._count_forever())

    async def stop(self) -> None:
        """Stop counting."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _count_forever(self) -> None:
        while True:
            try:
                await self._count()
            except StoreUnavailable as error:
                log.warning("census_waits", error=str(error))
            except Exception:  # old numbers with their moment are better than a process that stopped counting quietly
                log.exception("census_failed")
            await asyncio.sleep(self._every_s)

    async def _count(self) -> None:
        async with self._database.statement() as connection:
            found = await standing.counted(connection)
        for state, jobs in found.jobs.items():
            QUEUE_JOBS.labels(state).set(jobs)
        QUEUE_OLDEST.set(found.oldest_waiting_s)
        QUEUE_SILENT.set(found.longest_silent_s)
        WEBHOOKS_PENDING.set(found.webhooks_pending)
        QUEUE_SEEN.set(self._now().timestamp())
