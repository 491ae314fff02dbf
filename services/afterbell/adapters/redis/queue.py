"""The queue on Redis: one method a verb, one Lua script a method, one billed command a call.

What the scripts guarantee is written at their heads; this file names the arguments and reads the answers.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal, Self
from urllib.parse import quote, unquote

from redis.asyncio import Redis
from redis.exceptions import RedisError

from afterbell.adapters.redis.accounting import name_script
from afterbell.adapters.redis.keys import QueueKeys
from afterbell.core.errors import InvalidInput, PayloadTooLarge, StoreUnavailable
from afterbell.core.facts import Fleet, QueueFacts, QueueLoad, WorkerSeen, pod_of
from afterbell.core.jobs import (
    PAYLOAD_BYTES_MAX,
    Cancelled,
    Dead,
    Defer,
    Done,
    HandBack,
    Outcome,
    Retry,
)
from afterbell.core.why import ModelTrouble, Standing
from afterbell.observability.metrics import REDIS_ERRORS, REDIS_MEMORY, REDIS_MEMORY_MAX, REDIS_SECONDS
from afterbell.settings import QueueSettings

Verb = Literal["put", "take", "look", "control", "provider", "why", "workers"]
QueueVerb = Literal["pause", "resume"]
WorkerVerb = Literal["drain", "undrain"]
JobVerb = Literal["retry", "promote", "cancel", "remove"]
ProviderVerb = Literal["ask", "failed", "broken", "wait", "ok", "ended", "usage"]
JobClass = Literal["interactive", "bulk"]

# A start is stamped when Redis grants it; the worker begins a moment later. One percent more than the window
# keeps that moment from putting an eleventh start into somebody else's window of ten.
WINDOW_MARGIN: Final = 1.01
ID_CHARS_MAX: Final = 128
LANE_CHARS_MAX: Final = 256
# Few enough that a call stays below 10 ms on the server.
BULK_MAX: Final = 200

_CLASS_DIGIT: Final[dict[JobClass, str]] = {"interactive": "0", "bulk": "1"}


@dataclass(frozen=True, slots=True)
class QueueRules:
    """What every worker of a queue agrees on. ``starts_max`` 0 means no limiter."""

    lease_s: float = 10.0
    starts_max: int = 10
    window_s: float = 60.0
    deliveries_max: int = 3
    commands_per_day: int | None = None

    @classmethod
    def of(cls, settings: QueueSettings) -> Self:
        """The rules the settings state."""
        return cls(
            settings.lease_s,
            settings.starts_max,
            settings.window_s,
            settings.deliveries_max,
            settings.commands_per_day,
        )

    @property
    def window_ms(self) -> int:
        """The limiter's window with its margin."""
        return round(self.window_s * 1000 * WINDOW_MARGIN)


@dataclass(frozen=True, slots=True)
class Put:
    """A job to add: ``payload`` is the taskiq message. Jobs of one ``tenant`` and class share a lane."""

    job_id: str
    payload: bytes
    delay_s: float = 0.0
    tenant: str = ""
    job_class: JobClass = "interactive"

    def arguments(self) -> list[str | bytes | int]:
        """As the script reads them. Raises PayloadTooLarge or InvalidInput before anything is sent."""
        if len(self.payload) > PAYLOAD_BYTES_MAX:
            raise PayloadTooLarge(
                f"the payload of job {self.job_id[:80]} has {len(self.payload)} bytes; the limit is {PAYLOAD_BYTES_MAX}"
            )
        return [checked_id(self.job_id), self.payload, lane_of(self.tenant, self.job_class), round(self.delay_s * 1000)]


