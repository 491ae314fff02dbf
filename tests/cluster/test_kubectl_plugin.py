"""`kubectl afterbell …` with a kubeconfig and nothing else, as kubectl itself starts it."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.conftest import Workload
from tests.support.cluster import ENVIRONMENT
from tests.support.control_plane import TOOLS
from tests.support.engines import fresh_database

from afterbell.dev.engines.engines import EngineUrls

pytestmark = [pytest.mark.cluster, pytest.mark.engines]
LABELS = {"app.kubernetes.io/name": "afterbell", "app.kubernetes.io/component": "api"}
WHY = ("--reason", "trying it")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """On PATH: kubectl, and the plugin under the name kubectl looks for."""
    programs = tmp_path_factory.mktemp("bin")
    (programs / "kubectl").symlink_to(TOOLS / "kubectl")
    plugin = programs / "kubectl-afterbell"
    plugin.write_text(f"#!{sys.executable}\nfrom afterbell.cli.kubectl.plugin import main\nmain()\n")
    plugin.chmod(0o755)
    return programs


@pytest.fixture
def api(workload: Workload, engine_urls: EngineUrls) -> Iterator[Workload]:
    """The api as a Deployment with its Service, as the chart has them."""
    with fresh_database(engine_urls) as database_url:
        deploy(workload, DATABASE_URL=database_url, REDIS_URL=str(engine_urls.redis_url))
        yield workload


def deploy(workload: Workload, *, admin_secret: str = "", jwt_secret: str = "", **stores: str) -> None:
    secret = {
        "AFTERBELL_ADMIN_SECRET": admin_secret or secrets.token_hex(32),
        "AFTERBELL_JWT_SECRET": jwt_secret or secrets.token_hex(32),
    }
    reference = {"valueFrom": {"secretKeyRef": {"name": "afterbell", "key": "AFTERBELL_ADMIN_SECRET"}}}
    env: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in stores.items()]
    env += [
        {"name": "AFTERBELL_QUEUE", "value": workload.namespace},
        {"name": "APP_ENV", "value": "production"},
        {"name": "AFTERBELL_HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "AFTERBELL_JWT_SECRET", "value": secret["AFTERBELL_JWT_SECRET"]},
        {"name": "AFTERBELL_ADMIN_SECRET"} | reference,
    ]
    container = {
        "name": "api",
        "image": "afterbell",
        "args": ["api"],
        "env": env,
        "ports": [{"name": "http", "containerPort": 5000}, {"name": "internal", "containerPort": 9000}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "internal"}, "periodSeconds": 1},
    }
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": LABELS},
        "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [container]}},
    }
    meta = {"name": "afterbell-api", "labels": LABELS}
    ports = [{"name": "internal", "port": 9000, "targetPort": "internal"}]
    workload.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "afterbell"}, "stringData": secret},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta | {"name": "afterbell-api-internal"},
            "spec": {"selector": LABELS, "ports": ports},
        },
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec},
    )
    workload.kubectl("rollout", "status", "deployment/afterbell-api", "--timeout=60s")


def kubectl(folder: Path, workload: Workload, *words: str, **more: str) -> Any:
    """`kubectl afterbell …` as a user types it."""
    environment = {
        **ENVIRONMENT,
        "PATH": f"{folder}:/usr/bin:/bin",
        "PYTHONPATH": ":".join(sys.path),
        "KUBECONFIG": str(workload.cluster.kubeconfig),
        "COLUMNS": "200",
    } | more
    return subprocess.run(
        [folder / "kubectl", "afterbell", *words], env=environment, capture_output=True, text=True, timeout=100
    )


def test_a_kubeconfig_is_enough_to_see_and_control_the_queue(api: Workload, folder: Path) -> None:
    where = ("-n", api.namespace)
    status = kubectl(folder, api, "queue", "status", *where, "-o", "json")
    assert status.returncode == 0, status.stderr
    assert json.loads(status.stdout)["name"] == api.namespace
    paused = kubectl(folder, api, *where, "queue", "pause", *WHY)
    assert (paused.returncode, paused.stdout) == (0, "the queue is paused\n"), paused.stderr
    assert f"queue {api.namespace}: paused\n" in kubectl(folder, api, "queue", "status", *where, "-o", "wide").stdout
    listed = kubectl(folder, api, "jobs", "list", "--namespace", api.namespace)
    assert listed.stdout == "no matching jobs\n"
    (act,) = json.loads(kubectl(folder, api, "queue", "audit", *where, "-o", "json").stdout)["acts"]
    assert (act["action"], act["reason"]) == ("queue.pause", "trying it")
    assert act["actor"].startswith("operator:")
    refused = kubectl(folder, api, "queue", "resume", *WHY, *where, "--role", "viewer")
    assert refused.returncode == 1
    assert "403" in refused.stderr
    assert kubectl(folder, api, "queue", "resume", *WHY, *where).returncode == 0


def test_what_is_not_there_is_named(workload: Workload, folder: Path) -> None:
    missing = kubectl(folder, workload, "queue", "status", "-n", workload.namespace)
    assert (missing.returncode, missing.stdout) == (2, "")
    assert workload.namespace in missing.stderr
    assert kubectl(folder, workload, "queue", "status", "--context", "no-such").returncode == 2
    assert "pause" in kubectl(folder, workload, "queue", "--help").stdout
