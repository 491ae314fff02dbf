"""What administrators do, done: to the record and the queue, with a row in the audit log for each thing changed.

No transaction waits for the queue. What only the queue does (pause, drain) is recorded first, and once more as failed
where the queue did not hear of it. What the record decides (retry, cancel, remove) is committed first: a queue that is
away is told by the outbox, or finds the attempt closed.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, replace
from datetime import date
from functools import partial
from typing import Any, Final
from uuid import UUID

import structlog

from afterbell.adapters.breaker.breaker import Breaker
from afterbell.adapters.db import audit
from afterbell.adapters.db.audit import Act
from afterbell.adapters.db.database import Connection, Database
from afterbell.adapters.db.reports import interventions, job_rows
from afterbell.adapters.db.reports.job_rows import Cursor, JobFilter, JobRow
from afterbell.adapters.db.reports.rows import PendingReport
from afterbell.adapters.queue.redis_queue import BULK_MAX, JobVerb, Queue, QueueVerb, WorkerVerb
from afterbell.api.admin.admin_tokens import Admin
from afterbell.api.admin.limits import Limits, standing_limits
from afterbell.api.reports.outbox import Outbox
from afterbell.core.errors import NotFound, QueueScriptError, StoreUnavailable
from afterbell.core.queue.outcomes import ReportStatus, job_id_of
from afterbell.core.queue.stats import pod_of
from afterbell.core.queue.why import WaitFacts, Why, why
from afterbell.core.report.attempt_log import harmless

log = structlog.get_logger(__name__)

MAY_BE: Final[dict[JobVerb, frozenset[ReportStatus]]] = {
    "retry": frozenset({"failed"}),
    "promote": frozenset({"queued", "deferred"}),
    "cancel": frozenset({"queued", "deferred", "running"}),
    # A finished report is its readers'; `student erase` and `retention run` delete those.
    "remove": frozenset({"queued", "deferred", "failed", "cancelled"}),
}


class AdminService:
    """Every act of an administrator. All raise StoreUnavailable where a store they need does not answer."""

    def __init__(self, database: Database, queue: Queue, breaker: Breaker, outbox: Outbox, limits: Limits) -> None:
        self.database = database
        self._limits, self._breaker = limits, breaker
        self._queue, self._outbox = queue, outbox

    def check_queue(self, name: str) -> None:
        """Raises NotFound for another queue than this installation's."""
        if name != self._queue.keys.name:
            raise NotFound(
                f"unknown queue {harmless(name, 80)!r}: this installation has only {self._queue.keys.name!r}"
            )

    @property
    def queue_name(self) -> str:
        """The queue of this installation."""
        return self._queue.keys.name

    async def status(self) -> dict[str, Any]:
        """The queue's facts, who runs how much, what is drained, and how many jobs the record has of each status."""
        facts, fleet = await self._queue.overview()
        async with self.database.statement() as connection:
            counts = await job_rows.counts(connection)
        return {
            "name": self._queue.keys.name,
            "facts": asdict(facts),
            "running": dict(fleet.running),
            "drained": sorted(fleet.drained),
            "jobs": counts,
        }

    async def why(self) -> Why:
        """Why work waits at this moment; also where Redis is away."""
        async with self.database.statement() as connection:
            counted = await job_rows.counts(connection, "queued", "deferred")
            unpaid = await job_rows.out_of_budget(connection)
            parked = await job_rows.parked(connection)
        try:
            queue = await self._queue.standing()
        except StoreUnavailable as error:
            log.warning("queue_away", error=str(error))
            queue = None
        return why(WaitFacts(queue, counted, unpaid, parked))

    async def workers(self) -> dict[str, Any]:
        """Who runs jobs or waits for them, and who is drained."""
        workers, drained = await self._queue.workers()
        known = {worker.name for worker in workers} | {pod_of(worker.name) for worker in workers}
        listed = [
            asdict(worker) | {"pod": pod_of(worker.name), "drained": bool({worker.name, pod_of(worker.name)} & drained)}
            for worker in workers
        ]
        return {"workers": listed, "drained_unseen": sorted(drained - known)}

    async def limits(self, today: date) -> dict[str, Any]:
        """Limiter, hold, breakers, quotas, budgets, Redis commands, as they stand. ``today`` is a UTC day."""
        return await standing_limits(self.database, self._queue, self._breaker, self._limits, today=today)

    async def switch_queue(self, verb: QueueVerb, admin: Admin, reason: str) -> None:
        """Pause or resume the queue."""
        act = Act(None, admin.actor, f"queue.{verb}", self._queue.keys.name, reason)
        await self._recorded(act, self._queue.pause if verb == "pause" else self._queue.resume)

    async def switch_worker(self, verb: WorkerVerb, worker: str, admin: Admin, reason: str) -> None:
        """Drain a worker or a pod, or let it start jobs again."""
        do = self._queue.drain if verb == "drain" else self._queue.undrain
        await self._recorded(Act(None, admin.actor, f"worker.{verb}", worker, reason), partial(do, worker))

    async def _recorded(self, act: Act, do: Callable[[], Awaitable[None]]) -> None:
        async with self.database.statement() as connection:
            await audit.record(connection, act)
        try:
            await do()
        except Exception as error:
            async with self.database.statement() as connection:
                failed = {"error": type(error).__name__}
                await audit.record(connection, replace(act, action=f"{act.action}.failed", details=failed))
            raise

    async def act(self, verb: JobVerb, report_ids: Sequence[UUID], admin: Admin, reason: str) -> dict[UUID, str]:
        """Do ``verb`` to at most BULK_MAX jobs: ``ok`` each, or the state that forbids it, or ``unknown``."""
        async with self.database.transaction() as connection:
            jobs = await job_rows.known(connection, report_ids)
            allowed = {job.report_id: job for job in jobs.values() if job.status in MAY_BE[verb]}
            if verb != "promote":
                await _write(connection, verb, list(allowed))
                await _record_jobs(connection, verb, allowed.values(), admin, reason)
        words: dict[UUID, str] = dict.fromkeys(report_ids, "unknown")
        words |= {job.report_id: "ok" if job.report_id in allowed else job.status for job in jobs.values()}
        if verb == "promote":
            words |= await self._promoted([*allowed.values()])
            async with self.database.transaction() as connection:
                promoted = [job for job in allowed.values() if words[job.report_id] == "ok"]
                await _record_jobs(connection, verb, promoted, admin, reason)
        elif allowed:
            await self._tell_queue(verb, [*allowed.values()])
        return words

    async def act_on_next(
        self, verb: JobVerb, wanted: JobFilter, admin: Admin, reason: str, *, after: Cursor | None
    ) -> tuple[Counter[str], Cursor | None]:
        """Do ``verb`` to the next BULK_MAX jobs that match: how many of each word, and where to go on (None: done)."""
        async with self.database.statement() as connection:
            rows = await job_rows.page(connection, may_be(verb, wanted), after=after, limit=BULK_MAX)
        if not rows:
            return Counter(), None
        words = await self.act(verb, [row["id"] for row in rows], admin, reason)
        end = Cursor(rows[-1]["created_at"], rows[-1]["id"]) if len(rows) == BULK_MAX else None
        return Counter(words.values()), end

    async def _promoted(self, chosen: Sequence[JobRow]) -> dict[UUID, str]:
        if not chosen:
            return {}
        answers = await self._queue.apply("promote", [job_id_of(job.report_id) for job in chosen])
        return {job.report_id: word for job, word in zip(chosen, answers, strict=True)}

    async def _tell_queue(self, verb: JobVerb, chosen: Sequence[JobRow]) -> None:
        try:
            words = await self._queue.apply(verb, [job_id_of(job.report_id) for job in chosen])
        except (StoreUnavailable, QueueScriptError) as error:
            log.warning("queue_update_failed", verb=verb, jobs=len(chosen), error=str(error))
            words = ["untold"] * len(chosen)
        if verb == "retry":
            for job, word in zip(chosen, words, strict=True):
                if word != "ok":
                    self._outbox.offer(PendingReport(job.report_id, job.tenant_id, bulk=job.bulk))


def may_be(verb: JobVerb, wanted: JobFilter) -> JobFilter:
    """The filter, narrowed to the states ``verb`` is for."""
    states = MAY_BE[verb] if wanted.states is None else MAY_BE[verb] & wanted.states
    return replace(wanted, states=states)


async def _write(connection: Connection, verb: JobVerb, report_ids: list[UUID]) -> None:
    if verb == "retry":
        await interventions.reopen(connection, report_ids)
    elif verb == "cancel":
        for report_id in report_ids:
            await interventions.cancel(connection, report_id)
    else:
        await job_rows.remove(connection, report_ids)


async def _record_jobs(
    connection: Connection, verb: JobVerb, chosen: Iterable[JobRow], admin: Admin, reason: str
) -> None:
    for job in chosen:
        await audit.record(connection, _job_act(verb, job, admin, reason))


def _job_act(verb: JobVerb, job: JobRow, admin: Admin, reason: str) -> Act:
    details = {"status": job.status}
    return Act(job.tenant_id, admin.actor, f"job.{verb}", job_id_of(job.report_id), reason, details)
