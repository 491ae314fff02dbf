"""Which outcome an error leads to: the ladder 2, 4, 8 s for real failures, waiting for "told to wait"."""

from typing import Final

from afterbell.core.errors import BudgetSpent, ModelRefused, ModelToldToWait, StoreUnavailable
from afterbell.core.jobs import Dead, Defer, Outcome, Retry

STORE_WAIT_S: Final = 5.0
DEFER_SECONDS_MAX: Final = 900.0
REASON_CHARS_MAX: Final = 500


def outcome_of(error: BaseException, *, failures: int, ladder_s: tuple[float, ...]) -> Outcome:
    """What to do after ``error``, when ``failures`` tries have failed before it.

    ``ladder_s`` are the waits after the first, second, … failure, so a job is tried ``len(ladder_s) + 1`` times.
    """
    reason = reason_of(error)
    if isinstance(error, ModelToldToWait):
        return Defer(min(max(error.seconds, 0.0), DEFER_SECONDS_MAX), reason)
    if isinstance(error, StoreUnavailable):
        return Defer(STORE_WAIT_S, reason)
    if isinstance(error, BudgetSpent):
        return Defer(DEFER_SECONDS_MAX, reason)
    if isinstance(error, ModelRefused) or failures >= len(ladder_s):
        return Dead(reason)
    return Retry(ladder_s[failures], reason)


def reason_of(error: BaseException) -> str:
    """One bounded line for logs, rows and boards."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:REASON_CHARS_MAX]
