"""What the queue says by itself: its load after every change, on one subscription that costs no command."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError, ResponseError

from afterbell.adapters.redis.keys import QueueKeys
from afterbell.adapters.redis.queue import load_of
from afterbell.core.errors import StoreUnavailable
from afterbell.core.facts import QueueLoad

RETRY_S: Final = 1.0


async def tidings(client: Redis, keys: QueueKeys) -> AsyncIterator[QueueLoad | None]:
    """The load after every change; None first and wherever something may have been missed: look for yourself.

    Raises StoreUnavailable when the connection is lost; call it again.
    """
    try:
        async with client.pubsub() as channel:
            await channel.subscribe(keys.facts)
            async for message in channel.listen():
                yield _load_in(message["data"])
    except (RedisError, OSError) as error:
        raise _ended(error) from error


class Ear:
    """Hears any number of channels on one connection."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._told: dict[str, Callable[[bytes | StoreUnavailable | None], None]] = {}
        self._subscribed: set[str] = set()
        self._channel: PubSub | None = None
        self._wanted = asyncio.Event()

    async def hear(self, keys: QueueKeys, told: Callable[[QueueLoad | StoreUnavailable | None], None]) -> None:
        """Call ``told`` with each load; with None where something may have been missed, with an error when it ends."""

        def parsed(message: bytes | StoreUnavailable | None) -> None:
            told(_load_in(message) if isinstance(message, bytes) else message)

        await self.listen(keys.facts, parsed)

    async def listen(self, channel: str, told: Callable[[bytes | StoreUnavailable | None], None]) -> None:
        """Call ``told`` with each message of a channel, and as ``hear`` does."""
        self._told[channel] = told
        self._wanted.set()
        if self._channel is not None:
            with suppress(RedisError, OSError):  # run says so
                await self._subscribe(self._channel)

    async def run(self) -> None:
        """Until cancelled; a lost connection is made again."""
        while True:
            await self._wanted.wait()
            try:
                async with self._client.pubsub() as channel:
                    self._subscribed.clear()
                    await self._hear_of_flushes(channel)
                    await self._subscribe(channel)
                    self._channel = channel
                    await self._subscribe(channel)  # those that came meanwhile
                    async for message in channel.listen():
                        self._tell(message)
            except (RedisError, OSError) as error:
                for told in list(self._told.values()):
                    told(_ended(error))
            finally:
                self._channel = None
            await asyncio.sleep(RETRY_S)

    def _tell(self, message: dict[str, Any]) -> None:
        told = self._told.get((message["channel"] or b"").decode())
        if told is not None:
            told(message["data"] if isinstance(message["data"], bytes) else None)

    async def _hear_of_flushes(self, channel: PubSub) -> None:
        """FLUSHALL publishes nothing, but it tells whoever tracks keys: one command a connection, none of them a key's.

        A server or a user without CLIENT TRACKING refuses; then the next look finds it out.
        """
        await channel.connect()  # type: ignore[no-untyped-call]
        connection = channel.connection
        if connection is None:
            return
        connection._parser.set_invalidation_push_handler(self._flushed)
        with suppress(ResponseError):
            await connection.send_command("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "{ab:}none")
            await connection.read_response()

    async def _flushed(self, _push: object) -> list[bytes]:
        """Something of every queue may be gone. The answer is for the subscription, which expects a message."""
        for told in list(self._told.values()):
            told(None)
        return [b"pong", b""]

    async def _subscribe(self, channel: PubSub) -> None:
        names = self._told.keys() - self._subscribed
        self._subscribed |= names
        if names:
            await channel.subscribe(*names)


def _ended(error: Exception) -> StoreUnavailable:
    unavailable = StoreUnavailable("Redis", f"the subscription ended: {type(error).__name__}: {error}")
    unavailable.__cause__ = error
    return unavailable


def _load_in(message: object) -> QueueLoad | None:
    """None for the subscription's own confirmation and for what another version said."""
    try:
        return load_of([int(float(number)) for number in message.split()]) if isinstance(message, bytes) else None
    except ValueError:
        return None
