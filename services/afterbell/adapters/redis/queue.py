"""The queue on Redis: one method a verb, one Lua script a method, one billed command a call.

What the scripts guarantee is written at their heads; this file names the arguments and reads the answers.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

from redis.asyncio import Redis
from redis.exceptions import RedisError

from afterbell.adapters.redis.keys import QueueKeys
from afterbell.core.errors import PayloadTooLarge, StoreUnavailable
from afterbell.core.facts import QueueFacts
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
from afterbell.observability.metrics import REDIS_COMMANDS

Verb = Literal["put", "take", "settle", "look", "control"]
ControlVerb = Literal["pause", "resume", "hold", "drain", "undrain"]

# A start is stamped when Redis grants it; the worker begins a moment later. One percent more than the window
# keeps that moment from putting an eleventh start into somebody else's window of ten.
WINDOW_MARGIN: Final = 1.01
ENDED_KEPT_MS: Final = 3_600_000

_PARTS: Final[dict[Verb, tuple[str, ...]]] = {
    "put": ("prelude", "put"),
    "take": ("prelude", "grant", "take"),
    "settle": ("prelude", "grant", "settle"),
    "look": ("prelude", "look"),
    "control": ("prelude", "control"),
}


@dataclass(frozen=True, slots=True)
class QueueRules:
    """What every worker of a queue agrees on. ``starts_max`` 0 means no limiter."""

    lease_s: float = 10.0
    starts_max: int = 10
    window_s: float = 60.0
    deliveries_max: int = 3

    @property
    def window_ms(self) -> int:
        """The limiter's window with its margin."""
        return round(self.window_s * 1000 * WINDOW_MARGIN)

    def arguments(self) -> list[str | int]:
        """In the order the scripts read them."""
        return [round(self.lease_s * 1000), self.starts_max, self.window_ms, self.deliveries_max]


@dataclass(frozen=True, slots=True)
class Put:
    """A job to add: ``payload`` is the taskiq message."""

    job_id: str
    payload: bytes
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Grant:
    """One start: ``run`` numbers the job's starts and fences late answers of earlier ones."""

    entry: str
    job_id: str
    payload: bytes
    run: int
    failures: int


@dataclass(frozen=True, slots=True)
class Taken:
    """The answer to a take. ``come_back_s`` None: a bell will ring, or the safety tick comes."""

    grants: tuple[Grant, ...] = ()
    buried: tuple[str, ...] = ()
    come_back_s: float | None = None
    gate: str = ""
    lost: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Settled:
    """``owned`` False: another worker owns the job by now and nothing was changed."""

    owned: bool
    taken: Taken | None


class Queue:
    """The verbs of one queue. Every method raises StoreUnavailable while Redis does not answer or refuses."""

    def __init__(self, client: Redis, keys: QueueKeys, rules: QueueRules) -> None:
        self._client = client
        self.keys = keys
        self.rules = rules
        self._scripts = {verb: client.register_script(_source(verb)) for verb in _PARTS}

    async def put(self, jobs: list[Put]) -> list[str]:
        """Add jobs; one word each: ``put``, or the state of the job that was there already.

        Raises PayloadTooLarge before anything is sent.
        """
        arguments: list[str | bytes | int] = []
        for job in jobs:
            if len(job.payload) > PAYLOAD_BYTES_MAX:
                raise PayloadTooLarge(
                    f"the payload of job {job.job_id[:80]} has {len(job.payload)} bytes; "
                    f"the limit is {PAYLOAD_BYTES_MAX}"
                )
            arguments += [job.job_id, job.payload, round(job.delay_s * 1000)]
        return [word.decode() for word in await self._run("put", arguments)]

    async def take(self, worker: str, free: int, running: list[tuple[str, int]]) -> Taken:
        """Renew the leases of ``running`` (entry, run), then take up to ``free`` jobs."""
        pairs = [part for entry, run in running for part in (entry, run)]
        answer = await self._run("take", [worker, free, *self.rules.arguments(), *pairs])
        return _taken(answer)

    async def settle(self, worker: str, grant: Grant, outcome: Outcome, *, free: int | None = None) -> Settled:
        """Say what became of ``grant``; with ``free`` slots given, take the next jobs in the same call."""
        word, delay_s, reason = _wire(outcome)
        arguments = [worker, grant.entry, grant.job_id, grant.run, word, round(delay_s * 1000), reason,
                     ENDED_KEPT_MS, -1 if free is None else free, *self.rules.arguments()]  # fmt: skip
        owned, granted = await self._run("settle", arguments)
        return Settled(bool(owned), _taken(granted) if granted else None)

    async def look(self) -> QueueFacts:
        """Every fact about the queue, in one command."""
        now, waiting, active, due, dead, idle, starts, oldest, next_due, paused = await self._run(
            "look", [self.rules.window_ms]
        )
        return QueueFacts(now, waiting, active, due, dead, idle, starts,
                          None if oldest < 0 else oldest, None if next_due < 0 else next_due, bool(paused))  # fmt: skip

    async def control(self, verb: ControlVerb, argument: str | int = "") -> None:
        """Switch a flag: ``hold`` takes milliseconds, ``drain`` and ``undrain`` a worker."""
        await self._run("control", [verb, argument])

    async def _run(self, verb: Verb, arguments: list[Any]) -> Any:
        REDIS_COMMANDS.labels(verb).inc()
        try:
            return await self._scripts[verb](self.keys.script_keys, [self.keys.prefix, *arguments])
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreUnavailable("Redis", f"{verb}: {type(error).__name__}: {error}") from error


@cache
def _source(verb: Verb) -> str:
    folder = files("afterbell.adapters.redis") / "scripts"
    return "\n".join((folder / f"{part}.lua").read_text("utf-8") for part in _PARTS[verb])


def _wire(outcome: Outcome) -> tuple[str, float, str]:
    match outcome:
        case Done():
            return "done", 0, ""
        case Retry(delay_s, reason):
            return "retry", delay_s, reason
        case Defer(delay_s, reason):
            return "defer", delay_s, reason
        case Dead(reason):
            return "dead", 0, reason
        case Cancelled():
            return "cancelled", 0, ""
        case HandBack():
            return "handback", 0, ""


def _taken(answer: list[Any]) -> Taken:
    jobs, buried, come_back_ms, gate, *rest = answer
    lost, unknown = rest or ([], [])
    return Taken(
        grants=tuple(
            Grant(entry.decode(), job_id.decode(), payload, run, failures)
            for entry, job_id, payload, run, failures in jobs
        ),
        buried=tuple(job_id.decode() for job_id in buried),
        come_back_s=None if come_back_ms < 0 else come_back_ms / 1000,
        gate=gate.decode(),
        lost=frozenset(entry.decode() for entry in lost),
        unknown=frozenset(entry.decode() for entry in unknown),
    )
