"""Between the pods: a bus carries small messages on shards. One pod alone needs none of it."""

from collections.abc import Callable
from typing import Any, Protocol
from zlib import crc32

SHARDS = 16


def shard_of(room: str) -> int:
    """The shard whose channel carries a room's messages."""
    return crc32(room.encode()) % SHARDS


class Bus(Protocol):
    """What the fan-out needs of whatever connects the pods. Nothing in it blocks or raises."""

    @property
    def connected(self) -> bool:
        """Whether other pods are within reach, or there are none by design."""

    def start(
        self, heard: Callable[[bytes], None], turned: Callable[[], None], sign: Callable[[], list[Any]] | None = None
    ) -> None:
        """Begin. ``heard`` gets other pods' messages; ``turned`` is called when ``connected`` changes; ``sign`` gives
        what each heartbeat says besides, and has them sent also while nobody is here."""

    def say_alive(self) -> None:
        """Give a heartbeat now; there is one every few seconds anyway."""

    def publish(self, shard: int, message: bytes) -> None:
        """Hand a message over; it may be lost, and is counted then."""

    def want(self, shards: set[int]) -> None:
        """Hear these shards and no others."""

    async def heard_from(self, shard: int) -> None:
        """Return once this shard is heard, or cannot be heard now."""

    async def stop(self) -> None:
        """Say what is left to say, and end."""


class NoBus:
    """A single pod."""

    connected = True

    def start(
        self, heard: Callable[[bytes], None], turned: Callable[[], None], sign: Callable[[], list[Any]] | None = None
    ) -> None:
        """Nobody to hear."""

    def say_alive(self) -> None:
        """Nobody to tell."""

    def publish(self, shard: int, message: bytes) -> None:
        """Nobody to tell."""

    def want(self, shards: set[int]) -> None:
        """Nothing to hear."""

    async def heard_from(self, shard: int) -> None:
        """At once."""

    async def stop(self) -> None:
        """Nothing to end."""
