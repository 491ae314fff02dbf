"""Where the operator is measured: a real control plane, a Valkey, operators as processes, Pools made by the hundred."""

import asyncio
import json
import os
import ssl
import subprocess
import threading
import time
import urllib.request
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
from benchmarks.servers import BenchError
from tests.support.cluster import Cluster
from tests.support.control_plane import TOOLS
from tests.support.ports import free_port
from tests.support.processes import AFTERBELL, Process, environment
from tests.support.waiting import until

from afterbell.adapters.queue.keys import QueueKeys
from afterbell.adapters.queue.redis_queue import Queue, QueueRules
from afterbell.adapters.redis.connections import connect
from afterbell_operator.kube import Kube

Json = dict[str, Any]
ROOT: Final = Path(__file__).resolve().parents[1]
POOLS: Final = "/apis/afterbell.dev/v1alpha1/namespaces/{}/pools"
DEPLOYMENTS: Final = "/apis/apps/v1/namespaces/{}/deployments"
AT_ONCE: Final = 20
# Pods that no node takes: what is measured is the operator and the control plane, not the start of processes.
NOWHERE: Final = {"nodeSelector": {"afterbell.dev/nowhere": "true"}}
STEADY: Final = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"]


@dataclass(frozen=True, slots=True)
class Site:
    """The cluster, the engine and a folder for logs."""

    cluster: Cluster
    redis_url: str
    folder: Path

    def namespace(self) -> str:
        """A new one."""
        name = f"b-{uuid.uuid4().hex[:8]}"
        self.cluster.kubectl("create", "namespace", name)
        return name

    @asynccontextmanager
    async def queue(self, name: str) -> AsyncIterator[Queue]:
        """A client of one queue, without a limit on starts."""
        client = connect(self.redis_url)
        try:
            yield Queue(client, QueueKeys(name), QueueRules(lease_s=60, starts_max=0))
        finally:
            await client.aclose()


def deployment(name: str, *, pods: Json, replicas: int = 0) -> Json:
    """A Deployment of one sleeping container."""
    labels = {"app": name}
    spec = {"terminationGracePeriodSeconds": 5, "containers": [{"name": "worker", "image": "none", "command": STEADY}]}
    template = {"metadata": {"labels": labels}, "spec": spec | pods}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


def pool(name: str, queue: str, **spec: Any) -> Json:
    """A Pool of the Deployment of the same name; at once up and at once down unless told otherwise."""
    least = {
        "scaleTargetRef": {"name": name},
        "maxReplicas": 60,
        "idleAfter": "0s",
        "source": {"backlog": {"queue": queue, "jobsPerPod": 1}},
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
    }
    return {"apiVersion": "afterbell.dev/v1alpha1", "kind": "Pool", "metadata": {"name": name}, "spec": least | spec}


async def create(kube: Kube, namespace: str, manifests: Sequence[Json]) -> None:
    """Make Deployments and Pools, many at once."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def create_manifest(manifest: Json) -> None:
        path = POOLS if manifest["kind"] == "Pool" else DEPLOYMENTS
        async with turns:
            await kube.create(path.format(namespace), manifest)

    await asyncio.gather(*(create_manifest(manifest) for manifest in manifests))


class Operator:
    """`afterbell operator run` for one namespace."""

    def __init__(self, site: Site, namespace: str, *, tick_s: int = 120) -> None:
        self.began, self.port = time.monotonic(), free_port()
        self.log = site.folder / f"operator-{uuid.uuid4().hex[:6]}.log"
        variables = {
            "KUBECONFIG": str(site.cluster.kubeconfig),
            "REDIS_URL": site.redis_url,
            "AFTERBELL_WATCH_NAMESPACE": namespace,
            "AFTERBELL_LEASE_NAMESPACE": namespace,
            "AFTERBELL_INTERNAL_PORT": str(self.port),
            "AFTERBELL_LOG_FORMAT": "json",
            "AFTERBELL_OPERATOR_TICK_SECONDS": str(tick_s),
        }
        command = (*AFTERBELL, "operator", "run")
        self.process = Process(*command, variables=variables, log=self.log, out=Path(os.devnull)).child

    def leads(self) -> bool:
        """Whether it said last that it leads."""
        said = [line for line in self.log.read_text().splitlines() if '"leadership"' in line]
        return bool(said) and json.loads(said[-1])["leading"] is True

    def metrics(self) -> dict[str, float]:
        """Every sample of its internal port by name and labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def end(self, *, kill: bool = False) -> None:
        """SIGTERM, or SIGKILL."""
        (self.process.kill if kill else self.process.terminate)()
        try:
            self.process.wait(20)
        except psutil.TimeoutExpired:
            self.process.kill()
            raise BenchError("the operator did not end within 20 s of SIGTERM") from None


@contextmanager
def operating(site: Site, namespace: str, **more: Any) -> Iterator[Operator]:
    """An operator that leads, for the block."""
    operator = Operator(site, namespace, **more)
    try:
        until(operator.leads, "the operator to lead", within_s=40)
        yield operator
    finally:
        if operator.process.poll() is None:
            operator.end()


class Watch:
    """Each number of replicas that Deployments of a namespace were asked for, and when kubectl heard of it."""

    def __init__(self, site: Site, namespace: str) -> None:
        self.numbers: dict[str, list[tuple[float, int]]] = {}
        words = (
            "get",
            "deployments",
            "-n",
            namespace,
            "--watch",
            "-o",
            'jsonpath={.metadata.name} {.spec.replicas}{"\\n"}',
        )
        variables = {"KUBECONFIG": str(site.cluster.kubeconfig)}
        self._process = subprocess.Popen(
            [str(TOOLS / "kubectl"), *words], env=environment(variables), stdout=subprocess.PIPE, text=True, bufsize=1
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            name, _, replicas = line.strip().partition(" ")
            course = self.numbers.setdefault(name, [])
            if replicas and (not course or course[-1][1] != int(replicas)):
                course.append((time.monotonic(), int(replicas)))

    def now(self, name: str) -> int:
        """The number asked for now; -1 while nothing was heard."""
        return self.numbers[name][-1][1] if self.numbers.get(name) else -1

    def reached(self, name: str, replicas: int) -> Callable[[], bool]:
        """Whether this number is asked for, as a question for ``until``."""
        return lambda: self.now(name) == replicas

    def since(self, name: str, moment: float) -> list[tuple[float, int]]:
        """The changes after a moment of the monotonic clock."""
        return [change for change in self.numbers.get(name, []) if change[0] > moment]

    def end(self) -> None:
        """Stop."""
        self._process.kill()
        self._process.wait()


async def moment_of(holds: Callable[[], bool], what: str, *, patience_s: float = 60.0, poll_s: float = 0.02) -> float:
    """The moment (``monotonic``) at which ``holds``, which may block. Raises BenchError after ``patience_s``."""
    try:
        await asyncio.to_thread(until, holds, what, within_s=patience_s, poll_s=poll_s)
    except TimeoutError as error:
        raise BenchError(str(error)) from None
    return time.monotonic()


def serves(cluster: Cluster) -> bool:
    """Whether the API server answers."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(f"{cluster.url}/readyz", timeout=1, context=context):
            return True
    except OSError:
        return False
