"""A kubelet for tests: registers a node and runs the pods bound to it as processes of this machine.

    python -m tests.support.kubelet.main SETTINGS.json

What it does: init containers and sidecars; env with every kind of reference but resourceFieldRef; startup, readiness
and liveness probes (HTTP, TCP, exec); restarts with back-off; preStop and postStart, stop signal, grace period; logs;
Events. What it does not: images (`images` in the settings says what each one runs), volumes, users, limits, exec and
port-forward.
"""

import asyncio
import json
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2
from tests.support.kubelet.api import Manifest, NodeApi, client, now
from tests.support.kubelet.logs import PORT, serve_logs
from tests.support.kubelet.places import Bridged, Shared
from tests.support.kubelet.pod import Node, Pod

HEARTBEAT_S = 5.0
RETRY_S = 0.3
_CAPACITY = {"cpu": "64", "memory": "256Gi", "pods": "200", "ephemeral-storage": "256Gi"}


@dataclass(frozen=True, slots=True)
class Settings:
    """As tests.support.cluster writes them. ``bridged``: pods have networks of their own; ``number``: from 1."""

    name: str
    number: int
    prefix: str
    bridged: bool
    kubeconfig: str
    certificate: str
    key: str
    logs: str
    environment: dict[str, str]
    images: dict[str, list[str]]


class Kubelet:
    """The pods of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._pods: dict[str, Pod] = {}

    async def follow(self) -> None:
        """List and watch for ever; whatever breaks, the next list is the truth."""
        while True:
            with suppress(httpx2.HTTPError, json.JSONDecodeError):
                listed, version = await self._node.api.pods()
                known = {pod["metadata"]["uid"] for pod in listed}
                for uid in set(self._pods) - known:
                    self._pods[uid].gone()
                for pod in listed:
                    self._see(pod)
                async for kind, pod in self._node.api.changes(version):
                    self._see(pod, deleted=kind == "DELETED")
                continue
            await asyncio.sleep(RETRY_S)

    def find_log(
        self, namespace: str, name: str, container: str, previous: bool
    ) -> tuple[Path, Callable[[], bool]] | None:
        for pod in self._pods.values():
            meta = pod.manifest["metadata"]
            if (meta["namespace"], meta["name"]) == (namespace, name):
                path = pod.log(container, previous=previous)
                return None if path is None else (path, pod.speaks)
        return None

    def kill(self) -> None:
        for pod in self._pods.values():
            pod.kill()

    def _see(self, manifest: Manifest, *, deleted: bool = False) -> None:
        uid = manifest["metadata"]["uid"]
        if uid in self._pods:
            self._pods[uid].gone() if deleted else self._pods[uid].update(manifest)
        elif not deleted:
            pod = self._pods[uid] = Pod(manifest, self._node)
            pod.task.add_done_callback(lambda task: self._end(uid, task))
            pod.update(manifest)

    def _end(self, uid: str, task: "asyncio.Task[None]") -> None:
        del self._pods[uid]
        if not task.cancelled() and (error := task.exception()):
            asyncio.get_running_loop().call_exception_handler({"message": f"pod {uid}", "exception": error})


def description(settings: Settings, ip: str) -> Manifest:
    """The Node."""
    at = now()
    healthy = {"lastHeartbeatTime": at, "lastTransitionTime": at, "reason": "TestKubelet", "message": "runs processes"}
    pressure = [{"type": f"{what}Pressure", "status": "False"} | healthy for what in ("Memory", "Disk", "PID")]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": settings.name,
            "labels": {"kubernetes.io/hostname": settings.name, "kubernetes.io/os": "linux"},
        },
        "status": {
            "capacity": _CAPACITY,
            "allocatable": _CAPACITY,
            "conditions": [{"type": "Ready", "status": "True"} | healthy, *pressure],
            "addresses": [{"type": "InternalIP", "address": ip}, {"type": "Hostname", "address": settings.name}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": PORT}},
            "nodeInfo": dict.fromkeys(
                ("machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "kubeProxyVersion"), ""
            )
            | {
                "kubeletVersion": "v1.36.3",
                "containerRuntimeVersion": "processes://1",
                "operatingSystem": "linux",
                "architecture": "amd64",
            },
        },
    }


async def beat(api: NodeApi, node: Manifest) -> None:
    """Register the node and say for ever that it is alive; again in full, for it may have been given up meanwhile."""
    while True:
        try:
            await api.register(node)
            await api.renew_lease()
            await asyncio.sleep(HEARTBEAT_S)
        except httpx2.HTTPError:
            await asyncio.sleep(RETRY_S)


async def main(settings: Settings) -> None:
    """Until SIGTERM: then every process of every pod is killed, as if the machine lost its power."""
    places = (Bridged if settings.bridged else Shared)(settings.prefix, settings.number)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with client(Path(settings.kubeconfig)) as http:
        api = NodeApi(http, settings.name)
        node = Node(api, settings.name, places, Path(settings.logs), settings.environment, settings.images)
        kubelet = Kubelet(node)
        logs = serve_logs(places.node_ip, Path(settings.certificate), Path(settings.key), kubelet.find_log)
        tasks = [
            asyncio.create_task(each)
            for each in (
                beat(api, description(settings, places.node_ip)),
                kubelet.follow(),
                logs,
                stopping.wait(),
            )
        ]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        kubelet.kill()
        for task in done:
            task.result()


if __name__ == "__main__":
    asyncio.run(main(Settings(**json.loads(Path(sys.argv[1]).read_text()))))
