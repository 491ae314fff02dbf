"""What a decision is made of: the spec, the observation and earlier decisions. Values only.

Times are Unix seconds, durations seconds. Nothing here asks a clock.
"""

from dataclasses import dataclass
from typing import Final, Literal

Mode = Literal["Auto", "Advise", "Off"]
Select = Literal["Max", "Min", "Disabled"]

# A record of a decision stays below 2 KiB, so its history is bounded.
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
    """A downstream limit that allows no more than ``jobs_per_minute`` jobs of ``seconds_per_job`` each."""

    name: str
    jobs_per_minute: float
    seconds_per_job: float


@dataclass(frozen=True, slots=True)
class ScalingPause:
    """A person holds the Pool at ``replicas`` (None: the current number) until ``until_s`` (None: until removed)."""

    replicas: int | None = None
    until_s: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Jobs:
    """The Pool follows the jobs of a queue. A pod runs ``per_pod`` of them at once."""

    per_pod: int = 5
    start_within_s: float = 0.0
    seconds_per_job: float = 45.0
    ceilings: tuple[Ceiling, ...] = ()


@dataclass(frozen=True, slots=True)
class Sockets:
    """The Pool follows the open sockets of the api pods. A pod holds ``per_pod`` of them."""

    per_pod: int


@dataclass(frozen=True, slots=True)
class ScalingSpec:
    """What the user of a Pool asks for."""

    max_replicas: int
    min_replicas: int = 0
    follows: Jobs | Sockets = Jobs()
    idle_after_s: float = 300.0
    mode: Mode = "Auto"
    up: Rules = Rules()
    down: Rules = Rules(window_s=60)
    pause: ScalingPause | None = None


@dataclass(frozen=True, slots=True)
class Backlog:
    """Jobs of a queue. ``running`` includes those whose worker went silent; ``due`` become due soon.

    ``ever``: all that were enqueued since Redis last lost its data.
    """

    waiting: int = 0
    running: int = 0
    due: int = 0
    oldest_s: float = 0.0
    paused: bool = False
    ever: int = 0

    @property
    def startable(self) -> int:
        """Jobs that need a pod and have none. A paused queue starts no job."""
        return 0 if self.paused else self.waiting + self.due

    @property
    def demand(self) -> int:
        """Jobs that need a pod or have one."""
        return self.startable + self.running


@dataclass(frozen=True, slots=True)
class Connections:
    """Open sockets of the ``pods`` that reported; ``draining`` of those pods get no new sockets.

    ``cap``: the lowest capacity of any of them; 0 if it is not known.
    """

    sockets: int = 0
    pods: int = 0
    draining: int = 0
    cap: int = 0

    @property
    def demand(self) -> int:
        """Sockets that need a pod or have one."""
        return self.sockets


Load = Backlog | Connections


@dataclass(frozen=True, slots=True)
class KnownLoad:
    """The load, exactly."""

    load: Load


@dataclass(frozen=True, slots=True)
class UntrustedLoad:
    """The load is at least this: it may add pods and removes none. The queue lost its data, or a pod is silent."""

    load: Load
    because: str


@dataclass(frozen=True, slots=True)
class UnknownLoad:
    """Nothing is known, which is not zero: the number stays."""

    because: str


Reading = KnownLoad | UntrustedLoad | UnknownLoad


@dataclass(frozen=True, slots=True)
class Observation:
    """What was observed at ``at_s``: the replicas asked for, and what is known of the load."""

    at_s: float
    replicas: int
    reading: Reading


@dataclass(frozen=True, slots=True)
class Sample:
    """A number at a moment: a recommendation, or a change of replicas."""

    at_s: float
    value: int


@dataclass(frozen=True, slots=True)
class ScalingHistory:
    """What later decisions need to know about earlier ones; it fits into the status, so a restart forgets nothing.

    ``highs`` and ``lows`` are the recommendations that can still be the maximum or minimum of their window.
    """

    highs: tuple[Sample, ...] = ()
    lows: tuple[Sample, ...] = ()
    changes: tuple[Sample, ...] = ()
    busy_at_s: float | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """A rule that changed the number, and the number of pods after it. The first is the demand."""

    name: str
    replicas: int


@dataclass(frozen=True, slots=True)
class Decision:
    """How many pods there should be, the CamelCase reason, and each step to the number.

    ``wanted``: what load, ceilings and bounds call for, before windows and policies; None if nothing was computed.
    """

    replicas: int
    wanted: int | None
    reason: str
    limits: tuple[Limit, ...]
    history: ScalingHistory
    look_again_s: float | None = None
