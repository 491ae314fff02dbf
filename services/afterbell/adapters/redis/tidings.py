"""What the queue says by itself: its load after every change, on one subscription that costs no command."""

from collections.abc import AsyncIterator

from redis.asyncio import Redis
from redis.exceptions import RedisError

from afterbell.adapters.redis.keys import QueueKeys
from afterbell.adapters.redis.queue import load_of
from afterbell.core.errors import StoreUnavailable
from afterbell.core.facts import QueueLoad


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
        raise StoreUnavailable("Redis", f"the subscription ended: {type(error).__name__}: {error}") from error


def _load_in(message: object) -> QueueLoad | None:
    """None for the subscription's own confirmation and for what another version said."""
    try:
        return load_of([int(float(number)) for number in message.split()]) if isinstance(message, bytes) else None
    except ValueError:
        return None
