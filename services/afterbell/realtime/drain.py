"""Sending everybody away: for good when this process ends, or for as long as the operator wants the pod empty."""

import asyncio
import random
from typing import Final

import structlog

from afterbell.core.live.heartbeat import DRAIN_KEPT_S
from afterbell.observability import metrics
from afterbell.realtime.gate import GOING_AWAY, Gate
from afterbell.realtime.report_feed import ReportFeed
from afterbell.realtime.rooms import Rooms
from afterbell.realtime.wire import Event
from afterbell.service import Background, wait_until

STEPS_PER_S: Final = 10
# The news reaches everybody before the first connection is closed.
NOTICE_S: Final = 0.1
# Two readiness probes and some time for load balancers: meanwhile sockets are still taken, for they would be refused.
UNREADY_S: Final = 10.0

log = structlog.get_logger(__name__)


class Drain:
    """Of one process. ``window_s``: time over which sockets are sent away where the operator asked for it."""

    def __init__(self, rooms: Rooms, feed: ReportFeed, window_s: float) -> None:
        self._rooms, self._feed, self._window_s = rooms, feed, window_s
        self.gate: Gate | None = None
        self._drains = Background("drain")
        self._task: asyncio.Task[None] | None = None
        self._sent_away = 0
        self._ending = asyncio.Event()
        self._asked_at = 0.0

    @property
    def under_way(self) -> bool:
        """Whether this pod is to get no new sockets, or none any more."""
        return self._task is not None

    async def for_good(self, window_s: float) -> int:
        """Take no more sockets, tell everybody when to come back, close in batches. How many were sent away."""
        self._ending.set()
        if self._task is None:
            self._task = self._drains.begin(self._send_away(window_s))
        await asyncio.shield(self._task)
        return self._sent_away

    def asked(self, *, wanted: bool, now: float) -> None:
        """The operator wants this pod empty, and says so again and again; or not any more."""
        self._asked_at = now
        if wanted and self._task is None:
            log.info("drain_requested")
            metrics.RT_DRAINING.set(1)
            self._task = self._drains.begin(self._unready_first())
        elif not wanted:
            self._take_back("the operator wants it")

    def tick(self, now: float) -> None:
        """Once a second: an operator that is gone leaves no pod out of service."""
        if now - self._asked_at > DRAIN_KEPT_S:
            self._take_back("nobody asks for the drain any more")

    def _take_back(self, why: str) -> None:
        if self._task is None or self._ending.is_set():
            return
        self._task.cancel()
        self._task, self._sent_away = None, 0
        if self.gate is not None:
            self.gate.shut = False
        self._feed.resume_streams()
        metrics.RT_DRAINING.set(0)
        log.info("drain_ended", because=why)

    async def _unready_first(self) -> None:
        await wait_until(self._ending, UNREADY_S)
        await self._send_away(self._window_s)

    async def _send_away(self, window_s: float) -> None:
        metrics.RT_DRAINING.set(1)
        if self.gate is None:
            return
        self.gate.shut = True
        self._feed.end_streams()
        window_ms = round(window_s * 1000)
        for client in self._rooms.clients.values():
            client.tell(Event.of("server:draining", {"retryInMs": random.randint(0, window_ms)}))  # noqa: S311
        leaving = list(self.gate.connections)
        random.shuffle(leaving)
        self._sent_away = len(leaving)
        log.info("draining", sockets=len(leaving), window_s=window_s)
        if leaving:
            await asyncio.sleep(NOTICE_S)
        steps = max(round(window_s * STEPS_PER_S), 1)
        for step in range(steps):
            for connection in leaving[step::steps]:
                connection.close(GOING_AWAY, "drained")
            if self.gate.connections and window_s:
                await asyncio.sleep(1 / STEPS_PER_S)
