"""What has just changed, told by PostgreSQL itself (LISTEN/NOTIFY): it costs no query and no Redis command.

What is told is only a hint: whoever needs to be sure asks the tables now and then. So a lost connection, or a pooler
in front of PostgreSQL that swallows notifications, makes news late and never wrong.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import asyncpg
import orjson
import structlog

from afterbell.adapters.db.database import CONNECT_TIMEOUT_S, STATEMENT_TIMEOUT_S
from afterbell.adapters.db.url import dsn_of
from afterbell.core.backoff import Backoff
from afterbell.core.errors import MALFORMED
from afterbell.service import Service, repeat

REPORTS: Final = "afterbell_reports"
"""A report of a session changed its state."""
SESSIONS: Final = "afterbell_sessions"
"""A session has a new edition, or is deleted."""
BACKOFF: Final = Backoff(longest_s=2.0, jitter=0.9)
ALIVE_EVERY_S: Final = 20.0

log = structlog.get_logger(__name__)

# Called with tenant and session.
Heard = Callable[[str, str], None]


class Changes:
    """Calls what listens on a channel soon after a change, and every ``missed`` after a silence."""

    def __init__(self, url: str) -> None:
        self._dsn = dsn_of(url)
        self._listeners: dict[str, Heard] = {}
        self._missed: list[Callable[[], None]] = []
        self._service = Service("record_changes", self._run)

    def on(self, channel: str, changed: Heard, *, missed: Callable[[], None]) -> None:
        """Hear of every change on ``channel``; before ``start``."""
        self._listeners[channel] = changed
        self._missed.append(missed)

    def start(self) -> None:
        """Begin to listen, and go on through every absence of PostgreSQL."""
        self._service.start()

    async def stop(self) -> None:
        """Stop listening."""
        await self._service.stop()

    async def _run(self) -> None:
        passing = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
        await repeat(self._listen, name="record_changes", backoff=BACKOFF, passing=passing)

    async def _listen(self) -> None:
        connection = await asyncpg.connect(
            self._dsn,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=STATEMENT_TIMEOUT_S,
            server_settings={"application_name": "afterbell-changes"},
        )
        try:
            for channel in self._listeners:
                await connection.add_listener(channel, self._heard)
            for missed in self._missed:
                missed()
            while True:
                await asyncio.sleep(ALIVE_EVERY_S)
                await connection.execute("SELECT 1")
        finally:
            connection.terminate()

    def _heard(self, _connection: Any, _pid: int, channel: str, payload: str) -> None:
        try:
            tenant_id, session_id = orjson.loads(payload)
        except MALFORMED:
            log.warning("record_change_unreadable", channel=channel, length=len(payload))
            return
        self._listeners[channel](tenant_id, session_id)
