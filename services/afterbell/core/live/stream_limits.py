"""How many streams of progress somebody may have open, so that nobody takes those of everybody else."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from afterbell.core.access import Caller

Refusal = Literal["process", "tenant", "user"]


@dataclass(slots=True)
class StreamLimits:
    """Open streams of a process, of each tenant and of each person, and the most there may be of each."""

    process_max: int
    tenant_max: int
    user_max: int
    _open: Counter[tuple[str, ...]] = field(default_factory=Counter)

    @property
    def open(self) -> int:
        """All of the process."""
        return self._open[()]

    def take(self, caller: Caller) -> Refusal | None:
        """Count one more stream; or say whose limit is reached, and count none."""
        whole, tenant, user = _counted(caller)
        if self._open[user] >= self.user_max:
            return "user"
        if self._open[tenant] >= self.tenant_max:
            return "tenant"
        if self._open[whole] >= self.process_max:
            return "process"
        self._open.update((whole, tenant, user))
        return None

    def give_back(self, caller: Caller) -> None:
        """One stream fewer."""
        for counted in _counted(caller):
            self._open[counted] -= 1
            if not self._open[counted]:
                del self._open[counted]


def _counted(caller: Caller) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    return (), (caller.tenant,), (caller.tenant, caller.subject)
