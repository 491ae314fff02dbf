"""The one door to PostgreSQL: a pool, its URL and how its silence is told."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final, Self
from weakref import WeakSet

import asyncpg
import orjson
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from afterbell.adapters.db.url import dsn_of, mask
from afterbell.core.errors import StoreUnavailable
from afterbell.observability.metrics import POSTGRES_BUSY, POSTGRES_ERRORS, POSTGRES_POOL, POSTGRES_WAIT
from afterbell.settings import StoreSettings, required

CONNECT_TIMEOUT_S: Final = 5.0
POOL_WAIT_S: Final = 5.0
STATEMENT_TIMEOUT_S: Final = 10.0
# SQLSTATE classes that say "not now" rather than "not this" (PostgreSQL manual, appendix A): connection, resources,
# operator, system; a transaction that was rolled back, ended for its idleness, or may only read; a lock not to be had.
_NOT_NOW: Final = re.compile(r"^(08|53|57|58|40|25006|25P03|25P04|55P03)")

_pools: Final[WeakSet[Any]] = WeakSet()
POSTGRES_POOL.set_function(lambda: sum(pool.size() for pool in list(_pools)))
POSTGRES_BUSY.set_function(lambda: sum(pool.checkedout() for pool in list(_pools)))

Connection = AsyncConnection
"""What a transaction is written through, for code that only passes it on."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """What the server ends by itself, in seconds, so that a process which froze or vanished holds up nobody for longer.

    ``idle_s``: a transaction whose client says nothing; shorter than ``lock_s``, so that whoever waits for its locks
    gets them. ``lock_s``: a statement that waits for a lock. ``client_check_s``: how often a statement under way looks
    whether its client is still connected; 0 where the server's system cannot tell.
    """

    lock_s: float = 8.0
    idle_s: float = 5.0
    client_check_s: float = 5.0

    @classmethod
    def of(cls, settings: StoreSettings) -> Self:
        """As the settings have them."""
        return cls(settings.lock_timeout_s, settings.idle_transaction_s, settings.client_check_s)

    def parameters(self, patience_s: float | None) -> dict[str, str]:
        """The server's parameters. Without ``patience_s`` a statement, and what waits for it, takes what it takes."""
        if patience_s is None:
            limits = {"statement_timeout": 0.0, "lock_timeout": 0.0, "idle_in_transaction_session_timeout": 0.0}
        else:
            limits = {
                "statement_timeout": patience_s,
                "lock_timeout": self.lock_s,
                "idle_in_transaction_session_timeout": self.idle_s,
            }
        if self.client_check_s:
            limits["client_connection_check_interval"] = self.client_check_s
        return {name: f"{round(limit_s * 1000)}ms" for name, limit_s in limits.items()}


DEFAULT_TIMEOUTS: Final = Timeouts()


class Database:
    """A pool of connections. ``transaction`` commits at its end, ``statement`` is one statement of its own.

    ``patience_s`` is how long one statement may take; None where it takes what it takes, as a migration does.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 10,
        patience_s: float | None = STATEMENT_TIMEOUT_S,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
    ) -> None:
        self._shown_url = mask(url)
        self._connect = _connector(dsn_of(url), patience_s, timeouts)
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

    @classmethod
    def of(cls, settings: StoreSettings) -> Self:
        """The pool of a process. Raises SettingsError without a URL, or with one that is none."""
        return cls(
            required(settings.database_url, "DATABASE_URL"),
            pool_size=settings.database_pool,
            patience_s=settings.statement_timeout_s,
            timeouts=Timeouts.of(settings),
        )

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
    async def session(self) -> AsyncIterator[AsyncConnection]:
        """A connection whose transactions are the caller's to begin and commit."""
        with _telling():
            async with self._engine.connect() as connection:
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


def _connector(dsn: str, patience_s: float | None, timeouts: Timeouts) -> Callable[[], Awaitable[Any]]:
    parameters = {"application_name": "afterbell", "jit": "off"} | timeouts.parameters(patience_s)

    async def connect() -> Any:
        return await asyncpg.connect(
            dsn,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=patience_s,
            server_settings=parameters,
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
