"""From the committed row to the queue, off the request's path; and the sweep for what the queue never got or lost."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from afterbell.adapters.db import reports, upgrades
from afterbell.adapters.db.engine import Database
from afterbell.adapters.db.reports import Unput
from afterbell.adapters.redis.message import report_message
from afterbell.adapters.redis.queue import JobClass, Put, Queue
from afterbell.core.errors import StoreUnavailable
from afterbell.core.jobs import REPORT_TASK, job_id_of
from afterbell.observability.metrics import OUTBOX_SWEPT, OUTBOX_WAITING

BATCH_MAX: Final = 100
# What the queue knows already costs it a look each, a small part of a new job.
SWEEP_MAX: Final = 500
# After a put the next one waits this long for company, unless a whole batch is there: a put costs one billed command
# and one commit, however many reports it carries.
GATHER_S: Final = 0.02
# What does not fit waits in PostgreSQL for the sweeper.
WAITING_MAX: Final = 10_000
BACKOFF_MAX_S: Final = 5.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SweepRules:
    """Every ``every_s``, put reports again: never put for ``unput_s``, waiting since their put for ``reput_s``, or
    running without a sign of life for ``silent_s``. Basic reports that a model should have written are asked for anew
    after ``upgrade_s``; 0: never."""

    every_s: float
    unput_s: float
    reput_s: float
    silent_s: float
    upgrade_s: float


class Outbox:
    """Puts committed reports into the queue, many in one command while they arrive fast."""

    def __init__(self, database: Database, queue: Queue, *, sweep: SweepRules) -> None:
        self._database, self._queue, self._sweep_rules = database, queue, sweep
        self._waiting: asyncio.Queue[Unput] = asyncio.Queue(WAITING_MAX)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to put and to sweep."""
        self._tasks = [asyncio.create_task(self._put_offered()), asyncio.create_task(self._sweep_forever())]

    async def stop(self) -> None:
        """Stop; what still waits is a committed row and will be swept."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def offer(self, report: Unput) -> None:
        """Hand over a committed report. Never waits."""
        with suppress(asyncio.QueueFull):
            self._waiting.put_nowait(report)
        OUTBOX_WAITING.set(self._waiting.qsize())

    async def _put_offered(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < BATCH_MAX and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            await self._put_until_heard(batch)
            OUTBOX_WAITING.set(self._waiting.qsize())
            if self._waiting.qsize() < BATCH_MAX:
                await asyncio.sleep(GATHER_S)

    async def _put_until_heard(self, batch: list[Unput]) -> None:
        backoff_s = 0.1
        while True:
            try:
                await self._put(batch)
                return
            except StoreUnavailable as error:
                log.warning("outbox_waits", store=error.store, reports=len(batch), error=str(error))
                await asyncio.sleep(backoff_s)
                backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)
            except Exception:  # the rows are committed: the sweeper tries them again, this task goes on
                log.exception("outbox_failed", reports=len(batch))
                return

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(self._sweep_rules.every_s)
            try:
                await self._sweep()
            except StoreUnavailable as error:
                log.warning("sweep_waits", store=error.store, error=str(error))
            except Exception:  # whatever it is, a process without a sweeper would lose reports quietly
                log.exception("sweep_failed")

    async def _sweep(self) -> None:
        async with self._database.transaction() as connection:
            if not await reports.try_sweep_lock(connection):
                return
            rules = self._sweep_rules
            if rules.upgrade_s and (asked := await upgrades.ask(connection, after=timedelta(seconds=rules.upgrade_s))):
                log.info("upgrades_asked", reports=asked)
            found = await reports.to_put(
                connection,
                unput_after=timedelta(seconds=rules.unput_s),
                reput_after=timedelta(seconds=rules.reput_s),
                run_after=timedelta(seconds=rules.silent_s),
                limit=SWEEP_MAX,
            )
            if found:
                log.info("swept", reports=len(found))
                OUTBOX_SWEPT.inc(len(found))
                await reports.mark_put(connection, found, given_up=await self._hand_over(found))

    async def _put(self, batch: list[Unput]) -> None:
        given_up = await self._hand_over(batch)
        # A report that failed is told of in the same transaction; the usual case is one statement.
        async with self._database.transaction() if given_up else self._database.statement() as connection:
            await reports.mark_put(connection, batch, given_up=given_up)

    async def _hand_over(self, batch: list[Unput]) -> list[UUID]:
        """Put the batch; the answer is those whose job the queue has given up.

        A dead letter of a report that was opened again since is what is to be retried.
        """
        states = await self._queue.put([_job(report) for report in batch])
        dead = [report for report, state in zip(batch, states, strict=True) if state == "dead"]
        opened = [job_id_of(report.report_id) for report in dead if not report.was_put]
        if opened:
            await self._queue.act("retry", opened)
        return [report.report_id for report in dead if report.was_put]


def _job(report: Unput) -> Put:
    job_id = job_id_of(report.report_id)
    job_class: JobClass = "bulk" if report.bulk else "interactive"
    return Put(job_id, report_message(REPORT_TASK, job_id), tenant=report.tenant_id, job_class=job_class)
