"""The api pods as the operator meets them: it hears their heartbeats, and asks one of them to drain. No key."""

from collections.abc import Callable, Iterator
from typing import Final

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from afterbell.adapters.bus.fanout import ALIVE, channel_of_pod, channel_of_pods
from afterbell.adapters.queue.keys import QueueKeys
from afterbell.adapters.queue.subscription import Subscriber
from afterbell.core.errors import MALFORMED, StoreUnavailable
from afterbell.core.live.heartbeat import PodHeartbeat, PodVerb, heartbeat_in

# In front of what the operator says; a process is named by twelve hexadecimal digits.
OPERATOR: Final = b"operator"


class ApiPods:
    """Those that share a queue. ``token`` names a process: a pod that was restarted has another one."""

    def __init__(self, client: Redis, subscriber: Subscriber, keys: QueueKeys) -> None:
        self._client, self._subscriber, self._prefix = client, subscriber, keys.prefix

    async def subscribe(
        self, receive: Callable[[str, PodHeartbeat], None], lost: Callable[[StoreUnavailable], None]
    ) -> None:
        """Call ``receive`` with the token and the words of each heartbeat, ``lost`` where none can be heard now."""

        def parsed(message: bytes | StoreUnavailable | None) -> None:
            if isinstance(message, StoreUnavailable):
                lost(message)
            elif message is not None:
                for token, heartbeat in _heartbeats_in(message):
                    receive(token, heartbeat)

        await self._subscriber.subscribe(channel_of_pods(self._prefix), parsed)

    async def ask(self, token: str, verb: PodVerb) -> bool:
        """Ask one process to drain or to take sockets again: one PUBLISH; whether it is there to hear it.

        Raises StoreUnavailable.
        """
        body = OPERATOR + b"\n" + orjson.dumps([[verb]])
        try:
            return bool(await self._client.publish(channel_of_pod(self._prefix, token), body))
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreUnavailable("Redis", f"{verb}: {type(error).__name__}: {error}") from error


def _heartbeats_in(body: bytes) -> Iterator[tuple[str, PodHeartbeat]]:
    """Nothing where it is not readable: another version said it."""
    token, _, messages = body.partition(b"\n")
    try:
        batch = list(orjson.loads(messages))
    except MALFORMED:
        return
    for words in batch:
        if isinstance(words, list) and words[:1] == [ALIVE]:
            heartbeat = heartbeat_in(words[1:])
            if heartbeat is not None:
                yield token.decode("ascii", "replace"), heartbeat
