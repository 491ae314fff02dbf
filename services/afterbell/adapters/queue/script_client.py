"""Runs Lua scripts on the keys of one queue: each call is one billed command, timed, counted, its error classified."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from afterbell.adapters.queue import answers
from afterbell.adapters.queue.keys import QueueKeys
from afterbell.adapters.redis.accounting import name_script
from afterbell.adapters.redis.connections import is_passing, leave_replica
from afterbell.core.errors import QueueScriptError, StoreUnavailable
from afterbell.observability.metrics import QUEUE_SCRIPT_ERRORS, REDIS_ERRORS, REDIS_SECONDS

QUEUE: Final = "afterbell.adapters.queue"
PRELUDE: Final = (QUEUE, "prelude")


@dataclass(frozen=True, slots=True)
class Script:
    """What one call runs: ``parts`` (package and file) behind the prelude, and the ``answers`` it gives."""

    parts: tuple[tuple[str, str], ...]
    answers: tuple[str, ...] = ()


class ScriptClient:
    """The ``scripts`` by name, on the keys of one queue."""

    def __init__(self, client: Redis, keys: QueueKeys, scripts: Mapping[str, Script]) -> None:
        self._client, self._keys = client, keys
        self._registered = {name: client.register_script(self.source(script)) for name, script in scripts.items()}
        for name, script in self._registered.items():
            name_script(script.sha, name)
            QUEUE_SCRIPT_ERRORS.labels(name)  # from 0 on, so that the first one counts as an increase

    def source(self, script: Script) -> str:
        """The text Redis runs."""
        return source_of(script)

    async def run(self, name: str, arguments: list[Any]) -> Any:
        """The script's answer. Raises StoreUnavailable while Redis does not answer or cannot serve, QueueScriptError
        where the script fails in it."""
        try:
            with REDIS_SECONDS.labels(name).time():
                return await self._registered[name](self._keys.script_keys, [self._keys.prefix, *arguments])
        except (RedisError, OSError, TimeoutError) as error:
            detail = f"{type(error).__name__}: {error}"
            if not is_passing(error):
                QUEUE_SCRIPT_ERRORS.labels(name).inc()
                raise QueueScriptError(name, detail) from error
            REDIS_ERRORS.labels(name).inc()
            await leave_replica(self._client, error)
            raise StoreUnavailable("Redis", f"{name}: {detail}") from error


@cache
def source_of(script: Script) -> str:
    """The fields of its answers, then its parts."""
    parts = [(files(package) / "scripts" / f"{file}.lua").read_text("utf-8") for package, file in script.parts]
    return "\n".join([answers.as_lua((answers.LOAD, *script.answers)), *parts])
