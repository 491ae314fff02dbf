"""A decision as one line of JSON, at most 2 KiB, that can be replayed: inputs, each limit, result."""

import json
from dataclasses import asdict
from typing import Any, Final

from afterbell_operator.decide.values import (
    Backlog,
    Ceiling,
    Connections,
    Decision,
    Jobs,
    KnownLoad,
    Load,
    Observation,
    Policy,
    Reading,
    Rules,
    Sample,
    ScalingHistory,
    ScalingPause,
    ScalingSpec,
    Sockets,
    UnknownLoad,
    UntrustedLoad,
)
from afterbell_operator.explain.sentences import sentence_of

RECORD_BYTES_MAX: Final = 2048
_JOBS: Final = Jobs()
# The names in a record stay the same, so that records of older operators can be replayed.
_OF_JOBS: Final = {
    "per_pod": "jobs_per_pod",
    "start_within_s": "start_within_s",
    "seconds_per_job": "seconds_per_job",
    "ceilings": "ceilings",
}
_OF_SOCKETS: Final = {"per_pod": "sockets_per_pod"}
Json = dict[str, Any]


def record(pool: str, observation: Observation, spec: ScalingSpec, history: ScalingHistory, decision: Decision) -> str:
    """One line. Fields with their default value are left out."""
    return json.dumps(
        {
            "pool": pool,
            "at": round(observation.at_s, 3),
            "from": observation.replicas,
            "to": decision.replicas,
            "reason": decision.reason,
            "message": sentence_of(observation, spec, decision),
            "limits": [[limit.name, limit.replicas] for limit in decision.limits],
            "seen": _observation_as_json(observation),
            "spec": _spec_as_json(spec),
            "history": history_as_json(history),
        },
        separators=(",", ":"),
    )


def history_as_json(history: ScalingHistory) -> Json:
    """Samples as pairs."""
    return {
        "highs": _pairs(history.highs),
        "lows": _pairs(history.lows),
        "changes": _pairs(history.changes),
        "busy": history.busy_at_s,
    }


def history_from(stored: Json) -> ScalingHistory:
    """The inverse of ``history_as_json``. Raises KeyError, TypeError or ValueError for anything else."""
    busy = stored["busy"]
    return ScalingHistory(
        highs=_samples(stored["highs"]),
        lows=_samples(stored["lows"]),
        changes=_samples(stored["changes"]),
        busy_at_s=None if busy is None else float(busy),
    )


def question_in(line: str) -> tuple[str, Observation, ScalingSpec, ScalingHistory, Json]:
    """Pool, observation, spec, history and the whole record. Raises KeyError, TypeError or ValueError."""
    parsed = json.loads(line)
    moment = parsed["seen"]
    observation = Observation(moment["at_s"], moment["replicas"], _reading_from(moment))
    return parsed["pool"], observation, _spec_from(parsed["spec"]), history_from(parsed["history"]), parsed


def _observation_as_json(observation: Observation) -> Json:
    moment: Json = {"at_s": observation.at_s, "replicas": observation.replicas}
    match observation.reading:
        case KnownLoad(load):
            return moment | _load_as_json(load)
        case UntrustedLoad(load, because):
            return moment | _load_as_json(load) | {"unknown_because": because, "trusted": False}
        case UnknownLoad(because):
            return moment | {"unknown_because": because}


def _load_as_json(load: Load) -> Json:
    return {"backlog" if isinstance(load, Backlog) else "connections": asdict(load)}


def _reading_from(observation: Json) -> Reading:
    because = str(observation.get("unknown_because") or "the load is unknown")
    load: Load
    if observation.get("backlog") is not None:
        load = Backlog(**observation["backlog"])
    elif observation.get("connections") is not None:
        load = Connections(**observation["connections"])
    else:
        return UnknownLoad(because)
    return KnownLoad(load) if observation.get("trusted", True) else UntrustedLoad(load, because)


def _spec_as_json(spec: ScalingSpec) -> Json:
    wish = _lean(asdict(spec), asdict(ScalingSpec(max_replicas=0)))
    wish.pop("follows", None)
    match spec.follows:
        case Jobs():
            return wish | {_OF_JOBS[name]: value for name, value in _lean(asdict(spec.follows), asdict(_JOBS)).items()}
        case Sockets():
            return wish | {_OF_SOCKETS[name]: value for name, value in asdict(spec.follows).items()}


def _spec_from(stored: Json) -> ScalingSpec:
    parts = dict(stored)
    parts["follows"] = _follows_from(parts)
    for way in ("up", "down"):
        if way in parts:
            rules = dict(parts[way])
            parts[way] = Rules(**rules | {"policies": tuple(Policy(**policy) for policy in rules["policies"])})
    if parts.get("pause") is not None:
        parts["pause"] = ScalingPause(**parts["pause"])
    return ScalingSpec(**parts)


def _follows_from(parts: Json) -> Jobs | Sockets:
    """What the Pool follows, taken out of ``parts``."""
    of_sockets = {name: parts.pop(stored) for name, stored in _OF_SOCKETS.items() if stored in parts}
    of_jobs = {name: parts.pop(stored) for name, stored in _OF_JOBS.items() if stored in parts}
    if of_sockets:
        return Sockets(**of_sockets)
    ceilings = tuple(Ceiling(**ceiling) for ceiling in of_jobs.pop("ceilings", ()))
    return Jobs(**of_jobs, ceilings=ceilings)


def _lean(values: Json, usual: Json) -> Json:
    return {name: value for name, value in values.items() if value != usual[name]}


def _pairs(samples: tuple[Sample, ...]) -> list[list[float]]:
    return [[sample.at_s, sample.value] for sample in samples]


def _samples(pairs: list[list[float]]) -> tuple[Sample, ...]:
    return tuple(Sample(float(at_s), int(value)) for at_s, value in pairs)
