"""How many pods there should be: a pure function of the observation, the spec and earlier decisions.

The steps in order. Each step that changes the number is kept in ``Decision.limits``:

    demand          slots for the jobs that run, wait or become due soon, less the slots that running jobs free
                    within startWithin; or the open sockets at so many per pod
    ceilings        the most that a provider or a database can bear
    minReplicas, maxReplicas
    window          HPA's stabilisation: the lowest (up) or highest (down) recommendation of the recent past
    idleAfter       the last pod is removed only after this long without a job
    policy          HPA's limits on how many pods may be added or removed at once
    minReplicas, maxReplicas
                    once more: a window or a policy may lead out of bounds that were just changed

An unknown load never lowers the number, and neither does a Pool that is off or paused.
"""

import math
from bisect import bisect_right
from dataclasses import replace
from typing import Final

from afterbell_operator.decide.behavior import rate_limit_down, rate_limit_up, remember, stabilised
from afterbell_operator.decide.values import (
    Backlog,
    Ceiling,
    Connections,
    Decision,
    Jobs,
    KnownLoad,
    Limit,
    Load,
    Observation,
    Sample,
    ScalingHistory,
    ScalingPause,
    ScalingSpec,
    Sockets,
    UnknownLoad,
    UntrustedLoad,
)

WITHIN_RANGE: Final = "DesiredWithinRange"
DISABLED: Final = "ScalingDisabled"
PAUSED: Final = "Paused"
BACKLOG_DISTRUSTED: Final = "BacklogDistrusted"
# The last limit that changed the number is the reason. Ceilings have names of their own.
_CEILING: Final = "CeilingReached"
_REASONS: Final = {
    "demand": WITHIN_RANGE,
    "minReplicas": "TooFewReplicas",
    "maxReplicas": "TooManyReplicas",
    "scaleUp window": "ScaleUpStabilized",
    "scaleDown window": "ScaleDownStabilized",
    "idleAfter": "KeptWhileIdle",
    "scaleUp policy": "ScaleUpLimit",
    "scaleDown policy": "ScaleDownLimit",
}
# Limits that pass by themselves as time goes by.
_PASSING: Final = frozenset(_REASONS) - {"demand", "minReplicas", "maxReplicas"}


def decide(observation: Observation, spec: ScalingSpec, history: ScalingHistory) -> Decision:
    """The number of pods for ``spec`` now. Apply the answer, then keep ``applied(decision, …)`` for the next time."""
    if spec.mode == "Off":
        return _held(observation, history, observation.replicas, DISABLED)
    if spec.pause is not None and _pauses(spec.pause, observation.at_s):
        return _paused(observation, spec.pause, history)
    match observation.reading:
        case UnknownLoad():
            return _held(observation, history, max(observation.replicas, spec.min_replicas), unknown_reason(spec))
        case UntrustedLoad(load):
            decision = _sized(observation, load, spec, history)
            return (
                decision
                if decision.replicas >= observation.replicas
                else _untrusted(observation, spec, decision, history)
            )
        case KnownLoad(load):
            return _sized(observation, load, spec, history)


def applied(decision: Decision, before: int, at_s: float) -> ScalingHistory:
    """The history after ``decision`` was written to a target that had ``before`` replicas."""
    if decision.replicas == before:
        return decision.history
    change = Sample(at_s, decision.replicas - before)
    return replace(decision.history, changes=(*decision.history.changes, change))


def unknown_reason(spec: ScalingSpec) -> str:
    """The reason of a decision and of a condition while the load is unknown."""
    return "BacklogUnknown" if isinstance(spec.follows, Jobs) else "ConnectionsUnknown"


def untrusted_reason(spec: ScalingSpec) -> str:
    """The reason if the load is at least what was read. A silent api pod has not necessarily lost anything."""
    return BACKLOG_DISTRUSTED if isinstance(spec.follows, Jobs) else "ConnectionsUnknown"


