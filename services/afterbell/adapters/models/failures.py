"""What a failed model call means: a pure mapping of statuses, codes and SDK errors to the ModelError tree.

    what the wire said                                          becomes
    connect error, timeout, cut, 408, 409, 5xx, server_error    ModelUnavailable
    429, 503 server_is_overloaded, any Retry-After              ModelToldToWait, seconds as told, else 20
    no quota left, 401, 402, 403, 404, 405, a redirect          ModelMisconfigured
    a parameter that this server does not know                  ModelMisconfigured
    the session does not fit, in any server's words, 413        ModelInputTooLong
    a policy's or a filter's no                                 ModelDeclined
    400, 422, whatever else                                     ModelRefused
    max_output_tokens reached, no valid JSON written            ModelAnswerUnusable

The error's code decides before its status: a 429 may mean "slow down" or "your credit is gone". A code that is a number
is a status: gateways put 502 into a stream that began with 200. Our messages carry status, type and code only: the
provider's own message is read for what it means, and never repeated, because it can quote the key or the session back.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import httpx2
import openai

from afterbell.adapters.models import wait_hints
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
from afterbell.core.usage import Usage

WAIT_DEFAULT_S: Final = 20.0
"""How long "slow down" means where the provider gives no time."""
WAIT_MIN_S: Final = 1.0
"""Waiting uses no attempt, so a provider that says "wait 0 s" for ever must not make us spin."""
WAIT_MAX_S: Final = 15 * 60.0
"""No answer of a provider holds a report longer than this."""

_WAIT_CODES: Final = frozenset({"rate_limit_exceeded", "slow_down", "server_is_overloaded", "overloaded_error"})
# Exhausted money, as reports of July to November 2026 list it: no waiting of ours brings it back.
_QUOTA_CODES: Final = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "billing_hard_limit_reached",
        "organization_usage_limit_exceeded",
    }
)
_QUOTA: Final = re.compile(r"insufficient_quota|exceeded your current quota|credit balance is too low", re.IGNORECASE)
_QUOTA_SUFFIX: Final = "_spend_limit_exceeded"
_PASSING_CODES: Final = frozenset({"server_error", "vector_store_timeout", "InternalServerError"})
# Groq checks the answer against the schema itself.
_BAD_OUTPUT_CODES: Final = frozenset({"json_validate_failed"})
# How servers say that the answer reached the limit of output tokens.
_CUT_AT_THE_LIMIT: Final = frozenset({"max_output_tokens", "max_tokens", "length"})
MESSAGE_CHARS_MAX: Final = 4_000
"""Of a provider's error, more than this is not read."""
# Besides 5xx: not ready (424, 425), out of shared capacity (498, Groq's flex tier), the gateway hung up (499).
_PASSING_STATUSES: Final = frozenset({408, 409, 424, 425, 498, 499})
_TOO_LONG_CODES: Final = frozenset(
    {"context_length_exceeded", "string_above_max_length", "exceed_context_size_error", "input_too_long"}
)
# vLLM, llama.cpp, Anthropic's style and gateways say it in the message alone, under a code for everything.
_TOO_LONG: Final = re.compile(
    r"maximum context length|(?:available|maximum) context size|context (?:window|length) (?:of|is|exceeded)"
    r"|exceeds? (?:the )?(?:model'?s )?(?:context|token limit)|(?:prompt|input|request) is too (?:long|large)"
    r"|too many (?:input )?tokens|(?:prompt|request) too large",
    re.IGNORECASE,
)
# A server that does not know a parameter rejects every call, whatever the session is.
_UNKNOWN_PARAMETER: Final = re.compile(
    r"unrecognized request argument|unknown (?:name|parameter|field)|unsupported parameter"
    r"|extra inputs are not permitted|is enabled only for api versions|cannot find field",
    re.IGNORECASE,
)
_POLICY_CODES: Final = frozenset({"content_policy_violation", "content_filter", "invalid_prompt"})
# A code is a word; anything else in its place may be text we must not repeat.
_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")

