"""The queue on Redis: one method a verb, one Lua script a method, one billed command a call.

What the scripts guarantee is written at their heads; this file names the arguments and reads the answers.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Literal, Self
from urllib.parse import quote, unquote

from redis.asyncio import Redis

from afterbell.adapters.queue import answers
from afterbell.adapters.queue.keys import QueueKeys
from afterbell.adapters.queue.script_client import PRELUDE, QUEUE, Script, ScriptClient
from afterbell.core.errors import InvalidInput, PayloadTooLarge
from afterbell.core.queue.outcomes import (
    PAYLOAD_BYTES_MAX,
    Cancelled,
    Dead,
    Defer,
    Done,
    HandBack,
    Outcome,
    Retry,
)
from afterbell.core.queue.stats import Fleet, QueueFacts, QueueLoad, WorkerSeen, pod_of
from afterbell.core.queue.why import ModelTrouble, Standing
from afterbell.observability.metrics import REDIS_EVICTS, REDIS_MEMORY, REDIS_MEMORY_MAX
from afterbell.settings import QueueSettings

QueueVerb = Literal["pause", "resume"]
WorkerVerb = Literal["drain", "undrain"]
JobVerb = Literal["retry", "promote", "cancel", "remove"]
JobClass = Literal["interactive", "bulk"]

# A start is stamped when Redis grants it; the worker begins a moment later. One percent more than the window
# keeps that moment from putting an eleventh start into somebody else's window of ten.
WINDOW_MARGIN: Final = 1.01
ID_CHARS_MAX: Final = 128
LANE_CHARS_MAX: Final = 256
# Few enough that a call stays below 10 ms on the server.
BULK_MAX: Final = 200
TRY_OUT_ID: Final = "try-out"
TRY_OUT_S: Final = 3600.0

SCRIPTS: Final[dict[str, Script]] = {
    "enqueue": Script((PRELUDE, (QUEUE, "enqueue"))),
    "poll": Script((PRELUDE, (QUEUE, "watchers"), (QUEUE, "limiter"), (QUEUE, "poll")), ("poll", "job")),
    "stats": Script((PRELUDE, (QUEUE, "stats")), ("stats",)),
    "apply": Script((PRELUDE, (QUEUE, "apply"))),
    "why": Script((PRELUDE, (QUEUE, "why")), ("why", "model")),
    "workers": Script((PRELUDE, (QUEUE, "workers")), ("workers", "worker")),
}
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
class NewJob:
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
class Polled:
    """The answer to a poll. ``come_back_s`` None: when this worker is woken, or at the safety tick.

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
    """The verbs of one queue. Every method raises StoreUnavailable while Redis does not answer or cannot serve, and
    QueueScriptError where a script fails in it, which waiting does not mend."""

    def __init__(self, client: Redis, keys: QueueKeys, rules: QueueRules) -> None:
        self._client = client
        self.keys = keys
        self.rules = rules
        self._scripts = ScriptClient(client, keys, SCRIPTS)

    async def enqueue(self, jobs: Sequence[NewJob], *, anew: bool = False) -> list[str]:
        """Add jobs; one word each: ``enqueued``, ``repaired`` where it was held nowhere any more, or the state of the
        job that was there already.

        ``anew``: what Redis calls completed or cancelled is added as well, since the record calls it unfinished. Raises
        PayloadTooLarge or InvalidInput before anything is sent.
        """
        arguments: list[Any] = [round(self.rules.lease_s * 1000), int(anew)]
        arguments += [argument for job in jobs for argument in job.arguments()]
        return [word.decode() for word in await self._scripts.run("enqueue", arguments)]

    async def try_out(self) -> None:
        """Add a job that is not due and remove it. Raises QueueScriptError where Redis fails on that: then no job that
        it failed on is to blame."""
        await self.enqueue([NewJob(TRY_OUT_ID, b"", delay_s=TRY_OUT_S)])
        await self.apply("remove", [TRY_OUT_ID])

    async def poll(self, worker: str, free: int, running: Sequence[Grant] = (), ended: Sequence[Ended] = ()) -> Polled:
        """Say what ``ended``, renew the leases of what is ``running``, and take up to ``free`` jobs.

        ``free`` counts the slots of the ended ones. Ids in ``lost`` are run by another worker by now, those in
        ``unknown`` Redis has forgotten; nothing was changed for either.
        """
        rules = self.rules
        arguments: list[Any] = [
            worker,
            free,
            round(rules.lease_s * 1000),
            rules.starts_max,
            rules.window_ms,
            rules.deliveries_max,
            len(ended),
        ]
        for job in ended:
            arguments += [job.grant.job_id, job.grant.run, *_wire(job.outcome)]
        for grant in running:
            arguments += [grant.job_id, grant.run]
        return _polled(await self._scripts.run("poll", arguments))

    async def stats(self) -> QueueFacts:
        """Every fact about the queue, in one command."""
        return _facts(await self._stats(with_fleet=False))

    async def fleet(self) -> tuple[QueueLoad, Fleet]:
        """What the queue asks of its workers and who runs what, in one command and so at one moment."""
        read = await self._stats(with_fleet=True)
        return load_of(read["load"]), _fleet(read)

    async def overview(self) -> tuple[QueueFacts, Fleet]:
        """Every fact about the queue and who runs what, in one command."""
        read = await self._stats(with_fleet=True)
        return _facts(read), _fleet(read)

    async def _stats(self, *, with_fleet: bool) -> dict[str, Any]:
        return answers.read("stats", await self._scripts.run("stats", [self.rules.window_ms, int(with_fleet)]))

    async def standing(self) -> Standing:
        """What may keep jobs from starting, in one command."""
        read = answers.read("why", await self._scripts.run("why", [self.rules.window_ms, self.rules.starts_max]))
        return Standing(
            load=load_of(read["load"]),
            held_ms=read["held_ms"],
            starts_max=self.rules.starts_max,
            starts_in_window=read["starts_in_window"],
            opens_in_ms=read["opens_in_ms"],
            there=read["there"],
            idle=read["idle"],
            owners=tuple(owner.decode() for owner in read["owners"]),
            drained=_names(read["drained"]),
            lost_most=read["lost_most"],
            models=tuple(_model_trouble(model) for model in read["models"]),
        )

    async def workers(self) -> tuple[list[WorkerSeen], frozenset[str]]:
        """Who runs jobs or waits for them, the busiest first, and the drained workers and pods, in one command."""
        read = answers.read("workers", await self._scripts.run("workers", [round(self.rules.lease_s * 1000)]))
        workers = [_worker_seen(worker) for worker in read["workers"]]
        return sorted(workers, key=lambda worker: (-worker.jobs, worker.name)), _names(read["drained"])

    async def pause(self) -> None:
        """Start nothing more. Running jobs go on."""
        await self._scripts.run("apply", ["pause"])

    async def resume(self) -> None:
        """Start jobs again."""
        await self._scripts.run("apply", ["resume"])

    async def drain(self, worker: str) -> None:
        """Let a worker, or all of a pod, start nothing more."""
        await self._scripts.run("apply", ["drain", worker])

    async def undrain(self, worker: str) -> None:
        """Let a worker, or all of a pod, start jobs again."""
        await self._scripts.run("apply", ["undrain", worker])

    async def apply(self, verb: JobVerb, job_ids: Sequence[str]) -> list[str]:
        """Do ``verb`` to each job: ``ok``, or the state that forbids it, or ``unknown``; at most BULK_MAX at once."""
        if len(job_ids) > BULK_MAX:
            raise InvalidInput(f"{len(job_ids)} jobs in one call; the limit is {BULK_MAX}: send them in parts")
        return [word.decode() for word in await self._scripts.run("apply", [verb, *map(checked_id, job_ids)])]


