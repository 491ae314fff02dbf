"""Api pods of which the test decides what they say: their heartbeats, and an ear for what the operator asks."""

import threading
import uuid
from collections import defaultdict

import orjson
from redis import Redis
from redis.exceptions import RedisError

from afterbell.adapters.bus.fanout import ALIVE, channel_of_pod, channel_of_pods
from afterbell.adapters.queue.keys import QueueKeys
from afterbell.core.live.heartbeat import PodHeartbeat

CAP = 1_000


class Voices:
    """Each pod in ``sockets`` speaks four times a second; ``asked`` is what the operator asked of each, in order."""

    def __init__(self, url: str, queue: str) -> None:
        self._url, self._prefix = url, QueueKeys(queue).prefix
        self.sockets: dict[str, int] = {}
        self.draining: set[str] = set()
        self.asked: dict[str, list[str]] = defaultdict(list)
        self._tokens: dict[str, str] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                with Redis.from_url(self._url) as redis, redis.pubsub() as ears:
                    self._live(redis, ears)
            except (RedisError, OSError):
                self._over.wait(0.2)

    def _live(self, redis: Redis, ears: object) -> None:
        ears.psubscribe(channel_of_pod(self._prefix, "*"))
        while not self._over.is_set():
            for pod, sockets in list(self.sockets.items()):
                token = self._tokens.setdefault(pod, uuid.uuid4().hex[:12])
                sign = PodHeartbeat(pod, sockets, CAP, pod in self.draining)
                body = token.encode() + b"\n" + orjson.dumps([[ALIVE, *sign.words]])
                redis.publish(channel_of_pods(self._prefix), body)
            self._hear(ears)

    def _hear(self, ears: object) -> None:
        message = ears.get_message(ignore_subscribe_messages=True, timeout=0.25)
        while message is not None:
            token = message["channel"].decode().rpartition(":")[2]
            pod = next(name for name, known in self._tokens.items() if known == token)
            for (verb,) in orjson.loads(message["data"].partition(b"\n")[2]):
                self.asked[pod].append(verb)
                (self.draining.add if verb == "drain" else self.draining.discard)(pod)
            message = ears.get_message(ignore_subscribe_messages=True, timeout=0)
