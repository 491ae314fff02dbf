"""Requests and tokens per minute, truly enforced: a sliding log, so no window of 60 s holds more than the limit."""

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

WINDOW_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Admission:
    """``wait_s`` is 0 where there is room; ``reset_s`` is when the whole limit is free again."""

    wait_s: float
    remaining: int
    reset_s: float


class MinuteQuota:
    """At most ``limit`` (1 or more) of ``unit`` in any minute. Times are seconds of one clock that does not go back."""

    def __init__(self, limit: int, unit: Literal["requests", "tokens"] = "requests") -> None:
        self.unit = unit
        self._limit = limit
        self._taken: deque[tuple[float, int]] = deque()

    def admit(self, now_s: float, amount: int = 1) -> Admission:
        """Take ``amount``, or say how long until there is room for it; what is refused is not taken."""
        admission = self.look(now_s, amount)
        if admission.wait_s:
            return admission
        self._taken.append((now_s, amount))
        return self.look(now_s, 0)

    def look(self, now_s: float, amount: int) -> Admission:
        """Whether there is room for ``amount`` now, without taking it; for more than the limit there never is."""
        while self._taken and self._taken[0][0] <= now_s - WINDOW_S:
            self._taken.popleft()
        free = self._limit - sum(taken for _, taken in self._taken)
        reset_s = self._taken[-1][0] + WINDOW_S - now_s if self._taken else 0.0
        return Admission(self._wait_s(now_s, amount - free), free, reset_s)

    def _wait_s(self, now_s: float, lacking: int) -> float:
        if lacking <= 0:
            return 0.0
        for at, taken in self._taken:
            lacking -= taken
            if lacking <= 0:
                return at + WINDOW_S - now_s
        return WINDOW_S

    def headers(self, admission: Admission) -> dict[str, str]:
        """The provider's three headers on this unit."""
        return {
            f"x-ratelimit-limit-{self.unit}": str(self._limit),
            f"x-ratelimit-remaining-{self.unit}": str(admission.remaining),
            f"x-ratelimit-reset-{self.unit}": duration(admission.reset_s),
        }


def duration(seconds: float) -> str:
    """Seconds as the provider writes them: ``120ms``, ``6.5s``, ``1m0s``."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    if seconds < 60:
        return f"{round(seconds, 2):g}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s"
