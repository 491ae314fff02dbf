"""How long to wait between attempts that fail: the only schedule of the background loops."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits ``first_s`` after the first failure, then twice as long each time, at the most ``longest_s``.

    ``jitter`` is the share of a wait that chance may take away, so that processes do not come back in step.
    """

    first_s: float = 0.1
    longest_s: float = 2.0
    jitter: float = 0.0

    def wait_s(self, failures: int, chance: float) -> float:
        """Seconds to wait after so many failures in a row (1 = the first). ``chance``: 0 to 1."""
        doubled_s = self.first_s * 2.0 ** min(failures - 1, 60)
        return min(doubled_s, self.longest_s) * (1 - self.jitter * chance)


def every(seconds: float) -> Backoff:
    """The same wait after each failure."""
    return Backoff(first_s=seconds, longest_s=seconds)
