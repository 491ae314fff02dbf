"""Work on a migrated database: a pool for a block, a stored session, a report on its way."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import insert, text
from tests.core.sessions import lesson

from afterbell.adapters.db import reports, sessions
from afterbell.adapters.db.engine import Database
from afterbell.adapters.db.reports import Claim
from afterbell.adapters.db.tables import reports as reports_table
from afterbell.core.session import Session

T = TypeVar("T")
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
            found = await connection.execute(statement)
            return found.mappings().all() if found.returns_rows else found.rowcount

    async def row(self, report_id: UUID) -> dict[str, Any]:
        (found,) = await self.run(text("SELECT * FROM reports WHERE id = :id").bindparams(id=report_id))
        return dict(found)

    async def claim(self, report_id: UUID, worker: str = "w") -> Claim:
        async with self.database.transaction() as connection:
            claimed = await reports.claim(connection, report_id, worker)
        assert claimed is not None
        return claimed


def on(url: str, work: Callable[[Record], Awaitable[T]], *, pool_size: int = 10) -> T:
    """Run ``work`` with a pool that is closed afterwards."""

    async def run() -> T:
        database = Database(url, pool_size=pool_size)
        try:
            return await work(Record(database))
        finally:
            await database.close()

    return asyncio.run(run())


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)
