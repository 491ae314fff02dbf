"""Releases of the chart on the test cluster: their Secret, a model, a way in."""

import asyncio
import json
import secrets
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from tests.support.chart import CHART, CRDS, profile
from tests.support.cluster import Cluster, absent
from tests.support.control_plane import LOOPBACK
from tests.support.platform import a_session
from tests.support.ports import free_port
from tests.support.waiting import until

from afterbell.api.auth.bearer import mint

RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}


@dataclass(slots=True)
class Release:
    """The release ``afterbell`` in a namespace that enforces the `restricted` Pod Security Standard."""

    cluster: Cluster
    namespace: str
    secret: dict[str, str] = field(default_factory=dict)
    url: str = ""
    url_inside: str = ""

    def serve(self) -> None:
        """Give the api's Service an address, for tests and for pods."""
        self.url = self.cluster.serve(self.namespace, "afterbell-api")
        self.url_inside = f"http://{self.cluster.let_out(int(self.url.rpartition(':')[2]))}"

    def helm(self, verb: str, *words: str, values: dict[str, Any] | None = None) -> str:
        given = ["-f", "-"] if values is not None else []
        where = ["-n", self.namespace]
        return self.cluster.run("helm", verb, *words, *where, *given, stdin=yaml.safe_dump(values or {}))

    def apply(self, verb: str, name: str, values: dict[str, Any], *words: str, chart: Path = CHART) -> float:
        """Install or upgrade with a profile and more values; seconds it took."""
        began = time.monotonic()
        self.helm(verb, "afterbell", str(chart), "-f", profile(name), *words, values=values)
        return time.monotonic() - began

    def make_secret(self, **given: str) -> None:
        self.secret = {"AFTERBELL_JWT_SECRET": secrets.token_hex(32), "OPENAI_API_KEY": "test"} | given
        manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "afterbell"}, "stringData": self.secret}
        self.cluster.apply(manifest, namespace=self.namespace)

    def token(self) -> str:
        return mint(
            self.secret["AFTERBELL_JWT_SECRET"],
            subject="boss",
            tenant="school",
            role="staff",
            now=datetime.now(UTC),
            lifetime=timedelta(hours=1),
        )

    def client(self, **options: Any) -> httpx2.AsyncClient:
        headers = {"Authorization": f"Bearer {self.token()}"}
        return httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=10, **options)

    def get(self, *words: str) -> Any:
        return self.cluster.get(*words, "-n", self.namespace)

    def kubectl(self, *words: str) -> str:
        return self.cluster.kubectl(*words, "-n", self.namespace)

    def replicas(self, deployment: str) -> int:
        return int(self.get("deployment", f"afterbell-{deployment}")["spec"]["replicas"])

    def pod_names(self, component: str) -> set[str]:
        pods = self.cluster.pods(self.namespace, f"app.kubernetes.io/component={component}")
        return {pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]}

    def values(self, **more: Any) -> dict[str, Any]:
        """What the test cluster needs of every profile: its processes share a host name, and pods get no token."""
        host = field_of("AFTERBELL_HOST", "status.podIP")
        kubeconfig = {
            "name": "KUBECONFIG",
            "value": str(self.cluster.home / f"{self.namespace}-afterbell-operator.json"),
        }
        own = {
            "api": {"extraEnv": [host]},
            "operator": {"extraEnv": [host, kubeconfig]},
            "worker": {"extraEnv": [host, field_of("AFTERBELL_WORKER_NAME", "metadata.name")]},
            "settings": {"AFTERBELL_STARTS_PER_WINDOW": 0},
        }
        return merged(own, more)

    def install(self, name: str, values: dict[str, Any]) -> float:
        """Until all is ready; seconds it took. The operator gets its token as soon as it has an account."""
        with ThreadPoolExecutor(1) as aside:
            installing = aside.submit(self.apply, "install", name, values, "--wait", "--timeout=150s")
            account = "afterbell-operator"
            until(lambda: self._has_account(account) or installing.done(), "the operator's account")
            if not installing.done():
                self.cluster.kubeconfig_of_service_account(self.namespace, account, in_pods=True)
            return installing.result()

    def own_the_definition(self) -> None:
        """Pool as the chart has it, Helm its only owner: whom others applied it for, Helm would not overrule."""
        crds = str(CHART / "crds")
        self.cluster.kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=helm", "-f", crds)
        nothing = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "pools.afterbell.dev"},
        }
        self.cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(nothing))

    def _has_account(self, name: str) -> bool:
        accounts = self.get("serviceaccounts")["items"]
        return name in {each["metadata"]["name"] for each in accounts}


