"""What a failed model call means: a pure mapping of statuses, codes and SDK errors to the ModelError tree.

    what the wire said                                          becomes
    connect error, timeout, cut, 408, 409, 5xx, server_error    ModelUnavailable
    429, 503 server_is_overloaded, any Retry-After              ModelToldToWait, seconds as told, else 20
    no quota left, 401, 403, 404                                ModelMisconfigured
    context_length_exceeded                                     ModelInputTooLong
    a policy's or a filter's no                                 ModelDeclined
    400, 422, whatever else                                     ModelRefused
    max_output_tokens reached                                   ModelAnswerUnusable

The error's code decides before its status: a 429 may mean "slow down" or "your credit is gone". Messages
carry status, type and code only, because the provider's own message can quote the key or the session back.
"""

import email.utils
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import httpx2
import openai

from afterbell.core.errors import (
    ModelAnswerUnusable,
    ModelDeclined,
    ModelError,
    ModelInputTooLong,
    ModelMisconfigured,
    ModelRefused,
    ModelToldToWait,
    ModelUnavailable,
)
from afterbell.core.report import Usage

WAIT_DEFAULT_S: Final = 20.0
"""How long "slow down" means where the provider gives no time."""
WAIT_MIN_S: Final = 1.0
"""Waiting uses no attempt, so a provider that says "wait 0 s" for ever must not make us spin."""
WAIT_MAX_S: Final = 15 * 60.0
"""No answer of a provider holds a report longer than this."""

_WAIT_CODES: Final = frozenset({"rate_limit_exceeded", "slow_down", "server_is_overloaded"})
# Exhausted money, as reports of July to November 2026 list it: no waiting of ours brings it back.
_QUOTA_CODES: Final = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "billing_hard_limit_reached",
        "organization_usage_limit_exceeded",
    }
)
_QUOTA_SUFFIX: Final = "_spend_limit_exceeded"
_PASSING_CODES: Final = frozenset({"server_error", "vector_store_timeout"})
_PASSING_STATUSES: Final = frozenset({408, 409})
_TOO_LONG_CODES: Final = frozenset({"context_length_exceeded", "string_above_max_length"})
_POLICY_CODES: Final = frozenset({"content_policy_violation", "content_filter", "invalid_prompt"})
# A code is a word; anything else in its place may be text we must not repeat.
_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")

_WHAT_TO_DO: Final[Mapping[int, str]] = {
    401: "check OPENAI_API_KEY",
    403: "the key may not use this model or endpoint",
    404: "check the model's name and OPENAI_BASE_URL",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the wire said when it did not give an answer. ``headers`` have lower-case names."""

    status: int | None = None
    code: str | None = None
    kind: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    request_id: str | None = None
    usage: Usage | None = None


def of_refusal(refusal: Refusal, *, now: datetime) -> ModelError:
    """The error for an HTTP status or an error inside a stream. ``now`` is aware, for dates in headers."""
    said, request_id, usage = _said(refusal), refusal.request_id, refusal.usage
    if _is_out_of_quota(refusal):
        text = f"The provider has no quota left for this key ({said}): raise the limit, then retry the report."
        return ModelMisconfigured(text, request_id=request_id, usage=usage)
    if (seconds := _seconds_to_wait(refusal, now)) is not None:
        text = f"The provider asks to wait {seconds:g} s ({said})."
        return ModelToldToWait(text, seconds=seconds, request_id=request_id, usage=usage)
    if _passes_by_itself(refusal):
        return ModelUnavailable(f"The provider failed ({said}).", request_id=request_id, usage=usage)
    advice = _WHAT_TO_DO.get(refusal.status or 0, "asking again gives the same answer")
    text = f"The provider rejected the call ({said}): {advice}."
    return _class_of_rejection(refusal)(text, request_id=request_id, usage=usage)


def of_exception(error: Exception, *, now: datetime, request_id: str | None = None) -> ModelError:
    """The error for what the SDK raised. It never carries the SDK's message, request or headers."""
    if isinstance(error, openai.APIStatusError):
        headers = {name.lower(): value for name, value in error.response.headers.items()}
        status, answered_id = error.status_code, error.request_id or request_id
        return of_refusal(Refusal(status, error.code, error.type, headers, answered_id), now=now)
    if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException):
        return ModelUnavailable("The provider did not answer in time.", request_id=request_id)
    if isinstance(error, openai.APIConnectionError | httpx2.TransportError):
        reason = type(error.__cause__ or error).__name__
        return ModelUnavailable(f"The connection to the provider failed ({reason}).", request_id=request_id)
    if isinstance(error, openai.APIError):  # an error object in the middle of a stream
        return of_refusal(Refusal(None, error.code, error.type, {}, request_id), now=now)
    return ModelUnavailable(f"The provider's answer cannot be read ({type(error).__name__}).", request_id=request_id)


def of_incomplete(reason: str | None, *, request_id: str | None, usage: Usage | None) -> ModelError:
    """The error for an answer that the provider says it did not finish."""
    if reason == "max_output_tokens":
        text = "The answer is cut off: it reached the limit of output tokens."
        return ModelAnswerUnusable(text, request_id=request_id, usage=usage)
    if reason == "content_filter":
        text = "The provider's content filter stopped the answer."
        return ModelDeclined(text, request_id=request_id, usage=usage)
    text = f"The provider did not finish the answer ({_word(reason) or 'no reason given'})."
    return ModelUnavailable(text, request_id=request_id, usage=usage)


def _class_of_rejection(refusal: Refusal) -> type[ModelRefused]:
    if refusal.code in _TOO_LONG_CODES:
        return ModelInputTooLong
    if refusal.code in _POLICY_CODES:
        return ModelDeclined
    return ModelMisconfigured if refusal.status in _WHAT_TO_DO else ModelRefused


def _is_out_of_quota(refusal: Refusal) -> bool:
    names = {refusal.code or "", refusal.kind or ""}
    return bool(names & _QUOTA_CODES) or any(name.endswith(_QUOTA_SUFFIX) for name in names)


def _passes_by_itself(refusal: Refusal) -> bool:
    status = refusal.status
    if status is None:
        return refusal.code is None or refusal.code in _PASSING_CODES
    return status in _PASSING_STATUSES or status >= 500


def _seconds_to_wait(refusal: Refusal, now: datetime) -> float | None:
    told = _told_seconds(refusal.headers, now)
    asked = refusal.status == 429 or bool({refusal.code, refusal.kind} & _WAIT_CODES)
    may_help = asked or refusal.status is None or _passes_by_itself(refusal)
    if told is not None and may_help:
        return min(max(told, WAIT_MIN_S), WAIT_MAX_S)
    return WAIT_DEFAULT_S if asked else None


def _told_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after", "").strip()
    return _number(value) if _number(value) is not None else _until(value, now)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _until(text: str, now: datetime) -> float | None:
    try:
        date = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())


def _said(refusal: Refusal) -> str:
    status = f"HTTP {refusal.status}" if refusal.status else "during the answer"
    words = [word for word in (_word(refusal.kind), _word(refusal.code)) if word]
    return ", ".join([status, *dict.fromkeys(words)])


def _word(text: str | None) -> str | None:
    return text if text and _CODE.fullmatch(text) else None
