"""What a waiting client is told: how many reports are before theirs, and how fast they are made."""

from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from afterbell.adapters.db.tables import reports

_WAITING: Final = (
    select(reports.c.created_at)
    .where(reports.c.status.in_(("queued", "deferred")))
    .order_by(reports.c.created_at)
    .limit(bindparam("most"))
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


async def waiting(connection: AsyncConnection, *, most: int) -> list[datetime]:
    """When the reports that wait were asked for, the first ``most`` of them, oldest first."""
    return list((await connection.scalars(_WAITING, {"most": most})).all())


async def pace(connection: AsyncConnection) -> tuple[float | None, int]:
    """(mean seconds of the tries that made the 50 newest reports, None without any; how many ran at once lately)."""
    row = (await connection.execute(_PACE)).one()
    return None if row.report_s is None else float(row.report_s), row.side_by_side
