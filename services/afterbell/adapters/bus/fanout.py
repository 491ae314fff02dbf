"""The bus between api pods: Redis pub/sub, where nothing that serves a client ever waits for Redis.

- One task publishes. It sends everything of a tick in one pipeline on one connection, a channel's messages in one
  PUBLISH, so that a thousand messages at once need neither a thousand connections nor a thousand commands.
- Its queue is bounded: what does not fit is dropped and counted. Live copies may be lost; PostgreSQL has the messages.
- One task listens, to the channels of the shards that have members here and to no other.
- Lost connections are made again after a jittered pause that grows from a tenth of a second to 2 s. ``turned`` is
  called when everything wanted is subscribed again: clients that catch up then are told of whatever comes later.
- A gap is always told: on every shard of which something was dropped the other pods are told so, and a shard that was
  subscribed later than somebody could wait for it tells its own members. Their clients catch up.
- Every few seconds a pod with members publishes a heartbeat and hears it itself. One that left and is not heard
  means that this pod can speak and not hear; the listener is then made anew. A pod that the operator counts gives them
  also without members, and says in them how many sockets it has.

A PUBLISH carries ``<pod>\\n`` and a JSON list of messages; a pod skips its own.
"""

import asyncio
import random
import secrets
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any, Final

import orjson
import structlog
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from afterbell.adapters.redis.connections import connect
from afterbell.core.backoff import Backoff
from afterbell.core.errors import StoreUnavailable
from afterbell.core.live.heartbeat import HEARTBEAT_EVERY_S
from afterbell.observability import metrics
from afterbell.service import Service, repeat, stop_all, until_first_ends, wait_until

QUEUE_MAX: Final = 10_000
PUBLISH_BYTES_MAX: Final = 512 * 1024
# Random, so that pods do not come back in step.
BACKOFF: Final = Backoff(first_s=0.1, longest_s=2.0, jitter=0.5)
PASSING: Final = (RedisError, OSError, TimeoutError, StoreUnavailable)
# What is queued at the end has so long to leave.
FLUSH_S: Final = 0.5
# What waits through a shorter outage is still worth sending; of a longer one, that there was something.
STALE_AFTER_S: Final = 1.0
# A heartbeat that left and was not heard for so long: the listener is deaf.
DEAF_AFTER_S: Final = 8.0
HEARD_WITHIN_S: Final = 1.0
ALIVE: Final = "alive"
MISSED: Final = "missed"

log = structlog.get_logger(__name__)


def channel_of_pods(prefix: str) -> str:
    """Where every pod gives its heartbeats."""
    return f"{prefix}rt:pods"


def channel_of_pod(prefix: str, token: str) -> str:
    """Where one process hears what is meant for it alone; ``token`` stands in front of all it says."""
    return f"{prefix}rt:pod:{token}"


