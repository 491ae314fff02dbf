"""What administrators do, done: to the record and the queue, with a row in the audit log for each thing changed.

What needs the queue is recorded only if the queue heard it. What the record decides (retry, cancel, remove) is
committed first: a queue that is away is told by the outbox, or finds the attempt closed.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import date
from typing import Any, Final
from uuid import UUID

import structlog

from afterbell.adapters.db import audit, jobs, steering
from afterbell.adapters.db.audit import Act
from afterbell.adapters.db.engine import Connection, Database
from afterbell.adapters.db.jobs import JobFilter, Known, Place
from afterbell.adapters.db.reports import Unput
from afterbell.adapters.redis.queue import BULK_MAX, JobVerb, Queue, QueueVerb, WorkerVerb
from afterbell.api.admin_auth import Admin
from afterbell.api.admin_limits import Limits, standing_limits
from afterbell.api.outbox import Outbox
from afterbell.core.errors import NotFound, StoreUnavailable
from afterbell.core.facts import pod_of
from afterbell.core.jobs import ReportStatus, job_id_of
from afterbell.core.trylog import harmless
from afterbell.core.why import WaitFacts, Why, why

log = structlog.get_logger(__name__)

MAY_BE: Final[dict[JobVerb, frozenset[ReportStatus]]] = {
    "retry": frozenset({"failed"}),
    "promote": frozenset({"queued", "deferred"}),
    "cancel": frozenset({"queued", "deferred", "running"}),
    # A finished report is its readers'; `student erase` and `retention run` delete those.
    "remove": frozenset({"queued", "deferred", "failed", "cancelled"}),
}


class Desk:
    """Every act of an administrator. All raise StoreUnavailable where a store they need does not answer."""

    def __init__(self, database: Database, queue: Queue, outbox: Outbox, limits: Limits) -> None:
        self.database = database
        self._limits = limits
        self._queue, self._outbox = queue, outbox

    def check_queue(self, name: str) -> None:
        """Raises NotFound for another queue than this installation's."""
        if name != self._queue.keys.name:
            raise NotFound(f"there is no queue {harmless(name, 80)!r} here: this one is {self._queue.keys.name!r}")

    @property
    def queue_name(self) -> str:
        """The queue of this installation."""
        return self._queue.keys.name

    async def status(self) -> dict[str, Any]:
        """The queue's facts, who runs how much, what is drained, and how many jobs the record has of each status."""
        facts, (_, fleet) = await self._queue.look(), await self._queue.look_at_fleet()
        async with self.database.statement() as connection:
            found = await jobs.counts(connection)
        return {
            "name": self._queue.keys.name,
            "facts": asdict(facts),
            "running": dict(fleet.running),
            "drained": sorted(fleet.drained),
            "jobs": found,
        }

    async def why(self) -> Why:
        """Why work waits at this moment; also where Redis is away."""
        async with self.database.statement() as connection:
            counted = await jobs.counts(connection, "queued", "deferred")
            unpaid = await jobs.out_of_budget(connection)
        try:
            standing = await self._queue.standing()
        except StoreUnavailable as error:
            log.warning("queue_away", error=str(error))
            standing = None
        return why(WaitFacts(standing, counted, unpaid))

    async def workers(self) -> dict[str, Any]:
        """Who runs jobs or waits for them, and who is drained."""
        found, drained = await self._queue.workers()
        known = {one.name for one in found} | {pod_of(one.name) for one in found}
        seen = [asdict(one) | {"pod": pod_of(one.name), "drained": bool({one.name, pod_of(one.name)} & drained)}
                for one in found]  # fmt: skip
        return {"workers": seen, "drained_unseen": sorted(drained - known)}

    async def limits(self, today: date) -> dict[str, Any]:
        """Limiter, hold, breakers, quotas, budgets, Redis commands, as they stand. ``today`` is a UTC day."""
        return await standing_limits(self.database, self._queue, self._limits, today=today)

    async def switch(self, verb: QueueVerb, admin: Admin, reason: str) -> None:
        """Pause or resume the queue."""
        async with self.database.transaction() as connection:
            await audit.record(connection, Act(None, admin.actor, f"queue.{verb}", self._queue.keys.name, reason))
            await self._queue.switch(verb)

    async def steer(self, verb: WorkerVerb, worker: str, admin: Admin, reason: str) -> None:
        """Drain a worker or a pod, or let it start jobs again."""
        async with self.database.transaction() as connection:
            await audit.record(connection, Act(None, admin.actor, f"worker.{verb}", worker, reason))
            await self._queue.steer(verb, worker)

    async def act(self, verb: JobVerb, report_ids: Sequence[UUID], admin: Admin, reason: str) -> dict[UUID, str]:
        """Do ``verb`` to at most BULK_MAX jobs: ``ok`` each, or the state that forbids it, or ``unknown``."""
        words: dict[UUID, str] = dict.fromkeys(report_ids, "unknown")
        async with self.database.transaction() as connection:
            found = await jobs.known(connection, report_ids)
            for one in found.values():
                words[one.report_id] = "ok" if one.status in MAY_BE[verb] else one.status
            chosen = [one for one in found.values() if words[one.report_id] == "ok"]
            if verb == "promote":
                words |= await self._promoted(chosen)
            else:
                await _write(connection, verb, [one.report_id for one in chosen])
            for one in chosen:
                if words[one.report_id] == "ok":
                    await audit.record(connection, _job_act(verb, one, admin, reason))
        if verb != "promote" and chosen:
            await self._tell_queue(verb, chosen)
        return words

    async def act_on_next(
        self, verb: JobVerb, wanted: JobFilter, admin: Admin, reason: str, *, after: Place | None
    ) -> tuple[Counter[str], Place | None]:
        """Do ``verb`` to the next BULK_MAX jobs that match: how many of each word, and where to go on (None: done)."""
        async with self.database.statement() as connection:
            rows = await jobs.page(connection, may_be(verb, wanted), after=after, limit=BULK_MAX)
        if not rows:
            return Counter(), None
        words = await self.act(verb, [row["id"] for row in rows], admin, reason)
        end = Place(rows[-1]["created_at"], rows[-1]["id"]) if len(rows) == BULK_MAX else None
        return Counter(words.values()), end

    async def _promoted(self, chosen: Sequence[Known]) -> dict[UUID, str]:
        if not chosen:
            return {}
        told = await self._queue.act("promote", [job_id_of(one.report_id) for one in chosen])
        return {one.report_id: word for one, word in zip(chosen, told, strict=True)}

    async def _tell_queue(self, verb: JobVerb, chosen: Sequence[Known]) -> None:
        try:
            words = await self._queue.act(verb, [job_id_of(one.report_id) for one in chosen])
        except StoreUnavailable as error:
            log.warning("queue_untold", verb=verb, jobs=len(chosen), error=str(error))
            words = ["untold"] * len(chosen)
        if verb == "retry":
            for one, word in zip(chosen, words, strict=True):
                if word != "ok":
                    self._outbox.offer(Unput(one.report_id, one.tenant_id, bulk=one.bulk))


def may_be(verb: JobVerb, wanted: JobFilter) -> JobFilter:
    """The filter, narrowed to the states ``verb`` is for."""
    states = MAY_BE[verb] if wanted.states is None else MAY_BE[verb] & wanted.states
    return replace(wanted, states=states)


async def _write(connection: Connection, verb: JobVerb, report_ids: list[UUID]) -> None:
    if verb == "retry":
        await steering.reopen(connection, report_ids)
    elif verb == "cancel":
        for report_id in report_ids:
            await steering.cancel(connection, report_id)
    else:
        await jobs.remove(connection, report_ids)


def _job_act(verb: JobVerb, one: Known, admin: Admin, reason: str) -> Act:
    details = {"status": one.status}
    return Act(one.tenant_id, admin.actor, f"job.{verb}", job_id_of(one.report_id), reason, details)
