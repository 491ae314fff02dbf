"""Three Pools that follow queues with as many running jobs as they have replicas: none, one and three."""

import json
import uuid
from typing import Any, Final

from tests.operator.pools import pool
from tests.operator.running import Hands, deployment
from tests.support.cluster import Cluster, wait_until

SIZES: Final = (0, 1, 3)
# No node takes them: what is tested is the number that is asked for.
NOWHERE: Final = {"afterbell.dev/nowhere": "true"}


class Trio:
    """Made and known to the operator from the start; ``steady`` as long as nobody changed a number."""

    def __init__(self, cluster: Cluster, namespace: str, redis_url: str) -> None:
        self.cluster, self.namespace = cluster, namespace
        mark = uuid.uuid4().hex[:6]
        self.names = [f"p{mark}-{size}" for size in SIZES]
        self.hands = [Hands(redis_url, name) for name in self.names]
        self.grants: list[Any] = []
        for name, size, hand in zip(self.names, SIZES, self.hands, strict=True):
            hand.put("first", *(f"{name}-{n}" for n in range(size)))
            hand.finish(name, [grant for grant in hand.take(name, 9) if grant.job_id == "first"])
            self._apply(name, size)
        self.until_condition("BacklogObserved", "True")

    def _apply(self, name: str, size: int) -> None:
        target = deployment(name, replicas=size)
        target["spec"]["template"]["spec"]["nodeSelector"] = NOWHERE
        spec = {"scaleTargetRef": {"name": name}, "source": {"backlog": {"queue": name, "jobsPerPod": 1}},
                "idleAfter": "0s", "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}  # fmt: skip
        self.cluster.apply(target, pool(name, **spec), namespace=self.namespace)

    def replicas(self) -> list[int]:
        words = self._read("deployments", "{.items[*].spec.replicas} {.items[*].metadata.name}").split()
        found = dict(zip(words[len(words) // 2 :], map(int, words[: len(words) // 2]), strict=True))
        return [found[name] for name in self.names]

    def conditions(self, kind: str) -> list[tuple[str, str, str]]:
        """Status, reason and message of each Pool's condition."""
        found = {one["metadata"]["name"]: one for one in json.loads(self._read("pools", ""))["items"]}
        return [_condition(found[name], kind) for name in self.names]

    def until_condition(self, kind: str, status: str, *, patience_s: float = 60) -> None:
        wait_until(
            lambda: [one[0] for one in self.conditions(kind)] == [status] * len(SIZES),
            f"{kind}={status}",
            patience_s=patience_s,
        )

    def patch(self, name: str, spec: dict[str, Any]) -> None:
        words = ("patch", "pool", name, "-n", self.namespace, "--type", "merge", "-p", json.dumps({"spec": spec}))
        self.cluster.kubectl(*words)

    def remove(self) -> None:
        for kind in ("pools", "deployments"):
            self.cluster.kubectl(
                "delete", kind, *self.names, "-n", self.namespace, "--wait=false", "--ignore-not-found"
            )

    def _read(self, kind: str, path: str) -> str:
        return self.cluster.kubectl("get", kind, "-n", self.namespace, "-o", f"jsonpath={path}" if path else "json")


def _condition(found: dict[str, Any], kind: str) -> tuple[str, str, str]:
    for one in found.get("status", {}).get("conditions", []):
        if one["type"] == kind:
            return one["status"], one["reason"], one["message"]
    return "", "", ""
