"""The bus between api pods: Redis pub/sub, where nothing that serves a client ever waits for Redis.

- One task publishes. It sends everything of a tick in one pipeline on one connection, a channel's messages in one
  PUBLISH, so that a thousand messages at once need neither a thousand connections nor a thousand commands.
- Its queue is bounded: what does not fit is dropped and counted. Live copies may be lost; PostgreSQL has the messages.
- One task listens, to the channels of the shards that have members here and to no other.
- Lost connections are made again after a jittered pause of at most 2 s. Then ``turned`` is called, and on every shard
  of which something was dropped the other pods are told so: their clients catch up as well.
- Every few seconds a pod with members publishes a sign of life and hears it itself. Not hearing it means that this pod
  can speak and not hear; the listener is then made anew.

A PUBLISH carries ``<pod>\\n`` and a JSON list of messages; a pod skips its own.
"""

import asyncio
import random
import secrets
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

import orjson
import structlog
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from afterbell.adapters.redis.client import connect
from afterbell.observability import metrics

QUEUE_MAX: Final = 10_000
PUBLISH_BYTES_MAX: Final = 512 * 1024
BACKOFF_MAX_S: Final = 2.0
ECHO_EVERY_S: Final = 5.0
# Three signs of life unheard: the listener is deaf.
DEAF_AFTER_S: Final = 12.0
HEARD_WITHIN_S: Final = 1.0
ALIVE: Final = "alive"
MISSED: Final = "missed"
_AWAY: Final = (RedisError, OSError, TimeoutError)

log = structlog.get_logger(__name__)


