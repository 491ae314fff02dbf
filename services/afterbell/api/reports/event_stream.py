"""A report's progress as Server-Sent Events: the snapshot, then what changes, the newest first to go out."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import StreamingResponse

from afterbell.api.auth.bearer import CallerFirst, allow
from afterbell.api.problems import problem
from afterbell.api.reports.routes import SessionId, visible
from afterbell.api.schemas import ProblemOut
from afterbell.api.services import services_of
from afterbell.realtime.report_feed import Key, ReportFeed, ready_of

router = APIRouter(prefix="/api/reports", tags=["reports"], route_class=CallerFirst)
ALIVE_EVERY_S: Final = 15.0
LAST_ID_CHARS_MAX: Final = 64
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
    **{code: {"model": ProblemOut} for code in (401, 403, 404, 422, 500, 503)},
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
    realtime = services_of(request).realtime
    if realtime.draining or realtime.feed.streams >= services_of(request).settings.sockets_max:
        return problem(
            503,
            "no_room",
            "this process accepts no more streams: try again",
            request_id=request.scope.get("request_id", ""),
            headers={"Retry-After": "5"},
        )
    key = (caller.tenant, session_id)
    visible(await realtime.feed.read(key), caller, session_id)
    return StreamingResponse(
        _stream(realtime.feed, key, last_event_id), media_type="text/event-stream", headers=_HEADERS
    )


async def _stream(feed: ReportFeed, key: Key, last_id: str) -> AsyncIterator[bytes]:
    with feed.streaming(key) as slot:
        row = await feed.read(key)
        if row is not None and slot.progress is None:
            slot("report:progress", feed.snapshot(key, row))
        yield b"retry: 3000\n\n"
        while not feed.over:
            progress = await slot.newest(ALIVE_EVERY_S)
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
