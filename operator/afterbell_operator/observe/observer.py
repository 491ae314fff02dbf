"""What a round needs from the source of a Pool: the queue of its jobs, or the api pods that hold its sockets."""

from collections.abc import Sequence
from typing import Protocol

from afterbell_operator.decide.values import Reading
from afterbell_operator.decide.victims import Occupancy, Pod


class OccupancyUnknown(Exception):
    """What some pod holds is not known, so no pod may be removed."""


class Drains(Protocol):
    """What pods hold, and how they are drained: through the queue for workers, over the bus for api pods."""

    async def occupancy(self, pods: Sequence[Pod], /) -> Occupancy:
        """What these pods hold now. Raises StoreUnavailable or OccupancyUnknown."""

    async def drain(self, pod: str) -> None:
        """Have a pod take no more jobs or sockets. Raises StoreUnavailable."""

    async def undrain(self, pod: str) -> None:
        """Let a pod take jobs or sockets again. Raises StoreUnavailable."""

    async def renew(self, pods: Sequence[str]) -> None:
        """Keep these pods drained, if a drain ends unless repeated. Raises StoreUnavailable."""


class Observer(Drains, Protocol):
    """One for each queue, and one for the api pods of each target."""

    def reading(self) -> Reading:
        """What is known now."""

    def pending(self) -> bool:
        """Nothing can be said yet: the first answer, or its failure, is still to come and will wake a round."""

    def age_s(self) -> float:
        """Seconds since something was known; infinite before the first time."""

    def expect(self, jobs_ever: int) -> None:
        """So many jobs were known before this process began; a source that knows of fewer has lost its data."""

    def refresh(self) -> None:
        """Something failed: read again soon."""
