"""What a decision is made of: the wish of the user, what was seen, what was decided before. Values only.

Times are Unix seconds, durations seconds. Nothing here asks a clock.
"""

from dataclasses import dataclass
from typing import Final, Literal

Mode = Literal["Auto", "Advise", "Off"]
Select = Literal["Max", "Min", "Disabled"]

# A record of a decision stays below 2 KiB, so what it remembers is bounded.
SAMPLES_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class Policy:
    """At most ``value`` pods, or percent of the pods there were, may come or go in ``period_s``."""

    kind: Literal["Pods", "Percent"]
    value: int
    period_s: int


@dataclass(frozen=True, slots=True)
class Rules:
    """One direction of HPA's ``behavior``. No policies means no limit."""

    window_s: int = 0
    select: Select = "Max"
    policies: tuple[Policy, ...] = ()


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Something downstream that starts no more than ``jobs_per_minute`` jobs of ``seconds_per_job`` each."""

    name: str
    jobs_per_minute: float
    seconds_per_job: float


@dataclass(frozen=True, slots=True)
class Pause:
    """A person holds the pool at ``replicas`` (None: where it is) until ``until_s`` (None: until taken back)."""

    replicas: int | None = None
    until_s: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Spec:
    """What the user of a Pool asks for. ``sockets_per_pod`` is 0 where the Pool follows jobs."""

    max_replicas: int
    min_replicas: int = 0
    jobs_per_pod: int = 5
    start_within_s: float = 0.0
    seconds_per_job: float = 45.0
    idle_after_s: float = 300.0
    mode: Mode = "Auto"
    up: Rules = Rules()
    down: Rules = Rules(window_s=60)
    ceilings: tuple[Ceiling, ...] = ()
    pause: Pause | None = None
    sockets_per_pod: int = 0


@dataclass(frozen=True, slots=True)
class Backlog:
    """Jobs of a queue. ``running`` includes those whose worker went silent; ``due``: their moment comes soon.

    ``ever``: all that were put since Redis last lost its data.
    """

    waiting: int = 0
    running: int = 0
    due: int = 0
    oldest_s: float = 0.0
    paused: bool = False
    ever: int = 0

    @property
    def startable(self) -> int:
        """Jobs that want a pod and have none. A paused queue starts nothing, whoever waits."""
        return 0 if self.paused else self.waiting + self.due

    @property
    def demand(self) -> int:
        """Jobs that want a pod or have one."""
        return self.startable + self.running

    @property
    def words(self) -> str:
        """For the explanation."""
        jobs = f"{self.running} running, {self.waiting} waiting, {self.due} due soon"
        return f"{jobs}, queue paused" if self.paused else jobs


@dataclass(frozen=True, slots=True)
class Connections:
    """Open sockets of the ``pods`` that were heard; ``draining`` of those get no new ones.

    ``cap``: the least that one of them takes; 0 where it is not known.
    """

    sockets: int = 0
    pods: int = 0
    draining: int = 0
    cap: int = 0

    @property
    def demand(self) -> int:
        """Sockets that want a pod or have one."""
        return self.sockets

    @property
    def words(self) -> str:
        """For the explanation."""
        pods = f"{self.sockets} sockets on {self.pods} pod{'' if self.pods == 1 else 's'}"
        return f"{pods}, {self.draining} of them draining" if self.draining else pods


Load = Backlog | Connections


@dataclass(frozen=True, slots=True)
class Observation:
    """The world at ``at_s``: pods asked for, and the backlog or the connections, None where unknown (and why).

    Not ``trusted``: a small number proves nothing. The queue lost its data a short while ago, or a pod was not heard.
    """

    at_s: float
    replicas: int
    backlog: Backlog | None
    unknown_because: str = ""
    trusted: bool = True
    connections: Connections | None = None

    @property
    def load(self) -> Load | None:
        """What the Pool follows, as far as it is known."""
        return self.connections if self.backlog is None else self.backlog


@dataclass(frozen=True, slots=True)
class Sample:
    """A number at a moment: a recommendation, or a change of replicas."""

    at_s: float
    value: int


@dataclass(frozen=True, slots=True)
class History:
    """What later decisions need of earlier ones; it fits into the status, so a restart forgets nothing.

    ``highs`` and ``lows`` are the recommendations that can still be the maximum or minimum of their window.
    """

    highs: tuple[Sample, ...] = ()
    lows: tuple[Sample, ...] = ()
    changes: tuple[Sample, ...] = ()
    busy_at_s: float | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """One rule that was asked, and the number of pods after it."""

    name: str
    replicas: int


@dataclass(frozen=True, slots=True)
class Decision:
    """How many pods there should be, the CamelCase reason, one sentence with the numbers, and each step to it."""

    replicas: int
    wanted: int | None
    reason: str
    sentence: str
    limits: tuple[Limit, ...]
    history: History
    look_again_s: float | None = None
