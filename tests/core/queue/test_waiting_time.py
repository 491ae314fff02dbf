"""The time a waiting client is told, against queues played through on a clock of their own."""

import heapq
import random
import statistics

import pytest

from afterbell.core.queue.stats import eta_seconds

WAITING, MADE_BEFORE = 100, 50


def finishes(durations: list[float], slots: int, starts_max: int, window_s: float) -> list[float]:
    """When each report ends: started in order, ``slots`` at once, ``starts_max`` starts in any window (0: no limit)."""
    free, starts, ends = [0.0] * slots, list[float](), list[float]()
    for duration in durations:
        at = heapq.heappop(free)
        if starts_max and len(starts) >= starts_max:
            at = max(at, starts[-starts_max] + window_s)
        starts.append(at)
        ends.append(at + duration)
        heapq.heappush(free, ends[-1])
    return ends


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("slots", "starts_max"),
    [(5, 0), (5, 10), (20, 10), (40, 0), (40, 30)],
    ids=["few slots", "either", "limiter", "many slots", "a larger limit"],
)
def test_the_time_told_is_right_within_a_fifth_with_a_hundred_waiting(slots: int, starts_max: int, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311  lengths of reports, not secrets
    durations = [min(max(rng.lognormvariate(3.7, 0.35), 15), 120) for _ in range(MADE_BEFORE + slots + WAITING)]
    ends = finishes(durations, slots, starts_max, 60)
    measured, now = statistics.mean(durations[:MADE_BEFORE]), ends[MADE_BEFORE]
    running = sum(end - took <= now < end for end, took in zip(ends, durations, strict=True))
    true = [end - now for end, took in zip(ends, durations, strict=True) if end - took > now]
    estimates = [
        eta_seconds(nth, starts_per_window=starts_max, window_s=60, slots=running, report_s=measured)
        for nth in range(1, len(true) + 1)
    ]
    errors = [abs(eta - real) / real for eta, real in zip(estimates, true, strict=True)]
    assert statistics.median(errors) < 0.2


def test_without_slots_or_limit_the_report_still_takes_its_own_time() -> None:
    assert eta_seconds(1, starts_per_window=0, window_s=60, slots=0, report_s=40) == 60
    assert eta_seconds(1, starts_per_window=0, window_s=60, slots=10, report_s=40) == 42
