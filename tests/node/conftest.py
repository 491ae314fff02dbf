"""Releases of the chart on a real node, and the table of what each case took."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.chart.conftest import RESTRICTED, Release
from tests.support.cluster import absent
from tests.support.cluster import missing_parts as missing_of_the_control_plane
from tests.support.control_plane import TOOLS
from tests.support.platform import a_session
from tests.support.real_node.node import BUILT, RealCluster, missing_parts, running_node
from tests.support.waiting import until

ARCHIVES = BUILT / "images"
NAMES = ("pause", "postgres", "valkey", "afterbell-api", "afterbell-worker", "afterbell-operator", "afterbell-stub")
# Without the Prometheus Operator there is nothing that these would mean something to.
UNMONITORED = {"monitoring": {"podMonitor": {"enabled": False}, "prometheusRule": {"enabled": False}}}
TABLE = pytest.StashKey[list[tuple[str, float]]]()

Timed = Callable[[str], AbstractContextManager[None]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Waits are generous here: a case starts pods, and a busy machine takes minutes for that."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.node)
            item.add_marker(pytest.mark.timeout(900))


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TABLE] = []


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    rows = config.stash.get(TABLE, [])
    if rows:
        terminalreporter.section("on a real node")
        for case, seconds in rows:
            terminalreporter.write_line(f"{case:84} {seconds:7.1f} s")


@pytest.fixture(scope="session")
def timed(request: pytest.FixtureRequest) -> Timed:
    """Keeps for the table how long a block took."""

    @contextmanager
    def block(case: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        request.config.stash[TABLE].append((case, time.monotonic() - began))

    return block


@pytest.fixture(scope="session")
def node(timed: Timed) -> Iterator[RealCluster]:
    """The node of this run with all images; skips, or fails in CI, where a part of it is missing."""
    missing = [*missing_of_the_control_plane(), *missing_parts()]
    missing += [] if (TOOLS / "helm").exists() else [".tools/helm (run `make tools`; needs Go)"]
    missing += [f".node/images/{name}.tar (run `make node`)" for name in NAMES if not archive(name).exists()]
    if missing:
        absent(f"no real node without {', '.join(missing)}")
    with timed("the node is ready and has its images"), ExitStack() as stack:
        cluster = stack.enter_context(running_node([archive(name) for name in NAMES]))
        running = stack.pop_all()
    with running:
        yield cluster


def archive(name: str) -> Path:
    return ARCHIVES / f"{name}.tar"


class NodeRelease(Release):
    """The release ``afterbell`` as a user's cluster has it: nothing is set for the sake of the tests."""

    cluster: RealCluster

    def install_profile(self, name: str, values: dict[str, Any], *words: str) -> None:
        self.apply("install", name, values, "--wait", "--timeout=420s", *words)

    def reports(self, *sessions: str) -> None:
        """Send sessions and ask for their reports."""
        with self.http() as http:
            for each in sessions:
                self._sent(lambda name=each: http.put(f"/api/sessions/{name}", json=a_session(name)))
                self._sent(lambda name=each: http.post(f"/api/reports/session/{name}"))

    def until_completed(self, *sessions: str, patience_s: float = 120) -> None:
        with self.http() as http:
            for each in sessions:
                until(
                    lambda name=each: self._status(http, name) == "completed",
                    f"the report of {each}",
                    within_s=patience_s,
                )

    def http(self) -> httpx2.Client:
        headers = {"Authorization": f"Bearer {self.token()}"}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=10, trust_env=False)

    def containers(self) -> list[tuple[str, dict[str, Any]]]:
        """(pod, status) of each container, init containers too."""
        return [
            (pod["metadata"]["name"], status)
            for pod in self.cluster.pods(self.namespace)
            for kind in ("initContainerStatuses", "containerStatuses")
            for status in pod["status"].get(kind, ())
        ]

    def pod(self, component: str) -> str:
        """The name of one pod of a component that runs and does not end."""
        return sorted(self.pod_names(component))[0]

    @staticmethod
    def _sent(send: Callable[[], httpx2.Response]) -> None:
        """As clients do it: a connection that breaks because its pod was killed is another try."""

        def accepted() -> bool:
            try:
                send().raise_for_status()
            except httpx2.TransportError:
                return False
            return True

        until(accepted, "a pod of the api to answer", within_s=30)

    def _status(self, http: httpx2.Client, session: str) -> str:
        try:
            return str(http.get(f"/api/reports/session/{session}/status").raise_for_status().json()["status"])
        except httpx2.HTTPError:  # a pod that just ended; the next one answers
            return "unknown"


@contextmanager
def release_in(cluster: RealCluster, namespace: str = "") -> Iterator[NodeRelease]:
    """In a namespace that enforces `restricted`; deleted at the end, with everything in it."""
    name = namespace or f"node-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("label", "namespace", name, *(f"{key}={value}" for key, value in RESTRICTED.items()))
    try:
        yield NodeRelease(cluster, name)
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")
        cluster.kubectl("delete", "pods", "--all", "-n", name, "--force", "--grace-period=0", "--wait=false")