def load_of(numbers: Sequence[int]) -> QueueLoad:
    """The load as the scripts list it; raises ValueError for another number of numbers."""
    read = answers.read(answers.LOAD, numbers)
    return QueueLoad(
        **read | {"paused": bool(read["paused"])} | _with_none(read, "oldest_waiting_age_ms", "next_due_in_ms")
    )


def _with_none(read: Mapping[str, Any], *names: str) -> dict[str, int | None]:
    """A script says -1 where there is no such moment."""
    return {name: None if read[name] < 0 else read[name] for name in names}


def checked_id(job_id: str) -> str:
    """A job id that can be part of a key. Raises InvalidInput."""
    if not 0 < len(job_id) <= ID_CHARS_MAX or not job_id.isprintable() or set(job_id) & set("{} "):
        raise InvalidInput(
            f"job id {job_id[:80]!r} is not usable: 1-{ID_CHARS_MAX} printable characters without braces and spaces"
        )
    return job_id


def lane_of(tenant: str, job_class: JobClass) -> str:
    """The lane's name: class, then the tenant percent-encoded, so that no tenant id can break a key.

    A long one by its hash, behind a colon that no encoded id contains: every tenant has a lane of its own.
    """
    encoded = quote(tenant, safe="", errors="surrogatepass")
    if len(encoded) > LANE_CHARS_MAX:
        encoded = f"sha256:{sha256(encoded.encode()).hexdigest()}"
    return f"{_CLASS_DIGIT[job_class]}:{encoded}"


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


