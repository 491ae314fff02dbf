"""One worker's side of the queue: hear the bell, take while slots are free, keep leases, settle.

Duties, in the order in which a job meets them:
1. `_hear`: the bell wakes the loop; a lost subscription is made again and counts as a ring.
2. `_run`: a take on a bell, on the time the last answer named, every lease/3 while jobs run, and as a safety tick.
3. `_accept`: grants become deliveries; a job whose lease went to another worker is cancelled here.
4. `settle`: says what became of a delivery, as often as it takes Redis to hear it, and takes the next jobs.
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

from afterbell.adapters.redis.queue import Grant, Queue, Taken
from afterbell.core.errors import StoreUnavailable
from afterbell.core.jobs import Dead, HandBack, Outcome

SAFETY_TICK_S: Final = 300.0
BACKOFF_MIN_S: Final = 0.1
BACKOFF_MAX_S: Final = 2.0

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Delivery:
    """A granted job on its way through this worker."""

    grant: Grant
    outcome: Outcome | None = None
    lost: bool = False
    task: "asyncio.Task[object] | None" = field(default=None, repr=False)

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
        on_buried: Callable[[str], Awaitable[None]],
        safety_tick_s: float = SAFETY_TICK_S,
    ) -> None:
        self._client, self._queue = client, queue
        self._worker, self._slots = worker, slots
        self._on_buried, self._safety_tick_s = on_buried, safety_tick_s
        self.deliveries: dict[str, Delivery] = {}
        self.ready: asyncio.Queue[Delivery] = asyncio.Queue()
        self.gate = ""
        self.answered_at: float | None = None
        self._asked = 0
        self._draining = self._closed = False
        self._rung = False
        self._stir = asyncio.Event()
        self._renew_at = self._come_back_at = float("inf")
        self._safety_at = float("inf")
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to hear and to take. The first take waits until the bell is subscribed."""
        self._tasks = [asyncio.create_task(self._hear()), asyncio.create_task(self._run())]

    def running(self, job_id: str) -> Delivery | None:
        """The delivery of a job this worker holds."""
        return next((d for d in self.deliveries.values() if d.grant.job_id == job_id), None)

    def ring(self) -> None:
        """Take as soon as possible."""
        self._rung = True
        self._stir.set()

    async def settle(self, delivery: Delivery) -> None:
        """Tell the queue, trying until it has heard; then the slot is free."""
        backoff_s = BACKOFF_MIN_S
        while not delivery.lost:
            asked = 0 if self._draining else self._free() + 1
            self._asked += asked
            try:
                settled = await self._queue.settle(self._worker, delivery.grant, delivery.verdict, free=asked or None)
            except StoreUnavailable as error:
                log.warning("settle_waits_for_redis", job_id=delivery.grant.job_id, error=str(error))
                await asyncio.sleep(backoff_s)
                backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)
                continue
            finally:
                self._asked -= asked
            self._release(delivery)
            if not settled.owned:
                log.warning("settle_refused", job_id=delivery.grant.job_id, run=delivery.grant.run)
            if settled.taken is not None:
                await self._accept(settled.taken, asked)
            return
        self._release(delivery)
        self.ring()

    async def drain(self) -> None:
        """Start nothing more; give back what was taken and never started. Leases of running jobs are kept."""
        self._draining = True
        while not self.ready.empty():
            delivery = self.ready.get_nowait()
            delivery.outcome = HandBack()
            await self.settle(delivery)
        self.ring()

    async def close(self, *, grace_s: float = 2.0) -> None:
        """Hand back what still runs, then stop. Never waits longer than ``grace_s`` for Redis."""
        self._draining = True
        leftovers = list(self.deliveries.values())
        for delivery in leftovers:
            delivery.outcome = HandBack()
            if delivery.task is not None:
                delivery.task.cancel()
        # A cancelled task settles itself on its way out; one that never began is settled here.
        ending = [d.task or asyncio.create_task(self.settle(d)) for d in leftovers]
        if ending:
            await asyncio.wait(ending, timeout=grace_s)
        # The flag besides: a cancellation that meets a Redis error half-way may be answered with that error.
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _hear(self) -> None:
        while not self._closed:
            try:
                async with self._client.pubsub() as bell:
                    await bell.subscribe(self._queue.keys.bell(self._worker))
                    async for _ in bell.listen():  # the subscription's own confirmation counts as a ring
                        self.ring()
            except (RedisError, OSError) as error:
                log.warning("bell_lost", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(BACKOFF_MIN_S * 5)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        backoff_s = BACKOFF_MIN_S
        while not self._closed:
            wait_s = min(self._renew_at, self._come_back_at, self._safety_at) - loop.time()
            if not self._rung and wait_s > 0:
                self._stir.clear()
                # Not wait_for: before 3.12 it loses a cancellation that comes together with the event.
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(wait_s, self._safety_tick_s)):
                        await self._stir.wait()
                continue
            self._rung = False
            try:
                await self._take()
                backoff_s = BACKOFF_MIN_S
            except StoreUnavailable as error:
                log.warning("take_waits_for_redis", error=str(error))
                await asyncio.sleep(backoff_s)
                backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)
                self._rung = True

    async def _take(self) -> None:
        asked = self._free()
        self._asked += asked
        held = [(d.grant.entry, d.grant.run) for d in self.deliveries.values()]
        try:
            taken = await self._queue.take(self._worker, asked, held)
        finally:
            self._asked -= asked
        now = asyncio.get_running_loop().time()
        self._safety_at = now + self._safety_tick_s
        self._renew_at = now + self._renew_every_s if self.deliveries else float("inf")
        await self._accept(taken, asked)

    async def _accept(self, taken: Taken, asked: int) -> None:
        now = asyncio.get_running_loop().time()
        self.answered_at, self.gate = now, taken.gate
        for grant in taken.grants:
            delivery = Delivery(grant)
            self.deliveries[grant.entry] = delivery
            self.ready.put_nowait(delivery)
        if taken.grants:
            self._renew_at = min(self._renew_at, now + self._renew_every_s)
        self._come_back_at = float("inf") if taken.come_back_s is None else now + taken.come_back_s
        for entry in taken.lost:
            self._lose(entry)
        if taken.unknown:
            # Redis was emptied. Nobody else has these jobs, so they go on; PostgreSQL refuses a second result.
            log.warning("redis_forgot_running_jobs", entries=len(taken.unknown))
        if self._free() > 0 and asked and len(taken.grants) == asked:
            self.ring()
        self._stir.set()
        for job_id in taken.buried:
            await self._on_buried(job_id)

    def _lose(self, entry: str) -> None:
        delivery = self.deliveries.get(entry)
        if delivery is None or delivery.lost:
            return
        log.warning("lease_lost", job_id=delivery.grant.job_id, run=delivery.grant.run)
        delivery.lost = True
        if delivery.task is not None:
            delivery.task.cancel()

    def _release(self, delivery: Delivery) -> None:
        self.deliveries.pop(delivery.grant.entry, None)

    def _free(self) -> int:
        if self._draining:
            return 0
        return max(self._slots - len(self.deliveries) - self._asked, 0)

    @property
    def _renew_every_s(self) -> float:
        return self._queue.rules.lease_s / 3
