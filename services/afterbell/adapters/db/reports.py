"""Reports on their way: claimed, moved along, finished, failed; and what readers ask of them.

Every write of a worker names the attempt it belongs to. A claim raises the number, so whatever an earlier attempt
still writes matches no row: that is what keeps a stalled worker's late result out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, Uuid, and_, bindparam, exists, func, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from afterbell.adapters.db import deliveries
from afterbell.adapters.db.tables import report_attempts, reports, sessions
from afterbell.adapters.db.upgrades import UPGRADER
from afterbell.core.jobs import ReportStatus
from afterbell.core.report import Usage
from afterbell.core.webhooks import Event

# One array, not a list of parameters: the statement is the same text, and prepared once, for any number of reports.
_MARK_PUT: Final = text("UPDATE reports SET put_at = now() WHERE id = ANY(:report_ids)").bindparams(
    bindparam("report_ids", type_=ARRAY(Uuid()))
)
UNFINISHED: Final = ("queued", "deferred", "running")
_STATE_COLUMNS: Final = (
    reports.c.id,
    reports.c.version,
    reports.c.status,
    reports.c.progress,
    reports.c.stage,
    reports.c.attempt,
    reports.c.error,
    reports.c.created_at,
    sessions.c.participants,
    sessions.c.subject,
)
# Clients poll these: built once, since composing one anew adds half to its round trip (0.2 ms to 0.3 ms).
_NEWEST: Final = (
    select(*_STATE_COLUMNS)
    .join_from(reports, sessions)
    .where(reports.c.tenant_id == bindparam("tenant_id"), reports.c.session_id == bindparam("session_id"))
    .order_by(reports.c.version.desc())
    .limit(1)
)
_NEWEST_FINISHED: Final = _NEWEST.add_columns(reports.c.content).where(reports.c.status == "succeeded")
_WATCHED: Final = (
    select(*_STATE_COLUMNS, reports.c.tenant_id, reports.c.session_id)
    .ext(distinct_on(reports.c.tenant_id, reports.c.session_id))
    .join_from(reports, sessions)
    .where(
        text(
            "(reports.tenant_id, reports.session_id) IN "
            "(SELECT * FROM unnest(CAST(:tenant_ids AS text[]), CAST(:session_ids AS text[])))"
        )
    )
    .order_by(reports.c.tenant_id, reports.c.session_id, reports.c.version.desc())
)
_POSITION: Final = select(func.count()).where(
    reports.c.status.in_(("queued", "deferred")), reports.c.created_at <= bindparam("created_at")
)

# Side by side: under a limiter few or none may run in the moment of the question, so the last minute counts.
_PACE: Final = text("""
    WITH made AS (
        SELECT report_attempts.started_at, ended_at
        FROM reports JOIN report_attempts ON report_id = reports.id AND report_attempts.outcome = 'succeeded'
        WHERE reports.status = 'succeeded' ORDER BY reports.created_at DESC LIMIT 50)
    SELECT (SELECT avg(extract(epoch FROM ended_at - started_at)) FROM made) AS report_s,
           greatest(
             (SELECT count(*) FROM reports WHERE status = 'running'),
             (SELECT max(beside) FROM (
                SELECT (SELECT count(*) FROM made AS other
                        WHERE other.started_at <= one.started_at AND other.ended_at > one.started_at) AS beside
                FROM made AS one WHERE one.ended_at > now() - interval '1 minute') AS counted)) AS side_by_side
""")


@dataclass(frozen=True, slots=True)
class Claim:
    """What a worker may write a report for. ``attempt`` fences its writes; ``traceparent`` is the request's.

    ``is_upgrade``: a basic report of the session stands already.
    """

    report_id: UUID
    tenant_id: str
    session_id: str
    version: int
    attempt: int
    requested_at: datetime
    traceparent: str | None = None
    is_upgrade: bool = False


@dataclass(frozen=True, slots=True)
class Unput:
    """A committed report the queue has to know; tenant and ``bulk`` decide the lane it waits in.

    ``was_put`` where the queue was told since the report was asked for or opened again.
    """

    report_id: UUID
    tenant_id: str
    was_put: bool = False
    bulk: bool = False


@dataclass(frozen=True, slots=True)
class ReportRow:
    """The newest report of a session, as its readers ask for it. ``participants`` are the session's."""

    report_id: UUID
    version: int
    status: ReportStatus
    progress: int
    stage: str
    attempt: int
    error: str | None
    content: dict[str, Any] | None
    created_at: datetime
    participants: list[dict[str, Any]]
    subject: str


