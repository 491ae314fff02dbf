"""What the whole fleet knows of its models: breakers, pauses, quotas. One act is one billed command."""

from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote

from redis.asyncio import Redis

from afterbell.adapters.queue import answers
from afterbell.adapters.queue.keys import QueueKeys
from afterbell.adapters.queue.script_client import PRELUDE, Script, ScriptClient

BreakerVerb = Literal["ask", "failed", "broken", "wait", "ok", "ended"]

SCRIPTS: Final = {"breaker": Script((PRELUDE, ("afterbell.adapters.breaker", "breaker")), ("permit", "usage"))}


@dataclass(frozen=True, slots=True)
class Verdict:
    """``wait_ms`` until the model may be called, ``any_wait_ms`` until any of the chain may; 0: now."""

    wait_ms: int = 0
    any_wait_ms: int = 0
    is_probe: bool = False


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """What the last minute's calls of a model have used of its quota."""

    requests: int
    tokens: int
    in_flight: int


class Breaker:
    """The breakers beside one queue. Every method raises StoreUnavailable and QueueScriptError, as the queue's do."""

    def __init__(self, client: Redis, keys: QueueKeys) -> None:
        self._scripts = ScriptClient(client, keys, SCRIPTS)

    async def apply(self, verb: BreakerVerb, model: str, *arguments: object) -> Verdict:
        """One act of ``scripts/breaker.lua``, with the numbers it takes, then the other models of the chain."""
        read = answers.read("permit", await self._run(verb, model, *arguments))
        return Verdict(read["wait_ms"], read["any_wait_ms"], bool(read["is_probe"]))

    async def usage(self, model: str) -> ModelUsage:
        """What is used of the model's quota; changes nothing."""
        return ModelUsage(**answers.read("usage", await self._run("usage", model)))

    async def _run(self, verb: str, model: str, *arguments: object) -> list[int]:
        sent = [quote(value, safe="") if isinstance(value, str) else value for value in arguments]
        answer: list[int] = await self._scripts.run("breaker", [verb, quote(model, safe=""), *sent])
        return answer
