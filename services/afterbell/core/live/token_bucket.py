"""A token bucket: how often something may happen, with room for a burst. Time is an argument."""

from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(slots=True)
class Bucket:
    """``rate`` tokens a second, at most ``burst`` saved up. ``now`` is seconds on any clock that never goes back."""

    rate: float
    burst: float
    tokens: float
    at: float
    refused: int = 0

    @classmethod
    def full(cls, rate: float, burst: float, now: float) -> "Bucket":
        """A bucket that has saved up its whole burst."""
        return cls(rate, burst, burst, now)

    def take(self, now: float) -> float:
        """0 where a token was there, else the seconds until the next one. ``refused`` counts refusals in a row."""
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens >= 1:
            self.tokens -= 1
            if self.tokens > self.burst / 2:
                self.refused = 0
            return 0.0
        self.refused += 1
        return (1 - self.tokens) / self.rate


class Buckets:
    """A bucket for each person, however many sockets they have and however often they come back."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._buckets: dict[Hashable, Bucket] = {}

    def of(self, person: Hashable, now: float) -> Bucket:
        """Theirs; a full one where nothing is remembered of them."""
        bucket = self._buckets.get(person)
        if bucket is None:
            bucket = self._buckets[person] = Bucket.full(self._rate, self._burst, now)
        return bucket

    def forget_full(self, now: float) -> None:
        """Forget those that are full again: a new one is the same."""
        full_after_s = self._burst / self._rate
        for person in [person for person, bucket in self._buckets.items() if now - bucket.at > full_after_s]:
            del self._buckets[person]