async def newest(connection: AsyncConnection, tenant_id: str, session_id: str) -> ReportRow | None:
    """The session's newest report, whatever its state and without its content, or None."""
    return await _one(connection, _NEWEST, tenant_id, session_id)


async def newest_of(
    connection: AsyncConnection, watched: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], ReportRow]:
    """The newest report of each (tenant, session) that has one, in one query."""
    tenant_ids, session_ids = [one[0] for one in watched], [one[1] for one in watched]
    found = await connection.execute(_WATCHED, {"tenant_ids": tenant_ids, "session_ids": session_ids})
    return {(row["tenant_id"], row["session_id"]): _report_row(row) for row in found.mappings()}


async def newest_finished(connection: AsyncConnection, tenant_id: str, session_id: str) -> ReportRow | None:
    """The session's newest report that succeeded, with its content, or None."""
    return await _one(connection, _NEWEST_FINISHED, tenant_id, session_id)


async def position(connection: AsyncConnection, created_at: datetime) -> int:
    """How many reports wait, this one included, that were asked for no later: 1 = next."""
    # The report may have been claimed since its row was read; it was next then.
    return max(await connection.scalar(_POSITION, {"created_at": created_at}) or 0, 1)


async def pace(connection: AsyncConnection) -> tuple[float | None, int]:
    """(mean seconds of the tries that made the 50 newest reports, None without any; how many ran at once lately)."""
    row = (await connection.execute(_PACE)).one()
    return None if row.report_s is None else float(row.report_s), row.side_by_side


async def claim(connection: AsyncConnection, report_id: UUID, worker: str) -> Claim | None:
    """Start the next attempt of an unfinished report; None where it is finished or unknown."""
    statement = (
        update(reports)
        .where(reports.c.id == report_id, reports.c.status.in_(UNFINISHED))
        .values(
            status="running",
            attempt=reports.c.attempt + 1,
            progress=0,
            stage="claimed",
            started_at=func.coalesce(reports.c.started_at, func.now()),
            updated_at=func.now(),
        )
        .returning(
            reports.c.tenant_id,
            reports.c.session_id,
            reports.c.version,
            reports.c.attempt,
            reports.c.created_at,
            reports.c.traceparent,
            reports.c.requested_by,
        )
    )
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        return None
    await connection.execute(insert(report_attempts).values(report_id=report_id, attempt=row.attempt, worker=worker))
    return Claim(report_id, row.tenant_id, row.session_id, row.version, row.attempt, row.created_at, row.traceparent,
                 row.requested_by == UPGRADER)  # fmt: skip


async def advance(connection: AsyncConnection, claimed: Claim, percent: int, stage: str) -> bool:
    """Raise the progress; never lowers it within an attempt. False where the attempt is not the current one."""
    statement = (
        update(reports)
        .where(_current(claimed))
        .values(progress=func.greatest(reports.c.progress, percent), stage=stage, updated_at=func.now())
    )
    return (await connection.execute(statement)).rowcount == 1


async def finish(
    connection: AsyncConnection,
    claimed: Claim,
    content: dict[str, Any],
    revision: int,
    *,
    upgrade_pending: bool = False,
) -> bool:
    """Commit the report's content, and tell the tenant's webhooks of it in the same transaction.

    False, and nothing changed, where the attempt is not the current one.
    """
    values: dict[str, Any] = {
        "status": "succeeded",
        "progress": 100,
        "stage": "done",
        "content": content,
        "revision": revision,
        "upgrade_pending": upgrade_pending,
        "error": None,
        "finished_at": func.now(),
        "updated_at": func.now(),
    }
    if (await connection.execute(update(reports).where(_current(claimed)).values(values))).rowcount != 1:
        return False
    await _announce(connection, "report.ready", claimed)
    if content.get("narrative", {}).get("concerns"):
        await _announce(connection, "report.concern", claimed)
    return True


async def end_try(connection: AsyncConnection, claimed: Claim, status: ReportStatus, stage: str, error: str) -> bool:
    """The try did not finish the report: it waits again (queued, deferred) or has failed for good."""
    statement = (
        update(reports)
        .where(_current(claimed))
        .values(
            status=status,
            stage=stage,
            error=error,
            progress=0 if status in UNFINISHED else reports.c.progress,
            finished_at=None if status in UNFINISHED else func.now(),
            updated_at=func.now(),
        )
    )
    if (await connection.execute(statement)).rowcount != 1:
        return False
    if status == "failed":
        await _announce(connection, "report.failed", claimed)
    return True


