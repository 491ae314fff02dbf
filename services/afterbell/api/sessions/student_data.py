"""A student's data handed out or erased, and the audit log of who did what. For admins."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import orjson
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel

from afterbell.adapters.db import audit, students
from afterbell.api.auth.bearer import CallerFirst, allow
from afterbell.api.schemas import Id, ProblemOut, ReasonIn
from afterbell.api.services import services_of
from afterbell.core.access import actor_of

router = APIRouter(prefix="/api", tags=["privacy"], route_class=CallerFirst)
StudentId = Annotated[Id, Path(description="The student's participant id")]
PAGE_MAX: Final = 500
_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    code: {"model": ProblemOut} for code in (401, 403, 404, 422, 500, 503)
}
_WITH_BODY: Final = _PROBLEMS | {code: {"model": ProblemOut} for code in (400, 413)}


class ExportedSession(BaseModel):
    """One session: its facts, the student's words, the reports. ``shared``: reports may be about others as well."""

    session: dict[str, Any]
    shared: bool
    participants: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    reports: list[dict[str, Any]]


class Exported(BaseModel):
    """Everything stored about a student."""

    success: Literal[True] = True
    student: str
    tenant: str
    sessions: list[ExportedSession]


class ErasedOut(BaseModel):
    """What was erased. In the sessions that are kept, because others took part, the student is unknown now."""

    success: Literal[True] = True
    student: str
    sessions_deleted: int
    sessions_kept: int
    messages_blanked: int
    messages_redacted: int
    reports_deleted: int


class RecordedOut(BaseModel):
    """One act."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    reason: str | None
    details: dict[str, Any]


class AuditPage(BaseModel):
    """Acts, newest first. ``nextBefore`` is set where there may be more."""

    success: Literal[True] = True
    acts: list[RecordedOut]
    nextBefore: int | None  # noqa: N815  # the wire's name


@router.post("/students/{student_id}/export", response_model=Exported, responses=_WITH_BODY)
async def export_student(student_id: StudentId, body: ReasonIn, request: Request) -> Response:
    """Export everything stored about a student. The reason is recorded, so this is not a GET."""
    caller = allow(request, "export_student")
    async with services_of(request).database.transaction() as connection:
        export = await students.export(connection, caller.tenant, student_id, by=actor_of(caller), reason=body.reason)
    return Response(
        orjson.dumps({"success": True} | export),
        media_type="application/json",
        headers={"Cache-Control": "private, no-store"},
    )


@router.post("/students/{student_id}/erase", responses=_WITH_BODY)
async def erase_student(student_id: StudentId, body: ReasonIn, request: Request) -> ErasedOut:
    """Erase a student: sessions, messages, name and the reports about them. A repetition erases nothing.

    Their open connections leave these sessions, and everybody else's load them anew.
    """
    caller = allow(request, "erase_student")
    async with services_of(request).database.transaction() as connection:
        erased = await students.erase(connection, caller.tenant, student_id, by=actor_of(caller), reason=body.reason)
    for session_id in erased.session_ids:
        services_of(request).realtime.session_changed(caller.tenant, session_id)
    return ErasedOut(student=student_id, **erased.counts)


@router.get("/audit", responses=_PROBLEMS)
async def read_audit_log(
    request: Request,
    subject: Annotated[
        str | None, Query(max_length=200, pattern=r"^[^\x00]*$", description="only actions on this subject")
    ] = None,
    action: Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$", description="only this action")] = None,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="only actions with a smaller id")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX, description="page size")] = 100,
) -> AuditPage:
    """List who did what to the tenant's data, when and why."""
    caller = allow(request, "read_audit_log")
    async with services_of(request).database.transaction() as connection:
        rows = await audit.read(connection, caller.tenant, subject=subject, action=action, before=before, limit=limit)
    acts = [
        RecordedOut(
            id=row.id,
            at=row.at,
            actor=row.act.actor,
            action=row.act.action,
            subject=row.act.subject,
            reason=row.act.reason,
            details=row.act.details,
        )
        for row in rows
    ]
    return AuditPage(acts=acts, nextBefore=rows[-1].id if len(rows) == limit else None)
