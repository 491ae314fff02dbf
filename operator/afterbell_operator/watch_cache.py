"""What the watches delivered: Pools, the Deployments they name, and autoscalers that could conflict with them."""

import re
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

Key = tuple[str, str]
"""(namespace, name)"""
Json = dict[str, Any]
Followed = tuple[str, str]
"""What a Pool follows: the kind of its source, and the queue."""
_OPERATORS: Final = {"In": "in", "NotIn": "notin"}


@dataclass(frozen=True, slots=True)
class ScaleTarget:
    """A Deployment as the watch last delivered it.

    ``unready``: pods that exist or are asked for but are not ready; ``selector`` matches its pods; ``rolling``: its
    controller has not caught up with its template.
    """

    namespace: str
    name: str
    replicas: int
    ready: int = 0
    unready: int = 0
    selector: str = ""
    rolling: bool = False

    @property
    def key(self) -> Key:
        """(namespace, name)"""
        return self.namespace, self.name


@dataclass(frozen=True, slots=True)
class Stored:
    """A Pool as it is stored, without what no round reads: field managers, annotations, labels.

    Spec and status stay text until they are needed: parsed, those of thousands of Pools take several times the
    memory.
    """

    key: Key
    uid: str
    generation: int
    created: str
    source: Followed
    target: Key
    operator_name: str
    spec_json: bytes
    status_json: bytes

    @property
    def spec(self) -> Json:
        """The spec."""
        parsed: Json = orjson.loads(self.spec_json)
        return parsed

    @property
    def status(self) -> Json:
        """The status as last written."""
        parsed: Json = orjson.loads(self.status_json)
        return parsed


@dataclass(slots=True)
class Tables:
    """Filled by handlers, read by rounds. An entry is the object as last stored, never a difference."""

    pools: dict[Key, Stored] = field(default_factory=dict)
    targets: dict[Key, ScaleTarget] = field(default_factory=dict)
    autoscalers: dict[Key, Key] = field(default_factory=dict)
    # Every round uses both; without them, a round of one of 2,000 Pools would read all 2,000.
    _of_source: dict[Followed, set[Key]] = field(default_factory=dict)
    _of_target: dict[Key, set[Key]] = field(default_factory=dict)

    def keep(self, pool: Stored) -> None:
        """A Pool as it is stored now."""
        self.drop(pool.key)
        self.pools[pool.key] = pool
        self._of_source.setdefault(pool.source, set()).add(pool.key)
        self._of_target.setdefault(pool.target, set()).add(pool.key)

    def drop(self, key: Key) -> None:
        """A Pool that is gone."""
        pool = self.pools.pop(key, None)
        if pool is not None:
            self._of_source[pool.source].discard(key)
            self._of_target[pool.target].discard(key)

    def pools_of_source(self, source: Followed) -> list[Key]:
        """Pools that follow the source."""
        return sorted(self._of_source.get(source, ()))

    def pools_of_target(self, target: Key) -> list[Key]:
        """Pools that name the Deployment."""
        return sorted(self._of_target.get(target, ()))

    def autoscaler_of(self, target: Key) -> Key | None:
        """A HorizontalPodAutoscaler on the same Deployment; KEDA makes one for each of its ScaledObjects."""
        return next((autoscaler for autoscaler, scaled in self.autoscalers.items() if scaled == target), None)

    def older_pool_of(self, key: Key, target: Key) -> Key | None:
        """Another Pool of the same Deployment that was there first."""
        return next((pool for pool in self.pools_of_target(target) if self._age(pool) < self._age(key)), None)

    def write_through(self, target: ScaleTarget, replicas: int) -> None:
        """Keep what was just written, until the watch delivers it."""
        key = (target.namespace, target.name)
        if key in self.targets:
            self.targets[key] = replace(self.targets[key], replicas=replicas)

    def _age(self, key: Key) -> tuple[str, str]:
        return (self.pools[key].created, key[1])


def pool_in(manifest: Json) -> Stored:
    """A Pool as the tables keep it."""
    metadata, spec = manifest["metadata"], manifest.get("spec", {})
    source = spec.get("source", {})
    kind = "connections" if "connections" in source else "backlog"
    return Stored(
        key=(metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        generation=int(metadata.get("generation", 0)),
        created=metadata.get("creationTimestamp", ""),
        source=(kind, str((source.get(kind) or {}).get("queue", "reports"))),
        target=(metadata["namespace"], str(spec.get("scaleTargetRef", {}).get("name", ""))),
        operator_name=str(spec.get("operatorName", "")),
        spec_json=orjson.dumps(spec),
        status_json=orjson.dumps(manifest.get("status", {})),
    )


def target_in(deployment: Json) -> ScaleTarget:
    """A Deployment as the tables keep it."""
    metadata, spec, status = deployment["metadata"], deployment["spec"], deployment.get("status", {})
    replicas, ready = int(spec.get("replicas", 1)), int(status.get("readyReplicas", 0))
    return ScaleTarget(
        namespace=metadata["namespace"],
        name=metadata["name"],
        replicas=replicas,
        ready=ready,
        # During a rollout there are more pods than asked for; while pods start, fewer.
        unready=max(max(replicas, int(status.get("replicas", 0))) - ready, 0),
        selector=selector_in(spec.get("selector", {})),
        rolling=int(status.get("observedGeneration", 0)) < int(metadata.get("generation", 0)),
    )


def selector_in(selector: Json) -> str:
    """A label selector as the API takes it in a query: ``app=worker,tier in (a,b)``."""
    parts = [f"{label}={value}" for label, value in selector.get("matchLabels", {}).items()]
    for rule in selector.get("matchExpressions", ()):
        label, operator = rule["key"], rule["operator"]
        if operator in _OPERATORS:
            parts.append(f"{label} {_OPERATORS[operator]} ({','.join(rule['values'])})")
        else:
            parts.append(label if operator == "Exists" else f"!{label}")
    return ",".join(parts)


def pods_of(deployment: str) -> "re.Pattern[str]":
    """Matches the names that Kubernetes gives to the pods of a Deployment."""
    return re.compile(rf"{re.escape(deployment)}-[a-z0-9]{{1,10}}-[a-z0-9]{{5}}")


def jobs_ever(status: Json, queue: str) -> int:
    """Jobs that the queue is known to have had, according to a Pool's status; 0 if the status does not say."""
    backlog = status.get("backlog") or {}
    return int(backlog.get("jobsEver", 0)) if backlog.get("queue") == queue else 0
