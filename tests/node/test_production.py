"""The profile `production` on a real node, its stores elsewhere, and what becomes of it when parts break."""

import json
import os
import signal
import uuid
from collections.abc import Iterator
from typing import Any, Final

import pytest
from tests.chart.conftest import merged
from tests.node.conftest import UNMONITORED, NodeRelease, Timed, release_in
from tests.support.real_node.node import RealCluster
from tests.support.waiting import until

PASSWORD: Final = "pw"
STORES: Final = "stores"
HUNG_COSTS_S: Final = 20.0
CONNECT: Final = """
import json, socket, sys
found = {}
for each in sys.argv[1:]:
    host, _, port = each.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 2).close()
        found[each] = True
    except OSError:
        found[each] = False
print(json.dumps(found))
"""


def store(name: str, user: int, port: int, **container: Any) -> list[dict[str, Any]]:
    """One pod and its Service: a managed store, as far as the release can tell."""
    metadata = {"name": name, "namespace": STORES, "labels": {"app": name}}
    spec = {"name": name, "imagePullPolicy": "Never", "securityContext": {"runAsUser": user}, **container}
    return [
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [spec]}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": {"app": name}, "ports": [{"name": "store", "port": port}]},
        },
    ]


def stores() -> list[dict[str, Any]]:
    postgres = {
        "POSTGRES_USER": "afterbell",
        "POSTGRES_DB": "afterbell",
        "POSTGRES_PASSWORD": PASSWORD,
        "PGDATA": "/var/lib/postgresql/data",
    }
    valkey = ["valkey-server", "--dir", "/data", "--maxmemory-policy", "noeviction", "--bind", "0.0.0.0"]  # noqa: S104 - in a pod
    return [
        *store(
            "postgresql",
            70,
            5432,
            image="docker.io/library/postgres:18-alpine",
            env=[{"name": name, "value": value} for name, value in postgres.items()],
        ),
        *store(
            "valkey",
            999,
            6379,
            image="docker.io/valkey/valkey:9-alpine",
            command=[*valkey, "--requirepass", PASSWORD],
        ),
        *store(
            "provider",
            10001,
            8089,
            image="ghcr.io/afterbell/afterbell-stub:0.1.0",
            command=["python", "-c", PROVIDER],
        ),
    ]


# The stub listens on loopback alone, as it should; a provider is elsewhere.
PROVIDER: Final = """
import uvicorn
from afterbell.dev.stub.app import create_app
from afterbell.dev.stub.settings import PACES
uvicorn.run(create_app(PACES["quick"]), host="0.0.0.0", port=8089, log_level="warning")
"""
VALUES: Final = merged(
    UNMONITORED,
    {
        "existingSecret": "afterbell",
        "model": {"baseUrl": f"http://provider.{STORES}.svc:8089/v1"},
        "networkPolicy": {"webPorts": [443, 8089]},
        "worker": {"pool": {"idleAfter": "30s"}},
    },
)


@pytest.fixture(scope="module")
def production(node: RealCluster, timed: Timed) -> Iterator[NodeRelease]:
    node.kubectl("create", "namespace", STORES)
    node.apply(*stores(), namespace=STORES)
    node.kubectl("wait", "--for=condition=Ready", "pod", "--all", "-n", STORES, "--timeout=120s")
    try:
        with release_in(node) as release:
            release.make_secret(
                DATABASE_URL=f"postgresql://afterbell:{PASSWORD}@postgresql.{STORES}.svc:5432/afterbell",
                REDIS_URL=f"redis://:{PASSWORD}@valkey.{STORES}.svc:6379/0",
            )
            with timed("production: helm install, until all is ready"):
                release.install_profile("production", VALUES)
            release.serve()
            yield release
    finally:
        node.kubectl("delete", "namespace", STORES, "--wait=false")
        node.kubectl("delete", "pods", "--all", "-n", STORES, "--force", "--grace-period=0", "--wait=false")


def a_report(release: NodeRelease, timed: Timed, case: str) -> None:
    """One report, asked for now, whatever is away."""
    session = f"case-{uuid.uuid4().hex[:8]}"
    with timed(case):
        release.reports(session)
        release.until_completed(session)


def test_nothing_was_started_twice(production: NodeRelease) -> None:
    assert {name: status["restartCount"] for name, status in production.containers() if status["restartCount"]} == {}


def test_helm_test_passes(production: NodeRelease, timed: Timed) -> None:
    with timed("production: helm test, which has a report made"):
        production.helm("test", "afterbell")