@dataclass(frozen=True, slots=True)
class Grant:
    """One start: ``run`` numbers the job's starts and fences late answers of earlier ones."""

    job_id: str
    payload: bytes
    run: int
    failures: int


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of one start."""

    grant: Grant
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Taken:
    """The answer to a take. ``come_back_s`` None: a bell will ring, or the safety tick comes.

    ``at_ms`` is Redis's clock when it answered.
    """

    grants: tuple[Grant, ...] = ()
    given_up: tuple[str, ...] = ()
    come_back_s: float | None = None
    gate: str = ""
    lost: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()
    cancelled: frozenset[str] = frozenset()
    commands_today: int = 0
    at_ms: int = 0
    troubled: frozenset[str] = frozenset()


class Queue:
    """The verbs of one queue. Every method raises StoreUnavailable while Redis does not answer or refuses."""

    def __init__(self, client: Redis, keys: QueueKeys, rules: QueueRules) -> None:
        self._client = client
        self.keys = keys
        self.rules = rules
        self._scripts = {verb: client.register_script(_source(verb)) for verb in _VERBS}
        for verb, script in self._scripts.items():
            name_script(script.sha, verb)

    async def put(self, jobs: Sequence[Put]) -> list[str]:
        """Add jobs; one word each: ``put``, or the state of the job that was there already.

        Raises PayloadTooLarge or InvalidInput before anything is sent.
        """
        arguments = [argument for job in jobs for argument in job.arguments()]
        return [word.decode() for word in await self._run("put", arguments)]

    async def take(self, worker: str, free: int, running: Sequence[Grant] = (), ended: Sequence[Ended] = ()) -> Taken:
        """Say what ``ended``, renew the leases of what is ``running``, and take up to ``free`` jobs.

        ``free`` counts the slots of the ended ones. Ids in ``lost`` are run by another worker by now, those in
        ``unknown`` Redis has forgotten; nothing was changed for either.
        """
        rules = self.rules
        arguments: list[Any] = [worker, free, round(rules.lease_s * 1000), rules.starts_max, rules.window_ms,
                                rules.deliveries_max, len(ended)]  # fmt: skip
        for one in ended:
            arguments += [one.grant.job_id, one.grant.run, *_wire(one.outcome)]
        for grant in running:
            arguments += [grant.job_id, grant.run]
        return _taken(await self._run("take", arguments))

    async def look(self) -> QueueFacts:
        """Every fact about the queue, in one command."""
        answer = await self._run("look", [self.rules.window_ms, 0])
        load, dead, idle, starts, lanes, spent, *_ = answer
        now, waiting, active, due, _, oldest, next_due, paused, overdue, _ = load
        return QueueFacts(
            at_ms=now,
            waiting=waiting,
            active=active,
            due=due,
            dead=dead,
            idle_workers=idle,
            starts_in_window=starts,
            oldest_waiting_age_ms=None if oldest < 0 else oldest,
            next_due_in_ms=None if next_due < 0 else next_due,
            paused=bool(paused),
            lanes=lanes,
            overdue=overdue,
            commands_today=spent,
        )

    async def look_at_fleet(self) -> tuple[QueueLoad, Fleet]:
        """What the queue asks of its workers and who runs what, in one command and so at one moment."""
        load, *_, owners, drained, memory, memory_max = await self._run("look", [self.rules.window_ms, 1])
        if memory >= 0:
            REDIS_MEMORY.set(memory)
            REDIS_MEMORY_MAX.set(memory_max)
        running = Counter(pod_of(owner.decode()) for owner in owners)
        return load_of(load), Fleet(running, frozenset(name.decode() for name in drained))

    async def standing(self) -> Standing:
        """What may keep jobs from starting, in one command."""
        return _standing(await self._run("why", [self.rules.window_ms, self.rules.starts_max]), self.rules.starts_max)

    async def workers(self) -> tuple[list[WorkerSeen], frozenset[str]]:
        """Who runs jobs or waits for them, the busiest first, and the drained workers and pods, in one command."""
        found, drained = await self._run("workers", [round(self.rules.lease_s * 1000)])
        seen = [_worker_seen(one) for one in found]
        return sorted(seen, key=lambda one: (-one.jobs, one.name)), frozenset(name.decode() for name in drained)

    async def switch(self, verb: QueueVerb) -> None:
        """Pause or resume the whole queue. Running jobs go on."""
        await self._run("control", [verb])

    async def hold(self, seconds: float) -> None:
        """No starts for so long: the provider asked to wait. A shorter hold never ends a longer one."""
        await self._run("control", ["hold", round(seconds * 1000)])

    async def provider(self, verb: ProviderVerb, model: str, *arguments: object) -> list[int]:
        """One act of ``scripts/provider.lua``: [ms until the model may be called, ms until any may, 1 for a probe]."""
        told = [quote(one, safe="") if isinstance(one, str) else one for one in arguments]
        answer: list[int] = await self._run("provider", [verb, quote(model, safe=""), *told])
        return answer

    async def steer(self, verb: WorkerVerb, worker: str) -> None:
        """Drain a worker, or all of a pod (they start nothing more), or let it start again."""
        await self._run("control", [verb, worker])

    async def act(self, verb: JobVerb, job_ids: Sequence[str]) -> list[str]:
        """Do ``verb`` to each job: ``ok``, or the state that forbids it, or ``unknown``; at most BULK_MAX at once."""
        if len(job_ids) > BULK_MAX:
            raise InvalidInput(f"{len(job_ids)} jobs in one call; the limit is {BULK_MAX}: send them in parts")
        return [word.decode() for word in await self._run("control", [verb, *map(checked_id, job_ids)])]

    async def retry_dead(
        self, *, until_ms: int, skip: int, tenant: str | None = None, text: str = "", count: int = BULK_MAX
    ) -> tuple[int, int]:
        """Start dead letters again, oldest first: (retried, looked at) of at most ``count`` after ``skip``.

        Call again with ``skip`` raised by looked at - retried until fewer than ``count`` were looked at. Whatever
        was retried has left the dead letters, so an interrupted run is resumed by starting over.
        """
        of_tenant = "" if tenant is None else lane_of(tenant, "interactive")[1:]  # of either class
        retried, looked = await self._run("control", ["retry_dead", until_ms, skip, count, of_tenant, text])
        return retried, looked

    async def _run(self, verb: Verb, arguments: list[Any]) -> Any:
        try:
            with REDIS_SECONDS.labels(verb).time():
                return await self._scripts[verb](self.keys.script_keys, [self.keys.prefix, *arguments])
        except (RedisError, OSError, TimeoutError) as error:
            REDIS_ERRORS.labels(verb).inc()
            raise StoreUnavailable("Redis", f"{verb}: {type(error).__name__}: {error}") from error


def load_of(numbers: Sequence[int]) -> QueueLoad:
    """The load as the scripts list it; raises ValueError for another number of numbers."""
    now, waiting, active, due, due_soon, oldest, next_due, paused, overdue, puts = numbers
    return QueueLoad(
        at_ms=now,
        waiting=waiting,
        active=active,
        due=due,
        due_soon=due_soon,
        oldest_waiting_age_ms=None if oldest < 0 else oldest,
        next_due_in_ms=None if next_due < 0 else next_due,
        paused=bool(paused),
        overdue=overdue,
        puts=puts,
    )


def checked_id(job_id: str) -> str:
    """A job id that can be part of a key. Raises InvalidInput."""
    if not 0 < len(job_id) <= ID_CHARS_MAX or not job_id.isprintable() or set(job_id) & set("{} "):
        raise InvalidInput(
            f"job id {job_id[:80]!r} is not usable: 1-{ID_CHARS_MAX} printable characters without braces and spaces"
        )
    return job_id


def lane_of(tenant: str, job_class: JobClass) -> str:
    """The lane's name: class, then the tenant percent-encoded, so that no tenant id can break a key."""
    lane = f"{_CLASS_DIGIT[job_class]}:{quote(tenant, safe='')}"
    if len(lane) > LANE_CHARS_MAX:
        raise InvalidInput(f"tenant id {tenant[:80]!r}… is too long for a lane: {len(lane)} > {LANE_CHARS_MAX}")
    return lane


