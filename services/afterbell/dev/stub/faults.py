"""Failures on request: one by the header ``X-Stub-Fault``, or a queue of which each request takes one.

500  503  401  404_model  400_context  insufficient_quota  html502     instead of an answer
html200                                                                … with a status of 200
429:S  429ms:MS  429date:S  429                                        … with a Retry-After (the last: none)
refusal  incomplete  failed  bad_json  wrong_schema  invented_turns    an answer that is no use
error_event  cut  eof  stall:S  trickle  twice                         in the middle of the stream
obey                                                                   does what a text of the session asks of it
"""

import email.utils
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from afterbell.core.errors import InvalidInput
from afterbell.dev.stub.api_errors import ApiError

NONE: Final = "ok"
SECONDS_MAX: Final = 3_600.0

_QUOTA_TEXT: Final = "You exceeded your current quota, please check your plan and billing details."
_HTTP: Final[dict[str, ApiError]] = {
    "500": ApiError(500, "The server had an error while processing your request.", "server_error", "server_error"),
    "503": ApiError(503, "The engine is overloaded, try again.", "server_error", "server_is_overloaded"),
    "401": ApiError(401, "Incorrect API key provided.", code="invalid_api_key"),
    "404_model": ApiError(404, "The model does not exist.", code="model_not_found", param="model"),
    "400_context": ApiError(400, "Your input is too long.", code="context_length_exceeded", param="input"),
    "insufficient_quota": ApiError(429, _QUOTA_TEXT, "insufficient_quota", "insufficient_quota"),
}
_HTML: Final = frozenset({"html502", "html200"})
_WAITS: Final = frozenset({"429", "429ms", "429date"})
_ANSWERS: Final = frozenset({"refusal", "incomplete", "failed", "bad_json", "wrong_schema", "invented_turns", "obey"})
_STREAM: Final = frozenset({"error_event", "cut", "eof", "stall", "trickle", "twice"})
KINDS: Final = frozenset({NONE, *_HTTP, *_HTML, *_WAITS, *_ANSWERS, *_STREAM})


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one request; ``amount`` is its seconds or milliseconds, where it has one."""

    kind: str = NONE
    amount: float | None = None

    def __str__(self) -> str:
        return self.kind if self.amount is None else f"{self.kind}:{self.amount:g}"

    @property
    def is_html(self) -> bool:
        """Whether the answer is a web page, as from a proxy in between."""
        return self.kind in _HTML

    def http_error(self, now: datetime) -> ApiError | None:
        """The error to answer with, None where the fault comes later. ``now`` is aware UTC, for dates."""
        if self.kind in _WAITS:
            return _told_to_wait(self, now)
        error = _HTTP.get(self.kind)
        return None if error is None else replace(error)


def parse(text: str) -> Fault:
    """``kind`` or ``kind:number``. Raises InvalidInput with the kinds there are."""
    kind, _, number = text.strip().partition(":")
    if kind not in KINDS:
        raise InvalidInput(f"Unknown fault '{kind[:40]}'. Known faults: {', '.join(sorted(KINDS))}.")
    if not number:
        return Fault(kind)
    try:
        amount = float(number)
    except ValueError:
        raise InvalidInput(f"The fault '{kind}' needs a number after the colon.") from None
    if not 0 <= amount <= SECONDS_MAX:
        raise InvalidInput(f"The number of the fault '{kind}' must be 0 to {SECONDS_MAX:g}.")
    return Fault(kind, amount)


def _told_to_wait(fault: Fault, now: datetime) -> ApiError:
    headers: dict[str, str] = {}
    if fault.amount is not None and fault.kind == "429ms":
        headers["retry-after-ms"] = f"{fault.amount:g}"
    elif fault.amount is not None and fault.kind == "429date":
        due = now + timedelta(seconds=fault.amount)
        headers["retry-after"] = email.utils.format_datetime(due, usegmt=True)
    elif fault.amount is not None:
        headers["retry-after"] = f"{fault.amount:g}"
    text = "Rate limit reached for requests."
    return ApiError(429, text, "requests", "rate_limit_exceeded", headers=headers)
