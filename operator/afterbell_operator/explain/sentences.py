"""Every sentence in a Pool's status: why this number, what is in the way, how an attempt ended. Pure."""

from itertools import pairwise

from afterbell_operator.act.actor import ScaleAttempt
from afterbell_operator.decide.decide import DISABLED, PAUSED
from afterbell_operator.decide.values import (
    Backlog,
    Connections,
    Decision,
    Limit,
    Load,
    Observation,
    ScalingPause,
    ScalingSpec,
    UnknownLoad,
    UntrustedLoad,
)
from afterbell_operator.observe.facts import Blocked
from afterbell_operator.observe.pod_problems import PodProblem
from afterbell_operator.watch_cache import Key

# At most this many pods are named: a sentence must fit into a condition.
NAMED_MAX = 5


def sentence_of(observation: Observation, spec: ScalingSpec, decision: Decision) -> str:
    """Why this number, step by step."""
    if decision.reason == DISABLED:
        return "mode is Off: nothing is changed"
    if decision.reason == PAUSED and spec.pause is not None:
        return _paused(observation, spec.pause, decision.replicas)
    match observation.reading:
        case UnknownLoad(because):
            return f"{because}: {decision.replicas} replicas are kept, none is removed"
        case UntrustedLoad(load, because) if decision.replicas != decision.limits[-1].replicas:
            return f"{because}: {decision.replicas} replicas are kept; {_path(observation, load, decision)}"
        case reading:
            return _path(observation, reading.load, decision)


def obstacle_of(key: Key, blocked: Blocked) -> str:
    """What keeps a Pool from working, and how to remove it."""
    namespace, _ = key
    match blocked.reason:
        case "TargetMissing":
            return f"there is no Deployment {blocked.target} in namespace {namespace}: create it"
        case "ConflictingAutoscaler":
            return f"HorizontalPodAutoscaler {blocked.by} also scales {blocked.target}: delete one of the two"
        case "ConflictingPool":
            return f"Pool {blocked.by} already scales {blocked.target}: delete one of the two"
        case _:
            return blocked.by


def attempt_sentence(attempt: ScaleAttempt, load: str) -> str:
    """How the attempt to scale the target ended. ``load``: jobs or sockets."""
    match attempt.result:
        case "Reached":
            return "the target has the decided number of replicas"
        case "Waits":
            return f"waiting for the {load} of {', '.join(attempt.waits_for[:NAMED_MAX])}"
        case "Conflict":
            return "the target was changed by somebody else; trying again"
        case "Rolling":
            return "no pod is removed while a rollout is under way"
        case "Refused":
            return f"the API server refused: {attempt.because}"
        case "Unavailable":
            return attempt.because
        case "OccupancyUnknown":
            return f"no pod is removed: {attempt.because}"


def observed_sentence(load: Load) -> str:
    """How the load is known."""
    return "the queue reports its load" if isinstance(load, Backlog) else "every ready pod reports its sockets"


def problems_sentence(problems: tuple[PodProblem, ...]) -> str:
    """Why pods do not run: each cause once, with the pods it affects."""
    causes: dict[str, list[str]] = {}
    for problem in problems:
        causes.setdefault(_cause(problem), []).append(problem.pod)
    return "; ".join(f"{cause} ({_named(pods)})" for cause, pods in causes.items())


def _cause(problem: PodProblem) -> str:
    match problem.kind:
        case "image":
            return f"image {problem.image} cannot be pulled: {problem.message or problem.reason}"
        case "memory":
            return f"container {problem.container} was killed for using more memory than its limit"
        case "start":
            return f"container {problem.container} does not start: {problem.message or problem.reason}"


def _named(pods: list[str]) -> str:
    more = len(pods) - NAMED_MAX
    return f"{', '.join(pods[:NAMED_MAX])} and {more} more" if more > 0 else ", ".join(pods)


def _paused(observation: Observation, pause: ScalingPause, replicas: int) -> str:
    until = (
        "until the pause is removed"
        if pause.until_s is None
        else f"for another {pause.until_s - observation.at_s:.0f} s"
    )
    return f"paused at {replicas} {until}" + (f": {pause.reason}" if pause.reason else "")


def _path(observation: Observation, load: Load, decision: Decision) -> str:
    demand = decision.limits[0]
    steps = [f"{demand.replicas} by {demand.name}"]
    steps += [_moved(before, after) for before, after in pairwise(decision.limits)]
    return f"{_words(load)}: {', '.join(steps)} (now {observation.replicas})"


def _moved(before: Limit, after: Limit) -> str:
    direction = "raised" if after.replicas > before.replicas else "lowered"
    return f"{direction} to {after.replicas} by {after.name}"


def _words(load: Load) -> str:
    match load:
        case Backlog():
            jobs = f"{load.running} running, {load.waiting} waiting, {load.due} due soon"
            return f"{jobs}, queue paused" if load.paused else jobs
        case Connections():
            pods = f"{load.sockets} sockets on {load.pods} pod{'' if load.pods == 1 else 's'}"
            return f"{pods}, {load.draining} of them draining" if load.draining else pods