_VERBS: Final[tuple[Verb, ...]] = ("put", "take", "look", "control", "provider", "why", "workers")


@cache
def _source(verb: Verb) -> str:
    folder = files("afterbell.adapters.redis") / "scripts"
    return "\n".join((folder / f"{part}.lua").read_text("utf-8") for part in ("prelude", verb))


def _wire(outcome: Outcome) -> tuple[str, int, str]:
    match outcome:
        case Done():
            return "done", 0, ""
        case Retry(delay_s, reason):
            return "retry", round(delay_s * 1000), reason
        case Defer(delay_s, reason):
            return "defer", round(delay_s * 1000), reason
        case Dead(reason):
            return "dead", 0, reason
        case Cancelled():
            return "cancelled", 0, ""
        case HandBack():
            return "handback", 0, ""


def _taken(answer: list[Any]) -> Taken:
    jobs, given_up, come_back_ms, gate, lost, unknown, cancelled, spent, at_ms, troubled = answer
    return Taken(
        grants=tuple(Grant(job_id.decode(), payload, run, failures) for job_id, payload, run, failures in jobs),
        given_up=tuple(job_id.decode() for job_id in given_up),
        come_back_s=None if come_back_ms < 0 else come_back_ms / 1000,
        gate=gate.decode(),
        lost=frozenset(job_id.decode() for job_id in lost),
        unknown=frozenset(job_id.decode() for job_id in unknown),
        cancelled=frozenset(job_id.decode() for job_id in cancelled),
        commands_today=spent,
        at_ms=at_ms,
        troubled=frozenset(unquote(name) for name in troubled.decode().split("\n") if name),
    )


def _worker_seen(answer: list[Any]) -> WorkerSeen:
    name, jobs, idle, there, renewed_ms_ago, back_in_ms = answer
    return WorkerSeen(
        name=name.decode(),
        jobs=jobs,
        idle=bool(idle),
        there=bool(there),
        renewed_ms_ago=None if renewed_ms_ago < 0 else renewed_ms_ago,
        back_in_ms=None if back_in_ms < 0 else back_in_ms,
    )


def _standing(answer: list[Any], starts_max: int) -> Standing:
    load, held_ms, started, opens_in_ms, there, idle, owners, drained, lost_most, models = answer
    return Standing(
        load=load_of(load),
        held_ms=held_ms,
        starts_max=starts_max,
        starts_in_window=started,
        opens_in_ms=opens_in_ms,
        there=there,
        idle=idle,
        owners=tuple(owner.decode() for owner in owners),
        drained=frozenset(name.decode() for name in drained),
        lost_most=lost_most,
        models=tuple(ModelTrouble(unquote(name.decode()), trips, wait_ms) for name, trips, wait_ms in models),
    )
