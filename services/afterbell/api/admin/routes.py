"""The admin API: the queue, its jobs and workers, inspected and controlled. On the internal port only."""

import base64
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

import orjson
from fastapi import APIRouter, FastAPI, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator

from afterbell.adapters.db import audit, costs
from afterbell.adapters.db.reports import job_rows
from afterbell.adapters.db.reports.job_rows import Cursor, JobFilter
from afterbell.adapters.queue.redis_queue import JobVerb, QueueVerb, WorkerVerb
from afterbell.api import problems
from afterbell.api.admin.admin_service import AdminService, may_be
from afterbell.api.admin.admin_tokens import Admin, AdminFirst
from afterbell.api.admin.refusals import Refusals
from afterbell.api.envelope import Envelope
from afterbell.api.schemas import ReasonIn
from afterbell.core import trace
from afterbell.core.errors import MALFORMED, Conflict, InvalidInput, NotFound
from afterbell.core.queue.outcomes import ReportStatus, job_id_of, report_id_of
from afterbell.core.report.attempt_log import harmless

router = APIRouter(prefix="/admin", route_class=AdminFirst)
ADMIN_BODY_BYTES_MAX: Final = 64 * 1024
PAGE_MAX: Final = 200
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
Age = Annotated[float, Field(ge=0, le=10 * 366 * 86400)]
Worker = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._-]+$")]


