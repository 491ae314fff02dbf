"""What this pod tells the operator of itself, and when that must not wait for the next heartbeat."""

from collections.abc import Callable
from typing import Any, Final

from afterbell.core.live.heartbeat import PodHeartbeat

NEWS_SHARE: Final = 0.05
"""A change by this share of what a pod takes is told within a second."""


class HeartbeatSender:
    """``look`` says how it is now."""

    def __init__(self, look: Callable[[], PodHeartbeat]) -> None:
        self._look = look
        self._sent: PodHeartbeat | None = None

    def words(self) -> list[Any]:
        """What goes into the heartbeat that is sent now."""
        self._sent = self._look()
        return self._sent.words

    @property
    def has_news(self) -> bool:
        """Whether what was told last is wrong by too much. While sockets are sent away, each second counts."""
        if self._sent is None:
            return False
        now, sent = self._look(), self._sent
        if now.draining != sent.draining:
            return True
        change = abs(now.sockets - sent.sockets)
        return change >= (1 if now.draining else max(now.sockets_max * NEWS_SHARE, 1))
