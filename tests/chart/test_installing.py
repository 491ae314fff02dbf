"""The production profile on a real control plane, its pods as processes: installed, used, changed, removed."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tests.chart.conftest import Load, Release, merged
from tests.support.chart import CHART
from tests.support.cluster import Cluster
from tests.support.control_plane import TOOLS
from tests.support.engines import empty_database
from tests.support.promises import Promised
from tests.support.sockets import clients
from tests.support.waiting import until

from afterbell.adapters.db.database import Database
from afterbell.dev.engines.engines import EngineUrls

pytestmark = [pytest.mark.cluster, pytest.mark.engines]
INSTALL_S = 60
HELD = 3


@pytest.fixture(scope="module")
def installed(
    cluster_with_resources: Cluster,
    release: Release,
    engine_urls: EngineUrls,
    model: str,
    promised: Promised,
) -> Iterator[Release]:
    """Installed with `--wait`: every pod is ready, and it did not take long."""
    with empty_database(engine_urls) as database_url:
        release.make_secret(DATABASE_URL=database_url, REDIS_URL=str(engine_urls.redis_url))
        release.serve()
        promised("install_to_all_ready", release.install("production", values_of(release, model)), INSTALL_S)
        yield release


def values_of(release: Release, model: str, **more: Any) -> dict[str, Any]:
    given = {
        "model": {"baseUrl": model},
        "queue": {"name": release.namespace},
        "tests": {"url": release.url_inside},
        "worker": {"pool": {"minReplicas": HELD}},
    }
    return release.values(**merged(given, more))


def test_helm_test_gets_a_real_report(installed: Release) -> None:
    assert "a report was made" in installed.helm("test", "afterbell", "--logs")


async def test_upgrade_and_rollback_under_load_lose_and_double_nothing(
    installed: Release, model: str, record_testsuite_property: Callable[[str, object], None]
) -> None:
    until(lambda: installed.replicas("worker") == HELD, "the operator to scale")

    load = Load(installed, every_s=0.25)
    before = installed.pod_names("api") | installed.pod_names("worker")
    changed = values_of(installed, model, worker={"concurrency": 3})
    await asyncio.to_thread(installed.apply, "upgrade", "production", changed, "--wait", "--timeout=150s")
    between = installed.pod_names("api") | installed.pod_names("worker")
    await asyncio.to_thread(installed.helm, "rollback", "afterbell", "1", "--wait", "--timeout=150s")
    after = installed.pod_names("api") | installed.pod_names("worker")
    await load.end()
    assert not before & between
    assert not between & after
    for name, figure in (("requests", load.requests), ("resets", load.resets), ("reports", len(load.sessions))):
        record_testsuite_property(name, figure)
    assert load.failures == []
    tries = await tries_of_each_report(installed)
    assert [name for name in load.sessions if tries.get(name) != 1] == []
    assert set(load.replicas) == {HELD}


async def test_a_socket_misses_no_message_while_its_pod_is_replaced(installed: Release) -> None:
    async with clients((installed.url, installed.token()), (installed.url, installed.token())) as (speaker, listener):
        await hold_a_lesson(installed)
        await speaker.join("lesson")
        await listener.join("lesson")
        restart = asyncio.create_task(asyncio.to_thread(restart_api, installed))
        said = 0
        while not restart.done() or said < 20:
            answer = await speaker.say(f"message {said}")
            assert answer["ok"], answer
            said += 1
            await asyncio.sleep(0.3)
        await restart
        await listener.until(lambda: len(listener.shown) == said, within_s=40)
        texts = [listener.shown[seq]["text"] for seq in sorted(listener.shown)]
        assert texts == [f"message {number}" for number in range(said)]
        assert len(listener.events["connect"]) >= 2


def test_two_upgrades_after_writes_of_the_operator_meet_no_conflict(installed: Release, model: str) -> None:
    for number in (4, 5):
        pool = {"pool": {"minReplicas": number}}
        installed.apply("upgrade", "production", values_of(installed, model, worker=pool))
        until(lambda: installed.replicas("worker") == number, "the operator to scale")  # noqa: B023  # waits here
        installed.apply(
            "upgrade", "production", values_of(installed, model, worker=pool, service={"port": 80 + number})
        )
        assert installed.replicas("worker") == number
    assert not helm_owns_the_number(installed, "worker")


def test_an_upgrade_brings_the_definition_of_pool_up_to_date(installed: Release, model: str, tmp_path: Path) -> None:
    newer = shutil.copytree(CHART, tmp_path / "afterbell")
    crd = newer / "crds" / "pools.yaml"
    crd.write_text(crd.read_text("utf-8").replace("shortNames:\n    - abp", "shortNames:\n    - abp\n    - newer"))
    pool = installed.get("pool", "afterbell-worker")
    installed.own_the_definition()
    for chart, names in ((newer, ["abp", "newer"]), (CHART, ["abp"])):
        installed.apply("upgrade", "production", values_of(installed, model), chart=chart)
        assert installed.cluster.get("crd", "pools.afterbell.dev")["spec"]["names"]["shortNames"] == names
    assert installed.get("pool", "afterbell-worker")["metadata"]["uid"] == pool["metadata"]["uid"]


def test_a_pool_takes_over_the_number_of_api_pods_and_none_goes(installed: Release, model: str) -> None:
    """Helm had the number, and leaves it out now: Kubernetes would make that 1."""
    installed.apply("upgrade", "production", values_of(installed, model, api={"replicas": 3}), "--wait")
    with asked(installed, "api") as numbers:
        for port, least in ((81, 2), (82, 2), (83, 4), (84, 4)):
            pool = {"pool": {"enabled": True, "minReplicas": least}}
            given = values_of(installed, model, api=pool, service={"port": port})
            installed.apply("upgrade", "production", given, "--wait", "--timeout=150s")
            words = ("--for=condition=Ready", "pool/afterbell-api", "--timeout=60s")
            installed.kubectl("wait", *words)
            until(lambda: installed.replicas("api") == max(3, least), "the operator to scale")  # noqa: B023  # waits here
    assert numbers == [3, 4]
    assert not helm_owns_the_number(installed, "api")


async def test_uninstall_leaves_the_definition_the_data_and_the_secret_and_says_so(installed: Release) -> None:
    await hold_a_lesson(installed)
    notes = installed.helm("get", "notes", "afterbell")
    assert "keeps the Pool's CRD and never touches" in notes
    installed.helm("uninstall", "afterbell", "--wait", "--timeout=150s")
    installed.cluster.get("crd", "pools.afterbell.dev")
    installed.get("secret", "afterbell")
    assert await rows(installed, "SELECT id FROM sessions WHERE id = 'lesson'")
    left = installed.get(
        "deployments,pools,services,configmaps,jobs,cronjobs,roles,rolebindings",
        "-l",
        "app.kubernetes.io/part-of=afterbell",
    )["items"]
    assert left == []


def helm_owns_the_number(installed: Release, deployment: str) -> bool:
    owners = installed.get("deployment", f"afterbell-{deployment}", "--show-managed-fields")["metadata"][
        "managedFields"
    ]
    (of_helm,) = [each["fieldsV1"]["f:spec"] for each in owners if each["manager"] == "helm"]
    return "f:replicas" in of_helm


@contextmanager
def asked(installed: Release, deployment: str) -> Iterator[list[int]]:
    """Every number of pods that is asked for in the block, once it has ended; each change is one more."""
    numbers: list[int] = []
    words = [
        "get",
        "deployment",
        f"afterbell-{deployment}",
        "-n",
        installed.namespace,
        "--watch",
        "-o",
        'jsonpath={.spec.replicas}{"\\n"}',
        "--kubeconfig",
        str(installed.cluster.kubeconfig),
    ]
    with subprocess.Popen([str(TOOLS / "kubectl"), *words], stdout=subprocess.PIPE, text=True, bufsize=1) as watch:
        assert watch.stdout is not None
        first = int(watch.stdout.readline())
        try:
            yield numbers
        finally:
            time.sleep(1)  # what was written last is on its way
            watch.terminate()
        course = [first, *map(int, watch.stdout.read().split())]
    numbers += [number for number, before in zip(course, [None, *course], strict=False) if number != before]


def restart_api(installed: Release) -> None:
    installed.kubectl("rollout", "restart", "deployment/afterbell-api")
    installed.kubectl("rollout", "status", "deployment/afterbell-api", "--timeout=150s")
    deadline = time.monotonic() + 60
    while len(installed.cluster.pods(installed.namespace, "app.kubernetes.io/component=api")) > 2:
        assert time.monotonic() < deadline, "the old pods do not end"
        time.sleep(0.5)


async def hold_a_lesson(installed: Release) -> None:
    people = [{"id": "boss", "role": "tutor", "display_name": "Okan"}]
    async with installed.client() as http:
        session = {"id": "lesson", "subject": "mathematics", "participants": people, "messages": []}
        (await http.put("/api/sessions/lesson", json=session)).raise_for_status()


async def tries_of_each_report(installed: Release) -> dict[str, int]:
    tried = await rows(
        installed,
        "SELECT r.session_id, count(a.*) AS tries FROM reports r JOIN report_attempts a ON a.report_id = r.id "
        "GROUP BY r.id, r.session_id",
    )
    return {row.session_id: row.tries for row in tried}


async def rows(installed: Release, statement: str) -> list[Any]:
    database = Database(installed.secret["DATABASE_URL"], pool_size=1)
    try:
        async with database.statement() as connection:
            return list(await connection.execute(text(statement)))
    finally:
        await database.close()
