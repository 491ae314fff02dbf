"""Which tables there are, and which this code needs. Known without alembic, which only migrations have."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from afterbell.core.errors import StoreUnavailable

NEEDED: Final = "0014"
"""The revision this code works with. Revisions are four digits, so that a later one is known without its file."""


async def revision_of(connection: AsyncConnection) -> str | None:
    """The revision the tables are at; None where there are none."""
    if await connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    revision: str | None = await connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


async def check(connection: AsyncConnection) -> None:
    """Raises StoreUnavailable where tables are missing or older than needed. Newer ones have all that is needed."""
    revision = await revision_of(connection)
    if revision is None:
        raise StoreUnavailable("PostgreSQL", "there are no tables yet: run `afterbell migrate`")
    if revision < NEEDED:
        lacks = f"its tables are at revision {revision}, and {NEEDED} is needed: run `afterbell migrate`"
        raise StoreUnavailable("PostgreSQL", lacks)
