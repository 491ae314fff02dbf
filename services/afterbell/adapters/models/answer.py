"""What a call hands back, and the reading of a stream's end: first what was billed, then what the answer is."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from openai.types.responses import Response, ResponseOutputMessage, ResponseStreamEvent

from afterbell.adapters.models.failures import Refusal, of_incomplete, of_refusal
from afterbell.core.errors import ModelAnswerUnusable, ModelDeclined
from afterbell.core.usage import Usage

TERMINAL: Final = frozenset({"response.completed", "response.incomplete", "response.failed", "response.done"})
"""The events that end an answer; a stream without one was cut, however politely it closed."""
UNKNOWN: Final = "unknown"
"""The served model, where the provider did not name it."""
TOKENS_MAX: Final = 1e12
"""A count past this is no count."""
_ENDS: Final = frozenset({"completed", "incomplete", "failed"})


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
class StreamEnd:
    """A terminal event with its usage already taken out, None where the provider gave none."""

    type: str
    response: Response | None
    usage: Usage | None


def stream_end_of(event: ResponseStreamEvent) -> StreamEnd | None:
    """The ending in an event, None where the answer goes on.

    The SDK builds its types without validation, so every field may be missing or of another type.
    """
    kind = getattr(event, "type", None)
    if kind not in TERMINAL:
        return None
    response = getattr(event, "response", None)
    usable = Response.construct(**response) if isinstance(response, dict) else response
    usable = usable if isinstance(usable, Response) else None
    # The status decides: some servers close an answer that was cut with "completed", or with an event of their own.
    status = getattr(usable, "status", None)
    return StreamEnd(f"response.{status}" if status in _ENDS else str(kind), usable, _usage_of(usable))


def stream_end_of_response(body: dict[str, Any]) -> StreamEnd:
    """The ending that a response is which was not streamed."""
    response = Response.construct(**body)
    return StreamEnd(f"response.{body.get('status') or 'completed'}", response, _usage_of(response))


def answer_of(ending: StreamEnd, streamed: str, *, request_id: str | None, now: datetime) -> ModelAnswer:
    """The answer, or the ModelError the ending means, with its cost. ``streamed`` is the joined deltas."""
    response, usage = ending.response, ending.usage
    if ending.type == "response.failed":
        error = {name: part(part(response, "error"), name) for name in ("code", "type", "message")}
        raise of_refusal(Refusal.of_body(error, request_id=request_id, usage=usage), now=now)
    if ending.type == "response.incomplete":
        reason = _text(getattr(response, "incomplete_details", None), "reason")
        raise of_incomplete(reason, request_id=request_id, usage=usage)
    if _is_refused(response):
        raise ModelDeclined("The model refused to write about this session.", request_id=request_id, usage=usage)
    text = streamed or _whole_text(response)
    if not text:
        raise ModelAnswerUnusable("The answer is empty.", request_id=request_id, usage=usage)
    return ModelAnswer(text, _text(response, "model") or UNKNOWN, request_id, usage or Usage())


def _usage_of(response: Response | None) -> Usage | None:
    usage = getattr(response, "usage", None)
    if usage is None:
        return None
    read, written = part(usage, "input_tokens_details"), part(usage, "output_tokens_details")
    return Usage(
        input_tokens=count(usage, "input_tokens"),
        cached_tokens=count(read, "cached_tokens"),
        output_tokens=count(usage, "output_tokens"),
        reasoning_tokens=count(written, "reasoning_tokens"),
        cache_write_tokens=count(read, "cache_write_tokens"),
    )


def part(whole: object, name: str) -> Any:
    """A field of what a server sent, as the SDK's object or as JSON; None where it is missing."""
    return whole.get(name) if isinstance(whole, dict) else getattr(whole, name, None)


def count(usage: object, name: str) -> int:
    """A number of tokens, 0 for what is none. Some servers write 1000.0."""
    value = part(usage, name)
    return int(value) if isinstance(value, int | float) and 0 <= value < TOKENS_MAX else 0


def _text(holder: object, name: str) -> str | None:
    value = part(holder, name)
    return value if isinstance(value, str) else None


def _parts(response: Response | None) -> list[object]:
    items = getattr(response, "output", None) or []
    messages = [item for item in items if isinstance(item, ResponseOutputMessage)]
    return [piece for message in messages for piece in message.content or []]


def _is_refused(response: Response | None) -> bool:
    return any(part(piece, "type") == "refusal" for piece in _parts(response))


def _whole_text(response: Response | None) -> str:
    return "".join(_text(piece, "text") or "" for piece in _parts(response))
