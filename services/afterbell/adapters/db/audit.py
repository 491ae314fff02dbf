"""The audit log: who did what to whose data, when and why. Rows are added, read, and never changed.

Write in the transaction of the act itself: what is not recorded has not happened, and the other way round.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from afterbell.adapters.db.tables import audit_log


@dataclass(frozen=True, slots=True)
class Act:
    """What is recorded. ``tenant`` None: the act concerns all of them, such as pausing a queue.

    ``actor``: ``role:subject`` of a token, or ``cli:user``; ``action``: a verb and a noun, ``report.view``;
    ``subject``: what it was done to; ``details``: JSON-ready, ids and counts only, never what was said.
    """

    tenant: str | None
    actor: str
    action: str
    subject: str
    reason: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recorded:
    """An act as it was recorded; ``id`` rises, so it pages."""

    id: int
    at: datetime
    act: Act


async def record(connection: AsyncConnection, act: Act) -> None:
    """Add one row in the caller's transaction."""
    values = {
        "tenant": act.tenant,
        "actor": act.actor,
        "action": act.action,
        "subject": act.subject,
        "reason": act.reason,
        "details": act.details,
    }
    await connection.execute(insert(audit_log).values(values))


async def read(
    connection: AsyncConnection,
    tenant: str | None,
    *,
    subject: str | None = None,
    action: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Recorded]:
    """The newest rows of a tenant (None: of every tenant), newest first; ``before`` an id, for the next page."""
    statement = select(audit_log).order_by(audit_log.c.id.desc()).limit(limit)
    for column, value in ((audit_log.c.tenant, tenant), (audit_log.c.subject, subject), (audit_log.c.action, action)):
        if value is not None:
            statement = statement.where(column == value)
    if before is not None:
        statement = statement.where(audit_log.c.id < before)
    rows = await connection.execute(statement)
    return [
        Recorded(row.id, row.at, Act(row.tenant, row.actor, row.action, row.subject, row.reason, row.details))
        for row in rows
    ]
