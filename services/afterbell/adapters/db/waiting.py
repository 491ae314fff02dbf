"""Wait at a start for what may come a little later: the server, and the tables that another process makes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from afterbell.adapters.db import revision
from afterbell.adapters.db.database import Database
from afterbell.core.errors import StoreUnavailable

POLL_S: Final = 0.25

log = structlog.get_logger(__name__)


async def until_it_answers(database: Database, *, patience_s: float) -> None:
    """Wait for PostgreSQL. Raises the last StoreUnavailable after ``patience_s``; at once where that is 0."""
    await _until(database.check, patience_s)


async def until_it_has_tables(database: Database, *, patience_s: float) -> None:
    """Wait for PostgreSQL and for `afterbell migrate` to have run. Raises StoreUnavailable as above."""

    async def check() -> None:
        await database.check()
        async with database.statement() as connection:
            await revision.check(connection)

    await _until(check, patience_s)


async def _until(check: Callable[[], Awaitable[None]], patience_s: float) -> None:
    clock = asyncio.get_running_loop().time
    deadline, waiting_for = clock() + patience_s, ""
    while True:
        try:
            return await check()
        except StoreUnavailable as error:
            if clock() >= deadline:
                raise
            if str(error) != waiting_for:  # one line for each reason, however long it lasts
                log.info("waiting", reason=str(error), patience_s=patience_s)
            waiting_for = str(error)
        await asyncio.sleep(POLL_S)
