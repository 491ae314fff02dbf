"""Chat completions: read as strictly as the real API does, and written as its chunks.

{role}  {content} …  (or {refusal} …)  {finish_reason}  {usage}  [DONE]
"""

from collections.abc import Iterator
from typing import Any, Final

from afterbell.dev.stub.api_errors import invalid, missing
from afterbell.dev.stub.faults import Fault
from afterbell.dev.stub.request import StubRequest, check_schema, flag, item_text, output_limit, parsed
from afterbell.dev.stub.settings import StubSettings
from afterbell.dev.stub.stream_events import SERVER_ERROR, Cut, Delay, Event, Exchange, Step, text_pieces

DONE: Final = "[DONE]"
UNDONE: Final = frozenset({"cut", "eof", "error_event", "failed"})
"""Faults after which nothing says that the stream is done."""
_SCHEMA: Final = "response_format.json_schema.schema"
_REASONS: Final = {"completed": "stop", "incomplete": "length", "failed": None}


def read(body: bytes) -> StubRequest:
    """The request in a body. Raises ApiError with the real API's envelope."""
    asked = parsed(body)
    model, messages = asked.get("model"), asked.get("messages")
    if not isinstance(model, str) or not model:
        raise missing("model")
    if messages is None:
        raise missing("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
        raise invalid("messages", "Invalid 'messages': expected a non-empty array of objects.", "invalid_type")
    wanted = asked.get("response_format")
    if isinstance(wanted, dict) and wanted.get("type") == "json_schema":
        check_schema(wanted.get("json_schema"), _SCHEMA)
    options = asked.get("stream_options")
    return StubRequest(
        model=model,
        instructions="\n".join(
            item_text(message) for message in messages if message.get("role") in {"system", "developer"}
        ),
        text="\n".join(item_text(message) for message in messages if message.get("role") == "user"),
        stream=flag(asked, "stream", default=False),
        store=flag(asked, "store", default=False),
        max_output_tokens=output_limit(asked.get("max_completion_tokens"), "max_completion_tokens"),
        echoed={"include_usage": isinstance(options, dict) and options.get("include_usage") is True},
    )


def steps(exchange: Exchange, fault: Fault, settings: StubSettings) -> Iterator[Step]:
    """Everything that goes over the wire, in order."""
    yield _chunk(exchange, {"role": "assistant", "content": "", "refusal": None})
    yield Delay(settings.ttft_ms / 1000)
    for piece in text_pieces(exchange.answer.text, fault, settings):
        named = "refusal" if exchange.answer.refused else "content"
        yield piece if isinstance(piece, Delay) else _chunk(exchange, {named: piece})
    if fault.kind == "cut":
        yield Cut()
    if fault.kind in {"error_event", "failed"}:
        yield {"error": {**SERVER_ERROR, "type": "server_error", "param": None}}
    if fault.kind in UNDONE:
        return
    yield _chunk(exchange, {}, _REASONS[exchange.answer.status])
    if fault.kind == "twice":
        yield _chunk(exchange, {}, _REASONS[exchange.answer.status])
    if exchange.request.echoed["include_usage"]:
        yield {**_chunk(exchange, {}), "choices": [], "usage": usage(exchange)}


def whole(exchange: Exchange) -> dict[str, Any]:
    """The answer as one object."""
    answer = exchange.answer
    said = {"content": None, "refusal": answer.text} if answer.refused else {"content": answer.text, "refusal": None}
    choice = {
        "index": 0,
        "message": {"role": "assistant", "annotations": [], **said},
        "finish_reason": _REASONS[answer.status],
        "logprobs": None,
    }
    return {**_frame(exchange, "chat.completion"), "choices": [choice], "usage": usage(exchange)}


def usage(exchange: Exchange) -> dict[str, Any]:
    """What the answer is billed, as this API writes it."""
    answer = exchange.answer
    return {
        "prompt_tokens": answer.input_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens": answer.output_tokens,
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        "total_tokens": answer.input_tokens + answer.output_tokens,
    }


def _chunk(exchange: Exchange, delta: dict[str, Any], reason: str | None = None) -> Event:
    choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
    usage_field = {"usage": None} if exchange.request.echoed["include_usage"] else {}
    return {**_frame(exchange, "chat.completion.chunk"), "choices": [choice], **usage_field}


def _frame(exchange: Exchange, kind: str) -> dict[str, Any]:
    return {
        "id": exchange.response_id.replace("resp_", "chatcmpl-"),
        "object": kind,
        "created": exchange.created_s,
        "model": exchange.answer.model,
        "service_tier": "default",
        "system_fingerprint": None,
    }
