"""Workloads of the small process in ``tests/cluster/answering.py``."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.cluster import Cluster, Manifest
from tests.support.waiting import until

READY: Manifest = {"httpGet": {"path": "/readyz", "port": "internal"}, "periodSeconds": 1}
COMMAND = ["python", "-m", "tests.cluster.answering"]


@dataclass(frozen=True, slots=True)
class Workload:
    """The pods labelled ``app: answering`` in one namespace."""

    cluster: Cluster
    namespace: str

    def container(self, *, environment: dict[str, str] | None = None, **more: Any) -> Manifest:
        """The container; ``more`` are fields of it."""
        env: list[Manifest] = [{"name": name, "value": value} for name, value in (environment or {}).items()]
        if not self.cluster.isolated:
            env.append({"name": "BIND", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}})
        ports = [{"name": "internal", "containerPort": 9000}]
        return {
            "name": "answering",
            "image": "none",
            "command": COMMAND,
            "ports": ports,
            "env": env,
            "readinessProbe": READY,
        } | more

    def template(self, container: Manifest, *, grace_s: int = 10, **more: Any) -> Manifest:
        spec = {"terminationGracePeriodSeconds": grace_s, "containers": [container]} | more
        return {"metadata": {"labels": {"app": "answering"}}, "spec": spec}

    def deploy(self, replicas: int = 1, **container: Any) -> None:
        """Apply a Deployment, which never has fewer pods than wanted, and wait until it is available."""
        spec = {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "answering"}},
            "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": self.template(self.container(**container)),
        }
        meta = {"name": "answering"}
        self.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec})
        self.cluster.kubectl("rollout", "status", "deployment/answering", "-n", self.namespace, "--timeout=60s")

    def run(self, name: str = "answering", *, template: Manifest | None = None, **container: Any) -> str:
        """Create a pod without waiting for it; its name."""
        wanted = template or self.template(self.container(**container))
        meta = wanted["metadata"] | {"name": name}
        self.apply({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": wanted["spec"]})
        return name

    def apply(self, *manifests: Manifest) -> None:
        self.cluster.apply(*manifests, namespace=self.namespace)

    def wait(self, pod: str, *, condition: str = "Ready") -> None:
        self.kubectl("wait", f"--for=condition={condition}", f"pod/{pod}", "--timeout=60s")

    def wait_for(self, pod: str, happened: Callable[[Manifest], bool], what: str) -> Manifest:
        """Wait until the first container's status is so; the status."""
        latest: list[Manifest] = []

        def look() -> bool:
            statuses = self.cluster.get("pod", pod, "-n", self.namespace)["status"].get("containerStatuses", [])
            latest[:] = statuses
            return bool(statuses) and happened(statuses[0])

        until(look, what)
        return latest[0]

    def process(self, pod: str) -> Path:
        """A file that is there as long as the process of the first container is."""
        status = self.wait_for(pod, lambda container: "running" in container["state"], "the container to run")
        return Path("/proc", str(status["containerID"]).removeprefix("process://"))

    def kubectl(self, *words: str) -> str:
        return self.cluster.kubectl(*words, "-n", self.namespace)

    def names(self) -> set[str]:
        """The pods that are not on their way out."""
        pods = self.cluster.pods(self.namespace, "app=answering")
        return {pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]}

    def said(self, pod: str) -> list[str]:
        """What the pod said that was not asked of it by a probe."""
        lines = self.cluster.said(self.namespace, pod).splitlines()
        return [line for line in lines if line not in ("GET /readyz", "GET /livez")]


@pytest.fixture
def workload(cluster: Cluster, namespace: str) -> Workload:
    return Workload(cluster, namespace)
