"""Who was refused by the admin API, in the audit log: each act a viewer tried, and strangers at a bounded price."""

import asyncio
from typing import Any, Final

import structlog

from afterbell.adapters.db import audit
from afterbell.adapters.db.audit import Act
from afterbell.adapters.db.database import Database
from afterbell.api.admin.admin_tokens import Admin
from afterbell.core.errors import StoreUnavailable
from afterbell.core.report.attempt_log import harmless

log = structlog.get_logger(__name__)

TRIED_CHARS_MAX: Final = 200
# Whoever reaches the port can be refused as often as they like; the record is not to grow with it.
STRANGERS_EVERY_S: Final = 10.0


class Refusals:
    """Writes refusals down. Where the record is away, the log has them: no refusal waits for it or fails by it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._strangers_from = float("-inf")
        self._uncounted = 0

    async def of(self, admin: Admin, tried: str) -> None:
        """Somebody with a token tried what their role forbids."""
        log.warning("admin_refused", tried=tried, actor=admin.actor, because="role")
        await self._record(admin.actor, tried, "role", {})

    async def of_stranger(self, tried: str, because: str) -> None:
        """Somebody came without a token of ours: a row in ten seconds, which tells how many went before it unseen."""
        log.warning("admin_refused", tried=tried, because=because)
        now = asyncio.get_running_loop().time()
        if now < self._strangers_from:
            self._uncounted += 1
            return
        self._strangers_from = now + STRANGERS_EVERY_S
        more, self._uncounted = self._uncounted, 0
        await self._record("nobody", tried, because, {"others_before": more} if more else {})

    async def _record(self, actor: str, tried: str, because: str, details: dict[str, Any]) -> None:
        refusal = Act(None, actor, "admin.refused", harmless(tried, TRIED_CHARS_MAX), because, details)
        try:
            async with self._database.transaction() as connection:
                await audit.record(connection, refusal)
        except StoreUnavailable as error:
            log.warning("refusal_unrecorded", error=str(error))
