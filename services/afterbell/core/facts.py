"""What a queue holds at one moment, and the arithmetic on it."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """One ``look``. Counts are jobs, times are milliseconds on Redis's clock, ages are milliseconds.

    ``lanes`` counts the tenants that wait; ``overdue`` the running jobs whose worker has gone silent;
    ``commands_today`` the puts, takes and controls the whole fleet has sent since midnight UTC.
    """

    at_ms: int
    waiting: int
    active: int
    due: int
    dead: int
    idle_workers: int
    starts_in_window: int
    oldest_waiting_age_ms: int | None
    next_due_in_ms: int | None
    paused: bool
    lanes: int
    overdue: int
    commands_today: int


def eta_seconds(position: int, *, starts_per_window: int, window_s: float, slots: int, report_s: float) -> int:
    """Seconds until the report at ``position`` (1 = next to start) is finished, rounded up.

    Two things hold it back: the limiter lets ``starts_per_window`` start in each window, and ``slots`` reports
    of ``report_s`` seconds run side by side. The slower of the two sets the pace; then it runs itself.
    """
    ahead = max(position - 1, 0)
    windows = ahead // starts_per_window * window_s if starts_per_window > 0 else 0.0
    rounds = ahead // max(slots, 1) * report_s
    return math.ceil(max(windows, rounds) + report_s)
