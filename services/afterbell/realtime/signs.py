"""What this pod tells the operator of itself, and when that must not wait for the next sign of life."""

from collections.abc import Callable
from typing import Any, Final

from afterbell.core.pods import PodSign

NEWS_SHARE: Final = 0.05
"""A change by this share of what a pod takes is told within a second."""


class Signs:
    """``look`` says how it is now."""

    def __init__(self, look: Callable[[], PodSign]) -> None:
        self._look = look
        self._told: PodSign | None = None

    def words(self) -> list[Any]:
        """What goes into the sign of life that is sent now."""
        self._told = self._look()
        return self._told.words

    @property
    def has_news(self) -> bool:
        """Whether what was told last is wrong by too much. While sockets are sent away, each second counts."""
        if self._told is None:
            return False
        now, told = self._look(), self._told
        if now.draining != told.draining:
            return True
        change = abs(now.sockets - told.sockets)
        return change >= (1 if now.draining else max(now.sockets_max * NEWS_SHARE, 1))
