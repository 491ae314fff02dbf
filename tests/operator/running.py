"""A real operator process against the real API server, and workers of which the test decides when they finish."""

import asyncio
import json
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.operator.pools import pool
from tests.support.cluster import Cluster, Manifest
from tests.support.processes import AFTERBELL, Process
from tests.support.queue import jobs
from tests.support.waiting import until as wait_until

from afterbell.adapters.queue.keys import QueueKeys
from afterbell.adapters.queue.redis_queue import Ended, Grant, Queue, QueueRules
from afterbell.adapters.redis.connections import connect
from afterbell.core.queue.outcomes import Done

RULES = QueueRules(lease_s=60, starts_max=0)


def deployment(name: str = "worker", replicas: int | None = None) -> Manifest:
    labels = {"app": name}
    container = {"name": "worker", "image": "none", "command": ["sleep", "3600"]}
    template = {"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 2, "containers": [container]}}
    spec: Manifest = {"selector": {"matchLabels": labels}, "template": template}
    if replicas is not None:
        spec["replicas"] = replicas
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


class OperatorProcess:
    """`afterbell operator run`; its records are in ``out``, its log in ``log``."""

    def __init__(self, cluster: Cluster, redis_url: str, home: Path, namespace: str, **more: str) -> None:
        name = uuid.uuid4().hex[:6]
        self.out, self.log = home / f"records-{name}.jsonl", home / f"operator-{name}.log"
        variables = {
            "HOME": str(home),
            "KUBECONFIG": str(cluster.kubeconfig),
            "REDIS_URL": redis_url,
            "AFTERBELL_WATCH_NAMESPACE": namespace,
            "AFTERBELL_LEASE_NAMESPACE": namespace,
            "AFTERBELL_INTERNAL_PORT": "0",
            "AFTERBELL_LOG_FORMAT": "json",
        } | more
        self._command = Process(*AFTERBELL, "operator", "run", variables=variables, log=self.log, out=self.out)
        self.process = self._command.child

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.read_text().splitlines()]

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self._command.running:
            self.process.send_signal(number)
            self.process.wait(20)
        self._command.end()


@contextmanager
def operating(cluster: Cluster, redis_url: str, home: Path, namespace: str, **more: str) -> Iterator[OperatorProcess]:
    process = OperatorProcess(cluster, redis_url, home, namespace, **more)
    try:
        yield process
    finally:
        process.stop()


class Site:
    """One namespace with a Deployment and a Pool on a queue of the test's own."""

    def __init__(self, cluster: Cluster, namespace: str, queue: str) -> None:
        self.cluster, self.namespace, self.queue = cluster, namespace, queue
        self.grants: dict[str, list[Grant]] = {}

    def apply(self, *, replicas: int | None = None, **spec: Any) -> None:
        source = {"backlog": {"queue": self.queue, "jobsPerPod": 1}}
        quick = {"source": source, "idleAfter": "1s", "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}
        self.cluster.apply(deployment(replicas=replicas), pool(**quick | spec), namespace=self.namespace)

    def replicas(self) -> int:
        manifest = self.cluster.get("deployment", "worker", "-n", self.namespace)
        return int(manifest["spec"].get("replicas", 1))

    def pods(self) -> set[str]:
        pods = self.cluster.pods(self.namespace, "app=worker")
        return {pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]}

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.cluster.get("pool", "reports", "-n", self.namespace).get("status", {})
        return status

    def condition(self, kind: str) -> tuple[str, str]:
        for condition in self.status().get("conditions", []):
            if condition["type"] == kind:
                return condition["status"], condition["reason"]
        return "", ""

    def until_replicas(self, count: int, patience_s: float = 60) -> float:
        began = time.monotonic()
        wait_until(lambda: self.replicas() == count, f"{count} replicas", within_s=patience_s)
        return time.monotonic() - began

    def until_pods(self, count: int) -> set[str]:
        wait_until(lambda: len(self.pods()) == count, f"{count} pods")
        return self.pods()


class Hands:
    """The test's own hands in the queue, one connection a call."""

    def __init__(self, url: str, name: str) -> None:
        self.url, self.name = url, name

    def do(self, verb: str, *arguments: Any) -> Any:
        async def run() -> Any:
            client = connect(self.url)
            try:
                return await getattr(Queue(client, QueueKeys(self.name), RULES), verb)(*arguments)
            finally:
                await client.aclose()

        return asyncio.run(run())

    def enqueue(self, *ids: str) -> None:
        self.do("enqueue", jobs(*ids))

    def poll(self, pod: str, count: int = 1) -> list[Grant]:
        return list(self.do("poll", f"{pod}-0a1b2c3d", count).grants)

    def finish(self, pod: str, grants: list[Grant]) -> None:
        self.do("poll", f"{pod}-0a1b2c3d", 0, [], [Ended(grant, Done()) for grant in grants])

    def empty(self) -> None:
        async def run() -> None:
            client = connect(self.url)
            async for key in client.scan_iter(match=QueueKeys(self.name).prefix + "*"):
                await client.delete(key)
            await client.aclose()

        asyncio.run(run())
