"""What the watches have seen: Pools, the Deployments they name, and the autoscalers that could be in the way."""

from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from afterbell_operator.act import Target

Key = tuple[str, str]
"""(namespace, name)"""
Json = dict[str, Any]
Followed = tuple[str, str]
"""What a Pool follows: the kind of its source, and the queue."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A Pool as it is stored, without what no round reads: field managers, annotations, labels.

    Spec and status stay text until they are asked for: parsed, those of thousands of Pools take several times the
    memory.
    """

    key: Key
    uid: str
    generation: int
    created: str
    source: Followed
    target: Key
    spec_json: bytes
    status_json: bytes

    @property
    def spec(self) -> Json:
        """What the user wants."""
        parsed: Json = orjson.loads(self.spec_json)
        return parsed

    @property
    def status(self) -> Json:
        """What was said about it last."""
        parsed: Json = orjson.loads(self.status_json)
        return parsed


@dataclass(slots=True)
class Tables:
    """Filled by handlers, read by rounds; an entry is what was stored last, never a difference."""

    pools: dict[Key, Stored] = field(default_factory=dict)
    targets: dict[Key, Target] = field(default_factory=dict)
    autoscalers: dict[Key, Key] = field(default_factory=dict)
    # Every round asks both; without them a round of 2,000 Pools would read each of the 2,000.
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
        """Pools that follow it."""
        return sorted(self._of_source.get(source, ()))

    def pools_of_target(self, target: Key) -> list[Key]:
        """Pools that name the Deployment."""
        return sorted(self._of_target.get(target, ()))

    def autoscaler_of(self, target: Key) -> Key | None:
        """A HorizontalPodAutoscaler on the same Deployment; KEDA makes one for each of its ScaledObjects."""
        return next((one for one, other in self.autoscalers.items() if other == target), None)

    def older_pool_of(self, key: Key, target: Key) -> Key | None:
        """Another Pool that was there first."""
        return next((one for one in self.pools_of_target(target) if self._age(one) < self._age(key)), None)

    def write_through(self, target: Target, replicas: int) -> None:
        """What was just written, until the watch says the same."""
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
        spec_json=orjson.dumps(spec),
        status_json=orjson.dumps(manifest.get("status", {})),
    )


def target_in(deployment: Json) -> Target:
    """A Deployment as the tables keep it."""
    metadata, status = deployment["metadata"], deployment.get("status", {})
    return Target(
        namespace=metadata["namespace"],
        name=metadata["name"],
        replicas=int(deployment["spec"].get("replicas", 1)),
        ready=int(status.get("readyReplicas", 0)),
        rolling=int(status.get("observedGeneration", 0)) < int(metadata.get("generation", 0)),
    )
