"""One worker's side of the queue: hear the bell, exchange with Redis, keep leases.

Duties, in the order in which a job meets them:
1. `_hear`: the bell wakes the loop; a lost subscription is made again and counts as a ring.
2. `_run`: one exchange at a time, on a bell, when a job ended, at the time the last answer named, when leases are
   due for renewal, and as a safety tick. Whatever ended meanwhile shares the next exchange.
3. `_accept`: grants become deliveries; a job that went to another worker, or that somebody cancelled, is stopped here.
4. `settle`: puts a delivery's outcome into the next exchange and returns once Redis has heard it.
5. `drain`, `close`: start nothing more; hand back what could not finish.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from afterbell.adapters.redis.ending import ended
from afterbell.adapters.redis.queue import Ended, Grant, Queue, Taken
from afterbell.core.budget import pace_of
from afterbell.core.errors import StoreUnavailable
from afterbell.core.jobs import Cancelled, Dead, HandBack, Outcome
from afterbell.observability.metrics import (
    LEASES_LOST,
    LEASES_RENEWED,
    REDIS_BUDGET_USED,
    REDIS_COMMANDS_TODAY,
    WORKER_HELD,
)

SAFETY_TICK_S: Final = 300.0
BACKOFF_MIN_S: Final = 0.1
BACKOFF_MAX_S: Final = 2.0
TIMER_MAX_S: Final = 3600.0  # a loop's timer takes no infinity

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Notice:
    """A bell that does not ring: come back in ``in_s`` (infinite: no need to), said at ``at_ms`` of Redis's clock."""

    in_s: float
    at_ms: int


def notice_of(message: bytes) -> Notice | None:
    """``watch <ms> <now ms>`` or ``quiet <now ms>``; None for a bell that rings."""
    word, *numbers = message.split()
    if word == b"watch":
        return Notice(float(numbers[0]) / 1000, int(numbers[1]))
    if word == b"quiet":
        return Notice(float("inf"), int(numbers[0]))
    return None


@dataclass(slots=True, eq=False)
class Delivery:
    """A granted job on its way through this worker."""

    grant: Grant
    outcome: Outcome | None = None
    lost: bool = False
    task: "asyncio.Task[object] | None" = field(default=None, repr=False)
    settled: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def verdict(self) -> Outcome:
        """What to tell the queue. Nothing a worker cannot read is thrown away: it becomes a dead letter."""
        if self.outcome is None:
            return Dead("no task of this worker can run it: unknown name or unreadable payload")
        return self.outcome


