"""Bring a database's tables to the version this code works with. Safe to run from many pods at once."""

import asyncio
import random
from importlib.resources import files
from time import monotonic
from typing import Final

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from afterbell.adapters.db import revision
from afterbell.adapters.db.database import Database
from afterbell.adapters.db.migrations import LOCK_TIMEOUT_S
from afterbell.core.errors import StoreUnavailable

HEAD: Final = "head"
BASE: Final = "base"
POLL_S: Final = 0.1
AGAIN_S: Final = 1.0
PATIENCE_S: Final = 600.0
"""How long a migration tries to get its locks beside the traffic."""
_IN_THE_WAY: Final = frozenset({"55P03", "40P01"})  # lock_not_available, deadlock_detected

log = structlog.get_logger(__name__)


async def upgrade(database: Database, target: str = HEAD, *, patience_s: float = PATIENCE_S) -> str:
    """Upgrade to ``target`` and return the revision reached. One process migrates, the others wait for it.

    Each migration is a transaction. One that fails leaves those before it, and the next run goes on with it. Tables
    that are newer than this version are left as they are: so a release can be rolled back.

    A migration that needs a lock waits for it LOCK_TIMEOUT_S, for all that comes after it waits as well; then it lets
    the traffic pass and tries again. Raises StoreUnavailable where it has had none within ``patience_s``.
    """
    deadline = monotonic() + patience_s
    while True:
        try:
            return await _migrate(database, target, up=True)
        except StoreUnavailable as error:
            if not _is_in_the_way(error) or monotonic() >= deadline:
                raise
            log.info("migration_waits", error=str(error))
            await asyncio.sleep(AGAIN_S * (0.5 + random.random()))  # noqa: S311 - apart from whatever holds the lock


async def downgrade(database: Database, target: str = BASE) -> str:
    """Downgrade to ``target``; ``base`` drops every table."""
    return await _migrate(database, target, up=False)


async def _migrate(database: Database, target: str, *, up: bool) -> str:
    async with database.session() as connection:
        while not await connection.scalar(text("SELECT pg_try_advisory_lock(hashtext('afterbell.migrate'))")):
            # Not by waiting for the lock: an index that is made beside the traffic waits for every statement under way.
            await connection.commit()
            await asyncio.sleep(POLL_S)
        await connection.commit()
        try:
            await connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT_S:g}s'"))
            await connection.commit()
            before = await revision.revision_of(connection)
            await connection.commit()
            if up and target == HEAD and before is not None and before > revision.NEEDED:
                log.warning("tables_newer", revision=before, needed=revision.NEEDED)
                return before
            return await connection.run_sync(_run, target, up=up)
        finally:
            await connection.rollback()
            await connection.execute(text("RESET lock_timeout"))
            await connection.execute(text("SELECT pg_advisory_unlock(hashtext('afterbell.migrate'))"))
            await connection.commit()


def _is_in_the_way(error: StoreUnavailable) -> bool:
    """Whether somebody else's lock was, for longer than we wait for it, or in a circle with ours."""
    return getattr(getattr(error.__cause__, "orig", None), "sqlstate", None) in _IN_THE_WAY


def _run(connection: Connection, target: str, *, up: bool) -> str:
    config = _config()
    config.attributes["connection"] = connection
    (command.upgrade if up else command.downgrade)(config, target)
    return _revision(connection) or BASE


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("afterbell.adapters.db") / "migrations"))
    config.set_main_option("path_separator", "os")
    return config