class RedisBus:
    """Pub/sub on ``url`` under ``prefix``. Raises SettingsError for a URL that cannot be one; never anything later."""

    def __init__(self, url: str, prefix: str) -> None:
        self.pod = secrets.token_hex(6)
        self._prefix = f"{prefix}rt:"
        self._mark = f"{self.pod}\n".encode()
        self._speaking, self._hearing = connect(url), connect(url)
        self._queue: list[tuple[str, bytes]] = []
        self._stir, self._stirred = asyncio.Event(), asyncio.Event()
        self._wanted: set[str] = set()
        self._heard: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._dropped: set[str] = set()
        self._can_speak = self._can_hear = False
        self._was_connected = self._stopped = False
        self._echo_at = self._probed_at = 0.0
        self._pubsub: PubSub | None = None
        self._on_message: Callable[[bytes], None] = lambda _message: None
        self._on_turn: Callable[[], None] = lambda: None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def connected(self) -> bool:
        """Whether this pod can both speak and hear."""
        return self._can_speak and self._can_hear

    def start(self, heard: Callable[[bytes], None], turned: Callable[[], None]) -> None:
        """Begin to publish and to listen; returns at once, whatever Redis does."""
        self._on_message, self._on_turn = heard, turned
        self._tasks = [asyncio.create_task(self._publish_all()), asyncio.create_task(self._listen_all()),
                       asyncio.create_task(self._probe())]  # fmt: skip

    def publish(self, shard: int, message: bytes) -> None:
        """Hand a message over for the next tick."""
        channel = self._channel(shard)
        if len(self._queue) >= QUEUE_MAX:
            metrics.RT_BUS_DROPPED.inc()
            self._dropped.add(channel)
            return
        self._queue.append((channel, message))
        self._stir.set()

    def want(self, shards: set[int]) -> None:
        """Hear these shards, and the signs of life where there are any."""
        wanted = {self._channel(shard) for shard in shards}
        if wanted:
            wanted.add(self._prefix + "pods")
        if wanted != self._wanted:
            self._wanted = wanted
            self._stirred.set()

    async def heard_from(self, shard: int) -> None:
        """Return once this shard's channel is subscribed; after a second in any case."""
        if self._can_hear:
            try:
                async with asyncio.timeout(HEARD_WITHIN_S):
                    await self._heard[self._channel(shard)].wait()
            except TimeoutError:
                return

    async def stop(self) -> None:
        """Give what is queued a moment to leave, then end."""
        self._stopped = True
        self._stir.set()
        if self._tasks and self._can_speak:
            await asyncio.wait(self._tasks[:1], timeout=0.5)
        for task in self._tasks:
            task.cancel()
        # The flag and the limit besides: a cancellation that meets a Redis error half-way may be answered with that.
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2)
        await self._speaking.aclose()
        await self._hearing.aclose()

    def _channel(self, shard: int) -> str:
        return f"{self._prefix}{shard}"

    # --- speaking

    async def _publish_all(self) -> None:
        while self._queue or not self._stopped:
            await self._stir.wait()
            self._stir.clear()
            metrics.RT_BUS_QUEUED.set(len(self._queue))
            try:
                await self._send_once()
            except _AWAY as error:
                self._speaks(False, error)
                await asyncio.sleep(random.uniform(0.1, BACKOFF_MAX_S))  # noqa: S311  # spreads reconnects
                self._drop_queue()
                if self._stopped:
                    return
                self._queue.append((self._prefix + "pods", orjson.dumps([ALIVE])))
                self._stir.set()
            else:
                self._speaks(True, None)
                await asyncio.sleep(0)  # a tick: whoever emits now shares the next pipeline

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
            self._dropped |= {channel for channel, _ in batch}
            metrics.RT_BUS_DROPPED.inc(len(batch))
            raise
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
        metrics.RT_BUS_DROPPED.inc(len(self._queue))
        self._dropped |= {channel for channel, _ in self._queue}
        self._queue.clear()

    # --- hearing

    async def _listen_all(self) -> None:
        while not self._stopped:
            try:
                await self._listen()
            except _AWAY as error:
                self._hears(False, error)
            await asyncio.sleep(random.uniform(0.05, BACKOFF_MAX_S))  # noqa: S311  # spreads reconnects

    async def _listen(self) -> None:
        async with self._hearing.pubsub() as pubsub:
            # One subscription besides tells whether Redis is there while no shard has members.
            await pubsub.subscribe(f"{self._prefix}pod:{self.pod}")
            following = asyncio.create_task(self._follow(pubsub))
            self._pubsub = pubsub
            self._echo_at = asyncio.get_running_loop().time()
            try:
                async for message in pubsub.listen():
                    self._take(message)
            finally:
                self._pubsub = None
                following.cancel()
                for one in self._heard.values():
                    one.clear()
                await asyncio.gather(following, return_exceptions=True)

    async def _follow(self, pubsub: PubSub) -> None:
        """Keep the subscriptions what ``want`` said last."""
        current: set[str] = set()
        while True:
            wanted = set(self._wanted)
            if new := wanted - current:
                await pubsub.subscribe(*new)
            if old := current - wanted:
                for channel in old:
                    self._heard[channel].clear()
                await pubsub.unsubscribe(*old)
            current = wanted
            await self._stirred.wait()
            self._stirred.clear()

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":
            self._heard[message["channel"].decode()].set()
            self._hears(True, None)
            return
        if message["type"] != "message":
            return
        data: bytes = message["data"]
        if data.startswith(self._mark):
            if message["channel"].endswith(b"pods"):
                self._echo_at = asyncio.get_running_loop().time()
            return
        self._on_message(data)

    # --- both

    async def _probe(self) -> None:
        """Signs of life, while there is anybody to be heard by; and the check that this pod hears itself."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(ECHO_EVERY_S * random.uniform(0.8, 1.2))  # noqa: S311  # pods need not speak at once
            if not self._wanted:
                self._echo_at = loop.time()
                continue
            metrics.RT_BUS_ECHO_AGE.set(loop.time() - self._echo_at)
            if self._can_speak and self._can_hear and loop.time() - self._echo_at > DEAF_AFTER_S:
                log.warning("bus_deaf", seconds=round(loop.time() - self._echo_at, 1))
                await self._hang_up()
            self.say_alive()

    def say_alive(self) -> None:
        """Tell the other pods that this one lives."""
        if len(self._queue) < QUEUE_MAX:
            self._queue.append((self._prefix + "pods", orjson.dumps([ALIVE])))
            self._stir.set()

    async def _hang_up(self) -> None:
        if self._pubsub is not None and self._pubsub.connection is not None:
            await self._pubsub.connection.disconnect()

    def _speaks(self, can: bool, error: BaseException | None) -> None:
        if self._can_speak and not can:
            log.warning("bus_silent", error=f"{type(error).__name__}: {error}")
        self._can_speak = can
        if can and self._dropped:
            self._stir.set()
        self._look()

    def _hears(self, can: bool, error: BaseException | None) -> None:
        if self._can_hear and not can:
            log.warning("bus_unheard", error=f"{type(error).__name__}: {error}")
        elif can and not self._can_hear and not self._can_speak:
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
