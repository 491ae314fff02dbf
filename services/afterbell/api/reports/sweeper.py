"""Compares the record with the queue, row by row, for ever: what the queue never got, lost or forgot is put back.

PostgreSQL is the record and the queue is rebuilt from it. Nothing that a row, a tenant or a batch can hold stops a
pass: a page that fails is left to the next one, a row that fails is parked, and a pass that was cut off goes on where
it was.
"""

import asyncio
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from afterbell.adapters.db import work_locks
from afterbell.adapters.db.database import Database
from afterbell.adapters.db.reports import unfinished, upgrades
from afterbell.adapters.db.reports.unfinished import START, Page, SweepAges
from afterbell.api.reports.outbox import Outbox
from afterbell.core.backoff import every
from afterbell.core.errors import QueueScriptError, StoreUnavailable
from afterbell.observability.metrics import OUTBOX_SWEPT, SWEEP_REPAIRS
from afterbell.service import Service, repeat

# Unfinished reports that are looked at in one statement, a few milliseconds.
PAGE_MAX: Final = 2_000
# What the queue holds costs it one read each, a small part of a new job.
BATCH_MAX: Final = 500
# The lock lasts for a page, and after a pass until the next one is overdue: then another process sweeps.
PAGE_S: Final = 10.0
OVERDUE: Final = 1.5

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SweepRules:
    """Every ``every_s``, ask the queue about reports: never enqueued for ``pending_s``, waiting since then for
    ``waiting_s``, or running without a heartbeat for ``silent_s``. Basic reports that a model should have written are
    asked for anew after ``upgrade_s``; 0: never."""

    every_s: float
    pending_s: float
    waiting_s: float
    silent_s: float
    upgrade_s: float

    @property
    def ages(self) -> SweepAges:
        """As the record is asked."""
        return SweepAges(*(timedelta(seconds=age_s) for age_s in (self.pending_s, self.waiting_s, self.silent_s)))


class Sweeper:
    """One pass every ``every_s`` over all processes: one at a time holds the lock."""

    def __init__(self, database: Database, outbox: Outbox, rules: SweepRules) -> None:
        self._database, self._outbox, self._rules = database, outbox, rules
        self._name, self._place = uuid.uuid4().hex, START
        self._service = Service("sweeper", self._sweep_forever)

    def start(self) -> None:
        """Begin to sweep."""
        self._service.start()

    async def stop(self) -> None:
        """Stop, and leave the work to another process, which would take it over when the next pass is overdue."""
        await self._service.stop()
        with suppress(StoreUnavailable):
            async with self._database.statement() as connection:
                await work_locks.release(connection, "sweep", self._name)

    async def _sweep_forever(self) -> None:
        every_s = self._rules.every_s
        await asyncio.sleep(every_s)
        await repeat(self._sweep, name="sweeper", every_s=every_s, backoff=every(every_s))

    async def _sweep(self) -> None:
        """One pass, in pages. Raises the first error of a page when the pass is over, that of a store at once."""
        if not await self._holds_lock(PAGE_S):
            return
        failed: list[Exception] = []
        while True:
            page = await self._next_page()
            self._place = page.end or START  # whatever comes of this page, the next one has its turn
            failed += await self._hand_over(page)
            if page.end is None or not await self._holds_lock(PAGE_S):
                break
        await self._ask_for_upgrades()
        await self._holds_lock(OVERDUE * self._rules.every_s)
        if failed:
            raise failed[0]

    async def _holds_lock(self, for_s: float) -> bool:
        async with self._database.statement() as connection:
            return await work_locks.acquire(connection, "sweep", self._name, for_s=for_s)

    async def _next_page(self) -> Page:
        async with self._database.statement() as connection:
            return await unfinished.page(connection, self._place, self._rules.ages, limit=PAGE_MAX)

    async def _hand_over(self, page: Page) -> list[Exception]:
        """What went wrong with a batch. Those that failed before make their own, and cost the others nothing."""
        failed: list[Exception] = []
        batches = [page.due[start : start + BATCH_MAX] for start in range(0, len(page.due), BATCH_MAX)]
        for batch in filter(None, (*batches, page.parked)):
            try:
                words = await self._outbox.hand_over(batch)
            except (StoreUnavailable, QueueScriptError):
                raise
            except Exception as error:
                failed.append(error)
                continue
            log.info("swept", reports=len(batch), **words)
            OUTBOX_SWEPT.inc(len(batch))
            SWEEP_REPAIRS.labels("enqueued").inc(words["enqueued"])
        return failed

    async def _ask_for_upgrades(self) -> None:
        if self._rules.upgrade_s:
            async with self._database.statement() as connection:
                asked = await upgrades.ask(connection, after=timedelta(seconds=self._rules.upgrade_s))
            if asked:
                log.info("upgrades_asked", reports=asked)