def _polled(answer: list[Any]) -> Polled:
    read = answers.read("poll", answer)
    return Polled(
        grants=tuple(_grant(job) for job in read["jobs"]),
        given_up=tuple(job_id.decode() for job_id in read["given_up"]),
        come_back_s=None if read["come_back_ms"] < 0 else read["come_back_ms"] / 1000,
        gate=read["gate"].decode(),
        lost=frozenset(job_id.decode() for job_id in read["lost"]),
        unknown=frozenset(job_id.decode() for job_id in read["unknown"]),
        cancelled=frozenset(job_id.decode() for job_id in read["cancelled"]),
        commands_today=read["commands_today"],
        at_ms=read["at_ms"],
        troubled=frozenset(unquote(name) for name in read["troubled"].decode().split("\n") if name),
    )


def _grant(answer: list[Any]) -> Grant:
    read = answers.read("job", answer)
    return Grant(read["job_id"].decode(), read["payload"], read["run"], read["failures"])


def _worker_seen(answer: list[Any]) -> WorkerSeen:
    read = answers.read("worker", answer)
    flags = {"name": read["name"].decode(), "idle": bool(read["idle"]), "there": bool(read["there"])}
    return WorkerSeen(**read | flags | _with_none(read, "renewed_ms_ago", "back_in_ms"))


def _facts(read: Mapping[str, Any]) -> QueueFacts:
    load = load_of(read["load"])
    return QueueFacts(
        at_ms=load.at_ms,
        waiting=load.waiting,
        active=load.active,
        due=load.due,
        dead=read["dead"],
        idle_workers=read["idle_workers"],
        starts_in_window=read["starts_in_window"],
        oldest_waiting_age_ms=load.oldest_waiting_age_ms,
        next_due_in_ms=load.next_due_in_ms,
        paused=load.paused,
        lanes=read["lanes"],
        overdue=load.overdue,
        commands_today=read["commands_today"],
    )


def _fleet(read: Mapping[str, Any]) -> Fleet:
    if read["memory_bytes"] >= 0:
        REDIS_MEMORY.set(read["memory_bytes"])
        REDIS_MEMORY_MAX.set(read["memory_max_bytes"])
        REDIS_EVICTS.set(read["evicts"])
    return Fleet(Counter(pod_of(owner.decode()) for owner in read["owners"]), _names(read["drained"]))


def _names(encoded: Iterable[bytes]) -> frozenset[str]:
    return frozenset(name.decode() for name in encoded)


def _model_trouble(answer: list[Any]) -> ModelTrouble:
    read = answers.read("model", answer)
    return ModelTrouble(unquote(read["name"].decode()), read["trips"], read["wait_ms"])