_MOVED: Final = "the address redirects, and a session goes nowhere but to the address you set: check OPENAI_BASE_URL"
_WHAT_TO_DO: Final[Mapping[int, str]] = {
    301: _MOVED,
    302: _MOVED,
    303: _MOVED,
    307: _MOVED,
    308: _MOVED,
    401: "check OPENAI_API_KEY",
    402: "the account has no credit left",
    403: "the key may not use this model or endpoint",
    404: "check AFTERBELL_MODEL and OPENAI_BASE_URL",
    405: "check OPENAI_BASE_URL",
}
_OTHER_PARAMETERS: Final = "the server does not know a parameter of the call: check AFTERBELL_LLM_API"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the wire said when it did not give an answer. ``headers`` have lower-case names.

    ``message`` is the provider's own text: what it means is read from it, and it is never repeated.
    """

    status: int | None = None
    code: str | None = None
    kind: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    request_id: str | None = None
    usage: Usage | None = None
    message: str = field(default="", repr=False)

    @classmethod
    def of_body(cls, body: object, *, status: int | None = None, **facts: Any) -> "Refusal":
        """Read an error object as servers write it: ``{"error": {...}}``, the object alone, a list of one, a text.

        ``facts`` are the other fields. A code that is a number is the status, where nothing else told one.
        """
        while isinstance(body, list) and body:
            body = body[0]
        while isinstance(body, Mapping) and isinstance(body.get("error"), Mapping | list):
            body = body["error"][0] if isinstance(body["error"], list) and body["error"] else body["error"]
        said = body if isinstance(body, Mapping) else {"message": body}
        code, number = said.get("code"), _status_in(said.get("code"))
        names = [name for name in (code, said.get("status")) if isinstance(name, str) and _status_in(name) is None]
        kind = said.get("type")
        return cls(
            status=status or number,
            code=next(iter(names), None),
            kind=kind if isinstance(kind, str) else None,
            message=json.dumps(body, default=str)[:MESSAGE_CHARS_MAX],
            **facts,
        )


def of_refusal(refusal: Refusal, *, now: datetime) -> ModelError:
    """The error for an HTTP status or an error inside a stream. ``now`` is aware, for dates in headers."""
    said, request_id, usage = _said(refusal), refusal.request_id, refusal.usage
    if _is_out_of_quota(refusal, now):
        text = f"The provider has no quota left for this key ({said}): raise the limit, then retry the report."
        return ModelMisconfigured(text, request_id=request_id, usage=usage)
    if (seconds := _seconds_to_wait(refusal, now)) is not None:
        text = f"The provider asks to wait {seconds:g} s ({said})."
        return ModelToldToWait(text, seconds=seconds, request_id=request_id, usage=usage)
    if _passes_by_itself(refusal):
        return ModelUnavailable(f"The provider failed ({said}).", request_id=request_id, usage=usage)
    if refusal.code in _BAD_OUTPUT_CODES:
        return ModelAnswerUnusable(f"The model wrote no valid JSON ({said}).", request_id=request_id, usage=usage)
    rejection, advice = _rejection(refusal)
    return rejection(f"The provider rejected the call ({said}): {advice}.", request_id=request_id, usage=usage)


def of_exception(error: Exception, *, now: datetime, request_id: str | None = None) -> ModelError:
    """The error for what the SDK raised. It never carries the SDK's message, request or headers."""
    if isinstance(error, openai.APIStatusError):
        headers = {name.lower(): value for name, value in error.response.headers.items()}
        answered_id = error.request_id or request_id
        refusal = Refusal.of_body(error.body, status=error.status_code, headers=headers, request_id=answered_id)
        return of_refusal(refusal, now=now)
    if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException):
        return ModelUnavailable("The provider did not answer in time.", request_id=request_id)
    if isinstance(error, openai.APIConnectionError | httpx2.TransportError):
        reason = type(error.__cause__ or error).__name__
        return ModelUnavailable(f"The connection to the provider failed ({reason}).", request_id=request_id)
    if isinstance(error, openai.APIError):  # an error object in the middle of a stream
        return of_refusal(Refusal.of_body(error.body, request_id=request_id), now=now)
    return ModelUnavailable(f"The provider's answer cannot be read ({type(error).__name__}).", request_id=request_id)


