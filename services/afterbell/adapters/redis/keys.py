"""Every Redis key of a queue, built once. All carry one hash tag, so that a Redis Cluster keeps them together."""

import re
from dataclasses import dataclass
from typing import Final

GROUP: Final = "workers"
_QUEUE_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")


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
        """KEYS of every script, always in this order."""
        return [self.prefix + part for part in ("ready", "due", "dead", "starts", "idle", "control")]

    @property
    def ready(self) -> str:
        """The stream of job ids; XLEN - pending = waiting, pending = running."""
        return self.prefix + "ready"

    def job(self, job_id: str) -> str:
        """The hash of one job."""
        return f"{self.prefix}job:{job_id}"

    def bell(self, worker: str) -> str:
        """The channel on which one worker is woken."""
        return f"{self.prefix}bell:{worker}"
