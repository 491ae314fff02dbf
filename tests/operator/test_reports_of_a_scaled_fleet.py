"""The whole of it: a Pool and a Deployment, sixty sessions, and workers that come and go for them."""

import asyncio
from pathlib import Path

import pytest
from tests.cluster.conftest import Workload
from tests.cluster.test_workers import deploy_workers, environment_of
from tests.operator.pools import install_crd, pool
from tests.operator.running import operating
from tests.support.cluster import Cluster
from tests.support.platform import SLOW, Platform, a_session, platform
from tests.support.waiting import until as wait_until

from afterbell.dev.engines.engines import EngineUrls

pytestmark = [pytest.mark.cluster, pytest.mark.engines]
SESSIONS, SLOTS, PODS_MAX = 60, 5, 4


async def test_sixty_reports_are_made_once_by_workers_that_go_from_none_to_four_and_back(
    cluster: Cluster, namespace: str, engine_urls: EngineUrls, database_url: str, tmp_path: Path
) -> None:
    install_crd(cluster)
    workload = Workload(cluster, namespace)

    assert engine_urls.redis_url is not None
    async with platform(engine_urls.redis_url, database_url, stub=SLOW, workers=0, lease_s=30) as up:
        apply(workload, up)
        with operating(cluster, engine_urls.redis_url, tmp_path, namespace):
            most = await made(workload, up)
            assert most == PODS_MAX
            await asyncio.to_thread(wait_until, lambda: asked(workload) == 0, "no pod to be left")
        attempts = await up.rows("SELECT report_id, count(*) AS tries FROM report_attempts GROUP BY report_id")
        assert [row["tries"] for row in attempts] == [1] * SESSIONS
    story = cluster.kubectl("describe", "pool", "reports", "-n", namespace)
    assert f" to {PODS_MAX} replicas: " in story, "the way up, with its numbers"
    assert "to 0 replicas" in story
    said = [cluster.said(namespace, pod.name) for pod in (cluster.home / "pods" / namespace).iterdir()]
    assert len(said) == PODS_MAX
    assert not any("Traceback" in words for words in said)


def apply(workload: Workload, up: Platform) -> None:
    environment = environment_of(workload, up) | {"AFTERBELL_WORKER_CONCURRENCY": str(SLOTS)}
    deploy_workers(workload, environment, replicas=0)
    workload.apply(
        pool(
            maxReplicas=PODS_MAX,
            source={"backlog": {"queue": up.settings["queue"], "jobsPerPod": SLOTS}},
            idleAfter="2s",
            behavior={"scaleDown": {"stabilizationWindowSeconds": 0}},
        )
    )


async def made(workload: Workload, up: Platform) -> int:
    """Have the reports made; the most pods that were asked for on the way."""
    ids = [f"lesson-{number}" for number in range(SESSIONS)]
    for each in ids:
        await up.import_session(a_session(each))
    await asyncio.gather(*(up.request(each) for each in ids))
    waiting = asyncio.gather(*(up.until(each, "completed", within_s=120) for each in ids[::10]))
    most = 0
    while not waiting.done():
        most = max(most, await asyncio.to_thread(asked, workload))
        await asyncio.sleep(0.2)
    await waiting
    await asyncio.gather(*(up.until(each, "completed", within_s=60) for each in ids))
    return most


def asked(workload: Workload) -> int:
    manifest = workload.cluster.get("deployment", "worker", "-n", workload.namespace)
    return int(manifest["spec"].get("replicas", 1))
