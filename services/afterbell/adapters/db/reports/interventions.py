"""What people do to reports from outside: cancel one, open failed ones again. The queue is told afterwards."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncConnection

from afterbell.adapters.db.reports.rows import UNFINISHED
from afterbell.adapters.db.tables import reports


async def cancel(connection: AsyncConnection, report_id: UUID) -> bool:
    """Mark an unfinished report as cancelled; its worker finds the attempt closed. False where it ended."""
    statement = (
        update(reports)
        .where(reports.c.id == report_id, reports.c.status.in_(UNFINISHED))
        .values(status="cancelled", stage="cancelled", finished_at=func.now(), updated_at=func.now())
    )
    return (await connection.execute(statement)).rowcount == 1


async def reopen(connection: AsyncConnection, report_ids: Sequence[UUID]) -> list[UUID]:
    """Let failed reports wait again; the ids that were failed. The sweeper puts what the queue then is not told."""
    statement = (
        update(reports)
        .where(reports.c.id.in_(report_ids), reports.c.status == "failed")
        .values(
            status="queued",
            stage="queued",
            progress=0,
            error=None,
            started_at=None,
            finished_at=None,
            put_at=None,
            updated_at=func.now(),
        )
        .returning(reports.c.id)
    )
    return list((await connection.scalars(statement)).all())
