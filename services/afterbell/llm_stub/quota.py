"""Requests per minute, truly enforced: a sliding log, so no window of 60 s holds more than the limit."""

from collections import deque
from dataclasses import dataclass
from typing import Final

WINDOW_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Admission:
    """``wait_s`` is 0 for an admitted request; ``reset_s`` is when the whole limit is free again."""

    wait_s: float
    remaining: int
    reset_s: float


class MinuteQuota:
    """The request times of the last minute, of which there are ``limit`` >= 1. Times are seconds of any one clock that does not go back."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._times: deque[float] = deque()

    def admit(self, now_s: float) -> Admission:
        """Count the request, or say how long until one has room; a refused request is not counted."""
        while self._times and self._times[0] <= now_s - WINDOW_S:
            self._times.popleft()
        wait_s = 0.0
        if len(self._times) >= self._limit:
            wait_s = self._times[0] + WINDOW_S - now_s
        else:
            self._times.append(now_s)
        return Admission(wait_s, self._limit - len(self._times), self._times[-1] + WINDOW_S - now_s)

    def headers(self, admission: Admission) -> dict[str, str]:
        """The provider's three headers on requests."""
        return {
            "x-ratelimit-limit-requests": str(self._limit),
            "x-ratelimit-remaining-requests": str(admission.remaining),
            "x-ratelimit-reset-requests": duration(admission.reset_s),
        }


def duration(seconds: float) -> str:
    """Seconds as the provider writes them: ``120ms``, ``6.5s``, ``1m0s``."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    if seconds < 60:
        return f"{round(seconds, 2):g}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s"
