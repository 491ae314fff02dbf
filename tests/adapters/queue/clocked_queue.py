"""The queue as random walks need it: on a clock the test moves, without chance, its wakeups received."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from redis.asyncio import Redis

from afterbell.adapters.breaker.breaker import SCRIPTS as BREAKER_SCRIPTS
from afterbell.adapters.breaker.breaker import Breaker
from afterbell.adapters.queue.keys import QueueKeys
from afterbell.adapters.queue.redis_queue import SCRIPTS, Queue, QueueRules
from afterbell.adapters.queue.script_client import Script, ScriptClient

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
    """The queue's own scripts on a clock the test moves; ``patch`` plants a bug: script part -> (text, other text)."""

    def __init__(self, client: Redis, keys: QueueKeys, rules: QueueRules, patch: Patch) -> None:
        super().__init__(client, keys, rules)
        self.sent_today = 0
        self._scripts = ClockedScripts(client, keys, SCRIPTS, patch, self._count)
        self.breaker = Breaker(client, keys)
        self.breaker._scripts = ClockedScripts(client, keys, BREAKER_SCRIPTS, {}, self._count)

    def _count(self, name: str) -> None:
        self.sent_today += name != "stats"  # stats change nothing, so they are not counted where they arrive

    async def move_to(self, now_ms: int) -> None:
        seconds, rest = divmod(now_ms, 1000)
        await self._client.hset(self.keys.prefix + "clock", mapping={"s": seconds, "us": rest * 1000})  # type: ignore[misc]


class ClockedScripts(ScriptClient):
    """``scripts`` with the clock, the chance and the planted bug in their text; each run is counted."""

    def __init__(
        self,
        client: Redis,
        keys: QueueKeys,
        scripts: Mapping[str, Script],
        patch: Patch,
        count: Callable[[str], None],
    ) -> None:
        self._patch, self._count = patch, count
        super().__init__(client, keys, scripts)

    def source(self, script: Script) -> str:
        text = super().source(script)
        parts = {file for _, file in script.parts}
        planted = [change for part, change in self._patch.items() if part in parts]
        for old, new in (*FOR_TESTS.items(), *planted):
            if old.startswith("redis.call('SRANDMEMBER'") and "watchers" not in parts:
                continue
            if text.count(old) != 1:
                raise ValueError(f"{sorted(parts)} no longer say once {old!r}")
            text = text.replace(old, new)
        return text

    async def run(self, name: str, arguments: list[Any]) -> Any:
        self._count(name)
        return await super().run(name, arguments)


class Server:
    """One connection for commands and one for wakeups, for all walks of a test."""

    def __init__(self, runner: asyncio.Runner, client: Redis) -> None:
        self.run, self.client = runner.run, client
        self.wakeups = client.pubsub()

    async def heard(self) -> list[tuple[str, bytes]]:
        """Every wakeup so far: (worker, message). The answer to a ping comes after them."""
        await self.wakeups.ping()
        heard = []
        async with asyncio.timeout(5):
            while True:
                message = await self.wakeups.get_message(timeout=5)
                if message and message["type"] == "pong":
                    return heard
                if message and message["type"] == "message":
                    heard.append((message["channel"].decode().rpartition(":")[2], message["data"]))
