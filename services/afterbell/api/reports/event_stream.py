"""A report's progress as Server-Sent Events: the snapshot, then what changes, the newest first to go out."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from afterbell.api.auth.bearer import LEEWAY_S, CallerFirst, allow
from afterbell.api.problems import problem
from afterbell.api.reports.routes import SessionId, visible
from afterbell.api.schemas import ProblemOut
from afterbell.api.services import services_of
from afterbell.core.access import Caller
from afterbell.core.live.stream_limits import Refusal, StreamLimits
from afterbell.realtime.report_feed import Key, ReportFeed, ready_of

router = APIRouter(prefix="/api/reports", tags=["reports"], route_class=CallerFirst)
ALIVE_EVERY_S: Final = 15.0
LAST_ID_CHARS_MAX: Final = 64
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
    **{code: {"model": ProblemOut} for code in (401, 403, 404, 422, 429, 500, 503)},
}
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Vary": "Authorization"}
LastId = Annotated[
    str,
    Header(
        alias="Last-Event-ID",
        max_length=LAST_ID_CHARS_MAX,
        description="Last event id of an earlier stream, to resume there",
    ),
]


@router.get("/session/{session_id}/events", responses=_RESPONSES, response_class=StreamingResponse)
async def report_events(session_id: SessionId, request: Request, last_event_id: LastId = "") -> Response:
    """Stream the progress of the newest report until it is finished."""
    caller = allow(request, "read_report")
    services = services_of(request)
    realtime = services.realtime
    key = (caller.tenant, session_id)
    visible(await realtime.feed.read(key), caller, session_id)
    refusal = "process" if realtime.draining else services.streams.take(caller)
    if refusal is not None:
        return _refused(refusal, request)
    events = _stream(realtime.feed, key, caller, request.state.expires_at, last_event_id)
    return _Counted(services.streams, caller, events)


class _Counted(StreamingResponse):
    """A stream that is counted, and given back however it ends, also where it never began."""

    def __init__(self, limits: StreamLimits, caller: Caller, events: AsyncIterator[bytes]) -> None:
        super().__init__(events, media_type="text/event-stream", headers=_HEADERS)
        self._limits, self._caller = limits, caller

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._limits.give_back(self._caller)


def _refused(refusal: Refusal, request: Request) -> Response:
    whose = {"user": "you have", "tenant": "your tenant has", "process": "this process has"}[refusal]
    status, code = (503, "no_room") if refusal == "process" else (429, "too_many_streams")
    detail = f"{whose} as many open progress streams as there may be: close one, or try again"
    request_id = request.scope.get("request_id", "")
    return problem(status, code, detail, request_id=request_id, headers={"Retry-After": "5"})


async def _stream(feed: ReportFeed, key: Key, caller: Caller, expires_at: float, last_id: str) -> AsyncIterator[bytes]:
    with feed.streaming(key, caller) as slot:
        row = await feed.read(key)
        if row is not None and not feed.may_show(row, caller):
            return
        if row is not None and slot.progress is None:
            slot("report:progress", feed.snapshot(key, row))
        yield b"retry: 3000\n\n"
        while not feed.over:
            left_s = expires_at + LEEWAY_S - datetime.now(UTC).timestamp()
            progress = await slot.newest(min(ALIVE_EVERY_S, max(left_s, 0.0)))
            if slot.ended or left_s <= 0:
                return  # rights end with the token, and with taking part
            yield b": alive\n\n" if progress is None else _events_of(progress, last_id)
            if progress is not None and progress["status"] in ("completed", "failed"):
                return


def _events_of(progress: dict[str, Any], last_id: str) -> bytes:
    event_id = f"{progress['version']}.{progress['attempt']}.{progress['progress']}"
    final = progress["status"] in ("completed", "failed")
    text = b"" if event_id == last_id and not final else _event("report:progress", progress, event_id)
    if progress["status"] == "completed":
        text += _event("report:ready", ready_of(progress))
    return text


def _event(name: str, payload: dict[str, Any], event_id: str = "") -> bytes:
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {name}\ndata: ".encode() + orjson.dumps(payload) + b"\n\n"
