"""One worker's side of the queue: be woken, exchange with Redis, keep leases.

Duties, in the order in which a job meets them:
1. `_subscribe`: the wakeup channel wakes the loop; a lost subscription is made again and counts as a wakeup.
2. `_run`: one exchange at a time, when woken, when a job ended, at the time the last answer named, when leases are
   due for renewal, and as a safety tick. Whatever ended meanwhile shares the next exchange.
3. `_accept`: grants become deliveries; a job that went to another worker, or that somebody cancelled, is stopped here.
4. `settle`: puts a delivery's outcome into the next exchange and returns once Redis has it.
5. `drain`, `close`: start nothing more; hand back what could not finish.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from afterbell.adapters.queue.redis_queue import Ended, Grant, Polled, Queue
from afterbell.core.backoff import Backoff, every
from afterbell.core.errors import MALFORMED
from afterbell.core.queue.command_budget import pace_of
from afterbell.core.queue.outcomes import Cancelled, Dead, HandBack, Outcome
from afterbell.observability.metrics import (
    LEASES_LOST,
    LEASES_RENEWED,
    REDIS_BUDGET_USED,
    REDIS_COMMANDS_TODAY,
    WORKER_HELD,
)
from afterbell.service import Background, Service, repeat, stop_all, wait_until

SAFETY_TICK_S: Final = 300.0
BACKOFF: Final = Backoff(first_s=0.1, longest_s=2.0)
SUBSCRIBE_AGAIN_S: Final = 0.5
TIMER_MAX_S: Final = 3600.0  # a loop's timer takes no infinity

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Timer:
    """A message that wakes nobody: come back in ``in_s`` (infinite: no need to), sent at ``at_ms`` of Redis's clock."""

    in_s: float
    at_ms: int


