"""Jobs as administrators see them, across all tenants: lists, search, one job with all its tries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, get_args
from uuid import UUID

from sqlalchemy import Column, ColumnElement, delete, func, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from afterbell.adapters.db.reports.rows import UNFINISHED
from afterbell.adapters.db.tables import model_calls, report_attempts, reports, sessions
from afterbell.core.queue.outcomes import ReportStatus

# One character more tells that there was more: a list of errors is not to weigh what they do.
ERROR_CHARS_MAX: Final = 4_000
# Counting further would cost the more the longer the record is kept.
COUNTED_MAX: Final = 100_000
_COUNTS: Final = text("""
SELECT s.status, (SELECT count(*) FROM (SELECT FROM reports WHERE status = s.status LIMIT :most) AS counted) AS jobs
FROM unnest(CAST(:statuses AS text[])) AS s (status)
""")


def _cut(error: Column[str]) -> ColumnElement[str]:
    return func.left(error, ERROR_CHARS_MAX + 1).label("error")


_SHOWN: Final = (
    reports.c.id,
    reports.c.tenant_id,
    reports.c.session_id,
    reports.c.version,
    reports.c.status,
    reports.c.stage,
    reports.c.progress,
    reports.c.attempt,
    _cut(reports.c.error),
    reports.c.requested_by,
    reports.c.bulk,
    reports.c.traceparent,
    reports.c.created_at,
    reports.c.started_at,
    reports.c.finished_at,
    reports.c.updated_at,
    reports.c.parked_at,
    reports.c.parked_because,
)


_TRY: Final = (
    *(column for column in report_attempts.c if column.name not in ("log", "error")),
    _cut(report_attempts.c.error),
)
_LOGGED: Final = (
    report_attempts.c.attempt,
    report_attempts.c.worker,
    report_attempts.c.started_at,
    report_attempts.c.ended_at,
    report_attempts.c.outcome,
    _cut(report_attempts.c.error),
    report_attempts.c.log,
)


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs. None: whatever it is.

    ``error``: words of the last error; ``parked``: whether the queue cannot take it; ``participant``: the id of one
    who took part in the session; ``before`` and ``since``: asked for earlier than that, or not earlier.
    """

    states: frozenset[ReportStatus] | None = None
    tenant: str | None = None
    session: str | None = None
    error: str | None = None
    participant: str | None = None
    before: datetime | None = None
    since: datetime | None = None
    parked: bool | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page ends; the next one begins after it."""

    created_at: datetime
    report_id: UUID


@dataclass(frozen=True, slots=True)
class JobRow:
    """What an act has to know about a job."""

    report_id: UUID
    tenant_id: str
    status: ReportStatus
    bulk: bool


async def counts(connection: AsyncConnection, *statuses: ReportStatus) -> dict[str, int]:
    """How many jobs there are of each status, or of these alone, at most COUNTED_MAX each; statuses without any are
    left out."""
    wanted = {"statuses": list(statuses or get_args(ReportStatus)), "most": COUNTED_MAX}
    return {row.status: row.jobs for row in await connection.execute(_COUNTS, wanted) if row.jobs}


async def parked(connection: AsyncConnection) -> int:
    """How many jobs the queue cannot take."""
    is_parked = (reports.c.status.in_(UNFINISHED), reports.c.parked_at.is_not(None))
    return await connection.scalar(select(func.count()).select_from(reports).where(*is_parked)) or 0


async def out_of_budget(connection: AsyncConnection) -> int:
    """How many jobs wait because a model budget is spent."""
    statement = select(func.count()).select_from(reports)
    spent = (reports.c.status == "deferred", reports.c.error.startswith("BudgetSpent:"))
    return await connection.scalar(statement.where(*spent)) or 0


async def page(
    connection: AsyncConnection, wanted: JobFilter, *, after: Cursor | None = None, limit: int
) -> list[dict[str, Any]]:
    """Up to ``limit`` matching jobs, newest first."""
    statement = select(*_SHOWN).where(*_conditions(wanted))
    if after is not None:
        statement = statement.where(tuple_(reports.c.created_at, reports.c.id) < (after.created_at, after.report_id))
    statement = statement.order_by(reports.c.created_at.desc(), reports.c.id.desc()).limit(limit)
    return [_plain(row) for row in (await connection.execute(statement)).mappings()]


async def count(connection: AsyncConnection, wanted: JobFilter) -> int:
    """How many jobs match."""
    return await connection.scalar(select(func.count()).select_from(reports).where(*_conditions(wanted))) or 0


async def show(connection: AsyncConnection, report_id: UUID) -> dict[str, Any] | None:
    """One job with its ``attempts``, oldest first, and its model ``calls`` with their costs; None where unknown."""
    job = (await connection.execute(select(*_SHOWN).where(reports.c.id == report_id))).mappings().one_or_none()
    if job is None:
        return None
    tries = select(*_TRY).where(report_attempts.c.report_id == report_id).order_by(report_attempts.c.attempt)
    calls = select(model_calls).where(model_calls.c.report_id == report_id).order_by(model_calls.c.started_at)
    attempts = [_plain(row) for row in (await connection.execute(tries)).mappings()]
    booked = [_plain(row) for row in (await connection.execute(calls)).mappings()]
    return _plain(job) | {"attempts": attempts, "calls": booked}


async def logs(connection: AsyncConnection, report_id: UUID, attempt: int | None = None) -> list[dict[str, Any]] | None:
    """The job's tries with the ``log`` lines each left when it ended, oldest first; None where the job is unknown."""
    if await connection.scalar(select(reports.c.id).where(reports.c.id == report_id)) is None:
        return None
    statement = select(*_LOGGED).where(report_attempts.c.report_id == report_id).order_by(report_attempts.c.attempt)
    if attempt is not None:
        statement = statement.where(report_attempts.c.attempt == attempt)
    return [_plain(row) for row in (await connection.execute(statement)).mappings()]