def test_each_pod_reaches_what_it_needs_and_nothing_else(production: NodeRelease, node: RealCluster) -> None:
    """Network policies are enforced: no pod reaches the api inside, and the operator no provider."""
    api = node.get("pod", production.pod("api"), "-n", production.namespace)["status"]["podIP"]
    places = {
        "api": f"{api}:5000",
        "internal": f"{api}:9000",
        "postgresql": f"postgresql.{STORES}.svc:5432",
        "redis": f"valkey.{STORES}.svc:6379",
        "provider": f"provider.{STORES}.svc:8089",
        "kubernetes": "kubernetes.default.svc:443",
    }
    assert reached(production, "operator", places) == {"postgresql", "redis", "kubernetes"}  # one rule for all stores
    assert reached(production, "api", places) >= {"postgresql", "redis"}
    assert "kubernetes" not in reached(production, "api", places)


def reached(release: NodeRelease, component: str, places: dict[str, str]) -> set[str]:
    words = ["exec", release.pod(component), "-n", release.namespace, "--", "python", "-c", CONNECT, *places.values()]
    answers = json.loads(release.cluster.kubectl(*words))
    return {name for name, place in places.items() if answers[place]}


@pytest.mark.parametrize("component", ["api", "operator", "worker"])
def test_a_killed_process_comes_back_and_reports_are_made(
    production: NodeRelease, node: RealCluster, timed: Timed, component: str
) -> None:
    a_report(production, timed, f"production: a report before the kill of {component}")
    until(lambda: bool(production.pod_names(component)), f"a pod of {component}")
    pod = production.pod(component)
    os.kill(node.process_of(production.namespace, pod, component), signal.SIGKILL)
    a_report(production, timed, f"production: a report after kill -9 of {component}")


@pytest.mark.parametrize("component", ["api", "operator"])
def test_a_process_that_hangs_is_started_again_within_twenty_seconds(
    production: NodeRelease, node: RealCluster, timed: Timed, component: str
) -> None:
    pod = production.pod(component)
    until(lambda: ready(production, pod), f"{pod} to be ready")
    before = restarts(production, pod)
    os.kill(node.process_of(production.namespace, pod, component), signal.SIGSTOP)
    with timed(f"production: {component} hangs until it runs again ({HUNG_COSTS_S:g} s at most at rest)"):
        until(lambda: restarts(production, pod) > before, f"{pod} to be started again")
    until(lambda: ready(production, pod), f"{pod} to be ready")


def test_a_worker_that_hangs_costs_its_jobs_a_wait(production: NodeRelease, node: RealCluster, timed: Timed) -> None:
    a_report(production, timed, "production: a report before the worker hangs")
    until(lambda: bool(production.pod_names("worker")), "a worker")
    pod = production.pod("worker")
    os.kill(node.process_of(production.namespace, pod, "worker"), signal.SIGSTOP)
    a_report(production, timed, "production: a report while the only worker hangs (291 s once)")


def test_an_image_that_cannot_be_pulled_leaves_the_old_pods_serving(production: NodeRelease, timed: Timed) -> None:
    before = production.pod_names("api")
    production.kubectl("set", "image", "deployment/afterbell-api", "api=ghcr.io/afterbell/afterbell-api:9.9.9")

    def cannot_pull() -> bool:
        waiting = [status["state"].get("waiting", {}).get("reason") for _, status in production.containers()]
        return "ImagePullBackOff" in waiting or "ErrImagePull" in waiting

    with timed("production: an image that cannot be pulled is told by its pod"):
        until(cannot_pull, "the pod to say that its image cannot be pulled")
    a_report(production, timed, "production: a report meanwhile")
    assert before <= production.pod_names("api")
    production.kubectl("rollout", "undo", "deployment/afterbell-api")
    production.kubectl("rollout", "status", "deployment/afterbell-api", "--timeout=90s")


def test_a_rolling_upgrade_and_a_rollback_lose_nothing(production: NodeRelease, timed: Timed) -> None:
    sessions = [f"rolling-{number}" for number in range(6)]
    production.reports(*sessions[:3])
    with timed("production: helm upgrade to other settings, under load"):
        production.apply(
            "upgrade", "production", merged(VALUES, {"settings": {"AFTERBELL_LOG_LEVEL": "debug"}}), "--wait"
        )
    production.reports(*sessions[3:])
    with timed("production: helm rollback, under load"):
        production.helm("rollback", "afterbell", "--wait")
    production.until_completed(*sessions)


def test_reports_are_made_while_the_api_server_is_away(
    production: NodeRelease, node: RealCluster, timed: Timed
) -> None:
    a_report(production, timed, "production: a report before the API server goes")
    with node.api_server_away():
        a_report(production, timed, "production: a report while the API server is away")


def restarts(release: NodeRelease, pod: str) -> int:
    return sum(status["restartCount"] for name, status in release.containers() if name == pod)


def ready(release: NodeRelease, pod: str) -> bool:
    states = [status["ready"] for name, status in release.containers() if name == pod]
    return bool(states) and all(states)
