"""Workers of the product as pods: reports are made by real processes, which the cluster adds and takes away."""

import asyncio
from urllib.parse import urlsplit

import pytest
from tests.cluster.conftest import Workload
from tests.support.cluster import Manifest
from tests.support.platform import SLOW, Platform, a_session, platform

from afterbell.dev.engines.engines import EngineUrls

pytestmark = [pytest.mark.cluster, pytest.mark.engines]
SESSIONS = 12


async def test_workers_come_and_go_while_every_report_is_made_once(
    workload: Workload, engine_urls: EngineUrls, database_url: str
) -> None:
    assert engine_urls.redis_url is not None
    async with platform(engine_urls.redis_url, database_url, stub=SLOW, workers=0) as up:
        await asyncio.to_thread(deploy_workers, workload, environment_of(workload, up))
        ids = [f"lesson-{number}" for number in range(SESSIONS)]
        for each in ids:
            await up.import_session(a_session(each))
            await up.request(each)
        await up.until(ids[0], "active", "completed")
        await asyncio.to_thread(workload.kubectl, "scale", "deployment/worker", "--replicas=1")
        await asyncio.gather(*(up.until(each, "completed") for each in ids))
        attempts = await up.rows("SELECT report_id, count(*) AS tries FROM report_attempts GROUP BY report_id")
        assert [row["tries"] for row in attempts] == [1] * SESSIONS
    (left,) = [pod["metadata"]["name"] for pod in workload.cluster.pods(workload.namespace, "app=worker")]
    ended = {folder.name for folder in (workload.cluster.home / "pods" / workload.namespace).iterdir()} - {left}
    assert len(ended) == 2
    assert all("worker_draining" in workload.cluster.said(workload.namespace, pod) for pod in ended)


def environment_of(workload: Workload, up: Platform) -> dict[str, str]:
    """The stores are Unix sockets, which pods reach; the model is a port of this process, which is let out to them."""
    model = urlsplit(str(up.settings["base_url"]))
    assert model.port is not None
    return {
        "REDIS_URL": up.settings["redis_url"],
        "DATABASE_URL": up.settings["database_url"],
        "AFTERBELL_QUEUE": up.settings["queue"],
        "AFTERBELL_STARTS_PER_WINDOW": "0",
        "OPENAI_API_KEY": "test",
        "OPENAI_BASE_URL": f"http://{workload.cluster.let_out(model.port)}{model.path}",
        "AFTERBELL_WORKER_CONCURRENCY": "2",
    }


def deploy_workers(workload: Workload, environment: dict[str, str], replicas: int = 3) -> None:
    env = [{"name": name, "value": value} for name, value in environment.items()]
    env += [
        {"name": "AFTERBELL_HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "AFTERBELL_WORKER_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    probe = {"httpGet": {"path": "/readyz", "port": 9000}, "periodSeconds": 1}
    container = {"name": "worker", "image": "afterbell", "args": ["worker"], "env": env, "readinessProbe": probe}
    labels = {"app": "worker"}
    spec: Manifest = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"terminationGracePeriodSeconds": 30, "containers": [container]},
        },
    }
    workload.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "worker"}, "spec": spec})
    workload.kubectl("rollout", "status", "deployment/worker", "--timeout=60s")