def of_incomplete(reason: str | None, *, request_id: str | None, usage: Usage | None) -> ModelError:
    """The error for an answer that the provider says it did not finish."""
    if reason in _CUT_AT_THE_LIMIT:
        text = "The answer was cut off at the output token limit (AFTERBELL_OUTPUT_TOKENS_MAX)."
        return ModelAnswerUnusable(text, request_id=request_id, usage=usage)
    if reason == "content_filter":
        text = "The provider's content filter stopped the answer."
        return ModelDeclined(text, request_id=request_id, usage=usage)
    text = f"The provider did not finish the answer ({_word(reason) or 'no reason given'})."
    return ModelUnavailable(text, request_id=request_id, usage=usage)


def _rejection(refusal: Refusal) -> tuple[type[ModelRefused], str]:
    if _is_too_long(refusal):
        return ModelInputTooLong, "the session does not fit this model"
    if refusal.code in _POLICY_CODES:
        return ModelDeclined, "retrying will not help"
    if (advice := _WHAT_TO_DO.get(refusal.status or 0)) is not None:
        return ModelMisconfigured, advice
    if _UNKNOWN_PARAMETER.search(refusal.message):
        return ModelMisconfigured, _OTHER_PARAMETERS
    return ModelRefused, "retrying will not help"


def _is_too_long(refusal: Refusal) -> bool:
    named = bool({refusal.code, refusal.kind} & _TOO_LONG_CODES)
    said = refusal.status in (None, 400, 422) and _TOO_LONG.search(refusal.message) is not None
    return named or said or refusal.status == 413


def _is_out_of_quota(refusal: Refusal, now: datetime) -> bool:
    names = {refusal.code or "", refusal.kind or ""}
    if names & _QUOTA_CODES or any(name.endswith(_QUOTA_SUFFIX) for name in names):
        return True
    # Gateways put the code into the message. Google says it of a minute's quota too, and then names the wait.
    said = refusal.status == 429 and _QUOTA.search(refusal.message) is not None
    return said and wait_hints.seconds(refusal.headers, refusal.message, now) is None


def _passes_by_itself(refusal: Refusal) -> bool:
    status = refusal.status
    if refusal.code in _PASSING_CODES or refusal.kind in _PASSING_CODES:
        return True
    if status is None:
        return refusal.code is None and not _is_too_long(refusal)
    return status in _PASSING_STATUSES or status >= 500


def _seconds_to_wait(refusal: Refusal, now: datetime) -> float | None:
    if _is_too_long(refusal):
        return None  # Groq's 413 "too large for your tokens a minute": it will never fit
    requested_s = wait_hints.seconds(refusal.headers, refusal.message, now)
    asked = refusal.status == 429 or bool({refusal.code, refusal.kind} & _WAIT_CODES)
    may_help = asked or refusal.status is None or _passes_by_itself(refusal)
    if requested_s is not None and may_help:
        return min(max(requested_s, WAIT_MIN_S), WAIT_MAX_S)
    return WAIT_DEFAULT_S if asked else None


def _status_in(code: object) -> int | None:
    """The HTTP status that stands where a code should; None for a word."""
    number = int(code) if isinstance(code, str) and code.isascii() and code.isdecimal() and len(code) == 3 else code
    return number if isinstance(number, int) and not isinstance(number, bool) and 300 <= number <= 599 else None


def _said(refusal: Refusal) -> str:
    status = f"HTTP {refusal.status}" if refusal.status else "during the answer"
    words = [word for word in (_word(refusal.kind), _word(refusal.code)) if word]
    return ", ".join([status, *dict.fromkeys(words)])


def _word(text: str | None) -> str | None:
    return text if text and _CODE.fullmatch(text) else None
