"""Counts every command where it leaves for Redis, by purpose: what a hosted Redis bills is one per command sent."""

from typing import Any, Final
from weakref import WeakSet

from redis.asyncio.connection import ConnectionPool

from afterbell.observability.metrics import REDIS_COMMANDS, REDIS_CONNECTIONS

_PURPOSES: Final = {
    "SUBSCRIBE": "subscribe",
    "UNSUBSCRIBE": "subscribe",
    "SCRIPT LOAD": "load",
    "HELLO": "connect",
    "AUTH": "connect",
    "SELECT": "connect",
    "CLIENT": "connect",
    "PING": "check",
}
_scripts: Final[dict[str, str]] = {}
_connected: Final[WeakSet[Any]] = WeakSet()
REDIS_CONNECTIONS.set_function(lambda: sum(connection.is_connected for connection in list(_connected)))


def name_script(sha: str, verb: str) -> None:
    """Count calls of the script with this SHA1 under ``verb``."""
    _scripts[sha] = verb


def count_commands_of(pool: ConnectionPool) -> None:
    """Make every connection of ``pool`` count what it sends, its own handshake included."""
    pool.connection_class = _counting(pool.connection_class)


def _counting(connection_class: Any) -> Any:
    class Counting(connection_class):  # type: ignore[misc]  # unix, TCP and TLS have one class each
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            _connected.add(self)

        async def send_command(self, *args: Any, **kwargs: Any) -> None:
            REDIS_COMMANDS.labels(_purpose(args)).inc()
            await super().send_command(*args, **kwargs)

    return Counting


def _purpose(args: tuple[Any, ...]) -> str:
    name = str(args[0]).upper()
    if name == "EVALSHA":
        return _scripts.get(str(args[1]), "other")
    return _PURPOSES.get(name, "other")
