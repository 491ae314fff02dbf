"""How many pods there should be: a pure function of what was seen, what is asked for, and what was decided before.

The steps, each leaving its number in ``Decision.limits``:

    demand          jobs that run, wait, or become due soon; or open sockets
    pods            slots for the jobs, less those that ending ones free within startWithin; or socketsPerPod each
    ceilings        what a provider or a database can bear at the most
    window          HPA's stabilisation: the lowest (up) or highest (down) recommendation of the recent past
    idleAfter       the last pod goes only after this long without any job
    policy          HPA's limits on how many may come or go at once
    minReplicas, maxReplicas

A backlog or connections that are unknown never lower the number, and neither does a switched-off or paused pool.
"""

import math
from bisect import bisect_right
from dataclasses import replace

from afterbell_operator.behavior import rate_limit_down, rate_limit_up, remember, stabilised
from afterbell_operator.model import (
    Backlog,
    Ceiling,
    Connections,
    Decision,
    History,
    Limit,
    Load,
    Observation,
    Pause,
    Sample,
    Spec,
)


def decide(seen: Observation, spec: Spec, history: History) -> Decision:
    """The number of pods for ``spec`` now. Apply the answer, then keep ``applied(decision, …)`` for the next time."""
    if spec.mode == "Off":
        return _held(seen, history, seen.replicas, "ScalingDisabled", "mode is Off: nothing is changed")
    if spec.pause is not None and _pauses(spec.pause, seen.at_s):
        return _paused(seen, spec.pause, history)
    load = seen.connections if spec.sockets_per_pod else seen.backlog
    if load is None:
        return _blind(seen, spec, history)
    decision = _sighted(seen, load, spec, history)
    return decision if seen.trusted or decision.replicas >= seen.replicas else _distrusted(seen, decision, history)


def applied(decision: Decision, before: int, at_s: float) -> History:
    """The history once ``decision`` was written to a target that had ``before`` replicas."""
    if decision.replicas == before:
        return decision.history
    change = Sample(at_s, decision.replicas - before)
    return replace(decision.history, changes=(*decision.history.changes, change))


def pods_for(backlog: Backlog, spec: Spec) -> int:
    """Pods with a slot for every running job, and for every waiting one that no ending job makes room for in time.

    In the time left running jobs end one after the other, evenly; new slots are used for as many rounds as fit into it.
    """
    left = max(spec.start_within_s - backlog.oldest_s, 0.0) / spec.seconds_per_job
    without_room = max(backlog.startable - backlog.running * left, 0.0)
    slots = backlog.running + math.ceil(without_room / (1 + math.floor(left)))
    return math.ceil(slots / spec.jobs_per_pod)


def grows_in_s(backlog: Backlog, spec: Spec) -> int | None:
    """Whole seconds until the same jobs take more pods, when less of startWithin is left to the oldest; None: never."""

    def aged(seconds: int) -> int:
        return pods_for(replace(backlog, oldest_s=backlog.oldest_s + seconds), spec)

    now, left_s = aged(0), math.ceil(spec.start_within_s - backlog.oldest_s)
    if left_s <= 0 or aged(left_s) == now:
        return None
    return bisect_right(range(left_s + 1), now, key=aged)


