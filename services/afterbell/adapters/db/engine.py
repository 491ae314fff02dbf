"""The one door to PostgreSQL: a pool, its URL and how its silence is told."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any, Final
from weakref import WeakSet

import asyncpg
import orjson
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from afterbell.adapters.db.address import dsn_of, mask
from afterbell.core.errors import StoreUnavailable
from afterbell.observability.metrics import POSTGRES_BUSY, POSTGRES_ERRORS, POSTGRES_POOL, POSTGRES_WAIT

CONNECT_TIMEOUT_S: Final = 5.0
POOL_WAIT_S: Final = 5.0
STATEMENT_TIMEOUT_S: Final = 10.0
# SQLSTATE classes that say "not now" rather than "not this": connection, resources, operator, system (PostgreSQL
# manual, appendix A), and a serialisation failure or deadlock.
_NOT_NOW: Final = re.compile(r"^(08|53|57|58|25006|40001|40P01)")

_pools: Final[WeakSet[Any]] = WeakSet()
POSTGRES_POOL.set_function(lambda: sum(pool.size() for pool in list(_pools)))
POSTGRES_BUSY.set_function(lambda: sum(pool.checkedout() for pool in list(_pools)))

Connection = AsyncConnection
"""What a transaction is written through, for code that only passes it on."""


class Database:
    """A pool of connections. ``transaction`` commits at its end, ``statement`` is one statement of its own.

    ``patience_s`` is how long one statement may take; None where it takes what it takes, as a migration does.
    """

    def __init__(self, url: str, *, pool_size: int = 10, patience_s: float | None = STATEMENT_TIMEOUT_S) -> None:
        self._shown_url = mask(url)
        self._connect = _connector(dsn_of(url), patience_s)
        self._engine: AsyncEngine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self._connect,
            pool_size=pool_size,
            max_overflow=0,
            hide_parameters=True,  # what children say does not belong into a log
            pool_timeout=POOL_WAIT_S,
            json_serializer=lambda value: orjson.dumps(value).decode(),
            json_deserializer=orjson.loads,
        )
        # A single statement needs no BEGIN and COMMIT round trips around it.
        _pools.add(self._engine.pool)
        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """One transaction, committed where the block ends. Raises StoreUnavailable while PostgreSQL is away."""
        with _telling():
            asked_at = perf_counter()
            async with self._engine.begin() as connection:
                POSTGRES_WAIT.observe(perf_counter() - asked_at)
                yield connection

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[AsyncConnection]:
        """A connection on which each statement commits itself."""
        with _telling():
            asked_at = perf_counter()
            async with self._autocommit.connect() as connection:
                POSTGRES_WAIT.observe(perf_counter() - asked_at)
                yield connection

    @asynccontextmanager
    async def listening(self, channel: str, on_notice: Callable[[], None]) -> AsyncIterator[asyncio.Event]:
        """Call ``on_notice`` for every NOTIFY on ``channel``, on a connection beside the pool.

        The event is set when that connection is lost. Raises StoreUnavailable where there is none to be had.
        """
        lost = asyncio.Event()
        with _telling():
            connection = await self._connect()
        connection.add_termination_listener(lambda _: lost.set())
        try:
            with _telling():
                await connection.add_listener(channel, lambda *_: on_notice())
            yield lost
        finally:
            connection.terminate()

    async def check(self) -> None:
        """One round trip. Raises StoreUnavailable with the URL, its password masked."""
        try:
            async with self.statement() as connection:
                await connection.execute(text("SELECT 1"))
        except StoreUnavailable as error:
            reason = str(error).removeprefix("PostgreSQL does not answer: ")
            raise StoreUnavailable("PostgreSQL", f"DATABASE_URL {self._shown_url}: {reason}") from error

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()


def _connector(dsn: str, patience_s: float | None) -> Callable[[], Awaitable[Any]]:
    async def connect() -> Any:
        return await asyncpg.connect(
            dsn,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=patience_s,
            server_settings={"application_name": "afterbell", "jit": "off"},
        )

    return connect


class _telling:  # noqa: N801  # reads as a verb where it is used
    """Turns a silent or closing PostgreSQL into StoreUnavailable; real mistakes pass through."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DBAPIError) and _is_not_now(error):
            POSTGRES_ERRORS.inc()
            raise StoreUnavailable("PostgreSQL", _first_line(error.orig or error)) from error
        if isinstance(error, OSError | PoolTimeoutError | TimeoutError | asyncpg.InterfaceError):
            POSTGRES_ERRORS.inc()
            raise StoreUnavailable("PostgreSQL", _first_line(error)) from error


def _is_not_now(error: DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
    # Without a statement it failed to connect or to commit: the server refuses us, whatever its reason.
    return error.connection_invalidated or not error.statement or bool(_NOT_NOW.match(state or ""))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
