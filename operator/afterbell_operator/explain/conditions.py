"""The conditions of a Pool: pure. HPA's names, plus Ready, what was observed, and whether the pods run."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from afterbell_operator.act.actor import ScaleAttempt
from afterbell_operator.decide.decide import DISABLED, PAUSED, WITHIN_RANGE, unknown_reason, untrusted_reason
from afterbell_operator.decide.values import KnownLoad, UnknownLoad, UntrustedLoad
from afterbell_operator.explain.outcome import Decided
from afterbell_operator.explain.sentences import (
    attempt_sentence,
    observed_sentence,
    obstacle_of,
    problems_sentence,
    sentence_of,
)
from afterbell_operator.observe.facts import Blocked
from afterbell_operator.watch_cache import Key

Json = dict[str, Any]
_NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]+)?")
_LIMITED: Final = frozenset(
    {"TooManyReplicas", "TooFewReplicas", "CeilingReached", "ScaleUpLimit", "ScaleDownLimit", PAUSED}
)
_ABLE: Final = {
    "Reached": (True, "ReadyForNewScale"),
    "Waits": (True, "Draining"),
    "Conflict": (True, "ReadyForNewScale"),
    "Rolling": (False, "RolloutUnderWay"),
    "Refused": (False, "FailedUpdateScale"),
    "Unavailable": (False, "FailedUpdateScale"),
    "OccupancyUnknown": (False, "DrainUnknown"),
}


@dataclass(frozen=True, slots=True)
class Aspect:
    """One condition without its times."""

    type: str
    holds: bool
    reason: str
    message: str


def aspects_of(decided: Decided) -> tuple[Aspect, ...]:
    """Every condition of a Pool that has a target."""
    facts, decision = decided.facts, decided.decision
    sentence = sentence_of(facts.observation, facts.spec, decision)
    disabled, limited = decision.reason == DISABLED, decision.reason in _LIMITED
    active = not disabled and not isinstance(facts.observation.reading, UnknownLoad)
    why_inactive = DISABLED if disabled else f"FailedGet{decided.follows}"
    aspects = (
        _observed(decided),
        _able(decided.attempt, "jobs" if decided.follows == "Backlog" else "sockets"),
        _running(decided),
        Aspect("ScalingActive", active, "ValidMetricFound" if active else why_inactive, sentence),
        Aspect("ScalingLimited", limited, decision.reason if limited else WITHIN_RANGE, sentence),
    )
    return (_ready(decided, aspects, active=active, sentence=sentence), *aspects)


def blocked_aspects(key: Key, blocked: Blocked) -> tuple[Aspect, ...]:
    """Every condition of a Pool that cannot work as it is: no target, a conflict, an unreadable spec."""
    message = obstacle_of(key, blocked)
    return tuple(Aspect(kind, False, blocked.reason, message) for kind in ("Ready", "AbleToScale", "ScalingActive"))


def conditions(aspects: Sequence[Aspect], before: Sequence[Json], generation: int, now: datetime) -> list[Json]:
    """As they are stored: the time of a condition changes only when its status does."""
    known = {stored["type"]: stored for stored in before}
    made = []
    for aspect in aspects:
        status = "True" if aspect.holds else "False"
        old = known.get(aspect.type)
        since = old["lastTransitionTime"] if old and old["status"] == status else stamp(now)
        made.append(
            {
                "type": aspect.type,
                "status": status,
                "reason": aspect.reason,
                "message": aspect.message[:1024],
                "observedGeneration": generation,
                "lastTransitionTime": since,
            }
        )
    return made


def words_of(stored: Sequence[Json]) -> list[str]:
    """The messages without their numbers: an age that grows is no news."""
    return [_NUMBER.sub("0", condition.get("message", "")) for condition in stored]


def stamp(now: datetime) -> str:
    """A time as Kubernetes writes it."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _observed(decided: Decided) -> Aspect:
    follows, spec = decided.follows, decided.facts.spec
    match decided.facts.observation.reading:
        case KnownLoad(load):
            return Aspect(f"{follows}Observed", True, f"{follows}Found", observed_sentence(load))
        case UntrustedLoad(because=because):
            return Aspect(f"{follows}Observed", False, untrusted_reason(spec), because)
        case UnknownLoad(because):
            return Aspect(f"{follows}Observed", False, unknown_reason(spec), because)


def _able(attempt: ScaleAttempt, load: str) -> Aspect:
    holds, reason = _ABLE[attempt.result]
    if attempt.result == "Reached" and attempt.written is not None:
        reason = "SucceededRescale"
    return Aspect("AbleToScale", holds, reason, attempt_sentence(attempt, load))


def _running(decided: Decided) -> Aspect:
    problems = decided.facts.problems
    if problems:
        return Aspect("PodsRunning", False, problems[0].reason, problems_sentence(problems))
    return Aspect("PodsRunning", True, "NoProblemFound", "no pod is known to be failing")


def _ready(decided: Decided, aspects: tuple[Aspect, ...], *, active: bool, sentence: str) -> Aspect:
    observed, able, running, *_ = aspects
    if not observed.holds:
        return Aspect("Ready", False, observed.reason, sentence)
    # Ranks before a rollout that does not end: the pods are the reason why it does not.
    if not running.holds and not all(problem.ready for problem in decided.facts.problems):
        return Aspect("Ready", False, running.reason, running.message)
    if not able.holds:
        return Aspect("Ready", False, able.reason, able.message)
    return Aspect("Ready", active, "Scaling" if active else DISABLED, sentence)