def field_of(variable: str, path: str) -> dict[str, Any]:
    return {"name": variable, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def merged(values: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """As helm merges values files."""
    both = {
        key: merged(values[key], more[key])
        for key in values.keys() & more.keys()
        if isinstance(values[key], dict) and isinstance(more[key], dict)
    }
    return values | more | both


@pytest.fixture(scope="session")
def cluster_with_resources(cluster: Cluster) -> Cluster:
    """The cluster with the definitions of the custom resources of others. Ours comes with the chart."""
    if not CRDS.is_dir():
        absent(f"no {CRDS.parent.name}/{CRDS.name}: run `make tools`, which needs Go")
    files = [word for path in CRDS.glob("*.yaml") for word in ("-f", str(path))]
    cluster.kubectl("apply", "--server-side", *files)
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
    return cluster


@pytest.fixture(scope="module")
def release(cluster_with_resources: Cluster) -> Iterator[Release]:
    with new_release(cluster_with_resources) as made:
        yield made


@contextmanager
def new_release(cluster: Cluster) -> Iterator[Release]:
    """Nothing is installed yet; what is there at the end is deleted without waiting."""
    name = f"chart-{uuid.uuid4().hex[:10]}"
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": RESTRICTED}}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    try:
        yield Release(cluster, name)
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")
        cluster.kubectl("delete", "pods", "--all", "-n", name, "--force", "--grace-period=0", "--wait=false")


@pytest.fixture(scope="module")
def model(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address by which pods reach a stub that writes a report in about 3 s."""
    port, log = free_port(), Path(tmp_path_factory.mktemp("stub")) / "log"
    with log.open("wb") as said:
        words = [sys.executable, "-m", "afterbell", "llm-stub", "--port", str(port), "--pace", "quick"]
        process = subprocess.Popen(words, stdout=said, stderr=said)
    try:
        until(lambda: b"OPENAI_BASE_URL" in log.read_bytes(), "the stub model to start")
        yield f"http://{cluster.let_out(port, LOOPBACK)}/v1"
    finally:
        process.terminate()
        process.wait()


class Load:
    """Sessions that are sent, and their reports, while something else happens. A reset connection is tried again."""

    def __init__(self, release: Release, every_s: float) -> None:
        self._release, self._every_s = release, every_s
        self.sessions: list[str] = []
        self.resets, self.failures = 0, list[str]()
        self.requests = 0
        self.replicas: list[int] = []
        self._http = release.client()
        self._stop = asyncio.Event()
        self._tasks = [asyncio.create_task(self._send()), asyncio.create_task(self._read())]

    async def end(self, within_s: float = 60) -> None:
        """Stop sending and wait until every report is made."""
        self._stop.set()
        await asyncio.gather(*self._tasks)
        async with asyncio.timeout(within_s):
            for each in self.sessions:
                while (await self.ask("GET", f"/api/reports/session/{each}/status"))["status"] != "completed":
                    await asyncio.sleep(0.2)
        await self._http.aclose()

    async def ask(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        while True:
            self.requests += 1
            try:
                answer = await self._http.request(method, path, **body)
            except httpx2.TransportError:
                self.resets += 1
                await asyncio.sleep(0.05)
                continue
            if answer.is_success:
                return dict(answer.json())
            self.failures.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
            return {"status": "completed"}

    async def _read(self) -> None:
        """A connection for each request, as many clients would make them: each meets the pods of its moment."""
        while not self._stop.is_set():
            for each in self.sessions[-5:]:
                await self.ask("GET", f"/api/reports/session/{each}/status", headers={"Connection": "close"})
            await asyncio.sleep(0.05)

    async def _send(self) -> None:
        while not self._stop.is_set():
            name = f"load-{uuid.uuid4().hex[:8]}"
            await self.ask("PUT", f"/api/sessions/{name}", json=a_session(name))
            await self.ask("POST", f"/api/reports/session/{name}")
            self.sessions.append(name)
            self.replicas.append(await asyncio.to_thread(self._release.replicas, "worker"))
            await asyncio.sleep(self._every_s)
