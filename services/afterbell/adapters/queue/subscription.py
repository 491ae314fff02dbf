"""What the queue says by itself: its load after every change, on one subscription that costs no command."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError, ResponseError

from afterbell.adapters.queue.keys import QueueKeys
from afterbell.adapters.queue.redis_queue import load_of
from afterbell.core.backoff import every
from afterbell.core.errors import MALFORMED, StoreUnavailable
from afterbell.core.queue.stats import QueueLoad
from afterbell.service import Service, repeat

RETRY_S: Final = 1.0


class Subscriber:
    """Receives any number of channels on one connection."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._receivers: dict[str, Callable[[bytes | StoreUnavailable | None], None]] = {}
        self._subscribed: set[str] = set()
        self._channel: PubSub | None = None
        self._wanted = asyncio.Event()
        self._service = Service("queue_subscription", self._run)

    async def subscribe_load(
        self, keys: QueueKeys, receive: Callable[[QueueLoad | StoreUnavailable | None], None]
    ) -> None:
        """Call ``receive`` with each load, with None where one may have been missed, with an error when it ends."""

        def parsed(message: bytes | StoreUnavailable | None) -> None:
            receive(_load_in(message) if isinstance(message, bytes) else message)

        await self.subscribe(keys.facts, parsed)

    async def subscribe(self, channel: str, receive: Callable[[bytes | StoreUnavailable | None], None]) -> None:
        """Call ``receive`` with each message of a channel, and as ``subscribe_load`` does."""
        self._receivers[channel] = receive
        self._wanted.set()
        if self._channel is not None:
            with suppress(RedisError, OSError):  # run says so
                await self._subscribe(self._channel)

    def start(self) -> None:
        """Begin to receive; a lost connection is made again."""
        self._service.start()

    async def stop(self) -> None:
        """Receive nothing more."""
        await self._service.stop()

    async def _run(self) -> None:
        await repeat(self._receive_all, name="queue_subscription", every_s=RETRY_S, backoff=every(RETRY_S))

    async def _receive_all(self) -> None:
        await self._wanted.wait()
        try:
            async with self._client.pubsub() as channel:
                self._subscribed.clear()
                await self._track_flushes(channel)
                await self._subscribe(channel)
                self._channel = channel
                await self._subscribe(channel)  # those that came meanwhile
                async for message in channel.listen():
                    self._dispatch(message)
        except (RedisError, OSError) as error:
            unavailable = _ended(error)
            for receive in list(self._receivers.values()):
                receive(unavailable)
            raise unavailable from error
        finally:
            self._channel = None

    def _dispatch(self, message: dict[str, Any]) -> None:
        receive = self._receivers.get((message["channel"] or b"").decode())
        if receive is not None:
            receive(message["data"] if isinstance(message["data"], bytes) else None)

    async def _track_flushes(self, channel: PubSub) -> None:
        """FLUSHALL publishes nothing, but clients that track keys are told: one command a connection.

        A server or a user without CLIENT TRACKING refuses; then the next stats find it out.
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
        for receive in list(self._receivers.values()):
            receive(None)
        return [b"pong", b""]

    async def _subscribe(self, channel: PubSub) -> None:
        names = self._receivers.keys() - self._subscribed
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
    except MALFORMED:
        return None
