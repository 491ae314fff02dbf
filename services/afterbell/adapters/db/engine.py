"""The one door to PostgreSQL: a pool, its URL and how its silence is told."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
import orjson
from sqlalchemy import text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from afterbell.core.errors import SettingsError, StoreUnavailable

CONNECT_TIMEOUT_S: Final = 5.0
POOL_WAIT_S: Final = 5.0
STATEMENT_TIMEOUT_MS: Final = 10_000
# SQLSTATE classes that say "not now" rather than "not this": connection, resources, operator, system (PostgreSQL
# manual, appendix A), and a serialisation failure or deadlock.
_NOT_NOW: Final = re.compile(r"^(08|53|57|58|25006|40001|40P01)")


class Database:
    """A pool of connections. ``transaction`` commits at its end, ``statement`` is one statement of its own."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self._url = url
        self._engine: AsyncEngine = create_async_engine(
            _asyncpg_url(url),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_WAIT_S,
            json_serializer=lambda value: orjson.dumps(value).decode(),
            json_deserializer=orjson.loads,
            connect_args={
                "timeout": CONNECT_TIMEOUT_S,
                "command_timeout": STATEMENT_TIMEOUT_MS / 1000,
                "server_settings": {"application_name": "afterbell", "jit": "off"},
            },
        )
        # A single statement needs no BEGIN and COMMIT round trips around it.
        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """One transaction, committed where the block ends. Raises StoreUnavailable while PostgreSQL is away."""
        with _telling():
            async with self._engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[AsyncConnection]:
        """A connection on which each statement commits itself."""
        with _telling():
            async with self._autocommit.connect() as connection:
                yield connection

    async def check(self) -> None:
        """One round trip. Raises StoreUnavailable with the URL, its password masked."""
        try:
            async with self.statement() as connection:
                await connection.execute(text("SELECT 1"))
        except StoreUnavailable as error:
            raise StoreUnavailable("PostgreSQL", f"DATABASE_URL {mask(self._url)}: {error}") from error

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()


class _telling:  # noqa: N801  # reads as a verb where it is used
    """Turns a silent or closing PostgreSQL into StoreUnavailable; real mistakes pass through."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DBAPIError) and _is_not_now(error):
            raise StoreUnavailable("PostgreSQL", _first_line(error.orig or error)) from error
        if isinstance(error, OSError | PoolTimeoutError | TimeoutError | asyncpg.InterfaceError):
            raise StoreUnavailable("PostgreSQL", _first_line(error)) from error


def _is_not_now(error: DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
    return error.connection_invalidated or (state is None and not error.statement) or bool(_NOT_NOW.match(state or ""))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _asyncpg_url(url: str) -> URL:
    """SQLAlchemy's URL for a libpq one; a socket folder in ``?host=`` and ``sslmode`` are understood."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise SettingsError("DATABASE_URL is not a database URL: expected postgresql://user:password@host/db",
                            field="DATABASE_URL") from None  # fmt: skip
    if not parsed.drivername.startswith("postgres"):
        raise SettingsError(
            f"DATABASE_URL must start with postgresql://, not {parsed.drivername}://", field="DATABASE_URL"
        )
    query = dict(parsed.query)
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")
    return parsed.set(drivername="postgresql+asyncpg", query=query)


def mask(url: str) -> str:
    """The URL without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return "(unreadable)"
