"""From the committed row to the queue, off the request's path, and without a row that could keep another one out."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import structlog

from afterbell.adapters.db.database import Database
from afterbell.adapters.db.reports import rows as reports
from afterbell.adapters.db.reports import unfinished
from afterbell.adapters.db.reports.rows import PendingReport
from afterbell.adapters.queue.message import report_message
from afterbell.adapters.queue.redis_queue import BULK_MAX, JobClass, NewJob, Queue
from afterbell.core.backoff import Backoff
from afterbell.core.errors import StoreUnavailable
from afterbell.core.queue.outcomes import REPORT_TASK, job_id_of
from afterbell.observability.metrics import OUTBOX_WAITING, SWEEP_REPAIRS
from afterbell.service import Service, repeat

BATCH_MAX: Final = 100
# After an enqueue the next one waits this long for company, unless a whole batch is there: it costs one billed command
# and one commit, however many reports it carries.
GATHER_S: Final = 0.02
# What does not fit waits in PostgreSQL for the sweeper.
WAITING_MAX: Final = 10_000
BACKOFF: Final = Backoff(first_s=0.1, longest_s=5.0)
GIVEN_UP: Final = "the queue gave this job up"

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Answers:
    """What the queue said of each report of a batch, and why it could not take those it refused."""

    words: dict[PendingReport, str] = field(default_factory=dict)
    refused: dict[PendingReport, Exception] = field(default_factory=dict)

    def of(self, *words: str) -> list[PendingReport]:
        return [report for report, word in self.words.items() if word in words]


class Outbox:
    """Enqueues committed reports, many in one command while they arrive fast."""

    def __init__(self, database: Database, queue: Queue) -> None:
        self._database, self._queue = database, queue
        self._waiting: asyncio.Queue[PendingReport] = asyncio.Queue(WAITING_MAX)
        self._held: list[PendingReport] = []
        self._service = Service("outbox", self._enqueue_offered)

    def start(self) -> None:
        """Begin to enqueue."""
        self._service.start()

    async def stop(self) -> None:
        """Stop; what still waits is a committed row and will be swept."""
        await self._service.stop()

    def offer(self, report: PendingReport) -> None:
        """Hand over a committed report. Never waits."""
        with suppress(asyncio.QueueFull):
            self._waiting.put_nowait(report)
        OUTBOX_WAITING.set(self._waiting.qsize())

    async def _enqueue_offered(self) -> None:
        await repeat(self._enqueue_next, name="outbox", backoff=BACKOFF)

    async def _enqueue_next(self) -> float:
        """Enqueue what is offered, as one batch, which is held until the queue has it. Seconds until the next."""
        if not self._held:
            self._held.append(await self._waiting.get())
        while len(self._held) < BATCH_MAX and not self._waiting.empty():
            self._held.append(self._waiting.get_nowait())
        try:
            await self.hand_over(self._held)
        except StoreUnavailable:
            raise
        except Exception:
            self._held = []  # the rows are committed: the sweeper tries them again
            raise
        self._held = []
        OUTBOX_WAITING.set(self._waiting.qsize())
        return 0.0 if self._waiting.qsize() >= BATCH_MAX else GATHER_S

    async def hand_over(self, batch: Sequence[PendingReport]) -> Counter[str]:
        """Have the queue hold these, and the record remember it; how many of each word of the queue.

        A report it cannot take is parked with the reason, and the others go on. Raises StoreUnavailable, and
        QueueScriptError where Redis fails whatever it is given.
        """
        answers = await self._asked(batch)
        await self._begin_anew(answers)
        await self._retry(answers.of("dead"))
        await self._remember(answers)
        counted = Counter(answers.words.values()) + Counter(parked=len(answers.refused))
        for word in ("repaired", "anew", "dead", "parked"):
            SWEEP_REPAIRS.labels(word).inc(counted[word])
        return counted

    async def _asked(self, batch: Sequence[PendingReport], *, anew: bool = False) -> _Answers:
        """Enqueue the batch as one; where that fails, the halves of it, down to the rows that are to blame."""
        answers, parts, is_sound = _Answers(), [list(batch)], False
        while parts:
            part = parts.pop()
            try:
                words = await self._queue.enqueue([_job(report) for report in part], anew=anew)
            except StoreUnavailable:
                raise
            except Exception as error:
                if len(part) > 1:
                    parts += [part[len(part) // 2 :], part[: len(part) // 2]]
                    continue
                if not (answers.words or is_sound):
                    await self._queue.try_out()
                    is_sound = True
                answers.refused[part[0]] = error
            else:
                answers.words |= zip(part, words, strict=True)
        return answers

    async def _begin_anew(self, answers: _Answers) -> None:
        """What Redis calls ended and the record does not, begins anew: PostgreSQL may be older, after a restore, say.

        The record is asked again: such a report may have been finished since the batch was read.
        """
        if not (ended := answers.of("completed", "cancelled")):
            return
        async with self._database.statement() as connection:
            still = await unfinished.unfinished_of(connection, [report.report_id for report in ended])
        again = await self._asked([report for report in ended if report.report_id in still], anew=True)
        answers.refused |= again.refused
        answers.words |= dict.fromkeys(again.words, "anew")
        for report in again.refused:
            del answers.words[report]

    async def _retry(self, dead: Sequence[PendingReport]) -> None:
        """A dead letter of a report that was opened again since is what is to be retried."""
        opened = [job_id_of(report.report_id) for report in dead if not report.was_enqueued]
        for start in range(0, len(opened), BULK_MAX):
            await self._queue.apply("retry", opened[start : start + BULK_MAX])

    async def _remember(self, answers: _Answers) -> None:
        given_up = [report.report_id for report in answers.of("dead") if report.was_enqueued]
        if held := [report.report_id for report in answers.words if report.report_id not in given_up]:
            async with self._database.statement() as connection:
                await unfinished.mark_enqueued(connection, held)
        if answers.refused:
            reasons = {report.report_id: f"{type(e).__name__}: {e}" for report, e in answers.refused.items()}
            log.error("reports_parked", reports=len(reasons), error=next(iter(reasons.values())))
            async with self._database.statement() as connection:
                await unfinished.park(connection, reasons)
        for report_id in given_up:
            await self._bury(report_id)

    async def _bury(self, report_id: UUID) -> None:
        """A failed report is told of in the same transaction; one that cannot be buried waits for the next pass."""
        try:
            async with self._database.transaction() as connection:
                await reports.bury(connection, report_id, GIVEN_UP)
        except Exception as error:
            log.warning("bury_failed", report=str(report_id), error=f"{type(error).__name__}: {error}")


def _job(report: PendingReport) -> NewJob:
    job_id = job_id_of(report.report_id)
    job_class: JobClass = "bulk" if report.bulk else "interactive"
    return NewJob(job_id, report_message(REPORT_TASK, job_id), tenant=report.tenant_id, job_class=job_class)
