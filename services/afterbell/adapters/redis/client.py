"""Connections to Redis or Valkey: every timeout named, no retry hidden in the client, no password in any message."""

from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import redis.asyncio as redis_asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from afterbell.core.errors import SettingsError, StoreUnavailable

SOCKET_TIMEOUT_S: Final = 5.0
CONNECT_TIMEOUT_S: Final = 3.0
CONNECTIONS_MAX: Final = 8

# A command is never sent twice behind our back: a take whose answer was lost would hand out jobs twice.
_NO_RETRY: Final = Retry(NoBackoff(), 0)


def connection_options() -> dict[str, Any]:
    """Keyword arguments for every connection this project opens."""
    return {
        "socket_timeout": SOCKET_TIMEOUT_S,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "health_check_interval": 0,
        "retry": _NO_RETRY,
        "protocol": 3,
    }


def connect(url: str) -> "redis_asyncio.Redis":
    """A client with a small pool; connects on first use. Raises SettingsError for a URL that cannot be one."""
    try:
        pool: Any = redis_asyncio.BlockingConnectionPool.from_url(
            url, max_connections=CONNECTIONS_MAX, timeout=SOCKET_TIMEOUT_S, **connection_options()
        )
    except ValueError as error:
        raise SettingsError(f"REDIS_URL {mask(url)} is not a Redis URL: {error}", field="REDIS_URL") from None
    return redis_asyncio.Redis.from_pool(pool)


async def check(client: "redis_asyncio.Redis", url: str) -> None:
    """One PING. Raises StoreUnavailable with the masked URL."""
    try:
        await client.ping()
    except (RedisError, OSError, TimeoutError) as error:
        raise StoreUnavailable("Redis", f"REDIS_URL {mask(url)}: {type(error).__name__}: {error}") from error


def mask(url: str) -> str:
    """The URL without its password."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{host}"))
