"""The whole of it: a Pool of sockets, api pods that come and go for people, and a chat nobody misses a word of."""

import asyncio
import itertools
import uuid
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.cluster.conftest import Workload
from tests.operator.pools import install_crd, pool
from tests.operator.running import operating
from tests.realtime.processes import Chatter, all_show
from tests.support.api import SECRET, STUDENT, TUTOR, imported, token_for
from tests.support.cluster import Cluster, Manifest
from tests.support.sockets import clients
from tests.support.waiting import until

from afterbell.dev.engines.engines import EngineUrls

pytestmark = [pytest.mark.cluster, pytest.mark.engines]
SOCKETS_PER_POD, TAKES = 10, 40


async def test_api_pods_come_with_sockets_and_one_is_emptied_without_a_message_lost(
    cluster: Cluster, namespace: str, engine_urls: EngineUrls, database_url: str, tmp_path: Path
) -> None:
    install_crd(cluster)
    workload = Workload(cluster, namespace)
    queue = f"t{uuid.uuid4().hex}"
    redis_url = str(engine_urls.redis_url)
    deploy_api(workload, redis_url, database_url, queue)
    workload.apply(
        pool(
            minReplicas=1,
            scaleTargetRef={"name": "api"},
            source={"connections": {"queue": queue, "socketsPerPod": SOCKETS_PER_POD}},
            behavior={"scaleDown": {"stabilizationWindowSeconds": 0, "policies": []}},
        )
    )
    url = cluster.serve(namespace, "api")

    async def run() -> int:
        async with AsyncExitStack() as stack:
            crowd = await stack.enter_async_context(clients(*people(url, SOCKETS_PER_POD + 2)))
            await asyncio.to_thread(until, lambda: ready(workload) == 2, "a second pod for the twelve")
            with staff_of(url) as staff:
                session = imported(staff, messages=[])
            pair = await stack.enter_async_context(clients((url, token_for(**TUTOR)), (url, token_for(**STUDENT))))
            for client in pair:
                await client.join(session)
            chatter = Chatter(pair, 10)
            await asyncio.gather(*(client.close() for client in crowd))
            await asyncio.to_thread(until, lambda: pods_asked(workload) == 1, "one pod to go")
            await asyncio.to_thread(until, lambda: len(living(workload)) == 1, "it to be gone")
            count = await chatter.stop()
            await all_show(pair, count, 20)
            assert sorted(len(client.events["connect"]) for client in pair) == [1, 2], (
                "one of the two was sent to the other pod"
            )
            draining = [client.events["server:draining"] for client in pair]
            assert sorted(map(len, draining)) == [0, 1]
            return count

    with operating(cluster, redis_url, tmp_path, namespace):
        assert await run() > 50
    said = [cluster.said(namespace, pod.name) for pod in (cluster.home / "pods" / namespace).iterdir()]
    assert sum("drain_requested" in words for words in said) == 1
    assert not any("Traceback" in words for words in said)
    assert "from 2 to 1" in decided(workload)


def deploy_api(workload: Workload, redis_url: str, database_url: str, queue: str) -> None:
    environment = {
        "REDIS_URL": redis_url,
        "DATABASE_URL": database_url,
        "AFTERBELL_QUEUE": queue,
        "APP_ENV": "development",
        "AFTERBELL_JWT_SECRET": SECRET,
        "AFTERBELL_SOCKETS_MAX": str(TAKES),
        "AFTERBELL_DRAIN_WINDOW_SECONDS": "2",
        "AFTERBELL_DATABASE_POOL": "4",
        "AFTERBELL_EVENTS_PER_SECOND": "1000",
        "AFTERBELL_EVENTS_BURST": "1000",
    }
    env: list[Manifest] = [{"name": name, "value": value} for name, value in environment.items()]
    env += [
        {"name": "AFTERBELL_HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "AFTERBELL_POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    ports = [{"name": "http", "containerPort": 5000}, {"name": "internal", "containerPort": 9000}]
    probe = {"httpGet": {"path": "/readyz", "port": "internal"}, "periodSeconds": 1, "failureThreshold": 2}
    container = {
        "name": "api",
        "image": "afterbell",
        "args": ["api"],
        "env": env,
        "ports": ports,
        "readinessProbe": probe,
    }
    labels = {"app": "api"}
    spec: Manifest = {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"terminationGracePeriodSeconds": 30, "containers": [container]},
        },
    }
    service = {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}
    workload.apply(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api"}, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "api"}, "spec": service},
    )
    workload.kubectl("rollout", "status", "deployment/api", "--timeout=150s")


def people(url: str, count: int) -> list[tuple[str, str]]:
    numbers = itertools.count()
    return [(url, token_for(role="staff", subject=f"s-{next(numbers)}")) for _ in range(count)]


def staff_of(url: str) -> httpx2.Client:
    bearer = token_for(role="staff", subject="b")
    return httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {bearer}"}, timeout=20)


def deployment(workload: Workload) -> Any:
    return workload.cluster.get("deployment", "api", "-n", workload.namespace)


def ready(workload: Workload) -> int:
    return int(deployment(workload)["status"].get("readyReplicas", 0))


def pods_asked(workload: Workload) -> int:
    return int(deployment(workload)["spec"]["replicas"])


def living(workload: Workload) -> list[Manifest]:
    return workload.cluster.pods(workload.namespace, "app=api")


def decided(workload: Workload) -> str:
    status = workload.cluster.get("pool", "reports", "-n", workload.namespace)["status"]
    return ", ".join(f"from {decision['fromReplicas']} to {decision['toReplicas']}" for decision in status["decisions"])
