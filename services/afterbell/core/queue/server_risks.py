"""What a Redis server is set up to do that harms a queue, from what it says of itself."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

OLDEST_VERSION: Final = (6, 2)
NEARLY_FULL: Final = 0.85
"""As the alert AfterbellRedisMemory has it."""


def risks_of(info: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each risk, with what to do. ``info``: the fields of INFO; one that is missing is no risk."""
    version = str(info.get("redis_version", ""))
    if "valkey_version" not in info and (read := _numbers(version)) and read < OLDEST_VERSION:
        yield f"Redis {version} is older than 6.2, which the queue's scripts need: upgrade it"
    if info.get("role") == "slave":
        yield "this server is a replica and refuses every write: let REDIS_URL name the primary"
    most, used, policy = (
        info.get("maxmemory", 0),
        info.get("used_memory", 0),
        info.get("maxmemory_policy", "noeviction"),
    )
    if most and policy != "noeviction":
        yield f"Redis deletes waiting jobs when its memory is full (maxmemory-policy {policy}): set it to noeviction"
    if most and used > NEARLY_FULL * most:
        yield f"{used / most:.0%} of Redis memory (maxmemory) is used, and a full Redis starts no report: give it more"


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.split(".")[:2]
    return tuple(map(int, parts)) if len(parts) == 2 and all(part.isdecimal() for part in parts) else ()
