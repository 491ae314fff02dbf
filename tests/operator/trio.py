"""Three Pools that follow queues with as many running jobs as they have replicas: none, one and three."""

import json
import uuid
from typing import Any, Final

from tests.operator.pools import pool
from tests.operator.running import Hands, deployment
from tests.support.cluster import Cluster
from tests.support.waiting import until as wait_until

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
            hand.enqueue("first", *(f"{name}-{n}" for n in range(size)))
            hand.finish(name, [grant for grant in hand.poll(name, 9) if grant.job_id == "first"])
            self._apply(name, size)
        self.until_condition("BacklogObserved", "True")

    def _apply(self, name: str, size: int) -> None:
        target = deployment(name, replicas=size)
        target["spec"]["template"]["spec"]["nodeSelector"] = NOWHERE
        spec = {
            "scaleTargetRef": {"name": name},
            "source": {"backlog": {"queue": name, "jobsPerPod": 1}},
            "idleAfter": "0s",
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
        }
        self.cluster.apply(target, pool(name, **spec), namespace=self.namespace)

    def replicas(self) -> list[int]:
        words = self._read("deployments", "{.items[*].spec.replicas} {.items[*].metadata.name}").split()
        by_name = dict(zip(words[len(words) // 2 :], map(int, words[: len(words) // 2]), strict=True))
        return [by_name[name] for name in self.names]

    def conditions(self, kind: str) -> list[tuple[str, str, str]]:
        """Status, reason and message of each Pool's condition."""
        by_name = {manifest["metadata"]["name"]: manifest for manifest in json.loads(self._read("pools", ""))["items"]}
        return [_condition(by_name[name], kind) for name in self.names]

    def until_condition(self, kind: str, status: str, *, patience_s: float = 60) -> None:
        wait_until(
            lambda: [condition[0] for condition in self.conditions(kind)] == [status] * len(SIZES),
            f"{kind}={status}",
            within_s=patience_s,
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


def _condition(manifest: dict[str, Any], kind: str) -> tuple[str, str, str]:
    for condition in manifest.get("status", {}).get("conditions", []):
        if condition["type"] == kind:
            return condition["status"], condition["reason"], condition["message"]
    return "", "", ""
