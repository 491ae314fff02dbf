"""Connections to Redis or Valkey: every timeout named, no retry hidden in the client, no password in any message."""

import re
import socket
from contextlib import suppress
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import redis.asyncio as redis_asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    DataError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from afterbell.adapters.redis.accounting import count_commands_of
from afterbell.core.errors import SettingsError, StoreUnavailable
from afterbell.core.queue.server_risks import risks_of

RedisClient = redis_asyncio.Redis
"""For whoever passes a client on without speaking to Redis."""

SOCKET_TIMEOUT_S: Final = 5.0
CONNECT_TIMEOUT_S: Final = 3.0
CONNECTIONS_MAX: Final = 8
SCHEMES: Final = ("redis", "rediss", "unix")
UNREADABLE: Final = "(unreadable)"
_SECRETS: Final = frozenset({"password", "ssl_password"})

# Idle 30 s, then three probes 10 s apart (tcp(7)); where a system names them differently its defaults hold.
_KEEPALIVE: Final = {
    getattr(socket, name): value
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)
}
# Answers of a server that cannot serve now. Inside a script Redis 6.2 puts a text in front of the code.
_PASSING_ANSWERS: Final = (ClusterDownError, MasterDownError, OutOfMemoryError, ReadOnlyError, TryAgainError)
_PASSING_CODES: Final = re.compile(
    r"(?:^|: -?)(?:LOADING|READONLY|MASTERDOWN|OOM|MISCONF|NOREPLICAS|CLUSTERDOWN|TRYAGAIN|BUSY)\b"
)
# A command is never sent twice behind our back: a poll whose answer was lost would hand out jobs twice.
_NO_RETRY: Final = Retry(NoBackoff(), 0)


def connection_options(url: str) -> dict[str, Any]:
    """Keyword arguments for every connection to ``url``. The kernel watches idle ones: its probes are not billed."""
    over_tcp = {} if url.startswith("unix:") else {"socket_keepalive": True, "socket_keepalive_options": _KEEPALIVE}
    return over_tcp | {
        "socket_timeout": SOCKET_TIMEOUT_S,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "health_check_interval": 0,
        "retry": _NO_RETRY,
        "protocol": 3,
        # Telling the server our library's name is two billed commands a connection.
        "driver_info": None,
    }


def connect(url: str) -> "redis_asyncio.Redis":
    """A client with a small pool; connects on first use. Raises SettingsError for a URL that cannot be one."""
    if (shown := mask(url)) == UNREADABLE:
        raise SettingsError(
            "REDIS_URL is not a Redis URL: expected redis://, rediss:// or unix://, "
            "special characters in the password percent-encoded (/ as %2F)",
            field="REDIS_URL",
        )
    try:
        pool: Any = redis_asyncio.BlockingConnectionPool.from_url(
            url, max_connections=CONNECTIONS_MAX, timeout=SOCKET_TIMEOUT_S, **connection_options(url)
        )
        pool.connection_class(**pool.connection_kwargs)  # an unknown option would show on first use only
    except (TypeError, ValueError) as error:
        raise SettingsError(f"REDIS_URL {shown} is not a Redis URL: {error}", field="REDIS_URL") from None
    count_commands_of(pool)
    return redis_asyncio.Redis.from_pool(pool)


async def check(client: "redis_asyncio.Redis", url: str) -> None:
    """One PING. Raises StoreUnavailable with the masked URL."""
    try:
        await client.ping()
    except (RedisError, OSError, TimeoutError) as error:
        raise StoreUnavailable("Redis", f"REDIS_URL {mask(url)}: {type(error).__name__}: {error}") from error


async def risks(client: "redis_asyncio.Redis") -> list[str]:
    """What the server is set up to do that harms the queue; nothing where it is away, or does not say."""
    try:
        return list(risks_of(await client.info()))
    except (RedisError, OSError, TimeoutError):
        return []


async def away(client: "redis_asyncio.Redis", url: str) -> str | None:
    """Why Redis cannot be reached now, or None. Raises StoreUnavailable where it answers and refuses us for good."""
    try:
        await check(client, url)
    except StoreUnavailable as error:
        refused = isinstance(error.__cause__, AuthenticationError | ResponseError)
        if refused and not isinstance(error.__cause__, BusyLoadingError):
            raise
        return str(error)
    return None


def is_passing(error: Exception) -> bool:
    """Whether waiting helps: Redis is away, or answers that it cannot serve now.

    False where it answers that what we sent is wrong: a key of another type, a fault in a script, no permission.
    """
    if not isinstance(error, ResponseError | DataError):
        return True
    return isinstance(error, _PASSING_ANSWERS) or bool(_PASSING_CODES.search(str(error)))


async def leave_replica(client: "redis_asyncio.Redis", error: Exception) -> None:
    """Drop every connection where ``error`` says that it leads to a replica: after a failover by name, the server that
    was the primary keeps its connections and refuses each write for ever. The next call asks for the address again."""
    if isinstance(error, ReadOnlyError) or "READONLY" in str(error):
        with suppress(RedisError, OSError):
            await client.connection_pool.disconnect()


def mask(url: str) -> str:
    """The URL without its passwords; UNREADABLE where it cannot be told for sure which part is the password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return UNREADABLE
    host = parts.netloc.rpartition("@")[2]
    # A "/", "?" or "#" in a password that is not percent-encoded moves the "@" out of the address.
    torn = bool(parts.netloc) and "@" in parts.path + parts.query + parts.fragment
    if parts.scheme not in SCHEMES or torn or port == 0:
        return UNREADABLE
    query = urlencode([(name, value) for name, value in parse_qsl(parts.query) if name not in _SECRETS], safe="/")
    user = "" if parts.username is None else parts.username + (":***" if parts.password is not None else "") + "@"
    return f"{parts.scheme}://{user}{host}{parts.path}{'?' if query else ''}{query}"
