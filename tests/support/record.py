"""Work on a migrated database: a pool for a block, a stored session, a report on its way."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import insert, text
from tests.core.sessions import lesson

from afterbell.adapters.db import sessions
from afterbell.adapters.db.database import Database
from afterbell.adapters.db.reports import rows as reports
from afterbell.adapters.db.reports.rows import Claim
from afterbell.adapters.db.tables import reports as reports_table
from afterbell.core.session import Session

LESSON = lesson("T: How would you start?", "S: I would add the tops.")


@dataclass(slots=True)
class Record:
    """A database and a tenant of the test's own."""

    database: Database
    tenant: str = field(default_factory=lambda: f"tenant-{uuid.uuid4().hex}")

    async def stored(self, session: Session = LESSON, digest: str = "d") -> str:
        async with self.database.transaction() as connection:
            await sessions.save(connection, self.tenant, session, digest, keep_messages=False)
        return session.id

    async def report(self, session_id: str = LESSON.id, **columns: Any) -> UUID:
        """A report row as given; queued and version 1 unless told otherwise."""
        report_id = uuid.uuid4()
        values = {"version": 1, "revision": 1, "requested_by": "boss"} | columns
        await self.run(
            insert(reports_table).values(id=report_id, tenant_id=self.tenant, session_id=session_id, **values)
        )
        return report_id

    async def run(self, statement: Any) -> Any:
        async with self.database.transaction() as connection:
            result = await connection.execute(statement)
            return result.mappings().all() if result.returns_rows else result.rowcount

    async def row(self, report_id: UUID) -> dict[str, Any]:
        (row,) = await self.run(text("SELECT * FROM reports WHERE id = :id").bindparams(id=report_id))
        return dict(row)

    async def claim(self, report_id: UUID, worker: str = "w") -> Claim:
        async with self.database.transaction() as connection:
            claimed = await reports.claim(connection, report_id, worker)
        assert claimed is not None
        return claimed


@asynccontextmanager
async def record_in(url: str, *, pool_size: int = 10) -> AsyncIterator[Record]:
    """A database of this URL, with a pool that is closed after the block."""
    database = Database(url, pool_size=pool_size)
    try:
        yield Record(database)
    finally:
        await database.close()


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)
