"""Every Redis key of a queue, built once. All carry one hash tag, so that a Redis Cluster keeps them together."""

import re
from dataclasses import dataclass
from typing import Final

_QUEUE_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_FIXED: Final = ("lanes", "ended", "waiting", "due", "leases", "dead", "starts", "idle", "watch", "control", "spent")


@dataclass(frozen=True, slots=True)
class QueueKeys:
    """The keys of queue ``name``. Raises ValueError for a name that could break a key."""

    name: str

    def __post_init__(self) -> None:
        if not _QUEUE_NAME.fullmatch(self.name):
            raise ValueError(
                f"queue name {self.name[:80]!r} is not usable: "
                "use 1-63 lower-case letters, digits, '.', '_' or '-', starting with a letter or digit"
            )

    @property
    def prefix(self) -> str:
        """``{ab:<queue>}:``, in front of every key and channel."""
        return f"{{ab:{self.name}}}:"

    @property
    def script_keys(self) -> list[str]:
        """KEYS of every script, always in this order; ``scripts/prelude.lua`` says what each one holds."""
        return [self.prefix + part for part in _FIXED]

    @property
    def wakeup_of_all(self) -> str:
        """The channel on which every worker is woken."""
        return f"{self.prefix}wakeup"

    @property
    def facts(self) -> str:
        """The channel that tells every change of the queue's load; see ``scripts/prelude.lua``."""
        return f"{self.prefix}facts"

    def wakeup(self, worker: str) -> str:
        """The channel on which one worker is woken."""
        return f"{self.prefix}wakeup:{worker}"
