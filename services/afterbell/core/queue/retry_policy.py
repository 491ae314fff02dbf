"""Which outcome an error leads to: back-off of 2, 4, 8 s for real failures, waiting for "told to wait"."""

from typing import Final

from afterbell.core.errors import BudgetSpent, ModelRefused, ModelToldToWait, StoreUnavailable
from afterbell.core.queue.outcomes import Dead, Defer, Outcome, Retry

STORE_WAIT_S: Final = 5.0
DEFER_SECONDS_MAX: Final = 900.0
REASON_CHARS_MAX: Final = 500


def outcome_of(
    error: BaseException, *, failures: int, backoff_s: tuple[float, ...], is_patient: bool = True
) -> Outcome:
    """What to do after ``error``, when ``failures`` tries have failed before it.

    ``backoff_s`` are the waits after the first, second, … failure, so a job is tried ``len(backoff_s) + 1`` times.
    ``is_patient`` False: the job has waited for models long enough.
    """
    reason = reason_of(error)
    if isinstance(error, ModelToldToWait):
        if not is_patient:
            return Dead(reason)
        return Defer(min(max(error.seconds, 0.0), DEFER_SECONDS_MAX), reason)
    if isinstance(error, StoreUnavailable):
        return Defer(STORE_WAIT_S, reason)
    if isinstance(error, BudgetSpent):
        return Defer(DEFER_SECONDS_MAX, reason)
    if isinstance(error, ModelRefused) or failures >= len(backoff_s):
        return Dead(reason)
    return Retry(backoff_s[failures], reason)


def reason_of(error: BaseException) -> str:
    """One bounded line for logs, rows and boards."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:REASON_CHARS_MAX]
