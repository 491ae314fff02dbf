"""What the status of a Pool says: pure. HPA's condition names, plus Ready and what was observed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from afterbell_operator.model import Decision, Observation

Json = dict[str, Any]
_NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]+)?")
WITHIN_RANGE: Final = "DesiredWithinRange"
_LIMITED: Final = frozenset(
    {"TooManyReplicas", "TooFewReplicas", "CeilingReached", "ScaleUpLimit", "ScaleDownLimit", "Paused"}
)


@dataclass(frozen=True, slots=True)
class Aspect:
    """One condition without its times."""

    type: str
    holds: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Able:
    """Whether the target could be changed, why not, and what is under way."""

    holds: bool = True
    reason: str = "ReadyForNewScale"
    message: str = "the target is at the decided number"


def aspects_of(seen: Observation, decision: Decision, able: Able, *, follows: str = "Backlog") -> tuple[Aspect, ...]:
    """Every condition of a Pool that has a target. ``follows``: Backlog or Connections."""
    active = seen.load is not None and decision.reason != "ScalingDisabled"
    why_inactive = "ScalingDisabled" if decision.reason == "ScalingDisabled" else f"FailedGet{follows}"
    limited = decision.reason in _LIMITED
    observed = _observed(seen, follows)
    return (
        _ready(observed, active, able, decision),
        observed,
        Aspect("ScalingActive", active, "ValidMetricFound" if active else why_inactive, decision.sentence),
        Aspect("AbleToScale", able.holds, able.reason, able.message),
        Aspect("ScalingLimited", limited, decision.reason if limited else WITHIN_RANGE, decision.sentence),
    )


def broken(reason: str, message: str) -> tuple[Aspect, ...]:
    """Every condition of a Pool that cannot work as it is: no target, a conflict, a spec nobody can read."""
    return (
        Aspect("Ready", False, reason, message),
        Aspect("AbleToScale", False, reason, message),
        Aspect("ScalingActive", False, reason, message),
    )


def conditions(aspects: Sequence[Aspect], before: Sequence[Json], generation: int, now: datetime) -> list[Json]:
    """As they are stored: the time of a condition moves only when its status does."""
    known = {one["type"]: one for one in before}
    made = []
    for aspect in aspects:
        status = "True" if aspect.holds else "False"
        old = known.get(aspect.type)
        since = old["lastTransitionTime"] if old and old["status"] == status else stamp(now)
        made.append({"type": aspect.type, "status": status, "reason": aspect.reason, "message": aspect.message[:1024],
                     "observedGeneration": generation, "lastTransitionTime": since})  # fmt: skip
    return made


def words_of(stored: Sequence[Json]) -> list[str]:
    """The messages without their numbers: an age that grows says nothing new."""
    return [_NUMBER.sub("0", one.get("message", "")) for one in stored]


def stamp(now: datetime) -> str:
    """A time as Kubernetes writes it."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _observed(seen: Observation, follows: str) -> Aspect:
    if seen.load is not None and seen.trusted:
        who = "the queue tells its load" if follows == "Backlog" else "every ready pod tells its sockets"
        return Aspect(f"{follows}Observed", True, f"{follows}Found", who)
    distrusted = seen.backlog is not None
    return Aspect(
        f"{follows}Observed", False, f"{follows}{'Distrusted' if distrusted else 'Unknown'}", seen.unknown_because
    )


def _ready(observed: Aspect, active: bool, able: Able, decision: Decision) -> Aspect:
    if not observed.holds:
        return Aspect("Ready", False, observed.reason, decision.sentence)
    if not able.holds:
        return Aspect("Ready", False, able.reason, able.message)
    return Aspect("Ready", active, "Scaling" if active else "ScalingDisabled", decision.sentence)