class Consumer:
    """Takes jobs for one worker with ``slots`` slots. Survives every answer and every silence of Redis."""

    def __init__(
        self,
        client: Redis,
        queue: Queue,
        *,
        worker: str,
        slots: int,
        on_given_up: Callable[[str], Awaitable[None]],
        safety_tick_s: float = SAFETY_TICK_S,
    ) -> None:
        self._client, self._queue = client, queue
        self._worker, self._slots = worker, slots
        self._on_given_up, self._safety_tick_s = on_given_up, safety_tick_s
        self.deliveries: dict[str, Delivery] = {}
        self.ready: asyncio.Queue[Delivery] = asyncio.Queue()
        self.gate = ""
        self.troubled: frozenset[str] = frozenset()
        self.answered_at: float | None = None
        self._ended: list[Delivery] = []
        self._draining = self._closed = False
        self._rung = False
        self._stir = asyncio.Event()
        self._come_back_at = self._watch_at = self._last_take_at = float("inf")
        self._answered_at_ms = 0
        self._pace = pace_of(0, None)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to hear and to take. The first take waits until the bell is subscribed."""
        self._tasks = [asyncio.create_task(self._hear()), asyncio.create_task(self._run())]

    def running(self, job_id: str) -> Delivery | None:
        """The delivery of a job this worker holds."""
        return self.deliveries.get(job_id)

    def ring(self) -> None:
        """Exchange as soon as possible."""
        self._rung = True
        self._stir.set()

    async def settle(self, delivery: Delivery) -> None:
        """Tell the queue, however long it takes Redis to hear; then the slot is free."""
        if delivery.lost:
            self._release(delivery)
        else:
            self._ended.append(delivery)
        self.ring()
        await delivery.settled.wait()

    async def drain(self) -> None:
        """Start nothing more; give back what was taken and never started. Leases of running jobs are kept."""
        self._draining = True
        unstarted = []
        while not self.ready.empty():
            unstarted.append(self.ready.get_nowait())
            unstarted[-1].outcome = HandBack()
        self.ring()
        await asyncio.gather(*(self.settle(delivery) for delivery in unstarted))

    async def close(self, *, grace_s: float = 2.0) -> None:
        """Hand back what still runs, then stop. Never waits longer than ``grace_s`` for Redis."""
        self._draining = True
        leftovers = list(self.deliveries.values())
        for delivery in leftovers:
            delivery.outcome = delivery.outcome or HandBack()
            if delivery.task is not None:
                delivery.task.cancel()
        # A cancelled task settles itself on its way out; one that never began is settled here.
        ending = [delivery.task or asyncio.create_task(self.settle(delivery)) for delivery in leftovers]
        if ending:
            await asyncio.wait(ending, timeout=grace_s)
        # The flag besides: a cancellation that meets a Redis error half-way may be answered with that error.
        self._closed = True
        await ended(self._tasks)

    async def _hear(self) -> None:
        while not self._closed:
            try:
                async with self._client.pubsub() as bell:
                    await bell.subscribe(self._queue.keys.bell(self._worker), self._queue.keys.bell_of_all)
                    async for message in bell.listen():
                        self._heard(message["data"])
            except (RedisError, OSError) as error:
                log.warning("bell_lost", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(BACKOFF_MIN_S * 5)

    def _heard(self, message: object) -> None:
        """The subscription's own confirmation, a number, counts as a ring: bells were missed before it."""
        notice = notice_of(message) if isinstance(message, bytes) else None
        if notice is None:
            self.ring()
            return
        back_at = asyncio.get_running_loop().time() + notice.in_s
        if notice.at_ms > self._answered_at_ms:  # newer than what the last answer said, in place of which it stands
            self._come_back_at, self._watch_at = float("inf"), back_at
        else:
            self._watch_at = min(self._watch_at, back_at)
        self._stir.set()

    async def _run(self) -> None:
        backoff_s = BACKOFF_MIN_S
        while not self._closed:
            await self._until_stirred()
            self._rung = False
            try:
                await self._exchange()
            except StoreUnavailable as error:
                log.warning("take_waits", store=error.store, error=str(error))
            except Exception:  # whatever it is, a worker that took nothing more would look alive
                log.exception("take_failed")
            else:
                backoff_s = BACKOFF_MIN_S
                continue
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)
            self._rung = True

    async def _until_stirred(self) -> None:
        while not self._rung:
            wait_s = self._next_at() - asyncio.get_running_loop().time()
            if wait_s <= 0:
                return
            self._stir.clear()
            # Not wait_for: before 3.12 it loses a cancellation that comes together with the event.
            with suppress(TimeoutError):
                async with asyncio.timeout(min(wait_s, TIMER_MAX_S)):
                    await self._stir.wait()

    def _next_at(self) -> float:
        renew_in_s = self._queue.rules.lease_s * self._pace.renew_after if self.deliveries else float("inf")
        tick_in_s = self._safety_tick_s * self._pace.tick_factor
        return min(self._come_back_at, self._watch_at, self._last_take_at + min(renew_in_s, tick_in_s))

    async def _exchange(self) -> None:
        ended, self._ended = self._ended, []
        told = set(ended)
        running = [one.grant for one in self.deliveries.values() if not one.lost and one not in told]
        # What a bell says from here on may be newer than the answer.
        self._watch_at = float("inf")
        free = 0 if self._draining else max(self._slots - len(self.deliveries) + len(ended), 0)
        try:
            taken = await self._queue.take(
                self._worker, free, running, [Ended(delivery.grant, delivery.verdict) for delivery in ended]
            )
        except BaseException:
            self._ended = ended + self._ended
            raise
        for delivery in ended:
            self._release(delivery)
        LEASES_RENEWED.inc(len(running) - len(taken.lost) - len(taken.unknown) if running else 0)
        await self._accept(taken)

    async def _accept(self, taken: Taken) -> None:
        now = asyncio.get_running_loop().time()
        if self.gate and self.answered_at is not None:
            WORKER_HELD.labels(self.gate).inc(now - self.answered_at)
        self._last_take_at = self.answered_at = now
        LEASES_LOST.inc(len(taken.lost))
        self.gate, self.troubled = taken.gate, taken.troubled
        self._answered_at_ms = taken.at_ms
        self._keep_to_budget(taken.commands_today)
        self._come_back_at = float("inf") if taken.come_back_s is None else now + taken.come_back_s
        for grant in taken.grants:
            delivery = Delivery(grant)
            self.deliveries[grant.job_id] = delivery
            self.ready.put_nowait(delivery)
        for job_id in taken.lost:
            self._stop(job_id, None)
        for job_id in taken.cancelled:
            self._stop(job_id, Cancelled())
        if taken.unknown:
            # Redis was emptied. Nobody else has these jobs, so they go on; PostgreSQL refuses a second result.
            log.warning("redis_forgot_jobs", jobs=len(taken.unknown))
        for job_id in taken.given_up:
            await self._tell_given_up(job_id)

    async def _tell_given_up(self, job_id: str) -> None:
        """Redis keeps the dead letter and the sweeper asks for it: what fails here is told later."""
        try:
            await self._on_given_up(job_id)
        except Exception as error:
            log.warning("given_up_untold", job_id=job_id, error=f"{type(error).__name__}: {error}")

    def _keep_to_budget(self, commands_today: int) -> None:
        budget = self._queue.rules.commands_per_day
        pace = pace_of(commands_today, budget)
        REDIS_COMMANDS_TODAY.set(commands_today)
        if budget is not None:
            REDIS_BUDGET_USED.set(commands_today / budget)
        if pace != self._pace:
            log.warning("redis_budget", commands_today=commands_today, budget=budget, thrifty=pace.thrifty)
        self._pace = pace

    def _stop(self, job_id: str, outcome: Outcome | None) -> None:
        """Cancel a running job: with an outcome to settle, or because another worker runs it by now."""
        delivery = self.deliveries.get(job_id)
        if delivery is None:
            log.warning("settle_refused", job_id=job_id)
            return
        if delivery.lost or delivery.outcome is not None:
            return
        log.warning("job_stopped", job_id=job_id, run=delivery.grant.run, lost=outcome is None)
        delivery.lost, delivery.outcome = outcome is None, outcome
        if delivery.task is not None:
            delivery.task.cancel()

    def _release(self, delivery: Delivery) -> None:
        # The same job may have come back to this worker under a later run.
        if self.deliveries.get(delivery.grant.job_id) is delivery:
            del self.deliveries[delivery.grant.job_id]
        delivery.settled.set()
