"""The retention job: nothing is kept for longer than the operator's policy says, and none of it is lost early.

Deletes in small transactions, oldest first, each found by an index that ends where the work ends. So it can be stopped
and started again at any point, holds nobody up, and costs the same after a year as after a day. A kind that fails is
left to the next run, and the others go on.
"""

import asyncio
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Final, Literal, get_args

import structlog
from sqlalchemy import TextClause, text

from afterbell.adapters.db import audit, work_locks
from afterbell.adapters.db.audit import Act
from afterbell.adapters.db.database import Connection, Database
from afterbell.core.errors import Conflict, StoreUnavailable

Kind = Literal["transcripts", "reports", "sessions", "attempts", "deliveries", "model_calls", "audit_log"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
# A batch begins small, since a session has up to 5,000 messages, and grows as long as it is over in a moment.
BATCH_FIRST: Final = 50
BATCH_MAX: Final = 2_000
BATCH_S: Final = 0.1
# A batch that fails is tried again, half as large, so many times in a row; then the kind is left to the next run.
FAILURES_MAX: Final = 5
AGAIN_S: Final = 1.0
# After a batch the job rests for this part of the time it took, at the most so long: others use the disk as well.
REST: Final = 0.5
REST_MAX_S: Final = 1.0
# For one batch and its rest, however slow.
LOCK_S: Final = 60.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """Days after which what is deleted. A session is as old as its last change, a report as its end.

    ``report_days`` also ends the session itself, with the names of who took part, once no report of it is left.
    """

    transcript_days: float
    report_days: float
    attempt_days: float
    delivery_days: float
    audit_days: float
    call_days: float

    def days(self, kind: Kind) -> float:
        """How long a kind is kept."""
        return {
            "transcripts": self.transcript_days,
            "reports": self.report_days,
            "sessions": self.report_days,
            "attempts": self.attempt_days,
            "deliveries": self.delivery_days,
            "model_calls": self.call_days,
            "audit_log": self.audit_days,
        }[kind]

    def cutoff(self, kind: Kind, now: datetime) -> datetime:
        """What is older than this goes."""
        return now - timedelta(days=self.days(kind))


@dataclass(frozen=True, slots=True)
class Deleted:
    """What became of one kind: how many were deleted (a dry run: would be), and why it stopped early, if it did."""

    count: int
    failure: str | None = None


# Each finds at most :batch rows older than :before. A transcript stays while a report is still to be written from it.
_OLD: Final[dict[Kind, str]] = {
    "transcripts": """SELECT s.tenant_id, s.id FROM sessions s
        WHERE s.emptied_at IS NULL AND s.last_seq > 0 AND s.updated_at < :before
        AND NOT EXISTS (SELECT 1 FROM reports r WHERE r.tenant_id = s.tenant_id AND r.session_id = s.id
                        AND r.status IN ('queued', 'deferred', 'running'))
        ORDER BY s.updated_at LIMIT :batch""",
    "reports": """SELECT id FROM reports WHERE status IN ('succeeded', 'failed', 'cancelled')
        AND coalesce(finished_at, created_at) < :before ORDER BY coalesce(finished_at, created_at) LIMIT :batch""",
    "sessions": """SELECT s.tenant_id, s.id FROM sessions s WHERE s.updated_at < :before
        AND NOT EXISTS (SELECT 1 FROM reports r WHERE r.tenant_id = s.tenant_id AND r.session_id = s.id)
        ORDER BY s.updated_at LIMIT :batch""",
    "attempts": """SELECT report_id, attempt FROM report_attempts
        WHERE outcome IS NOT NULL AND ended_at < :before ORDER BY ended_at LIMIT :batch""",
    "deliveries": """SELECT id FROM webhook_deliveries WHERE status <> 'pending' AND ended_at < :before
        ORDER BY ended_at LIMIT :batch""",
    # The sums by day and the budgets stay; a call that is still open is closed first, as a lost one.
    "model_calls": """SELECT id FROM model_calls WHERE outcome IS NOT NULL
        AND day < CAST(CAST(:before AS timestamptz) AT TIME ZONE 'UTC' AS date) ORDER BY day LIMIT :batch""",
    "audit_log": """SELECT id FROM audit_log WHERE at < :before ORDER BY at LIMIT :batch""",
}
# A row that somebody else holds locked is left to the next run.
_DELETE: Final[dict[Kind, str]] = {
    # Sent again, such a session is stored anew: what was deleted must not pass for unchanged.
    "transcripts": """WITH old AS MATERIALIZED ({old} FOR UPDATE OF s SKIP LOCKED), gone AS (
            DELETE FROM messages m USING old WHERE m.tenant_id = old.tenant_id AND m.session_id = old.id)
        UPDATE sessions s SET input_sha256 = '', emptied_at = now()
        FROM old WHERE s.tenant_id = old.tenant_id AND s.id = old.id""",
    "reports": "DELETE FROM reports WHERE id IN ({old} FOR UPDATE SKIP LOCKED)",
    "sessions": "DELETE FROM sessions WHERE (tenant_id, id) IN ({old} FOR UPDATE OF s SKIP LOCKED)",
    "attempts": "DELETE FROM report_attempts WHERE (report_id, attempt) IN ({old} FOR UPDATE SKIP LOCKED)",
    "deliveries": "DELETE FROM webhook_deliveries WHERE id IN ({old} FOR UPDATE SKIP LOCKED)",
    "model_calls": "DELETE FROM model_calls WHERE id IN ({old} FOR UPDATE SKIP LOCKED)",
    "audit_log": "DELETE FROM audit_log WHERE id IN ({old})",
}
_RAN: Final = text("""
INSERT INTO retention_runs (kind, keep_s, ran_at, completed_at, deleted, error)
VALUES (:kind, :keep_s, now(), CASE WHEN CAST(:error AS text) IS NULL THEN now() END, :deleted, :error)
ON CONFLICT (kind) DO UPDATE SET keep_s = excluded.keep_s, ran_at = excluded.ran_at, deleted = excluded.deleted,
    error = excluded.error, completed_at = coalesce(excluded.completed_at, retention_runs.completed_at)
""")
# The first entry of the index that finds what is to go. Not of sessions: they also stay for as long as a report does.
_OLDEST: Final[dict[Kind, str]] = {
    "transcripts": "SELECT min(updated_at) FROM sessions WHERE emptied_at IS NULL AND last_seq > 0",
    "reports": """SELECT min(coalesce(finished_at, created_at)) FROM reports
        WHERE status IN ('succeeded', 'failed', 'cancelled')""",
    "attempts": "SELECT min(ended_at) FROM report_attempts WHERE outcome IS NOT NULL",
    "deliveries": "SELECT min(ended_at) FROM webhook_deliveries WHERE status <> 'pending'",
    "model_calls": "SELECT CAST(min(day) + 1 AS timestamptz) FROM model_calls",
    "audit_log": "SELECT min(at) FROM audit_log",
}
_LAG: Final = text(
    " UNION ALL ".join(
        f"SELECT '{kind}' AS kind, greatest(extract(epoch FROM now() - ({oldest})), 0) AS age_s"  # noqa: S608
        for kind, oldest in _OLDEST.items()
    )
)
_RUNS: Final = text("SELECT kind, keep_s, extract(epoch FROM completed_at) AS completed_at FROM retention_runs")


@dataclass(frozen=True, slots=True)
class Lag:
    """Seconds: the age of the oldest data of a kind (0: there is none; None: it has no such promise), how long the last
    run was told to keep it, and when a run last deleted all that was due (Unix time); None where there was none."""

    oldest_s: float | None
    keep_s: float | None
    completed_at: float | None


async def run(
    database: Database, rules: RetentionRules, *, now: datetime, by: str, dry_run: bool = False, patience_s: float = 0.0
) -> dict[Kind, Deleted]:
    """Delete what is too old at ``now``; what became of each kind, also of those that failed.

    Raises Conflict where another run is under way, and still is after ``patience_s``.
    """
    if dry_run:
        return {kind: Deleted(await _count(database, kind, rules.cutoff(kind, now))) for kind in KINDS}
    holder = uuid.uuid4().hex
    await _wait_for_lock(database, holder, patience_s)
    deleted = {kind: await _delete_kind(database, kind, rules, now, holder) for kind in KINDS}
    details: dict[str, Any] = {kind: outcome.count for kind, outcome in deleted.items()}
    if failed := [kind for kind, outcome in deleted.items() if outcome.failure]:
        details["failed"] = failed
    async with database.transaction() as connection:
        await audit.record(connection, Act(None, by, "retention.run", "all tenants", details=details))
        await work_locks.release(connection, "retention", holder)
    return deleted


async def lag(connection: Connection) -> dict[str, Lag]:
    """How far behind retention is, by kind."""
    ages = {row.kind: float(row.age_s) for row in await connection.execute(_LAG)}
    lags: dict[str, Lag] = {kind: Lag(age_s, None, None) for kind, age_s in ages.items()}
    for row in await connection.execute(_RUNS):
        completed_at = None if row.completed_at is None else float(row.completed_at)
        lags[row.kind] = Lag(ages.get(row.kind), float(row.keep_s), completed_at)
    return lags


async def _wait_for_lock(database: Database, holder: str, patience_s: float) -> None:
    """A run that was killed leaves its lock to run out."""
    deadline = monotonic() + patience_s
    while not await _holds_lock(database, holder):
        if monotonic() >= deadline:
            raise Conflict("another retention run is under way: let it finish")
        await asyncio.sleep(AGAIN_S)


async def _holds_lock(database: Database, holder: str) -> bool:
    async with database.statement() as connection:
        return await work_locks.acquire(connection, "retention", holder, for_s=LOCK_S)


async def _count(database: Database, kind: Kind, before: datetime) -> int:
    statement = text(f"SELECT count(*) FROM ({_OLD[kind]}) old")  # noqa: S608  # texts of this file
    async with database.statement() as connection:
        return int(await connection.scalar(statement, {"before": before, "batch": None}) or 0)


async def _delete_kind(database: Database, kind: Kind, rules: RetentionRules, now: datetime, holder: str) -> Deleted:
    done = await _delete(database, kind, rules.cutoff(kind, now), holder)
    if done.failure:
        log.error("retention_failed", kind=kind, deleted=done.count, error=done.failure)
    keep_s = round(rules.days(kind) * 86_400)
    values = {"kind": kind, "keep_s": keep_s, "deleted": done.count, "error": done.failure}
    try:
        async with database.statement() as connection:
            await connection.execute(_RAN, values)
    except StoreUnavailable as error:
        return Deleted(done.count, done.failure or f"what was deleted could not be recorded: {error}")
    return done


async def _delete(database: Database, kind: Kind, before: datetime, holder: str) -> Deleted:
    """Batch after batch until none is full: larger after a quick one, smaller after a slow one or one that failed."""
    batch, total, failures = BATCH_FIRST, 0, 0
    while True:
        began = monotonic()
        try:
            await _holds_lock(database, holder)
            count = await _delete_batch(database, kind, before, batch)
        except Exception as error:
            failures += 1
            if failures == FAILURES_MAX:
                return Deleted(total, f"a batch of {batch} failed {failures} times in a row: {error}")
            batch = max(batch // 2, 1)
            await asyncio.sleep(AGAIN_S * failures)
            continue
        total, failures, took_s = total + count, 0, monotonic() - began
        if count < batch:
            return Deleted(total)
        batch = min(batch * 2, BATCH_MAX) if took_s < BATCH_S / 2 else max(batch // 2, 1) if took_s > BATCH_S else batch
        await asyncio.sleep(min(took_s * REST, REST_MAX_S))


async def _delete_batch(database: Database, kind: Kind, before: datetime, batch: int) -> int:
    async with database.transaction() as connection:
        if kind == "audit_log":
            await connection.execute(text("SET LOCAL afterbell.retention = 'on'"))
        return (await connection.execute(_statement(kind), {"before": before, "batch": batch})).rowcount


def _statement(kind: Kind) -> TextClause:
    return text(_DELETE[kind].format(old=_OLD[kind]))
