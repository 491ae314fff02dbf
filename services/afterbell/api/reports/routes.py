"""Reports: ask for one, follow it, read it. Asking commits one row and answers; the rest happens elsewhere."""

import asyncio
from functools import partial
from typing import Annotated, Any, Final
from uuid import uuid4

import orjson
from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import HTMLResponse

from afterbell.adapters.db import audit
from afterbell.adapters.db.audit import Act
from afterbell.adapters.db.reports import rows as reports
from afterbell.adapters.db.reports import stored_report
from afterbell.adapters.db.reports.requests import ReportRequest, RequestedReport
from afterbell.adapters.db.reports.rows import PendingReport, ReportRow
from afterbell.api.auth.bearer import CallerFirst, allow
from afterbell.api.problems import problem
from afterbell.api.reports import page
from afterbell.api.reports.schema import ReportOut
from afterbell.api.schemas import Id, ProblemOut, ReportLanguage, ReportRequested, ReportStatusOut
from afterbell.api.services import services_of
from afterbell.core.access import Caller, actor_of, reads_as, sees_whole_tenant, takes_part
from afterbell.core.errors import NotFound
from afterbell.core.queue.outcomes import job_id_of, job_state_of
from afterbell.core.report.views import view
from afterbell.core.translation import DEFAULT_LANGUAGE, language_of, preferred

router = APIRouter(prefix="/api/reports", tags=["reports"], route_class=CallerFirst)
Bulk = Annotated[bool, Query(description="Low priority: the report starts after all interactive requests")]
Labels = Annotated[
    ReportLanguage | None, Query(description="What the page is labelled in; omitted: the report's own language")
]
SessionId = Annotated[Id, Path(description="The platform's session id")]

STARTED: Final = "Report generation started. Check back in 30-60 seconds."
READY: Final = "The report is ready."
_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    code: {"model": ProblemOut} for code in (401, 403, 404, 422, 500, 503)
}
_READY: Final[dict[int | str, dict[str, Any]]] = {
    200: {"model": ReportRequested, "description": "The report is ready already"}
}
_PAGE: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {"text/html": {"schema": {"type": "string"}}}}}


@router.post("/session/{session_id}", status_code=202, response_model=ReportRequested, responses=_READY | _PROBLEMS)
async def request_report(session_id: SessionId, request: Request, bulk: Bulk = False) -> Response:
    """Request the session's report. Repeated requests return the same job until the session changes or it fails."""
    caller = allow(request, "request_report")
    services = services_of(request)
    traceparent = request.scope["trace"].header
    requested = await services.requests.request(
        ReportRequest(
            uuid4(), caller.tenant, session_id, caller.subject, not sees_whole_tenant(caller), bulk, traceparent
        )
    )
    if requested is None:
        raise _no_session(session_id)
    if requested.is_new:
        services.outbox.offer(PendingReport(requested.report_id, caller.tenant, bulk=bulk))
    return _requested(session_id, requested)


@router.get("/session/{session_id}/status", response_model=ReportStatusOut, responses=_PROBLEMS)
async def report_status(session_id: SessionId, request: Request) -> Response:
    """Return the status of the session's newest report."""
    caller = allow(request, "read_report")
    services = services_of(request)
    async with services.database.statement() as connection:
        row = visible(await reports.newest(connection, caller.tenant, session_id), caller, session_id)
    body = _status(row)
    if body["status"] == "waiting":
        wait = await services.pace.wait_of(row.created_at)
        body |= {"position": wait.position, "eta_seconds": wait.eta_s}
    return Response(orjson.dumps(body), media_type="application/json")


@router.get("/session/{session_id}", response_model=ReportOut, responses=_PAGE | _PROBLEMS)
async def read_report(session_id: SessionId, request: Request, language: Labels = None) -> Response:
    """Return the newest finished report in the caller's view, as JSON, or as a page if the client accepts HTML."""
    caller = allow(request, "read_report")
    async with services_of(request).database.statement() as connection:
        row = await reports.newest_finished(connection, caller.tenant, session_id)
        if row is None:
            waiting = visible(await reports.newest(connection, caller.tenant, session_id), caller, session_id)
            return _not_ready(session_id, waiting, request)
        visible(row, caller, session_id)
        # What cannot be recorded is not shown.
        viewing = Act(caller.tenant, actor_of(caller), "report.view", session_id, None, {"version": row.version})
        await audit.record(connection, viewing)
    report = stored_report.load(row.content or {})
    students = reads_as(caller)
    if _wants_page(request):
        names = {person["id"]: person["display_name"] for person in row.participants}
        labels = language or _labels(report.language, request)
        worded = partial(page.render, session_title=row.subject, names=names, language=labels)
        # Off the loop: the first page in a language reads its catalogue and its dates, 0.3 s in all.
        html = await asyncio.to_thread(worded, report, caller.role, students)
        return HTMLResponse(html, headers=_PAGE_HEADERS | {"Content-Language": labels})
    body = orjson.dumps({"success": True, "report": view(report, caller.role, students)})
    return Response(body, media_type="application/json", headers=_PRIVATE)


# The same address answers each reader something else.
_PRIVATE: Final = {"Cache-Control": "private, no-store", "Vary": "Accept, Accept-Language, Authorization"}
# The page is complete in itself: nothing may be loaded, run, framed or cached.
_PAGE_HEADERS: Final = _PRIVATE | {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def _requested(session_id: str, requested: RequestedReport) -> Response:
    state = job_state_of(requested.status)
    body = {
        "success": True,
        "status": "queued" if state == "waiting" else state,
        "jobId": job_id_of(requested.report_id),
        "message": READY if state == "completed" else STARTED,
        "statusUrl": _status_url(session_id),
    }
    return Response(orjson.dumps(body), status_code=200 if state == "completed" else 202, media_type="application/json")


def _status(row: ReportRow) -> dict[str, Any]:
    body: dict[str, Any] = {
        "success": True,
        "status": job_state_of(row.status),
        "progress": row.progress,
        "jobId": job_id_of(row.report_id),
        "stage": row.stage,
        "attempt": row.attempt,
    }
    if row.error is not None:
        body["error"] = row.error
    return body


def visible(row: ReportRow | None, caller: Caller, session_id: str) -> ReportRow:
    """The row, where the caller takes part in its session. Raises NotFound."""
    if row is None or not takes_part(caller, (person["id"] for person in row.participants)):
        raise NotFound(f"session {session_id} has no report that you may read: request one with POST first")
    return row


def _not_ready(session_id: str, row: ReportRow, request: Request) -> Response:
    state = job_state_of(row.status)
    detail = f"the report of session {session_id} is not finished yet: {state}, {row.progress} %"
    return problem(
        404,
        "report_not_ready",
        detail,
        request_id=request.scope.get("request_id", ""),
        jobState=state,
        progress=row.progress,
        statusUrl=_status_url(session_id),
    )


def _no_session(session_id: str) -> NotFound:
    return NotFound(f"session {session_id} not found: import it with PUT /api/sessions/{session_id} first")


def _status_url(session_id: str) -> str:
    return f"/api/reports/session/{session_id}/status"


def _labels(language: str, request: Request) -> str:
    """What a page is labelled in: the report's language, or, where that has no labels, the one its reader prefers."""
    if language_of(language) is not None:
        return language
    return preferred(request.headers.get("accept-language", "")) or DEFAULT_LANGUAGE


def _wants_page(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    return "text/html" in accepted and "application/json" not in accepted