def pods_for_sockets(load: Connections, spec: Spec) -> int:
    """Pods that hold the sockets, and none fuller than 70 % of what it takes: new ones come while a pod starts."""
    most = max(load.cap * 7 // 10, 1) if load.cap else spec.sockets_per_pod
    return math.ceil(load.sockets / min(spec.sockets_per_pod, most))


def useful_pods(ceiling: Ceiling, jobs_per_pod: int) -> int:
    """Pods that can be kept busy under the ceiling: by Little's law it lets this many jobs run at once."""
    return max(1, math.ceil(ceiling.jobs_per_minute / 60 * ceiling.seconds_per_job / jobs_per_pod))


def _pauses(pause: Pause, now_s: float) -> bool:
    return pause.until_s is None or now_s < pause.until_s


def _paused(seen: Observation, pause: Pause, history: History) -> Decision:
    replicas = seen.replicas if pause.replicas is None else pause.replicas
    until = "until it is taken back" if pause.until_s is None else f"for {pause.until_s - seen.at_s:.0f} s more"
    sentence = f"paused at {replicas} {until}" + (f": {pause.reason}" if pause.reason else "")
    look_again_s = None if pause.until_s is None else pause.until_s - seen.at_s
    return _held(seen, history, replicas, "Paused", sentence, look_again_s)


def _blind(seen: Observation, spec: Spec, history: History) -> Decision:
    replicas = max(seen.replicas, spec.min_replicas)
    sentence = f"{seen.unknown_because or 'the backlog is unknown'}: {replicas} replicas are kept, none is taken away"
    return _held(seen, history, replicas, "ConnectionsUnknown" if spec.sockets_per_pod else "BacklogUnknown", sentence)


def _distrusted(seen: Observation, decision: Decision, history: History) -> Decision:
    of_jobs = seen.backlog is not None
    why = "Redis lost its data a short while ago" if of_jobs else seen.unknown_because
    sentence = f"{why}: {seen.replicas} replicas are kept; {decision.sentence}"
    reason = "BacklogDistrusted" if of_jobs else "ConnectionsUnknown"
    return replace(decision, replicas=seen.replicas, reason=reason, sentence=sentence, history=history)


def _held(
    seen: Observation, history: History, replicas: int, reason: str, sentence: str, look_again_s: float | None = None
) -> Decision:
    return Decision(replicas, None, reason, sentence, (Limit("current", seen.replicas),), history, look_again_s)


def _sighted(seen: Observation, load: Load, spec: Spec, history: History) -> Decision:
    now_s, current = seen.at_s, seen.replicas
    history = _until(history, now_s)
    history = replace(history, busy_at_s=now_s if load.demand or history.busy_at_s is None else history.busy_at_s)
    steps = [Limit("demand", pods_for(load, spec) if isinstance(load, Backlog) else pods_for_sockets(load, spec))]
    for ceiling in spec.ceilings:
        _lower(steps, f"ceiling {ceiling.name}", useful_pods(ceiling, spec.jobs_per_pod))
    wanted = min(max(steps[-1].replicas, spec.min_replicas), spec.max_replicas)
    _step(steps, "window", stabilised(spec, current, wanted, history, now_s))
    _last_pod(steps, load, seen, spec, history)
    _policies(steps, seen, spec, history)
    _raise(steps, "minReplicas", spec.min_replicas)
    _lower(steps, "maxReplicas", spec.max_replicas)
    replicas = steps[-1].replicas
    return Decision(
        replicas=replicas,
        wanted=wanted,
        reason=_reason(steps, current),
        sentence=_sentence(steps, load, current),
        limits=tuple(steps),
        history=remember(spec, history, wanted, now_s),
        look_again_s=_look_again_s(steps, load, seen, spec, remember(spec, history, wanted, now_s)),
    )


def _until(history: History, now_s: float) -> History:
    """A clock that was set back leaves samples in the future, which no window would ever forget: they count as now."""

    def past(samples: tuple[Sample, ...]) -> tuple[Sample, ...]:
        return tuple(Sample(min(one.at_s, now_s), one.value) for one in samples)

    busy_at_s = None if history.busy_at_s is None else min(history.busy_at_s, now_s)
    return History(past(history.highs), past(history.lows), past(history.changes), busy_at_s)


def _step(steps: list[Limit], name: str, replicas: int) -> None:
    if replicas != steps[-1].replicas:
        steps.append(Limit(name, replicas))


def _lower(steps: list[Limit], name: str, most: int) -> None:
    _step(steps, name, min(steps[-1].replicas, most))


def _raise(steps: list[Limit], name: str, least: int) -> None:
    _step(steps, name, max(steps[-1].replicas, least))


def _last_pod(steps: list[Limit], load: Load, seen: Observation, spec: Spec, history: History) -> None:
    """A pod costs little beside the seconds it takes to start: the last one stays while the queue was just in use."""
    idle_s = seen.at_s - (history.busy_at_s if history.busy_at_s is not None else seen.at_s)
    if seen.replicas > 0 and not load.demand and idle_s < spec.idle_after_s:
        _raise(steps, "idleAfter", 1)


def _policies(steps: list[Limit], seen: Observation, spec: Spec, history: History) -> None:
    if not spec.min_replicas <= seen.replicas <= spec.max_replicas:
        return  # as in HPA: a number out of bounds is mended at once
    wanted = steps[-1].replicas
    if wanted > seen.replicas:
        most = rate_limit_up(spec.up, seen.replicas, history.changes, seen.at_s)
        if most is not None:
            _lower(steps, "scaleUp policy", most)
    elif wanted < seen.replicas:
        least = rate_limit_down(spec.down, seen.replicas, history.changes, seen.at_s)
        if least is not None:
            _raise(steps, "scaleDown policy", least)


_REASONS = {
    "demand": "DesiredWithinRange",
    "window": "ScaleDownStabilized",
    "idleAfter": "KeptWhileIdle",
    "scaleUp policy": "ScaleUpLimit",
    "scaleDown policy": "ScaleDownLimit",
    "minReplicas": "TooFewReplicas",
    "maxReplicas": "TooManyReplicas",
}


def _reason(steps: list[Limit], current: int) -> str:
    last = steps[-1]
    if last.name == "window" and last.replicas <= current and steps[-2].replicas > last.replicas:
        return "ScaleUpStabilized"
    return _REASONS.get(last.name, "CeilingReached")


def _sentence(steps: list[Limit], load: Load, current: int) -> str:
    path = ", then ".join(f"{one.replicas} by {one.name}" for one in steps)
    return f"{load.words}: {path} (now {current})"


def _look_again_s(steps: list[Limit], load: Load, seen: Observation, spec: Spec, history: History) -> float | None:
    """Seconds until the same load may lead to another number.

    A window, the idle time or a policy's period ends, or the oldest job has waited long enough.
    """
    grows_s = grows_in_s(load, spec) if isinstance(load, Backlog) else None
    if steps[-1].replicas == steps[0].replicas:
        return grows_s
    ends = [] if grows_s is None else [seen.at_s + grows_s]
    ends += [one.at_s + spec.down.window_s for one in history.highs]
    ends += [one.at_s + spec.up.window_s for one in history.lows]
    ends += [one.at_s + rule.period_s for one in history.changes for rule in (*spec.up.policies, *spec.down.policies)]
    if history.busy_at_s is not None:
        ends.append(history.busy_at_s + spec.idle_after_s)
    return min((end - seen.at_s for end in ends if end > seen.at_s), default=None)
