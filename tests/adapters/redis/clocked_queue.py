"""The queue as random walks need it: on a clock the test moves, without chance, its bells heard."""

import asyncio
from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis

from afterbell.adapters.redis import queue as product
from afterbell.adapters.redis.keys import QueueKeys
from afterbell.adapters.redis.queue import Queue, QueueRules

Patch = Mapping[str, tuple[str, str]]
CLOCK_LINE = "local clock = redis.call('TIME')"
# Chance is taken out as well, so that a walk can be repeated: the moment decides which idle worker is called.
FOR_TESTS = {
    CLOCK_LINE: "local clock = redis.call('HMGET', PREFIX .. 'clock', 's', 'us')",
    "redis.call('SPOP', IDLE)": """(function()
      local idle = redis.call('SMEMBERS', IDLE)
      table.sort(idle)
      local chosen = idle[NOW % math.max(#idle, 1) + 1]
      if chosen then redis.call('SREM', IDLE, chosen) end
      return chosen
    end)()""",
    "redis.call('SRANDMEMBER', IDLE, 3)": """(function()
      local idle, chosen = redis.call('SMEMBERS', IDLE), {}
      table.sort(idle)
      for i = 1, math.min(#idle, 3) do chosen[i] = idle[(NOW + i) % #idle + 1] end
      return chosen
    end)()""",
}


class ClockedQueue(Queue):
    """The queue's own scripts on a clock the test moves; ``patch`` plants a bug: script -> (text, other text)."""

    def __init__(self, client: Redis, keys: QueueKeys, rules: QueueRules, patch: Patch) -> None:
        super().__init__(client, keys, rules)
        self.sent_today = 0
        self._scripts = {verb: client.register_script(self._patched(verb, patch)) for verb in product._VERBS}

    def _patched(self, verb: product.Verb, patch: Patch) -> str:
        source = product._source(verb)
        assert source.count("redis.call('TIME')") == 1
        planted = [change for script, change in patch.items() if script in (verb, "prelude")]
        for text, other in (*FOR_TESTS.items(), *planted):
            if text.startswith("redis.call('SRANDMEMBER'") and verb != "take":
                continue
            if source.count(text) != 1:
                raise ValueError(f"{verb} no longer says once {text!r}")
            source = source.replace(text, other)
        return source

    async def _run(self, verb: product.Verb, arguments: list[Any]) -> Any:
        self.sent_today += verb != "look"  # a look changes nothing, so it is not counted where it arrives
        return await super()._run(verb, arguments)

    async def move_to(self, now_ms: int) -> None:
        seconds, rest = divmod(now_ms, 1000)
        await self._client.hset(self.keys.prefix + "clock", mapping={"s": seconds, "us": rest * 1000})  # type: ignore[misc]


class Server:
    """One connection for commands and one for bells, for all walks of a test."""

    def __init__(self, runner: asyncio.Runner, client: Redis) -> None:
        self.run, self.client = runner.run, client
        self.bells = client.pubsub()

    async def heard(self) -> list[tuple[str, bytes]]:
        """Every bell rung so far: (worker, message). The answer to a ping comes after them."""
        await self.bells.ping()
        heard = []
        async with asyncio.timeout(5):
            while True:
                message = await self.bells.get_message(timeout=5)
                if message and message["type"] == "pong":
                    return heard
                if message and message["type"] == "message":
                    heard.append((message["channel"].decode().rpartition(":")[2], message["data"]))
