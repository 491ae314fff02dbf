"""Basic reports written because no model could be had: asked for anew, as the session's next version."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

UPGRADER: Final = "afterbell:upgrade"
"""Who asked for such a version. It is dropped, not failed, where it comes to nothing: the basic one still stands."""
WITHIN: Final = timedelta(days=7)
"""After this long nobody waits for a better report."""
ASKED_MAX: Final = 100

_ASK: Final = text("""
WITH due AS (
    SELECT r.id, r.tenant_id, r.session_id, r.version, s.revision
    FROM reports r JOIN sessions s ON s.tenant_id = r.tenant_id AND s.id = r.session_id
    WHERE r.upgrade_pending
      AND r.finished_at > now() - CAST(:within AS interval) AND r.updated_at < now() - CAST(:after AS interval)
      AND NOT EXISTS (SELECT 1 FROM reports later WHERE later.tenant_id = r.tenant_id
                      AND later.session_id = r.session_id AND later.version > r.version)
      AND EXISTS (SELECT 1 FROM messages m WHERE m.tenant_id = r.tenant_id AND m.session_id = r.session_id)
    ORDER BY r.finished_at LIMIT :most
), taken AS (
    UPDATE reports SET upgrade_pending = false FROM due WHERE reports.id = due.id
)
INSERT INTO reports (id, tenant_id, session_id, version, revision, requested_by, bulk)
SELECT gen_random_uuid(), tenant_id, session_id, version + 1, revision, :upgrader, true FROM due
ON CONFLICT (tenant_id, session_id, version) DO NOTHING
""")
_DROP: Final = text("""
WITH gone AS (
    DELETE FROM reports WHERE id = :report_id AND attempt = :attempt AND status = 'running'
    RETURNING tenant_id, session_id, version
)
UPDATE reports SET upgrade_pending = :again, updated_at = now() FROM gone
WHERE reports.tenant_id = gone.tenant_id AND reports.session_id = gone.session_id
  AND reports.version = gone.version - 1
""")


async def ask(connection: AsyncConnection, *, after: timedelta) -> int:
    """Ask for a better version of basic reports that have stood for ``after``; how many. The sweeper puts them."""
    wanted = {"within": WITHIN, "after": after, "most": ASKED_MAX, "upgrader": UPGRADER}
    return (await connection.execute(_ASK, wanted)).rowcount


async def drop(connection: AsyncConnection, report_id: UUID, attempt: int, *, again: bool) -> None:
    """The better version came to nothing: the basic one is the newest again, and is worth another try or not."""
    await connection.execute(_DROP, {"report_id": report_id, "attempt": attempt, "again": again})
