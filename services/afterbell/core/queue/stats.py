"""What a queue holds at one moment, and the arithmetic on it."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_RANDOM_TAIL: Final = re.compile(r"-[0-9a-f]{8}$")


@dataclass(frozen=True, slots=True)
class QueueLoad:
    """What the queue asks of its workers at one moment. Units as in ``QueueFacts``.

    ``due_soon`` are the due jobs whose moment comes within 150 s; ``puts`` the jobs ever enqueued: a lower number than
    before means that Redis lost its data, or is another Redis.
    """

    at_ms: int
    waiting: int
    active: int
    due: int
    due_soon: int
    oldest_waiting_age_ms: int | None
    next_due_in_ms: int | None
    paused: bool
    overdue: int
    puts: int


@dataclass(frozen=True, slots=True)
class Fleet:
    """Jobs run by each pod, and the pods (and workers) that are to start nothing more."""

    running: Mapping[str, int]
    drained: frozenset[str]


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker that runs jobs or waits for them. Times are milliseconds.

    ``idle``: it has a free slot; ``there``: it is subscribed to its wakeup channel, so its process lives.
    ``renewed_ms_ago`` None: it runs nothing; ``back_in_ms`` None: it comes when it is woken.
    """

    name: str
    jobs: int
    idle: bool
    there: bool
    renewed_ms_ago: int | None
    back_in_ms: int | None


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """The queue at one moment. Counts are jobs, times are milliseconds on Redis's clock, ages are milliseconds.

    ``lanes`` counts the tenants that wait; ``overdue`` the running jobs whose worker has gone silent;
    ``commands_today`` the commands that change the queue which the whole fleet has sent since midnight UTC.
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


def pod_of(worker: str) -> str:
    """The pod a worker lives in: its name without the random part that tells one process of a pod from the next."""
    return _RANDOM_TAIL.sub("", worker)


def eta_seconds(position: int, *, starts_per_window: int, window_s: float, slots: int, report_s: float) -> int:
    """Seconds until the report at ``position`` (1 = next to start) is finished, rounded up.

    Two things hold it back: the limiter lets ``starts_per_window`` start in each window, and ``slots`` reports
    of ``report_s`` seconds run side by side. The slower of the two is the seconds between two starts; the next start
    is half of them away on average. Then the report runs itself.
    """
    limiter_s = window_s / starts_per_window if starts_per_window > 0 else 0.0
    between_starts_s = max(limiter_s, report_s / max(slots, 1))
    return math.ceil((position - 0.5) * between_starts_s + report_s)
