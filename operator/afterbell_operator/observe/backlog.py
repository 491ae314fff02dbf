"""What one queue holds, without polling: the queue reports every change, and an occasional read catches lost reports.

Unknown is not zero. If Redis does not answer, nothing is known. If it lost its data, its numbers are not trusted until
the API's sweeper has had time to enqueue unfinished reports again: meanwhile they may add pods but never remove one.
A Redis that never had a job although jobs were enqueued is another server or database: it is never trusted.
"""

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic  # read by a scrape too, which has no running loop
from typing import Final

import structlog

from afterbell.adapters.queue.redis_queue import Queue
from afterbell.adapters.queue.subscription import Subscriber
from afterbell.core.backoff import every
from afterbell.core.errors import QueueScriptError, StoreUnavailable
from afterbell.core.queue.stats import QueueLoad
from afterbell.service import Service, repeat
from afterbell_operator import metrics
from afterbell_operator.decide.values import Backlog, KnownLoad, Reading, UnknownLoad, UntrustedLoad
from afterbell_operator.decide.victims import Occupancy, Pod

RETRY_S: Final = 1.0
DISTRUST_S: Final = 180.0
# If Redis hangs, the load is unknown within 5 s of the first read that it leaves unanswered.
READ_TIMEOUT_S: Final = 3.0
# A read that is older than this many ticks says nothing any more.
STALE_TICKS: Final = 2.5

log = structlog.get_logger(__name__)


class QueueObserver:
    """Watches one queue. ``changed`` is called on every change, failures included."""

    def __init__(self, subscriber: Subscriber, queue: Queue, *, tick_s: float, changed: Callable[[], None]) -> None:
        self.queue = queue
        self._subscriber, self._tick_s, self._changed = subscriber, tick_s, changed
        self._load: QueueLoad | None = None
        self._reported: Reading | None = None
        self._because = ""
        self._read_at = self._distrust_until = float("-inf")
        self._most_enqueued = self._asked_ms = 0
        self._last_notice: QueueLoad | None = None
        self._lost = ""
        self._refresh = asyncio.Event()
        self._service = Service(f"queue_observer:{queue.keys.name}", self._run)

    def start(self) -> None:
        """Subscribe and begin to read."""
        self._service.start()

    async def close(self) -> None:
        """Stop both."""
        await self._service.stop()

    def expect(self, jobs_ever: int) -> None:
        """So many jobs were enqueued before this process began: a Redis that knows of fewer has lost them."""
        if self._load is None:
            self._most_enqueued = max(self._most_enqueued, jobs_ever)
        elif self._load.puts < jobs_ever and not self._lost:
            self._distrust(self._load, jobs_ever)

    def refresh(self) -> None:
        """Something about the queue failed: read now, without waiting for the next tick."""
        self._refresh.set()

    def reading(self) -> Reading:
        """What is known now."""
        age_s, name = self.age_s(), self.queue.keys.name
        if self._load is None or self._because:
            return UnknownLoad(self._because or f"queue {name} has not been read yet")
        if age_s > self._tick_s * STALE_TICKS:
            return UnknownLoad(f"queue {name} was last read {age_s:.0f} s ago")
        backlog = _backlog(self._load, age_s)
        return UntrustedLoad(backlog, self._lost) if self._lost else KnownLoad(backlog)

    def pending(self) -> bool:
        """The first read is still under way."""
        return self._load is None and not self._because

    def age_s(self) -> float:
        """Seconds since something was known; infinite before the first time."""
        return monotonic() - self._read_at

    async def occupancy(self, _pods: Sequence[Pod], /) -> Occupancy:
        """Jobs by pod, and the pods that start no more jobs, read from Redis. Raises StoreUnavailable."""
        _, fleet = await self.queue.fleet()
        return Occupancy(fleet.running, fleet.drained)

    async def drain(self, pod: str) -> None:
        """Have a worker's pod start no more jobs. Raises StoreUnavailable."""
        await self.queue.drain(pod)

    async def undrain(self, pod: str) -> None:
        """Let it start jobs again. Raises StoreUnavailable."""
        await self.queue.undrain(pod)

    async def renew(self, pods: Sequence[str]) -> None:
        """Nothing to do: a drain stays in Redis until it is ended."""

    async def _run(self) -> None:
        await self._subscriber.subscribe_load(self.queue.keys, self._on_notice)
        # After a failed read, only the back-off decides when to read again, not notices. A missing
        # permission may be granted later: it is logged once per outage, and the Pool reports it until then.
        await repeat(
            self._tick,
            name=self._service.name,
            wake=self._refresh,
            backoff=every(RETRY_S),
            passing=(StoreUnavailable, QueueScriptError),
        )

    def _on_notice(self, news: QueueLoad | StoreUnavailable | None) -> None:
        if isinstance(news, QueueLoad):
            self._last_notice = news
            if news.puts >= self._most_enqueued or news.at_ms > self._asked_ms:
                self._learn(news)
                return
            # A read's answer overtook this notice, so no data is lost; or Redis's clock was set back: a read decides.
        elif news is not None:
            self._fail(news)
        self._refresh.set()

    async def _tick(self) -> float:
        notice_before = self._last_notice
        try:
            load = await self._read()
        except (StoreUnavailable, QueueScriptError) as error:
            self._fail(error)
            raise
        # A notice that arrived while the answer was under way is newer, unless Redis's own clock says otherwise.
        notice = self._last_notice
        if notice is None or notice is notice_before or load.at_ms > notice.at_ms:
            self._asked_ms = load.at_ms
            self._learn(load)
        return self._tick_s

    async def _read(self) -> QueueLoad:
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                load, _ = await self.queue.fleet()
        except TimeoutError as error:
            raise StoreUnavailable("Redis", f"read: no answer within {READ_TIMEOUT_S:g} s") from error
        return load

    def _distrust(self, load: QueueLoad, before: int) -> None:
        name = self.queue.keys.name
        log.warning("queue_data_lost", queue=name, enqueued=load.puts, before=before)
        self._distrust_until = monotonic() + DISTRUST_S
        self._lost = (
            f"Redis counts {load.puts} jobs ever enqueued in {name}, and counted {before} before: "
            "it lost its data, or it is another server or database"
        )

    def _learn(self, load: QueueLoad) -> None:
        now = monotonic()
        if load.puts < self._most_enqueued:
            self._distrust(load, self._most_enqueued)
        elif self._lost and load.puts and now >= self._distrust_until:
            self._lost = ""
        self._most_enqueued = load.puts
        self._load, self._read_at, self._because = load, now, ""
        reading = self.reading()
        if reading != self._reported:  # reading an idle queue again wakes nobody
            self._reported = reading
            self._changed()

    def _fail(self, error: StoreUnavailable | QueueScriptError) -> None:
        metrics.failed(error)
        first, self._because, self._reported = not self._because, str(error)[:200], None
        if first:
            log.warning("backlog_unknown", queue=self.queue.keys.name, error=self._because)
        self._changed()


def _backlog(load: QueueLoad, age_s: float) -> Backlog:
    """As it was ``age_s`` seconds ago; whatever waits has waited so much longer."""
    oldest_ms = load.oldest_waiting_age_ms
    return Backlog(
        waiting=load.waiting,
        running=load.active,
        due=load.due_soon,
        oldest_s=0.0 if oldest_ms is None else round(oldest_ms / 1000 + age_s, 3),
        paused=load.paused,
        ever=load.puts,
    )
