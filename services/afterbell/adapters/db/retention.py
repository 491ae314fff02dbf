"""The retention job: nothing is kept for longer than the operator's policy says, and none of it is lost early.

Deletes in small transactions, so that it can be stopped and started again at any point and holds nobody up.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, get_args

from sqlalchemy import TextClause, text

from afterbell.adapters.db import audit
from afterbell.adapters.db.audit import Act
from afterbell.adapters.db.engine import Connection, Database
from afterbell.core.errors import Conflict

Kind = Literal["transcripts", "reports", "sessions", "attempts", "deliveries", "audit_log"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
BATCH_MAX: Final = 500
# A session has up to 5,000 messages.
SESSIONS_MAX: Final = 50


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

    def cutoff(self, kind: Kind, now: datetime) -> datetime:
        """What is older than this goes."""
        days = {
            "transcripts": self.transcript_days,
            "reports": self.report_days,
            "sessions": self.report_days,
            "attempts": self.attempt_days,
            "deliveries": self.delivery_days,
            "audit_log": self.audit_days,
        }
        return now - timedelta(days=days[kind])


# Each finds at most :batch rows older than :before. A transcript stays while a report is still to be written from it.
_OLD: Final[dict[Kind, str]] = {
    "transcripts": """SELECT s.tenant_id, s.id FROM sessions s WHERE s.updated_at < :before
        AND EXISTS (SELECT 1 FROM messages m WHERE m.tenant_id = s.tenant_id AND m.session_id = s.id)
        AND NOT EXISTS (SELECT 1 FROM reports r WHERE r.tenant_id = s.tenant_id AND r.session_id = s.id
                        AND r.status IN ('queued', 'deferred', 'running'))
        ORDER BY s.updated_at LIMIT :batch""",
    "reports": """SELECT id FROM reports WHERE status IN ('succeeded', 'failed', 'cancelled')
        AND coalesce(finished_at, created_at) < :before LIMIT :batch""",
    "sessions": """SELECT s.tenant_id, s.id FROM sessions s WHERE s.updated_at < :before
        AND NOT EXISTS (SELECT 1 FROM reports r WHERE r.tenant_id = s.tenant_id AND r.session_id = s.id)
        ORDER BY s.updated_at LIMIT :batch""",
    "attempts": """SELECT report_id, attempt FROM report_attempts
        WHERE outcome IS NOT NULL AND ended_at < :before LIMIT :batch""",
    "deliveries": """SELECT id FROM webhook_deliveries WHERE status <> 'pending' AND ended_at < :before LIMIT :batch""",
    "audit_log": """SELECT id FROM audit_log WHERE at < :before ORDER BY id LIMIT :batch""",
}
_DELETE: Final[dict[Kind, str]] = {
    # Sent again, such a session is stored anew: what was deleted must not pass for unchanged.
    "transcripts": """WITH old AS ({old} FOR UPDATE OF s SKIP LOCKED), gone AS (
            DELETE FROM messages m USING old WHERE m.tenant_id = old.tenant_id AND m.session_id = old.id)
        UPDATE sessions s SET input_sha256 = '' FROM old WHERE s.tenant_id = old.tenant_id AND s.id = old.id""",
    "reports": "DELETE FROM reports WHERE id IN ({old})",
    "sessions": "DELETE FROM sessions WHERE (tenant_id, id) IN ({old})",
    "attempts": "DELETE FROM report_attempts WHERE (report_id, attempt) IN ({old})",
    "deliveries": "DELETE FROM webhook_deliveries WHERE id IN ({old})",
    "audit_log": "DELETE FROM audit_log WHERE id IN ({old})",
}


async def run(
    database: Database, rules: RetentionRules, *, now: datetime, by: str, dry_run: bool = False
) -> dict[Kind, int]:
    """Delete what is too old at ``now``; how many transcripts, reports, … that were (a dry run: would be).

    Raises Conflict where another run is under way.
    """
    counts: dict[Kind, int] = {}
    async with database.transaction() as guard:
        if not await guard.scalar(text("SELECT pg_try_advisory_xact_lock(hashtext('afterbell.retention'))")):
            raise Conflict("another retention run is under way: let it finish")
        for kind in KINDS:
            before = rules.cutoff(kind, now)
            counts[kind] = await (_count(guard, kind, before) if dry_run else _delete(database, kind, before))
        if not dry_run:
            details = {str(kind): count for kind, count in counts.items()}
            await audit.record(guard, Act(None, by, "retention.run", "all tenants", details=details))
    return counts


async def _count(connection: Connection, kind: Kind, before: datetime) -> int:
    statement = text(f"SELECT count(*) FROM ({_OLD[kind]}) old")  # noqa: S608  # texts of this file
    return int(await connection.scalar(statement, {"before": before, "batch": None}) or 0)


async def _delete(database: Database, kind: Kind, before: datetime) -> int:
    batch = SESSIONS_MAX if kind in ("transcripts", "sessions") else BATCH_MAX
    statement, total = _statement(kind), 0
    while True:
        async with database.transaction() as connection:
            if kind == "audit_log":
                await connection.execute(text("SET LOCAL afterbell.retention = 'on'"))
            found = (await connection.execute(statement, {"before": before, "batch": batch})).rowcount
        total += found
        if found < batch:
            return total


def _statement(kind: Kind) -> TextClause:
    return text(_DELETE[kind].format(old=_OLD[kind]))
