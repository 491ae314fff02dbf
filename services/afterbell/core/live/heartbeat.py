"""What an api pod says of itself in its heartbeat, for the operator that decides how many of them there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

PodVerb = Literal["drain", "undrain"]
"""What the operator may ask of an api pod: send your sockets away and take no more, or take some again."""

HEARTBEAT_EVERY_S: Final = 5.0
DRAIN_KEPT_S: Final = 60.0
"""A pod that was asked to drain goes back into service when nobody asked again for so long."""


@dataclass(frozen=True, slots=True)
class PodHeartbeat:
    """``pod``: its name in Kubernetes; ``sockets`` open now, of at most ``sockets_max``; ``draining``: wants none."""

    pod: str
    sockets: int
    sockets_max: int
    draining: bool

    @property
    def words(self) -> list[Any]:
        """As it crosses the bus."""
        return [self.pod, self.sockets, self.sockets_max, self.draining]


def heartbeat_in(words: Sequence[Any]) -> PodHeartbeat | None:
    """The inverse of ``words``. None for anything else: a pod that tells nobody, or one of another version."""
    match words:
        case [str(pod), int(sockets), int(most), bool(draining)]:
            return PodHeartbeat(pod, sockets, most, draining)
    return None
