"""A response as the API writes it: whole, or as the steps of its event stream.

response.created  response.in_progress  response.output_item.added  response.content_part.added
response.output_text.delta …            (or response.refusal.delta …)
response.output_text.done  response.content_part.done  response.output_item.done
response.completed | response.incomplete                       (response.failed comes right after the deltas)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from afterbell.dev.stub.faults import Fault
from afterbell.dev.stub.replies import CHARS_PER_TOKEN, StubAnswer
from afterbell.dev.stub.request import StubRequest
from afterbell.dev.stub.settings import StubSettings

Event = dict[str, Any]

BREAKS: Final = frozenset({"cut", "eof", "error_event"})
"""Faults that end a stream in the middle of the answer."""
_UNPACED_CHARS: Final = 16 * CHARS_PER_TOKEN
_TRICKLE_S: Final = 0.2
_STALL_S: Final = 60.0
SERVER_ERROR: Final = {"code": "server_error", "message": "The model failed to generate a response."}


@dataclass(frozen=True, slots=True)
class Delay:
    """Nothing comes for this long."""

    seconds: float


class Cut:
    """The connection breaks here."""


Step = Event | Delay | Cut


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer. ``created_s`` is Unix time in seconds."""

    response_id: str
    created_s: int
    request: StubRequest
    answer: StubAnswer

    def response(self, status: str) -> dict[str, Any]:
        """The response object in a status; only an ended one has output and usage."""
        ended = status != "in_progress"
        incomplete = {"reason": "max_output_tokens"} if status == "incomplete" else None
        return {
            "id": self.response_id,
            "object": "response",
            "created_at": self.created_s,
            "status": status,
            "background": False,
            "completed_at": self.created_s if status == "completed" else None,
            "error": SERVER_ERROR if status == "failed" else None,
            "incomplete_details": incomplete,
            "output": [self.item(status)] if status in {"completed", "incomplete"} else [],
            "usage": self.answer.usage() if ended else None,
            **self._echo(),
        }

    def item(self, status: str) -> dict[str, Any]:
        """The message of the answer; it has no content before it ended."""
        content = [self.part(self.answer.text)] if status != "in_progress" else []
        return {
            "id": self.item_id,
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": content,
        }

    def part(self, text: str) -> dict[str, Any]:
        """The one content part of the message."""
        if self.answer.refused:
            return {"type": "refusal", "refusal": text}
        return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}

    @property
    def item_id(self) -> str:
        """The message's id."""
        return self.response_id.replace("resp_", "msg_")

    def _echo(self) -> dict[str, Any]:
        return {
            "model": self.answer.model,
            "instructions": self.request.instructions or None,
            "max_output_tokens": self.request.max_output_tokens,
            "max_tool_calls": None,
            "metadata": self.request.echoed["metadata"] or {},
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "prompt_cache_key": self.request.echoed["prompt_cache_key"],
            "reasoning": {"effort": None, "summary": None},
            "safety_identifier": self.request.echoed["safety_identifier"],
            "service_tier": "default",
            "store": self.request.store,
            "temperature": 1.0,
            "text": self.request.echoed["text"] or {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_logprobs": 0,
            "top_p": 1.0,
            "truncation": "disabled",
        }


def steps(exchange: Exchange, fault: Fault, settings: StubSettings) -> Iterator[Step]:
    """Everything that goes over the wire, in order and numbered."""
    number = 0
    for step in _unnumbered(exchange, fault, settings):
        if isinstance(step, dict):
            yield {**step, "sequence_number": number}
            number += 1
        else:
            yield step


def _unnumbered(exchange: Exchange, fault: Fault, settings: StubSettings) -> Iterator[Step]:
    yield from _opening(exchange)
    yield Delay(settings.ttft_ms / 1000)
    yield from _deltas(exchange, fault, settings)
    if fault.kind in BREAKS:
        yield from _broken_off(fault)
        return
    yield from _closing(exchange)
    if fault.kind == "twice":
        yield _of_response(exchange, exchange.answer.status)


def _opening(exchange: Exchange) -> Iterator[Event]:
    for kind in ("created", "in_progress"):
        yield {"type": f"response.{kind}", "response": exchange.response("in_progress")}
    yield {"type": "response.output_item.added", "output_index": 0, "item": exchange.item("in_progress")}
    yield _of_part(exchange, "response.content_part.added", part=exchange.part(""))


def _deltas(exchange: Exchange, fault: Fault, settings: StubSettings) -> Iterator[Step]:
    kind = "response.refusal.delta" if exchange.answer.refused else "response.output_text.delta"
    extra: Event = {} if exchange.answer.refused else {"logprobs": []}
    for piece in text_pieces(exchange.answer.text, fault, settings):
        yield piece if isinstance(piece, Delay) else _of_part(exchange, kind, delta=piece, **extra)


def text_pieces(text: str, fault: Fault, settings: StubSettings) -> Iterator[str | Delay]:
    """The text as it streams out, at its pace."""
    paced = settings.tokens_per_s > 0
    size = CHARS_PER_TOKEN if paced or fault.kind == "trickle" else _UNPACED_CHARS
    pause_s = _TRICKLE_S if fault.kind == "trickle" else 1 / settings.tokens_per_s if paced else 0.0
    half = len(text) // size // 2 * size
    for start in range(0, len(text), size):
        if start == half and fault.kind == "stall":
            yield Delay(_STALL_S if fault.amount is None else fault.amount)
        if pause_s:
            yield Delay(pause_s)
        yield text[start : start + size]


def _broken_off(fault: Fault) -> Iterator[Step]:
    if fault.kind == "cut":
        yield Cut()
    elif fault.kind == "error_event":
        yield {"type": "error", **SERVER_ERROR, "param": None}


def _closing(exchange: Exchange) -> Iterator[Event]:
    answer = exchange.answer
    if answer.status != "failed":
        if answer.refused:
            yield _of_part(exchange, "response.refusal.done", refusal=answer.text)
        else:
            yield _of_part(exchange, "response.output_text.done", text=answer.text, logprobs=[])
        yield _of_part(exchange, "response.content_part.done", part=exchange.part(answer.text))
        yield {"type": "response.output_item.done", "output_index": 0, "item": exchange.item(answer.status)}
    yield _of_response(exchange, answer.status)


def _of_response(exchange: Exchange, status: str) -> Event:
    return {"type": f"response.{status}", "response": exchange.response(status)}


def _of_part(exchange: Exchange, kind: str, **fields: Any) -> Event:
    return {"type": kind, "item_id": exchange.item_id, "output_index": 0, "content_index": 0, **fields}