class RedisBus:
    """Pub/sub on ``url`` under ``prefix``. Raises SettingsError for a URL that cannot be one; never anything later."""

    def __init__(self, url: str, prefix: str) -> None:
        self.pod = secrets.token_hex(6)
        self._prefix = f"{prefix}rt:"
        self._pods, self._own = channel_of_pods(prefix), channel_of_pod(prefix, self.pod)
        self._mark = f"{self.pod}\n".encode()
        self._speaking, self._hearing = connect(url), connect(url)
        self._queue: list[tuple[str, bytes]] = []
        self._stir, self._stirred = asyncio.Event(), asyncio.Event()
        self._wanted: set[str] = set()
        self._heard: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._unconfirmed: Counter[str] = Counter()
        self._late: set[str] = set()
        self._dropped: set[str] = set()
        self._can_speak = self._can_hear = False
        self._was_connected = False
        self._silent_since: float | None = None
        self._all_sent, self._hung_up = asyncio.Event(), asyncio.Event()
        self._all_sent.set()
        self._echo_at = 0.0
        self._unechoed_since: float | None = None
        self._on_message: Callable[[bytes], None] = lambda _message: None
        self._on_turn: Callable[[], None] = lambda: None
        self._sign: Callable[[], list[Any]] | None = None
        self._services = [
            Service("bus_publisher", self._publish_all),
            Service("bus_listener", self._listen_all),
            Service("bus_heartbeat", self._probe),
        ]

    @property
    def connected(self) -> bool:
        """Whether this pod can both speak and hear."""
        return self._can_speak and self._can_hear

    def start(
        self, heard: Callable[[bytes], None], turned: Callable[[], None], sign: Callable[[], list[Any]] | None = None
    ) -> None:
        """Begin to publish and to listen; returns at once, whatever Redis does."""
        self._on_message, self._on_turn, self._sign = heard, turned, sign
        for service in self._services:
            service.start()

    def publish(self, shard: int, message: bytes) -> None:
        """Hand a message over for the next tick."""
        channel = self._channel(shard)
        if len(self._queue) >= QUEUE_MAX:
            metrics.RT_BUS_DROPPED.inc()
            self._dropped.add(channel)
            return
        self._enqueue(channel, message)

    def _enqueue(self, channel: str, message: bytes) -> None:
        self._queue.append((channel, message))
        self._all_sent.clear()
        self._stir.set()

    def want(self, shards: set[int]) -> None:
        """Hear these shards, and the heartbeats where there are any."""
        wanted = {self._channel(shard) for shard in shards}
        if wanted:
            wanted.add(self._pods)
        if wanted != self._wanted:
            self._wanted = wanted
            self._stirred.set()

    async def heard_from(self, shard: int) -> None:
        """Return once this shard is subscribed; after a second in any case, and its members hear of the gap later."""
        if self._can_hear:
            channel = self._channel(shard)
            try:
                async with asyncio.timeout(HEARD_WITHIN_S):
                    await self._heard[channel].wait()
            except TimeoutError:
                self._late.add(channel)

    async def stop(self) -> None:
        """Give what is queued a moment to leave, then end."""
        if self._can_speak:
            await wait_until(self._all_sent, FLUSH_S)
        await stop_all(self._services)
        await self._speaking.aclose()
        await self._hearing.aclose()

    def _channel(self, shard: int) -> str:
        return f"{self._prefix}{shard}"

    # --- speaking

    async def _publish_all(self) -> None:
        await repeat(self._publish_next, name="bus_publisher", backoff=BACKOFF, passing=PASSING)

    async def _publish_next(self) -> None:
        """Send what is queued; the next tick's messages share the next pipeline."""
        await self._stir.wait()
        self._stir.clear()
        metrics.RT_BUS_QUEUED.set(len(self._queue))
        try:
            await self._send_once()
        except Exception:
            self._publish_failed()
            raise
        self._silent_since = None
        self._speaks(True)
        if not self._queue:
            self._all_sent.set()

    def _publish_failed(self) -> None:
        self._speaks(False)
        now = asyncio.get_running_loop().time()
        if self._silent_since is None:
            self._silent_since = now
        elif now - self._silent_since > STALE_AFTER_S:
            self._drop_queue()
        self.say_alive()

    async def _send_once(self) -> None:
        batch, self._queue = self._queue, []
        if self._can_speak and self._dropped:
            missed, self._dropped = self._dropped, set()
            batch += [(channel, orjson.dumps([MISSED, channel.removeprefix(self._prefix)])) for channel in missed]
        publishes = list(self._grouped(batch))
        if not publishes:
            return
        started = asyncio.get_running_loop().time()
        pipeline = self._speaking.pipeline(transaction=False)
        for channel, body in publishes:
            pipeline.publish(channel, body)
        metrics.REDIS_COMMANDS.labels("realtime").inc(len(publishes))
        try:
            await pipeline.execute()
        except BaseException:
            self._lost(batch)
            raise
        said_alive = any(channel == self._pods for channel, _ in batch)
        if self._unechoed_since is None and said_alive and self._heard[self._pods].is_set():
            self._unechoed_since = started
        metrics.RT_BUS_PUBLISHED.inc(len(batch))
        metrics.RT_BUS_SECONDS.observe(asyncio.get_running_loop().time() - started)

    def _grouped(self, batch: list[tuple[str, bytes]]) -> Any:
        by_channel: dict[str, list[bytes]] = defaultdict(list)
        size: dict[str, int] = defaultdict(int)
        for channel, message in batch:
            if size[channel] + len(message) > PUBLISH_BYTES_MAX and by_channel[channel]:
                yield channel, self._joined(by_channel.pop(channel))
                size[channel] = 0
            by_channel[channel].append(message)
            size[channel] += len(message)
        for channel, messages in by_channel.items():
            yield channel, self._joined(messages)

    def _joined(self, messages: list[bytes]) -> bytes:
        return self._mark + b"[" + b",".join(messages) + b"]"

    def _drop_queue(self) -> None:
        self._lost(self._queue)
        self._queue = []

    def _lost(self, batch: list[tuple[str, bytes]]) -> None:
        metrics.RT_BUS_DROPPED.inc(len(batch))
        self._dropped |= {channel for channel, _ in batch} - {self._pods}  # a heartbeat is nobody's message

    # --- hearing

    async def _listen_all(self) -> None:
        await repeat(self._listen, name="bus_listener", backoff=BACKOFF, passing=PASSING)

    async def _listen(self) -> None:
        """Until the connection is lost or hung up, which raises."""
        try:
            async with self._hearing.pubsub() as pubsub:
                self._unconfirmed.clear()
                # One subscription besides tells whether Redis is there while no shard has members.
                current = self._wanted | {self._own}
                await self._subscribe(pubsub, current)
                self._hung_up.clear()
                self._unechoed_since = None
                self._echo_at = asyncio.get_running_loop().time()
                await until_first_ends(self._hear(pubsub), self._follow(pubsub, current), self._hung_up.wait())
        finally:
            for subscribed in self._heard.values():
                subscribed.clear()
            self._hears(False)
        raise StoreUnavailable("Redis", "the subscription of the bus ended")

    async def _hear(self, pubsub: PubSub) -> None:
        async for message in pubsub.listen():
            self._take(message)

    async def _follow(self, pubsub: PubSub, current: set[str]) -> None:
        """Keep the subscriptions what ``want`` said last."""
        while True:
            wanted = self._wanted | {self._own}
            if new := wanted - current:
                await self._subscribe(pubsub, new)
            if old := current - wanted:
                for channel in old:
                    self._heard[channel].clear()
                await pubsub.unsubscribe(*old)
            current = wanted
            await self._stirred.wait()
            self._stirred.clear()

    async def _subscribe(self, pubsub: PubSub, channels: set[str]) -> None:
        self._unconfirmed.update(channels)
        await pubsub.subscribe(*channels)

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":
            self._confirmed(message["channel"].decode())
        elif message["type"] == "message":
            data: bytes = message["data"]
            if not data.startswith(self._mark):
                self._on_message(data)
            elif message["channel"] == self._pods.encode():
                self._echo_at, self._unechoed_since = asyncio.get_running_loop().time(), None

    def _confirmed(self, channel: str) -> None:
        """A channel left and wanted again is heard by the last confirmation, not by one that was on its way."""
        self._unconfirmed[channel] -= 1
        if self._unconfirmed[channel] <= 0:
            del self._unconfirmed[channel]
            if channel in self._wanted:
                self._heard[channel].set()
        if not self._can_hear and not self._unconfirmed:
            self._late.clear()  # all are told, these with them
            self._hears(True)
        if channel in self._late and self._heard[channel].is_set():
            self._late.discard(channel)
            self._on_message(self._joined([orjson.dumps([MISSED, channel.removeprefix(self._prefix)])]))

    # --- both

    async def _probe(self) -> None:
        """Heartbeats, while there is anybody to be heard by; and the check that this pod hears itself."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(HEARTBEAT_EVERY_S * random.uniform(0.8, 1.2))  # noqa: S311  # pods need not speak at once
            if not self._wanted:
                self._echo_at, self._unechoed_since = loop.time(), None
                if self._sign is None:
                    continue
            metrics.RT_BUS_ECHO_AGE.set(loop.time() - self._echo_at)
            since = self._unechoed_since
            if self._can_hear and since is not None and loop.time() - since > DEAF_AFTER_S:
                log.warning("bus_echo_missing", seconds=round(loop.time() - since, 1))
                self._hang_up()
            self.say_alive()

    def say_alive(self) -> None:
        """Tell the other pods that this one lives, and the operator how many are here."""
        if len(self._queue) < QUEUE_MAX:
            self._enqueue(self._pods, orjson.dumps([ALIVE, *(self._sign() if self._sign else ())]))

    def _hang_up(self) -> None:
        self._hung_up.set()

    def _speaks(self, can: bool) -> None:
        self._can_speak = can
        if can and self._dropped:
            self._stir.set()
        self._look()

    def _hears(self, can: bool) -> None:
        if can and not self._can_hear and not self._can_speak:
            self.say_alive()
        self._can_hear = can
        self._look()

    def _look(self) -> None:
        metrics.RT_BUS_CONNECTED.set(self.connected)
        if self.connected and not self._was_connected:
            metrics.RT_BUS_RESUBSCRIBED.inc()
        changed, self._was_connected = self.connected != self._was_connected, self.connected
        if changed:
            self._on_turn()
