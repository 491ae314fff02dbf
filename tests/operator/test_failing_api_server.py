"""An API server that refuses, expires, drops or is gone: the operator goes on, and is right five seconds later."""

import json
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError

import pytest
from tests.operator.pools import install_crd, pool
from tests.operator.running import operating
from tests.operator.trio import SIZES, Trio
from tests.support.cluster import Cluster
from tests.support.http_faults import HttpFaults, http_faults
from tests.support.ports import free_port
from tests.support.promises import Promised
from tests.support.waiting import until as wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.engines]
RIGHT_WITHIN_S: Final = 5.0
MORE: Final = 2


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    install_crd(cluster)
    name = f"door-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def door(cluster: Cluster) -> Iterator[HttpFaults]:
    with http_faults(cluster) as faults:
        yield faults


@pytest.fixture(scope="module")
def port(
    cluster: Cluster, namespace: str, door: HttpFaults, engine_urls: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    """The internal port of an operator that reaches the API server through the door."""
    home, port = tmp_path_factory.mktemp("door"), free_port()
    through = {"KUBECONFIG": str(door.kubeconfig(home / "door.json")), "AFTERBELL_INTERNAL_PORT": str(port)}
    with operating(cluster, engine_urls.redis_url, home, namespace, **through):
        yield port


@pytest.fixture
def trio(cluster: Cluster, namespace: str, port: int, redis_url: str) -> Iterator[Trio]:
    made = Trio(cluster, namespace, redis_url)
    yield made
    made.remove()


def right(trio: Trio, promised: Promised) -> None:
    """Every Pool has its two more, in time."""
    began = time.monotonic()
    wait_until(lambda: trio.replicas() == [size + MORE for size in SIZES], "the right numbers")
    promised("right_after_refusals", time.monotonic() - began, RIGHT_WITHIN_S)


def ask_for_more(trio: Trio) -> None:
    for hand in trio.hands:
        hand.enqueue(*(f"more-{number}" for number in range(MORE)))


@pytest.mark.parametrize("status", [409, 429, 500])
def test_a_write_that_is_refused_is_made_when_it_can_be(
    trio: Trio, door: HttpFaults, status: int, promised: Promised
) -> None:
    before = door.refused[status]
    with door.answering(status, "/scale", "PATCH"):
        ask_for_more(trio)
        wait_until(lambda: door.refused[status] - before >= 2 * len(SIZES), "it to be tried again")
        assert trio.replicas() == list(SIZES)
    right(trio, promised)


def test_a_status_that_cannot_be_written_keeps_no_pod_waiting(trio: Trio, door: HttpFaults, promised: Promised) -> None:
    with door.answering(500, "/pools/.*/status", "PATCH"):
        ask_for_more(trio)
        right(trio, promised)


@pytest.mark.parametrize("status", [410, 429, 503])
def test_what_was_missed_while_the_watches_were_away_is_seen_afterwards(
    trio: Trio, door: HttpFaults, status: int, promised: Promised
) -> None:
    with door.answering(status, "[?&]watch=", "GET"):
        door.drop_watches()
        for name in trio.names:
            trio.patch(name, {"pause": {"replicas": 5, "reason": "nobody hears this"}})
        time.sleep(1.5)
        if status != 410:  # an expired watch makes it list again, so it sees everything at once
            assert trio.replicas() == list(SIZES)
    began = time.monotonic()
    wait_until(lambda: trio.replicas() == [5, 5, 5], "the pause to be seen")
    promised("right_after_refusals", time.monotonic() - began, RIGHT_WITHIN_S)


def test_watches_that_end_in_the_middle_are_taken_up_again(trio: Trio, door: HttpFaults, promised: Promised) -> None:
    door.drop_watches()
    for name in trio.names:
        trio.patch(name, {"pause": {"replicas": 4, "reason": "right after"}})
    began = time.monotonic()
    wait_until(lambda: trio.replicas() == [4, 4, 4], "the pause to be seen")
    promised("right_after_refusals", time.monotonic() - began, RIGHT_WITHIN_S)


@contextmanager
def unheard(door: HttpFaults) -> Iterator[None]:
    """What is deleted here is only missing from the lists that the operator reads."""
    with door.answering(410, "[?&]watch=", "GET"):
        door.drop_watches()
        time.sleep(1)
        yield
        time.sleep(3)


def test_a_conflict_whose_end_was_missed_ends_by_itself(trio: Trio, door: HttpFaults) -> None:
    scaled, contested, _ = trio.names
    within = ("-n", trio.namespace)
    trio.cluster.kubectl("autoscale", f"deployment/{scaled}", *within, "--max=4", "--cpu-percent=80")
    source = {"backlog": {"queue": contested, "jobsPerPod": 1}}
    time.sleep(1.1)  # the age of an object is stored in whole seconds
    trio.cluster.apply(
        pool("late", scaleTargetRef={"name": contested}, source=source, minReplicas=3), namespace=trio.namespace
    )

    def ready(name: str) -> str:
        words = '-o=jsonpath={.status.conditions[?(@.type=="Ready")].reason}'
        return trio.cluster.kubectl("get", f"pool/{name}", *within, words)

    wait_until(lambda: (ready(scaled), ready("late")) == ("ConflictingAutoscaler", "ConflictingPool"), "both conflicts")
    with unheard(door):
        trio.cluster.kubectl("delete", f"hpa/{scaled}", *within)
        trio.cluster.kubectl("delete", f"pool/{contested}", *within)
    wait_until(lambda: (ready(scaled), ready("late")) == ("Scaling", "Scaling"), "both to be over", within_s=90)
    wait_until(lambda: trio.replicas()[1] == 3, "the second Pool to scale")
    trio.cluster.kubectl("delete", "pool/late", *within)


def test_a_pool_whose_deletion_was_missed_changes_no_number_any_more(trio: Trio, door: HttpFaults) -> None:
    with unheard(door):
        trio.cluster.kubectl("delete", "pools", *trio.names, "-n", trio.namespace)
    ask_for_more(trio)
    time.sleep(3)
    assert trio.replicas() == list(SIZES)


def test_without_the_api_server_it_is_alive_and_not_ready(port: int, door: HttpFaults) -> None:
    wait_until(lambda: answer(port, "readyz")[0] == 200, "it to be ready")
    with door.answering(503, ".", "GET", "PUT", "PATCH", "POST"):
        wait_until(lambda: answer(port, "readyz")[0] == 503, "it to say so")
        assert answer(port, "livez")[0] == 200
    wait_until(lambda: answer(port, "readyz")[0] == 200, "it to be ready again")


def answer(port: int, path: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as response:
            return response.status, json.loads(response.read())
    except HTTPError as error:
        with error:
            return error.code, json.loads(error.read())
    except OSError:
        return 0, None


@pytest.mark.long
def test_after_sixty_seconds_without_an_api_server_the_numbers_are_right_within_five(
    cluster: Cluster, redis_url: str, tmp_path: Path, promised: Promised
) -> None:
    install_crd(cluster)
    namespace = f"gone-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", namespace)
    with operating(cluster, redis_url, tmp_path, namespace):
        trio = Trio(cluster, namespace, redis_url)
        with cluster.api_server_away():
            ask_for_more(trio)
            time.sleep(60)
        wait_until(lambda: bool(cluster.get("nodes")), "the API server")
        right(trio, promised)
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")
