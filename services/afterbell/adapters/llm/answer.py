"""What a call hands back, and the reading of a stream's end: first what was billed, then what the answer is."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from openai.types.responses import Response, ResponseOutputMessage, ResponseStreamEvent

from afterbell.adapters.llm.faults import Refusal, of_incomplete, of_refusal
from afterbell.core.errors import ModelAnswerUnusable, ModelDeclined
from afterbell.core.report import Usage

TERMINAL: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})
"""The events that end an answer; a stream without one was cut, however politely it closed."""


@dataclass(frozen=True, slots=True)
class ModelProgress:
    """How far the answer is: top-level fields finished, of all a narrative has."""

    sections_finished: int
    sections_total: int


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """A complete answer: its text, not yet parsed, the model that served it and what it was billed."""

    text: str
    model: str
    request_id: str | None
    usage: Usage


@dataclass(frozen=True, slots=True)
class Ending:
    """A terminal event with its usage already taken out, None where the provider gave none."""

    type: str
    response: Response | None
    usage: Usage | None


def ending_of(event: ResponseStreamEvent) -> Ending | None:
    """The ending in an event, None where the answer goes on.

    The SDK builds its types without validation, so every field may be missing or of another type.
    """
    kind = getattr(event, "type", None)
    if kind not in TERMINAL:
        return None
    response = getattr(event, "response", None)
    found = response if isinstance(response, Response) else None
    return Ending(str(kind), found, _usage_of(found))


def answer_of(ending: Ending, streamed: str, *, request_id: str | None, now: datetime) -> ModelAnswer:
    """The answer, or the ModelError the ending means, with its cost. ``streamed`` is the joined deltas."""
    response, usage = ending.response, ending.usage
    if ending.type == "response.failed":
        error = getattr(response, "error", None)
        code, kind = _text(error, "code"), _text(error, "type")
        raise of_refusal(Refusal(code=code, kind=kind, request_id=request_id, usage=usage), now=now)
    if ending.type == "response.incomplete":
        reason = _text(getattr(response, "incomplete_details", None), "reason")
        raise of_incomplete(reason, request_id=request_id, usage=usage)
    if _is_refused(response):
        raise ModelDeclined("The model refused to write about this session.", request_id=request_id, usage=usage)
    text = streamed or _whole_text(response)
    if not text:
        raise ModelAnswerUnusable("The answer is empty.", request_id=request_id, usage=usage)
    return ModelAnswer(text, _text(response, "model") or "unknown", request_id, usage or Usage())


def _usage_of(response: Response | None) -> Usage | None:
    usage = getattr(response, "usage", None)
    if usage is None:
        return None
    return Usage(
        input_tokens=_count(usage, "input_tokens"),
        cached_tokens=_count(getattr(usage, "input_tokens_details", None), "cached_tokens"),
        output_tokens=_count(usage, "output_tokens"),
        reasoning_tokens=_count(getattr(usage, "output_tokens_details", None), "reasoning_tokens"),
        cache_write_tokens=_count(getattr(usage, "input_tokens_details", None), "cache_write_tokens"),
    )


def _count(part: object, name: str) -> int:
    value = getattr(part, name, None)
    return value if isinstance(value, int) and value >= 0 else 0


def _text(part: object, name: str) -> str | None:
    value = getattr(part, name, None)
    return value if isinstance(value, str) else None


def _parts(response: Response | None) -> list[object]:
    items = getattr(response, "output", None) or []
    return [part for item in items if isinstance(item, ResponseOutputMessage) for part in item.content or []]


def _is_refused(response: Response | None) -> bool:
    return any(getattr(part, "type", None) == "refusal" for part in _parts(response))


def _whole_text(response: Response | None) -> str:
    return "".join(_text(part, "text") or "" for part in _parts(response))
