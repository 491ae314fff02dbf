"""What one queue holds, learned without asking: it tells every change, and a look now and then catches what was missed.

Unknown is not zero. A Redis that does not answer leaves no number; one that lost its data leaves numbers that are not
trusted for a while, in which the sweeper of the API puts unfinished reports again: they may add pods, never take one.
One that never had a job where jobs were put before is another server, or another database of it: it is never trusted.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from afterbell.adapters.redis.ending import ended
from afterbell.adapters.redis.queue import Queue
from afterbell.adapters.redis.tidings import Ear
from afterbell.core.errors import StoreUnavailable
from afterbell.core.facts import QueueLoad
from afterbell.core.pods import PodVerb
from afterbell_operator import metrics
from afterbell_operator.act import Drains
from afterbell_operator.model import Backlog, Connections
from afterbell_operator.victims import Occupancy, Pod

RETRY_S: Final = 1.0
DISTRUST_S: Final = 180.0
# A Redis that hangs is said to be unknown within 5 s of the first look it leaves unanswered.
LOOK_S: Final = 3.0
# A look that is overdue by this many ticks no longer says anything.
STALE_TICKS: Final = 2.5

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sight:
    """The backlog or the connections, None where unknown; why; and whether a smaller number may be believed."""

    backlog: Backlog | None
    because: str = ""
    trusted: bool = True
    connections: Connections | None = None


class Observer(Drains, Protocol):
    """What a round asks of whatever a Pool follows."""

    def sight(self) -> Sight:
        """What is known now."""

    def awaited(self) -> bool:
        """Nothing can be said yet: the first answer, or that there is none, is still to come, and will be news."""

    def age_s(self) -> float:
        """Seconds since something was known; infinite before the first time."""

    def look_now(self) -> None:
        """Something failed: look again soon."""


class QueueObserver:
    """Watches one queue. ``changed`` is called on every news, the bad ones included."""

    def __init__(self, ear: Ear, queue: Queue, *, tick_s: float, changed: Callable[[], None]) -> None:
        self.queue = queue
        self._ear, self._tick_s, self._changed = ear, tick_s, changed
        self._load: QueueLoad | None = None
        self._shown: Sight | None = None
        self._because = ""
        self._seen_at = self._distrust_until = float("-inf")
        self._most_puts = self._looked_ms = 0
        self._last_told: QueueLoad | None = None
        self._lost = ""
        self._stir = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to hear and to look."""
        self._tasks = [asyncio.create_task(self._hear()), asyncio.create_task(self._tick())]

    async def close(self) -> None:
        """Stop both."""
        await ended(self._tasks)

    def expect(self, puts: int) -> None:
        """So many jobs were put before this process began: a Redis that knows of fewer is not the one they were in."""
        if self._load is None:
            self._most_puts = max(self._most_puts, puts)
        elif self._load.puts < puts and not self._lost:
            self._distrust(self._load, puts)

    def look_now(self) -> None:
        """Something about the queue failed: do not wait for the next tick."""
        self._stir.set()

    def sight(self) -> Sight:
        """What is known now."""
        age_s = self.age_s()
        if self._load is None or self._because:
            return Sight(None, self._because or f"queue {self.queue.keys.name} has not been seen yet")
        if age_s > self._tick_s * STALE_TICKS:
            return Sight(None, f"queue {self.queue.keys.name} was last seen {age_s:.0f} s ago")
        return Sight(_backlog(self._load, age_s), self._lost, trusted=not self._lost)

    def awaited(self) -> bool:
        """The first look is still under way."""
        return self._load is None and not self._because

    def age_s(self) -> float:
        """Seconds since something was known; infinite before the first time."""
        return asyncio.get_running_loop().time() - self._seen_at

    async def occupancy(self, _pods: Sequence[Pod], /) -> Occupancy:
        """Jobs by pod, and who was told to start nothing more; asked of Redis. Raises StoreUnavailable."""
        _, fleet = await self.queue.look_at_fleet()
        return Occupancy(fleet.running, fleet.drained)

    async def steer(self, verb: PodVerb, pod: str) -> None:
        """Drain a worker's pod, or let it start jobs again. Raises StoreUnavailable."""
        await self.queue.steer(verb, pod)

    async def renew(self, pods: Sequence[str]) -> None:
        """A drain is kept in Redis until it is taken back."""

    async def _hear(self) -> None:
        await self._ear.hear(self.queue.keys, self._told)

    def _told(self, news: QueueLoad | StoreUnavailable | None) -> None:
        if isinstance(news, QueueLoad):
            self._last_told = news
            if news.puts >= self._most_puts or news.at_ms > self._looked_ms:
                self._learn(news)
                return
            # The answer to a look overtook it, so no data is lost; or Redis's clock was set back, and a look tells.
        elif news is not None:
            self._fail(news)
        self._stir.set()

    async def _tick(self) -> None:
        while True:
            try:
                told_before = self._last_told
                load = await self._look()
                # What was told while the answer was under way is newer, unless Redis's own clock says otherwise.
                told = self._last_told
                if told is None or told is told_before or load.at_ms > told.at_ms:
                    self._looked_ms = load.at_ms
                    self._learn(load)
                wait_s = self._tick_s
            except StoreUnavailable as error:
                self._fail(error)
                wait_s = RETRY_S
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._stir.wait()
            self._stir.clear()

    async def _look(self) -> QueueLoad:
        try:
            async with asyncio.timeout(LOOK_S):
                load, _ = await self.queue.look_at_fleet()
        except TimeoutError as error:
            raise StoreUnavailable("Redis", f"look: no answer within {LOOK_S:g} s") from error
        return load

    def _distrust(self, load: QueueLoad, before: int) -> None:
        name = self.queue.keys.name
        log.warning("queue_lost_its_data", queue=name, puts=load.puts, before=before)
        self._distrust_until = asyncio.get_running_loop().time() + DISTRUST_S
        self._lost = (
            f"Redis knows of {load.puts} jobs ever put into queue {name}, it knew of {before}: "
            "it lost its data, or it is another server or database"
        )

    def _learn(self, load: QueueLoad) -> None:
        now = asyncio.get_running_loop().time()
        if load.puts < self._most_puts:
            self._distrust(load, self._most_puts)
        elif self._lost and load.puts and now >= self._distrust_until:
            self._lost = ""
        self._most_puts = load.puts
        self._load, self._seen_at, self._because = load, now, ""
        sight = self.sight()
        if sight != self._shown:  # an idle queue looked at again wakes nobody
            self._shown = sight
            self._changed()

    def _fail(self, error: StoreUnavailable) -> None:
        metrics.failed(error)
        first, self._because, self._shown = not self._because, str(error)[:200], None
        if first:
            log.warning("queue_unknown", queue=self.queue.keys.name, error=self._because)
        self._changed()


def _backlog(load: QueueLoad, age_s: float) -> Backlog:
    """As it was ``age_s`` seconds ago; who waits has waited so much longer."""
    oldest_ms = load.oldest_waiting_age_ms
    return Backlog(
        waiting=load.waiting,
        running=load.active,
        due=load.due_soon,
        oldest_s=0.0 if oldest_ms is None else round(oldest_ms / 1000 + age_s, 3),
        paused=load.paused,
        ever=load.puts,
    )