async def known(connection: AsyncConnection, report_ids: Sequence[UUID]) -> dict[UUID, JobRow]:
    """Those of the jobs that exist, locked to the transaction's end; in one order, so that no acts block each other."""
    columns = (reports.c.id, reports.c.tenant_id, reports.c.status, reports.c.bulk)
    statement = select(*columns).where(reports.c.id.in_(report_ids)).order_by(reports.c.id).with_for_update()
    return {row.id: JobRow(row.id, row.tenant_id, row.status, row.bulk) for row in await connection.execute(statement)}


async def remove(connection: AsyncConnection, report_ids: Sequence[UUID]) -> None:
    """Delete jobs; what their model calls cost stays in the books."""
    await connection.execute(delete(reports).where(reports.c.id.in_(report_ids)))


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    """SQLAlchemy's names are a kind of str that no JSON writer takes as a key."""
    return {str(name): value for name, value in row.items()}


def _conditions(wanted: JobFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.states is not None:
        conditions.append(reports.c.status.in_(sorted(wanted.states)))
    if wanted.tenant is not None:
        conditions.append(reports.c.tenant_id == wanted.tenant)
    if wanted.session is not None:
        conditions.append(reports.c.session_id == wanted.session)
    if wanted.error is not None:
        conditions.append(reports.c.error.icontains(wanted.error, autoescape=True))
    if wanted.participant is not None:
        taking_part = sessions.c.participants.contains([{"id": wanted.participant}])
        theirs = select(sessions.c.tenant_id, sessions.c.id).where(taking_part)
        conditions.append(tuple_(reports.c.tenant_id, reports.c.session_id).in_(theirs))
    if wanted.before is not None:
        conditions.append(reports.c.created_at < wanted.before)
    if wanted.since is not None:
        conditions.append(reports.c.created_at >= wanted.since)
    if wanted.parked is not None:
        conditions.append(reports.c.parked_at.is_not(None) if wanted.parked else reports.c.parked_at.is_(None))
    return conditions