def pods_for(backlog: Backlog, jobs: Jobs) -> int:
    """Pods with a slot for every running job, and for every waiting job that gets no slot from an ending job in time.

    In the time left, running jobs end one after the other, evenly; a new slot is used for as many jobs as fit into it.
    """
    left = max(jobs.start_within_s - backlog.oldest_s, 0.0) / jobs.seconds_per_job
    without_room = max(backlog.startable - backlog.running * left, 0.0)
    slots = backlog.running + math.ceil(without_room / (1 + math.floor(left)))
    return math.ceil(slots / jobs.per_pod)


def grows_in_s(backlog: Backlog, jobs: Jobs) -> int | None:
    """Whole seconds until the same jobs need more pods because the oldest has less of startWithin left; None: never."""

    def aged(seconds: int) -> int:
        return pods_for(replace(backlog, oldest_s=backlog.oldest_s + seconds), jobs)

    now, left_s = aged(0), math.ceil(jobs.start_within_s - backlog.oldest_s)
    if left_s <= 0 or aged(left_s) == now:
        return None
    return bisect_right(range(left_s + 1), now, key=aged)


def pods_for_sockets(load: Connections, sockets: Sockets) -> int:
    """Pods for the sockets, none filled beyond 70 % of its capacity: new sockets arrive while a pod starts."""
    most = max(load.cap * 7 // 10, 1) if load.cap else sockets.per_pod
    return math.ceil(load.sockets / min(sockets.per_pod, most))


def useful_pods(ceiling: Ceiling, jobs: Jobs) -> int:
    """Pods that can be kept busy under the ceiling: by Little's law, it allows this many jobs at once."""
    return max(1, math.ceil(ceiling.jobs_per_minute / 60 * ceiling.seconds_per_job / jobs.per_pod))


def _pauses(pause: ScalingPause, now_s: float) -> bool:
    return pause.until_s is None or now_s < pause.until_s


def _paused(observation: Observation, pause: ScalingPause, history: ScalingHistory) -> Decision:
    replicas = observation.replicas if pause.replicas is None else pause.replicas
    look_again_s = None if pause.until_s is None else pause.until_s - observation.at_s
    return _held(observation, history, replicas, PAUSED, look_again_s)


def _untrusted(observation: Observation, spec: ScalingSpec, decision: Decision, history: ScalingHistory) -> Decision:
    return replace(decision, replicas=observation.replicas, reason=untrusted_reason(spec), history=history)


def _held(
    observation: Observation, history: ScalingHistory, replicas: int, reason: str, look_again_s: float | None = None
) -> Decision:
    limits = (Limit("current", observation.replicas),)
    return Decision(
        replicas=replicas, wanted=None, reason=reason, limits=limits, history=history, look_again_s=look_again_s
    )


def _sized(observation: Observation, load: Load, spec: ScalingSpec, history: ScalingHistory) -> Decision:
    now_s, current = observation.at_s, observation.replicas
    history = _until(history, now_s)
    history = replace(history, busy_at_s=now_s if load.demand or history.busy_at_s is None else history.busy_at_s)
    steps = [Limit("demand", _pods_wanted(load, spec.follows))]
    _ceilings(steps, spec.follows)
    _bounds(steps, spec)
    wanted = steps[-1].replicas
    held = stabilised(spec, current, wanted, history, now_s)
    _step(steps, "scaleUp window" if held < wanted else "scaleDown window", held)
    _last_pod(steps, load, observation, spec, history)
    _policies(steps, observation, spec, history)
    _bounds(steps, spec)
    remembered = remember(spec, history, wanted, now_s)
    return Decision(
        replicas=steps[-1].replicas,
        wanted=wanted,
        reason=_REASONS.get(steps[-1].name, _CEILING),
        limits=tuple(steps),
        history=remembered,
        look_again_s=_look_again_s(steps, load, observation, spec, remembered),
    )


def _until(history: ScalingHistory, now_s: float) -> ScalingHistory:
    """A clock that is set back leaves samples in the future, which no window would ever forget: they count as now."""

    def past(samples: tuple[Sample, ...]) -> tuple[Sample, ...]:
        return tuple(Sample(min(sample.at_s, now_s), sample.value) for sample in samples)

    busy_at_s = None if history.busy_at_s is None else min(history.busy_at_s, now_s)
    return ScalingHistory(past(history.highs), past(history.lows), past(history.changes), busy_at_s)


def _pods_wanted(load: Load, follows: Jobs | Sockets) -> int:
    match load, follows:
        case Backlog(), Jobs():
            return pods_for(load, follows)
        case Connections(), Sockets():
            return pods_for_sockets(load, follows)
    raise TypeError(f"a Pool that follows {type(follows).__name__} cannot be sized by {type(load).__name__}")


def _step(steps: list[Limit], name: str, replicas: int) -> None:
    if replicas != steps[-1].replicas:
        steps.append(Limit(name, replicas))


def _lower(steps: list[Limit], name: str, most: int) -> None:
    _step(steps, name, min(steps[-1].replicas, most))


def _raise(steps: list[Limit], name: str, least: int) -> None:
    _step(steps, name, max(steps[-1].replicas, least))


def _ceilings(steps: list[Limit], follows: Jobs | Sockets) -> None:
    if isinstance(follows, Jobs):
        for ceiling in follows.ceilings:
            _lower(steps, f"ceiling {ceiling.name}", useful_pods(ceiling, follows))


def _bounds(steps: list[Limit], spec: ScalingSpec) -> None:
    _raise(steps, "minReplicas", spec.min_replicas)
    _lower(steps, "maxReplicas", spec.max_replicas)


def _last_pod(
    steps: list[Limit], load: Load, observation: Observation, spec: ScalingSpec, history: ScalingHistory
) -> None:
    """A pod costs little compared with its start-up time: the last one stays while the queue was just in use."""
    idle_s = observation.at_s - (history.busy_at_s if history.busy_at_s is not None else observation.at_s)
    if observation.replicas > 0 and not load.demand and idle_s < spec.idle_after_s:
        _raise(steps, "idleAfter", 1)


def _policies(steps: list[Limit], observation: Observation, spec: ScalingSpec, history: ScalingHistory) -> None:
    if not spec.min_replicas <= observation.replicas <= spec.max_replicas:
        return  # as in HPA: a number out of bounds is corrected at once
    wanted = steps[-1].replicas
    if wanted > observation.replicas:
        most = rate_limit_up(spec.up, observation.replicas, history.changes, observation.at_s)
        if most is not None:
            _lower(steps, "scaleUp policy", most)
    elif wanted < observation.replicas:
        least = rate_limit_down(spec.down, observation.replicas, history.changes, observation.at_s)
        if least is not None:
            _raise(steps, "scaleDown policy", least)


def _look_again_s(
    steps: list[Limit], load: Load, observation: Observation, spec: ScalingSpec, history: ScalingHistory
) -> float | None:
    """Seconds until the same load may lead to another number.

    A window, the idle time or a policy's period ends, or the oldest job has waited long enough.
    """
    ends: list[float] = []
    if isinstance(load, Backlog) and isinstance(spec.follows, Jobs):
        grows_s = grows_in_s(load, spec.follows)
        ends += [] if grows_s is None else [observation.at_s + grows_s]
    if any(step.name in _PASSING for step in steps):
        ends += [sample.at_s + spec.down.window_s for sample in history.highs]
        ends += [sample.at_s + spec.up.window_s for sample in history.lows]
        policies = (*spec.up.policies, *spec.down.policies)
        ends += [change.at_s + policy.period_s for change in history.changes for policy in policies]
        ends += [] if history.busy_at_s is None else [history.busy_at_s + spec.idle_after_s]
    return min((end - observation.at_s for end in ends if end > observation.at_s), default=None)