async def bury(connection: AsyncConnection, report_id: UUID, error: str) -> bool:
    """The queue gave the job up: mark an unfinished report as failed. Call it in a transaction."""
    statement = (
        update(reports)
        .where(reports.c.id == report_id, reports.c.status.in_(UNFINISHED))
        .values(status="failed", stage="failed", error=error, finished_at=func.now(), updated_at=func.now())
        .returning(reports.c.tenant_id, reports.c.session_id, reports.c.version)
    )
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        return False
    await deliveries.announce(connection, row.tenant_id, "report.failed", report_id=report_id,
                              session_id=row.session_id, version=row.version)  # fmt: skip
    return True


async def book(
    connection: AsyncConnection,
    claimed: Claim,
    *,
    outcome: str,
    error: str | None = None,
    model: str | None = None,
    request_id: str | None = None,
    usage: Usage | None = None,
    log: Sequence[Mapping[str, str]] = (),
) -> None:
    """Close the attempt's row with what it cost and its ``log``; unfenced, since a late answer was paid for as well.

    Once: where the first commit's answer was lost, what comes after it changes nothing.
    """
    values: dict[str, Any] = {"outcome": outcome, "error": error, "ended_at": func.now(), "model": model,
                              "request_id": request_id, "log": list(log)}  # fmt: skip
    if usage is not None:
        values |= {
            "input_tokens": usage.input_tokens,
            "cached_tokens": usage.cached_tokens,
            "output_tokens": usage.output_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
        }
    this = and_(
        report_attempts.c.report_id == claimed.report_id,
        report_attempts.c.attempt == claimed.attempt,
        report_attempts.c.outcome.is_(None),
    )
    await connection.execute(update(report_attempts).where(this).values(values))


async def to_put(
    connection: AsyncConnection, *, unput_after: timedelta, reput_after: timedelta, run_after: timedelta, limit: int
) -> list[Unput]:
    """Unfinished reports the queue may not know: never put, put long ago, or running without a sign of life.

    Where one was put long ago, those put half as long ago come along: a put costs the same for one and for all, so a
    backlog costs one command in half of ``reput_after``. By PostgreSQL's clock, which wrote the times: that of a pod
    may be minutes off.
    """
    now = func.now()
    waiting = reports.c.status.in_(("queued", "deferred"))
    any_late = exists().where(waiting, reports.c.put_at < now - reput_after)
    statement = (
        select(reports.c.id, reports.c.tenant_id, reports.c.put_at.is_not(None).label("was_put"), reports.c.bulk)
        .where(
            or_(
                and_(waiting, reports.c.put_at.is_(None), reports.c.created_at < now - unput_after),
                and_(waiting, any_late, reports.c.put_at < now - reput_after / 2),
                and_(reports.c.status == "running", reports.c.updated_at < now - run_after,
                     or_(reports.c.put_at.is_(None), reports.c.put_at < now - run_after)),
            )
        )
        .order_by(reports.c.created_at)
        .limit(limit)
    )  # fmt: skip
    return [Unput(row.id, row.tenant_id, row.was_put, row.bulk) for row in await connection.execute(statement)]


async def mark_put(connection: AsyncConnection, batch: Sequence[Unput], *, given_up: Sequence[UUID] = ()) -> None:
    """Remember that the queue has these; those it has ``given_up`` are marked as failed."""
    await connection.execute(_MARK_PUT, {"report_ids": [report.report_id for report in batch]})
    for report_id in given_up:
        await bury(connection, report_id, "the queue gave this job up")


async def try_sweep_lock(connection: AsyncConnection) -> bool:
    """True where no other process sweeps; held until the transaction ends."""
    return bool(await connection.scalar(text("SELECT pg_try_advisory_xact_lock(hashtext('afterbell.sweep'))")))


async def _one(connection: AsyncConnection, newest: Select[Any], tenant_id: str, session_id: str) -> ReportRow | None:
    found = await connection.execute(newest, {"tenant_id": tenant_id, "session_id": session_id})
    row = found.mappings().one_or_none()
    return None if row is None else _report_row(row)


async def _announce(connection: AsyncConnection, event: Event, claimed: Claim) -> None:
    await deliveries.announce(connection, claimed.tenant_id, event, report_id=claimed.report_id,
                              session_id=claimed.session_id, version=claimed.version)  # fmt: skip


def _current(claimed: Claim) -> Any:
    return and_(reports.c.id == claimed.report_id, reports.c.attempt == claimed.attempt, reports.c.status == "running")


def _report_row(row: Mapping[Any, Any]) -> ReportRow:
    return ReportRow(
        report_id=row["id"],
        version=row["version"],
        status=row["status"],
        progress=row["progress"],
        stage=row["stage"],
        attempt=row["attempt"],
        error=row["error"],
        content=row.get("content"),
        created_at=row["created_at"],
        participants=row["participants"],
        subject=row["subject"],
    )
