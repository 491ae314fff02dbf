"""Bring a database's tables to the version this code works with. Safe to run from many pods at once."""

from importlib.resources import files
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from afterbell.adapters.db.engine import Database

HEAD: Final = "head"
BASE: Final = "base"


async def upgrade(database: Database, target: str = HEAD) -> str:
    """Upgrade to ``target`` and return the revision reached. One process migrates, the others wait for it."""
    async with database.transaction() as connection:
        return await connection.run_sync(_run, target, up=True)


async def downgrade(database: Database, target: str = BASE) -> str:
    """Downgrade to ``target``; ``base`` drops every table."""
    async with database.transaction() as connection:
        return await connection.run_sync(_run, target, up=False)


async def is_current(database: Database) -> bool:
    """True where the database has the tables this code works with."""
    async with database.transaction() as connection:
        return await connection.run_sync(_revision) == ScriptDirectory.from_config(_config()).get_current_head()


def _run(connection: Connection, target: str, *, up: bool) -> str:
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('afterbell.migrate'))"))
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