class Where(BaseModel):
    """Which jobs; what is left out matches all."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    state: list[ReportStatus] | None = None
    tenant: Text | None = None
    session: Text | None = None
    error: Text | None = None
    participant: Text | None = None
    older_than_s: Age | None = None
    newer_than_s: Age | None = None
    parked: bool | None = None

    def to_filter(self, now: datetime) -> JobFilter:
        """As the record is asked."""
        before, since = (
            None if age_s is None else now - timedelta(seconds=age_s)
            for age_s in (self.older_than_s, self.newer_than_s)
        )
        states = None if self.state is None else frozenset(self.state)
        return JobFilter(states, self.tenant, self.session, self.error, self.participant, before, since, self.parked)


class BulkIn(ReasonIn):
    """An act on all jobs that match, a part of them each call: call again with ``nextPage`` until it is null."""

    where: Where = Where()
    dry_run: bool = False
    page: Text | None = None


class ListIn(Where):
    """A page of jobs, as a query string asks for it."""

    page: Text | None = None
    limit: Annotated[int, Field(ge=1, le=PAGE_MAX)] = 50

    @field_validator("*", mode="before")
    @classmethod
    def _nothing_written_filters_nothing(cls, value: Any) -> Any:
        """As a dashboard sends an empty text box, and any state."""
        return None if value in ("", [""], ["any"]) else value


def create_admin_app(service: AdminService, secrets: tuple[str, ...]) -> FastAPI:
    """The admin API, for the internal port."""
    app = FastAPI(title="Afterbell's admin API", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.service, app.state.admin_secrets, app.state.refusals = service, secrets, Refusals(service.database)
    problems.install(app)
    app.include_router(router)
    app.add_middleware(Envelope)
    return app


@router.get("/queue")
async def queue_status(request: Request) -> Response:
    """Everything about the queue at this moment."""
    return _json(await _service(request).status())


@router.get("/queues")
async def list_queues(request: Request) -> Response:
    """The queues of this installation: one."""
    return _json({"queues": [_service(request).queue_name]})


@router.get("/queues/{queue}")
async def named_queue(queue: str, request: Request) -> Response:
    """As ``/admin/queue``, for clients that name it."""
    _service(request).check_queue(queue)
    return await queue_status(request)


@router.get("/queue/why")
async def why_work_waits(request: Request) -> Response:
    """One sentence: why work waits, and what to do."""
    return _json(asdict(await _service(request).why()))


@router.get("/workers")
async def list_workers(request: Request) -> Response:
    """Who runs jobs or waits for them, also the idle ones."""
    return _json(await _service(request).workers())


@router.get("/limits")
async def show_limits(request: Request) -> Response:
    """Limiter, breakers, quotas and budgets: what is allowed and what has been used."""
    return _json(await _service(request).limits(datetime.now(UTC).date()))


@router.post("/queue/{verb}")
async def switch_queue(verb: QueueVerb, body: ReasonIn, request: Request) -> Response:
    """Pause: nothing starts, what runs goes on. Resume ends it."""
    await _service(request).switch_queue(verb, _admin(request), body.reason)
    return _json({"done": verb})


@router.post("/workers/{worker}/{verb}")
async def switch_worker(worker: Worker, verb: WorkerVerb, body: ReasonIn, request: Request) -> Response:
    """Drain a worker, or every worker of a pod: it starts nothing more. Undrain ends it."""
    await _service(request).switch_worker(verb, worker, _admin(request), body.reason)
    return _json({"done": verb, "worker": worker})


@router.get("/jobs")
async def list_jobs(request: Request, asked: Annotated[ListIn, Query()]) -> Response:
    """Jobs, newest first."""
    async with _service(request).database.statement() as connection:
        wanted, after = asked.to_filter(datetime.now(UTC)), _cursor(asked.page)
        rows = await job_rows.page(connection, wanted, after=after, limit=asked.limit)
    following = _token(rows[-1]) if len(rows) == asked.limit else None
    return _json({"jobs": [_job(row) for row in rows], "nextPage": following})


@router.get("/jobs/{job_id}")
async def show_job(job_id: str, request: Request) -> Response:
    """One job with its tries and what its model calls cost."""
    report_id = _report_id(job_id)
    async with _service(request).database.transaction() as connection:
        job = await job_rows.show(connection, report_id)
    if job is None:
        raise _unknown(job_id)
    attempts, calls = job.pop("attempts"), job.pop("calls")
    cost = sum(call["cost_usd"] or 0 for call in calls)
    tries = [attempt | {"error": _cut(attempt["error"])} for attempt in attempts]
    return _json(_job(job) | {"attempts": tries, "calls": calls, "cost_usd": str(cost)})


@router.get("/jobs/{job_id}/logs")
async def show_logs(
    job_id: str, request: Request, attempt: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None
) -> Response:
    """The log lines each try of a job left when it ended."""
    report_id = _report_id(job_id)
    async with _service(request).database.statement() as connection:
        tries = await job_rows.logs(connection, report_id, attempt)
    if tries is None:
        raise _unknown(job_id)
    shown = [row | {"error": _cut(row["error"]), "log": row["log"] or []} for row in tries]
    return _json({"jobId": job_id, "tries": shown})


@router.post("/jobs/{job_id}/{verb}")
async def act_on_job(job_id: str, verb: JobVerb, body: ReasonIn, request: Request) -> Response:
    """Retry, promote, cancel or remove one job."""
    report_id = _report_id(job_id)
    word = (await _service(request).act(verb, [report_id], _admin(request), body.reason))[report_id]
    if word == "unknown":
        raise _unknown(job_id)
    if word != "ok":
        raise Conflict(f"cannot {verb} {job_id}: it is {word}")
    return _json({"done": verb, "jobId": job_id})


@router.post("/jobs/{verb}")
async def act_on_jobs(verb: JobVerb, body: BulkIn, request: Request) -> Response:
    """Retry, promote, cancel or remove all jobs that match, or only count them."""
    service, wanted = _service(request), body.where.to_filter(datetime.now(UTC))
    if body.dry_run:
        async with service.database.statement() as connection:
            return _json({"matched": await job_rows.count(connection, may_be(verb, wanted)), "dry_run": True})
    words, end = await service.act_on_next(verb, wanted, _admin(request), body.reason, after=_cursor(body.page))
    following = None if end is None else _token({"created_at": end.created_at, "id": end.report_id})
    return _json({"done": words.pop("ok", 0), "skipped": dict(words), "nextPage": following})


@router.get("/costs")
async def show_costs(request: Request, days: Annotated[int, Query(ge=1, le=366)] = 1) -> Response:
    """What models cost since ``days`` UTC days, today included, by day, tenant and model; the dearest first."""
    since = datetime.now(UTC).date() - timedelta(days=days - 1)
    async with _service(request).database.statement() as connection:
        account = await costs.account(connection, since=since, limit=PAGE_MAX)
    return _json({"since": since} | asdict(account))


@router.get("/audit")
async def read_audit(
    request: Request,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
) -> Response:
    """Who did what, newest first, over all tenants."""
    async with _service(request).database.statement() as connection:
        rows = await audit.read(connection, None, before=before, limit=limit)
    acts = [{"id": row.id, "at": row.at} | asdict(row.act) for row in rows]
    return _json({"acts": acts, "nextBefore": rows[-1].id if len(rows) == limit else None})


def _service(request: Request) -> AdminService:
    service: AdminService = request.app.state.service
    return service


def _admin(request: Request) -> Admin:
    admin: Admin = request.state.admin
    return admin


def _json(body: dict[str, Any]) -> Response:
    return Response(
        orjson.dumps({"success": True} | body, default=str),
        media_type="application/json",
        headers={"Cache-Control": "private, no-store"},
    )


def _job(row: dict[str, Any]) -> dict[str, Any]:
    report_id = row.pop("id")
    traced = trace.read(row.pop("traceparent"))
    more = {"error": _cut(row["error"]), "trace_id": traced and traced.trace_id}
    return {"jobId": job_id_of(report_id)} | row | more


def _cut(error: str | None) -> str | None:
    """For a terminal and a page: control characters written out, and no longer than ERROR_CHARS_MAX."""
    if error is None:
        return None
    text = harmless(error, job_rows.ERROR_CHARS_MAX + 1)
    return text if len(error) <= job_rows.ERROR_CHARS_MAX else f"{text[: job_rows.ERROR_CHARS_MAX]}… (cut)"


def _report_id(job_id: str) -> UUID:
    try:
        return report_id_of(job_id)
    except ValueError:
        raise _unknown(job_id) from None


def _unknown(job_id: str) -> NotFound:
    return NotFound(f"unknown job {job_id[:80]!r}: list jobs with GET /admin/jobs")


def _token(row: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(f"{row['created_at'].isoformat()} {row['id']}".encode()).decode()


def _cursor(token: str | None) -> Cursor | None:
    if token is None:
        return None
    try:
        created_at, report_id = base64.urlsafe_b64decode(token.encode()).decode().split(" ")
        return Cursor(datetime.fromisoformat(created_at).astimezone(UTC), UUID(report_id))
    except MALFORMED:
        raise InvalidInput("invalid page cursor: pass `nextPage` from a previous response", field="page") from None
