"""A decision as a line of JSON, at most 2 KiB, that can be decided again: inputs, each limit, result."""

import json
from dataclasses import asdict
from typing import Any, Final

from afterbell_operator.decide import decide
from afterbell_operator.model import (
    Backlog,
    Ceiling,
    Connections,
    Decision,
    History,
    Observation,
    Pause,
    Policy,
    Rules,
    Sample,
    Spec,
)

RECORD_BYTES_MAX: Final = 2048
Json = dict[str, Any]


def record(pool: str, seen: Observation, spec: Spec, history: History, decision: Decision) -> str:
    """One line. What has its default value is left out."""
    return json.dumps(
        {
            "pool": pool,
            "at": round(seen.at_s, 3),
            "from": seen.replicas,
            "to": decision.replicas,
            "reason": decision.reason,
            "message": decision.sentence,
            "limits": [[one.name, one.replicas] for one in decision.limits],
            "seen": _lean(asdict(seen), Observation(0, 0, None)),
            "spec": _lean(asdict(spec), Spec(max_replicas=0)),
            "history": history_as_json(history),
        },
        separators=(",", ":"),
    )


def history_as_json(history: History) -> Json:
    """Samples as pairs."""
    return {
        "highs": _pairs(history.highs),
        "lows": _pairs(history.lows),
        "changes": _pairs(history.changes),
        "busy": history.busy_at_s,
    }


def history_from(found: Json) -> History:
    """The inverse of ``history_as_json``. Raises KeyError, TypeError or ValueError for anything else."""
    busy = found["busy"]
    return History(
        highs=_samples(found["highs"]),
        lows=_samples(found["lows"]),
        changes=_samples(found["changes"]),
        busy_at_s=None if busy is None else float(busy),
    )


def question_in(line: str) -> tuple[str, Observation, Spec, History, Json]:
    """Pool, observation, spec, history and the whole record. Raises KeyError, TypeError or ValueError."""
    found = json.loads(line)
    seen = dict(found["seen"])
    backlog, connections = seen.pop("backlog", None), seen.pop("connections", None)
    observation = Observation(
        backlog=None if backlog is None else Backlog(**backlog),
        connections=None if connections is None else Connections(**connections),
        **seen,
    )
    return found["pool"], observation, _spec_from(found["spec"]), history_from(found["history"]), found


def decided_again(line: str) -> bool:
    """Whether the record's own question has the record's own answer."""
    _, seen, spec, history, found = question_in(line)
    again = decide(seen, spec, history)
    return (again.replicas, again.reason, again.sentence) == (found["to"], found["reason"], found["message"])


def _lean(values: Json, default: Any) -> Json:
    usual = asdict(default)
    return {key: value for key, value in values.items() if value != usual[key] or key in ("at_s", "replicas")}


def _spec_from(found: Json) -> Spec:
    parts = dict(found)
    for way in ("up", "down"):
        if way in parts:
            rules = dict(parts[way])
            parts[way] = Rules(**rules | {"policies": tuple(Policy(**one) for one in rules["policies"])})
    if "ceilings" in parts:
        parts["ceilings"] = tuple(Ceiling(**one) for one in parts["ceilings"])
    if parts.get("pause") is not None:
        parts["pause"] = Pause(**parts["pause"])
    return Spec(**parts)


def _pairs(samples: tuple[Sample, ...]) -> list[list[float]]:
    return [[one.at_s, one.value] for one in samples]


def _samples(pairs: list[list[float]]) -> tuple[Sample, ...]:
    return tuple(Sample(float(at_s), int(value)) for at_s, value in pairs)
