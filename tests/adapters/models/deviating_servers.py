"""Servers that speak the OpenAI APIs in their own way, as users of gateways and local servers meet them.

One path prefix each, as raw bytes. ``docs/reference/model-servers.md`` has a row for each, and what becomes of a call.
"""

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from tests.dev.stub.running import expected

from afterbell.adapters.models.narrative_codec import encode

NARRATIVE: Final = encode(expected())
BILLED: Final = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
RESPONSES_BILLED: Final = {"input_tokens": 1000, "output_tokens": 500, "total_tokens": 1500}


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server sends. ``headers`` beside the content type."""

    status: int
    media_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


def _chunk(text: str | None = None, end: str | None = None, **more: Any) -> dict[str, Any]:
    choice: dict[str, Any] = {"index": 0, "delta": {} if text is None else {"content": text}, "finish_reason": end}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m-1", "choices": [choice], **more}


def _streamed(*events: dict[str, Any] | str, done: bool = True, line: str = "\n") -> Reply:
    parts = [event if isinstance(event, str) else f"data: {json.dumps(event)}" for event in events]
    body = "".join(f"{part}{line}{line}" for part in [*parts, *(["data: [DONE]"] if done else [])])
    return Reply(200, "text/event-stream", body.encode())


def _pieces(text: str = NARRATIVE, size: int = 300) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def _said(text: str = NARRATIVE) -> list[dict[str, Any]]:
    return [_chunk(piece) for piece in _pieces(text)]


def _refused(status: int, error: Any, **headers: str) -> Reply:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Reply(status, "application/json", json.dumps(error).encode(), named)


def _event(kind: str, **fields: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}"


def _deltas(text: str = NARRATIVE, item: int = 0) -> list[str]:
    return [
        _event("response.output_text.delta", item_id="m", output_index=item, content_index=0, delta=piece)
        for piece in _pieces(text)
    ]


def _response(status: str = "completed", text: str = NARRATIVE, **more: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    message = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": content}
    facts = {
        "id": "r",
        "object": "response",
        "created_at": 1,
        "model": "m-1",
        "error": None,
        "incomplete_details": None,
    }
    return {**facts, "status": status, "output": [message], "usage": RESPONSES_BILLED, **more}


USAGE: Final = _chunk(usage=BILLED) | {"choices": []}
END: Final = _chunk(end="stop")

CHAT: Final[dict[str, Reply]] = {
    "usage in the last chunk": _streamed(*_said(), _chunk(end="stop", usage=BILLED)),
    "usage as floats": _streamed(*_said(), END, _chunk(usage={"prompt_tokens": 1000.0, "completion_tokens": 500.0})),
    "usage under x_groq": _streamed(*_said(), _chunk(end="stop", x_groq={"usage": BILLED})),
    "no usage": _streamed(*_said(), END),
    "comments and CRLF": _streamed(": PROCESSING", *_said(), END, USAGE, line="\r\n"),
    "no [DONE]": _streamed(*_said(), END, USAGE, done=False),
    "code fence": _streamed(*_said(f"Here is the report:\n```json\n{NARRATIVE}\n```\nI hope it helps."), END, USAGE),
    "thoughts first": _streamed(*_said(f"<think>{{a}} and {{b: c}}</think>\n{NARRATIVE}"), END, USAGE),
    "byte order mark": _streamed(*_said(f"\ufeff{NARRATIVE}"), END, USAGE),
    "answer twice": _streamed(*_said(NARRATIVE + NARRATIVE), END, USAGE),
    "list of one": _streamed(*_said(f"[{NARRATIVE}]"), END, USAGE),
    "under a name": _streamed(*_said(f'{{"narrative": {NARRATIVE}}}'), END, USAGE),
    "content in parts": _streamed(
        _chunk() | {"choices": [{"index": 0, "delta": {"content": [{"type": "thinking", "thinking": "hm"}]}}]},
        *[
            {**_chunk(), "choices": [{"index": 0, "delta": {"content": [{"type": "text", "text": piece}]}}]}
            for piece in _pieces()
        ],
        END,
        USAGE,
    ),
    "arguments of a call": _streamed(
        {
            **_chunk(),
            "choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": NARRATIVE}}]}}],
        },
        _chunk(end="tool_calls"),
        USAGE,
    ),
    "ends with eos": _streamed(*_said(), _chunk(end="eos"), USAGE),
    "ends with STOP": _streamed(*_said(), _chunk(end="STOP"), USAGE),
    "stop in each chunk": _streamed(*[_chunk(piece, "stop") for piece in _pieces()], USAGE),
    "stop twice": _streamed(*_said(), END, END, USAGE),
    "text after stop": _streamed(*_said()[:-1], END, _chunk(_pieces()[-1]), USAGE),
    "another choice beside": _streamed(
        *[{**chunk, "choices": [{**chunk["choices"][0], "index": 1}]} for chunk in _said("other")], *_said(), END, USAGE
    ),
    "message for delta": _streamed(
        *[{**_chunk(), "choices": [{"index": 0, "message": {"content": piece}}]} for piece in _pieces()], END, USAGE
    ),
    "not streamed": Reply(
        200,
        "application/json",
        json.dumps(
            {
                "model": "m-1",
                "choices": [{"index": 0, "message": {"content": NARRATIVE}, "finish_reason": "stop"}],
                "usage": BILLED,
            }
        ).encode(),
    ),
    "ends with length": _streamed(*_said(NARRATIVE[:800]), _chunk(end="length"), USAGE),
    "ends with content_filter": _streamed(*_said(NARRATIVE[:400]), _chunk(end="content_filter"), USAGE),
    "nothing said": _streamed(END, USAGE),
    "error with 200": _refused(200, {"error": {"message": "Rate limit exceeded: free-models-per-min", "code": 429}}),
    "502 in the stream": _streamed(*_said(NARRATIVE[:400]), {"error": {"code": 502, "message": "gone"}}, done=False),
    '"500" in the stream': _streamed(*_said(NARRATIVE[:400]), {"error": {"code": "500", "message": "x"}}, done=False),
    "a text for an error": _streamed(*_said(NARRATIVE[:400]), {"error": "upstream connect error"}, done=False),
    "too long, vLLM": _refused(
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 8192 tokens.",
            "type": "BadRequestError",
        },
    ),
    "too long, llama.cpp": _refused(
        400, {"error": {"code": 400, "message": "exceeds it", "type": "exceed_context_size_error", "n_ctx": 8192}}
    ),
    "too long, in words": _refused(
        400, {"error": {"type": "invalid_request_error", "message": "prompt is too long: 210000 tokens > 200000"}}
    ),
    "too large for a minute": _refused(413, {"error": {"type": "tokens", "code": "rate_limit_exceeded"}}),
    "unknown parameter": _refused(
        422, {"detail": [{"loc": ["body", "store"], "msg": "Extra inputs are not permitted"}]}
    ),
    "refused without a reason": _refused(400, {"error": {"message": "no"}}),
    "invalid JSON, Groq": _refused(400, {"error": {"code": "json_validate_failed", "failed_generation": "{}"}}),
    "a web page": Reply(200, "text/html", b"<html>log in</html>"),
    "a text": Reply(200, "text/plain", b"no healthy upstream"),
    "a redirect": Reply(307, "text/plain", b"", (("location", "http://127.0.0.1:9/v1/chat/completions"),)),
    "no credit, 402": _refused(402, {"error": {"message": "Insufficient credits", "code": 402}}),
    "no quota, in words": _refused(429, {"error": {"message": "You exceeded your current quota", "code": "429"}}),
    "not ready, 424": _refused(424, {"error": {"message": "model not ready", "code": 424}}),
    "too early, 425": _refused(425, {"error": "too early"}),
    "flex capacity, 498": _refused(498, {"error": {"type": "capacity_exceeded", "code": "flex"}}),
    "hung up, 499": _refused(499, {"error": {"status": "CANCELLED"}}),
    "overloaded, 529": _refused(529, {"type": "error", "error": {"type": "overloaded_error"}}),
    "wait, half a second": _refused(429, {"error": {"message": "x"}}, retry_after="0.5"),
    "wait, with a unit": _refused(429, {"error": {"message": "x"}}, retry_after="34s"),
    "wait, two windows": _refused(
        429,
        {"error": {"message": "x"}},
        x_ratelimit_reset_requests="1m12s",
        x_ratelimit_remaining_requests="0",
        x_ratelimit_reset_tokens="3ms",
        x_ratelimit_remaining_tokens="5000",
    ),
    "wait, IETF": _refused(429, {"error": {"message": "x"}}, ratelimit_reset="42"),
    "wait, Google": _refused(
        429, [{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [{"retryDelay": "34s"}]}}]
    ),
    "wait, in words": _refused(429, {"error": {"message": "Please retry after 27 seconds."}}),
    "wait, for ever": _refused(429, {"error": {"message": "x"}}, retry_after="1e999"),
}
RESPONSES: Final[dict[str, Reply]] = {
    "no usage": _streamed(*_deltas(), _event("response.completed", response=_response(usage=None)), done=False),
    "commentary first": _streamed(
        *_deltas("I will write the report."), *_deltas(item=1), _event("response.completed", response=_response())
    ),
    "message twice": _streamed(*_deltas(), *_deltas(item=1), _event("response.completed", response=_response())),
    "ends with response.done": _streamed(*_deltas(), _event("response.done", response=_response())),
    "text without an ending": _streamed(*_deltas(), _event("response.output_text.done", text=NARRATIVE)),
    "no deltas": _streamed(_event("response.completed", response=_response()), done=False),
    "not streamed": Reply(200, "application/json", json.dumps(_response()).encode()),
    "unknown events": _streamed(_event("keepalive"), *_deltas(), _event("response.completed", response=_response())),
    "cut, called completed": _streamed(
        *_deltas(NARRATIVE[:700]),
        _event(
            "response.completed",
            response=_response("incomplete", NARRATIVE[:700], incomplete_details={"reason": "max_output_tokens"}),
        ),
        done=False,
    ),
    "cut for length": _streamed(
        *_deltas(NARRATIVE[:700]),
        _event(
            "response.incomplete",
            response=_response("incomplete", NARRATIVE[:700], incomplete_details={"reason": "length"}),
        ),
        done=False,
    ),
    "wait, in a failed response": _streamed(
        _event(
            "response.failed",
            response=_response(
                "failed", "", error={"code": "rate_limit_exceeded", "message": "Try again in 11.5s."}, usage=None
            ),
        ),
        done=False,
    ),
    "too long, flat": _streamed(
        _event("error", code="invalid_request", message="This model's maximum context length is 8192 tokens."),
        done=False,
    ),
    "no quota, nested": _streamed(_event("error", error={"code": "insufficient_quota", "message": "x"}), done=False),
    "cancelled": _streamed(*_deltas(NARRATIVE[:100]), _event("response.cancelled", response=_response("cancelled"))),
    "no such API": _refused(404, {"detail": "Not Found"}),
}
ALL: Final = {("chat", name): reply for name, reply in CHAT.items()} | {
    ("responses", name): reply for name, reply in RESPONSES.items()
}


@contextmanager
def serving() -> Iterator[str]:
    """All of them, in a thread; the address before ``/<number in ALL>/v1``."""
    listening: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = Future()

    async def run() -> None:
        over = asyncio.Event()
        async with await asyncio.start_server(_answer, "127.0.0.1", 0) as server:
            listening.set_result((asyncio.get_running_loop(), over, server.sockets[0].getsockname()[1]))
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    loop, over, port = listening.result(10)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = next(line.split(":")[1] for line in head.split("\r\n") if line.lower().startswith("content-length"))
    await reader.readexactly(int(length))
    reply = list(ALL.values())[int(head.split(" ")[1].split("/")[1])]
    named = [("content-type", reply.media_type), ("content-length", str(len(reply.body))), *reply.headers]
    lines = [f"HTTP/1.1 {reply.status} X", *(f"{name}: {value}" for name, value in named), "connection: close"]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + reply.body)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
