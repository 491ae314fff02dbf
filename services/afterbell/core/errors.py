"""Everything that can go wrong on the way of a report, and whether waiting helps.

    AfterbellError
    ├── InvalidInput            the caller must change something
    │   ├── SettingsError       a setting is missing or makes no sense: exit code 2
    │   └── PayloadTooLarge     over a stated limit
    ├── NotFound                no such session, report or job, or not the caller's to see
    ├── Forbidden               the caller's role may not do this
    ├── Conflict                the same id with other content
    ├── StoreUnavailable        PostgreSQL or Redis does not answer: waiting helps
    ├── QueueScriptError        Redis answers, and a script of ours fails in it: waiting does not help
    ├── BudgetSpent             no money left for a model call in this period
    └── ModelError              the model call failed; carries what it cost
        ├── ModelUnavailable    cut, timeout, 5xx: try again after a back-off
        ├── ModelToldToWait     429 or overloaded: wait, uses no attempt
        ├── ModelAnswerUnusable bad JSON, out of bounds, truncated: try again after a back-off
        └── ModelRefused        trying again does not help
            ├── ModelDeclined       the model or a filter will not write about this session
            ├── ModelInputTooLong   the session does not fit this model
            └── ModelMisconfigured  bad key, unknown model, no quota: no report can be written until it is mended

Status codes, retries and conditions are decided at the edges: ``api/problems.py``, ``core/queue/retry_policy.py``.
"""

from typing import Final

from afterbell.core.usage import Usage

# What parsers raise at bytes from outside: json at a thousand brackets, int at 5,000 digits, dates at a zone of a year.
# Whoever reads such bytes catches these together, and answers with an error of ours or with nothing.
MALFORMED: Final = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


class AfterbellError(Exception):
    """The root. ``code`` is stable and machine-readable."""

    code = "internal"


class InvalidInput(AfterbellError):
    """The caller sent something unusable; ``field`` says where."""

    code = "invalid_input"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class SettingsError(InvalidInput):
    """A setting cannot work; the message names the variable and never shows a secret."""

    code = "invalid_settings"


class PayloadTooLarge(InvalidInput):
    """Over a limit; the message names the limit."""

    code = "payload_too_large"


class NotFound(AfterbellError):
    """Nothing there that this caller may see."""

    code = "not_found"


class Forbidden(AfterbellError):
    """The caller's role may not do this."""

    code = "forbidden"


class Conflict(AfterbellError):
    """The same id was used before for other content."""

    code = "conflict"


class StoreUnavailable(AfterbellError):
    """A store does not answer; ``store`` names it."""

    code = "store_unavailable"

    def __init__(self, store: str, detail: str) -> None:
        super().__init__(f"{store} does not answer: {detail}")
        self.store = store


class QueueScriptError(AfterbellError):
    """Redis ran or refused a script of ours and it failed: a bug, a key of another type, a missing permission."""

    code = "queue_script_error"

    def __init__(self, script: str, detail: str) -> None:
        super().__init__(f"the queue script {script} failed in Redis: {detail}")
        self.script = script


class BudgetSpent(AfterbellError):
    """No room for another call in a budget; ``period`` ("day" or "month") says when there is again."""

    code = "model_budget_spent"

    def __init__(self, message: str, *, period: str) -> None:
        super().__init__(message)
        self.period = period


class ModelError(AfterbellError):
    """A model call failed. ``usage`` is what the provider said it billed, or None where it said nothing."""

    code = "model_error"

    def __init__(self, message: str, *, request_id: str | None = None, usage: Usage | None = None) -> None:
        super().__init__(message)
        self.request_id = request_id
        self.usage = usage


class ModelUnavailable(ModelError):
    """No answer or a broken one; the next try may work."""

    code = "model_unavailable"


class ModelToldToWait(ModelError):
    """The provider asks to wait ``seconds`` before the next call."""

    code = "model_told_to_wait"

    def __init__(
        self, message: str, *, seconds: float, request_id: str | None = None, usage: Usage | None = None
    ) -> None:
        super().__init__(message, request_id=request_id, usage=usage)
        self.seconds = seconds


class ModelAnswerUnusable(ModelError):
    """An answer came and was paid for, but it is not a narrative."""

    code = "model_answer_unusable"


class ModelRefused(ModelError):
    """The provider will not answer this call however often it is asked."""

    code = "model_refused"


class ModelDeclined(ModelRefused):
    """The model, or a filter before it, will not write about this session. Other sessions are not concerned."""

    code = "model_declined"


class ModelInputTooLong(ModelRefused):
    """The session is longer than this model reads at once."""

    code = "model_input_too_long"


class ModelMisconfigured(ModelRefused):
    """The key, the model's name or the account's quota: every call fails until somebody mends it."""

    code = "model_misconfigured"
