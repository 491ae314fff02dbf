"""Reports on their way: claimed, moved along, finished, failed; and what readers ask of them.

Every write of a worker names the attempt it belongs to. A claim raises the number, so whatever an earlier attempt
still writes matches no row: that is what keeps a stalled worker's late result out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, Uuid, and_, bindparam, func, select, text, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from afterbell.adapters.db.reports.upgrades import UPGRADER
from afterbell.adapters.db.tables import report_attempts, reports, sessions
from afterbell.adapters.db.webhooks import deliveries
from afterbell.core.queue.outcomes import ReportStatus
from afterbell.core.usage import Usage
from afterbell.core.webhooks.signing import Event

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


# Where the report was taken back to an earlier time and its attempts were not, the number begins anew.
_BEGIN_ATTEMPT: Final = text("""
INSERT INTO report_attempts (report_id, attempt, worker) VALUES (:report_id, :attempt, :worker)
ON CONFLICT (report_id, attempt) DO UPDATE
SET worker = excluded.worker, started_at = now(), ended_at = NULL, outcome = NULL, error = NULL
""").bindparams(bindparam("report_id", type_=Uuid()))


@dataclass(frozen=True, slots=True)
class Claim:
    """What a worker may write a report for. ``attempt`` fences its writes; ``traceparent`` is the request's.

    ``waited_s``: seconds since its first try began, after it was asked for or opened again.

    ``is_upgrade``: a basic report of the session stands already.
    """

    report_id: UUID
    tenant_id: str
    session_id: str
    version: int
    attempt: int
    requested_at: datetime
    waited_s: float
    traceparent: str | None = None
    is_upgrade: bool = False


@dataclass(frozen=True, slots=True)
class PendingReport:
    """A committed report the queue has to know; tenant and ``bulk`` decide the lane it waits in.

    ``was_enqueued`` where the queue was told since the report was asked for or opened again.
    """

    report_id: UUID
    tenant_id: str
    was_enqueued: bool = False
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
    return await _only_row(connection, _NEWEST, tenant_id, session_id)


async def newest_of(
    connection: AsyncConnection, watched: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], ReportRow]:
    """The newest report of each (tenant, session) that has one, in one query."""
    tenant_ids, session_ids = [tenant for tenant, _ in watched], [session for _, session in watched]
    result = await connection.execute(_WATCHED, {"tenant_ids": tenant_ids, "session_ids": session_ids})
    return {(row["tenant_id"], row["session_id"]): _report_row(row) for row in result.mappings()}


async def newest_finished(connection: AsyncConnection, tenant_id: str, session_id: str) -> ReportRow | None:
    """The session's newest report that succeeded, with its content, or None."""
    return await _only_row(connection, _NEWEST_FINISHED, tenant_id, session_id)


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
            # Whoever remembers that the queue has it may have found the row locked by this.
            put_at=func.coalesce(reports.c.put_at, func.now()),
            updated_at=func.now(),
        )
        .returning(
            reports.c.tenant_id,
            reports.c.session_id,
            reports.c.version,
            reports.c.attempt,
            reports.c.created_at,
            func.extract("epoch", func.now() - reports.c.started_at).label("waited_s"),
            reports.c.traceparent,
            reports.c.requested_by,
        )
    )
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        return None
    await connection.execute(_BEGIN_ATTEMPT, {"report_id": report_id, "attempt": row.attempt, "worker": worker})
    return Claim(
        report_id,
        row.tenant_id,
        row.session_id,
        row.version,
        row.attempt,
        row.created_at,
        float(row.waited_s),
        row.traceparent,
        row.requested_by == UPGRADER,
    )


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
        await raise_concern(connection, claimed)
    return True


async def raise_concern(connection: AsyncConnection, claimed: Claim) -> None:
    """Tell the tenant's webhooks that somebody should look at the session; once a report, whatever becomes of it."""
    await _announce(connection, "concern.raised", claimed, once=True)


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
    await deliveries.announce(
        connection, row.tenant_id, "report.failed", report_id=report_id, session_id=row.session_id, version=row.version
    )
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
    values: dict[str, Any] = {
        "outcome": outcome,
        "error": error,
        "ended_at": func.now(),
        "model": model,
        "request_id": request_id,
        "log": list(log),
    }
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


async def _only_row(
    connection: AsyncConnection, newest: Select[Any], tenant_id: str, session_id: str
) -> ReportRow | None:
    result = await connection.execute(newest, {"tenant_id": tenant_id, "session_id": session_id})
    row = result.mappings().one_or_none()
    return None if row is None else _report_row(row)


async def _announce(connection: AsyncConnection, event: Event, claimed: Claim, *, once: bool = False) -> None:
    await deliveries.announce(
        connection,
        claimed.tenant_id,
        event,
        report_id=claimed.report_id,
        session_id=claimed.session_id,
        version=claimed.version,
        once=once,
    )


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