def timer_of(message: bytes) -> Timer | None:
    """``watch <ms> <now ms>`` or ``quiet <now ms>``; None for a message that wakes."""
    try:
        match message.split():
            case [b"watch", in_ms, at_ms]:
                return Timer(float(in_ms) / 1000, int(at_ms))
            case [b"quiet", at_ms]:
                return Timer(float("inf"), int(at_ms))
    except MALFORMED:
        log.warning("queue_message_unreadable", length=len(message))
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
    """Polls jobs for one worker with ``slots`` slots. Survives every answer and every silence of Redis."""

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
        self._draining = False
        self._woken = False
        self._changed = asyncio.Event()
        self._come_back_at = self._watch_at = self._last_poll_at = float("inf")
        self._answered_at_ms = 0
        self._pace = pace_of(0, None)
        self._services = [Service("queue_wakeups", self._subscribe), Service("consumer", self._run)]
        self._settling = Background("settle")

    def start(self) -> None:
        """Begin to poll. The first poll waits until the wakeup channel is subscribed."""
        for service in self._services:
            service.start()

    def running(self, job_id: str) -> Delivery | None:
        """The delivery of a job this worker holds."""
        return self.deliveries.get(job_id)

    def wake(self) -> None:
        """Exchange as soon as possible."""
        self._woken = True
        self._changed.set()

    async def settle(self, delivery: Delivery) -> None:
        """Tell the queue, however long it takes Redis to hear; then the slot is free."""
        if delivery.lost:
            self._release(delivery)
        else:
            self._ended.append(delivery)
        self.wake()
        await delivery.settled.wait()

    async def drain(self) -> None:
        """Start nothing more; give back what was granted and never started. Leases of running jobs are kept."""
        self._draining = True
        unstarted = []
        while not self.ready.empty():
            unstarted.append(self.ready.get_nowait())
            unstarted[-1].outcome = HandBack()
        self.wake()
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
        ending = [delivery.task or self._settling.begin(self.settle(delivery)) for delivery in leftovers]
        if ending:
            await asyncio.wait(ending, timeout=grace_s)
        await stop_all(self._services)
        await self._settling.stop()

    async def _subscribe(self) -> None:
        passing = (RedisError, OSError)
        await repeat(
            self._receive_wakeups,
            name="queue_wakeups",
            every_s=SUBSCRIBE_AGAIN_S,
            backoff=every(SUBSCRIBE_AGAIN_S),
            passing=passing,
        )

    async def _receive_wakeups(self) -> None:
        async with self._client.pubsub() as channel:
            await channel.subscribe(self._queue.keys.wakeup(self._worker), self._queue.keys.wakeup_of_all)
            async for message in channel.listen():
                self._received(message["data"])

    def _received(self, message: object) -> None:
        """The subscription's own confirmation, a number, counts as a wakeup: some were missed before it."""
        timer = timer_of(message) if isinstance(message, bytes) else None
        if timer is None:
            self.wake()
            return
        back_at = asyncio.get_running_loop().time() + timer.in_s
        if timer.at_ms > self._answered_at_ms:  # newer than the last answer, which it replaces
            self._come_back_at, self._watch_at = float("inf"), back_at
        else:
            self._watch_at = min(self._watch_at, back_at)
        self._changed.set()

    async def _run(self) -> None:
        await repeat(self._exchange_on_time, name="consumer", backoff=BACKOFF)

    async def _exchange_on_time(self) -> None:
        await self._until_due()
        self._woken = False
        try:
            await self._exchange()
        except Exception:
            self._woken = True  # again, as soon as the back-off allows
            raise

    async def _until_due(self) -> None:
        while not self._woken:
            wait_s = self._next_at() - asyncio.get_running_loop().time()
            if wait_s <= 0:
                return
            self._changed.clear()
            await wait_until(self._changed, min(wait_s, TIMER_MAX_S))

    def _next_at(self) -> float:
        renew_in_s = self._queue.rules.lease_s * self._pace.renew_after if self.deliveries else float("inf")
        tick_in_s = self._safety_tick_s * self._pace.tick_factor
        return min(self._come_back_at, self._watch_at, self._last_poll_at + min(renew_in_s, tick_in_s))

    async def _exchange(self) -> None:
        ended, self._ended = self._ended, []
        settled = set(ended)
        running = [
            delivery.grant for delivery in self.deliveries.values() if not delivery.lost and delivery not in settled
        ]
        # What the wakeup channel says from here on may be newer than the answer.
        self._watch_at = float("inf")
        free = 0 if self._draining else max(self._slots - len(self.deliveries) + len(ended), 0)
        try:
            polled = await self._queue.poll(
                self._worker, free, running, [Ended(delivery.grant, delivery.verdict) for delivery in ended]
            )
        except BaseException:
            self._ended = ended + self._ended
            raise
        for delivery in ended:
            self._release(delivery)
        LEASES_RENEWED.inc(len(running) - len(polled.lost) - len(polled.unknown) if running else 0)
        await self._accept(polled)

    async def _accept(self, polled: Polled) -> None:
        now = asyncio.get_running_loop().time()
        if self.gate and self.answered_at is not None:
            WORKER_HELD.labels(self.gate).inc(now - self.answered_at)
        self._last_poll_at = self.answered_at = now
        LEASES_LOST.inc(len(polled.lost))
        self.gate, self.troubled = polled.gate, polled.troubled
        self._answered_at_ms = polled.at_ms
        self._keep_to_budget(polled.commands_today)
        self._come_back_at = float("inf") if polled.come_back_s is None else now + polled.come_back_s
        for grant in polled.grants:
            delivery = Delivery(grant)
            self.deliveries[grant.job_id] = delivery
            self.ready.put_nowait(delivery)
        for job_id in polled.lost:
            self._stop(job_id, None)
        for job_id in polled.cancelled:
            self._stop(job_id, Cancelled())
        if polled.unknown:
            # Redis was emptied. Nobody else has these jobs, so they go on; PostgreSQL refuses a second result.
            log.warning("redis_forgot_jobs", jobs=len(polled.unknown))
        for job_id in polled.given_up:
            await self._report_given_up(job_id)

    async def _report_given_up(self, job_id: str) -> None:
        """Redis keeps the dead letter and the sweeper asks for it: what fails here is made up for later."""
        try:
            await self._on_given_up(job_id)
        except Exception as error:
            log.warning("give_up_not_recorded", job_id=job_id, error=f"{type(error).__name__}: {error}")

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
