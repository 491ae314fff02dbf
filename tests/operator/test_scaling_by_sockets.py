"""A Pool of sockets on a real cluster: pods follow what they tell, and who is not heard is never taken for empty."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.faults.servers import TcpValkey
from tests.operator.recorded import decided_again
from tests.operator.running import OperatorProcess, Site, operating
from tests.operator.voices import Voices
from tests.support.engines import require_wheels
from tests.support.promises import Promised
from tests.support.waiting import until as wait_until

pytestmark = pytest.mark.cluster
AT_ONCE = {"scaleDown": {"stabilizationWindowSeconds": 0, "policies": []}}
HELD_S = 2.5


@pytest.fixture
def voices(site: Site, redis_url: str) -> Iterator[Voices]:
    made = Voices(redis_url, site.queue)
    yield made
    made.close()


def follow_sockets(site: Site, replicas: int, **more: Any) -> list[str]:
    """A Pool of ten sockets a pod over so many pods; their names."""
    source = {"connections": {"queue": site.queue, "socketsPerPod": 10}}
    site.apply(replicas=replicas, minReplicas=1, source=source, behavior=AT_ONCE, **more)
    return sorted(site.until_pods(replicas))


def until_observed(site: Site, status: str, reason: str) -> None:
    wait_until(lambda: site.condition("ConnectionsObserved") == (status, reason), f"{reason} to be said")


def test_pods_come_with_sockets_and_the_emptiest_goes_once_it_is_empty(
    site: Site, voices: Voices, operator: OperatorProcess, promised: Promised
) -> None:
    (first,) = follow_sockets(site, 1)
    voices.sockets[first] = 5
    until_observed(site, "True", "ConnectionsFound")
    voices.sockets[first] = 25
    promised("scaled_by_sockets", site.until_replicas(3), 3)
    pods = sorted(site.until_pods(3))
    few, half = [pod for pod in pods if pod != first]
    voices.sockets |= {first: 9, half: 4, few: 1}
    wait_until(lambda: voices.asked[few] == ["drain"], "the emptiest pod to be drained")
    wait_until(lambda: site.condition("AbleToScale")[1] == "Draining", "the status to say so")
    time.sleep(HELD_S)
    assert site.replicas() == 3, "somebody is still there"
    assert voices.asked[half] == voices.asked[first] == []
    voices.sockets |= {first: 10, few: 0}
    site.until_replicas(2)
    assert site.until_pods(2) == {first, half}
    del voices.sockets[few]
    wait_until(
        lambda: site.status()["connections"] == {"sockets": 14, "pods": 2, "draining": 0, "podTakes": 1_000},
        "the status to count them",
    )
    assert all(decided_again(line) for line in operator.out.read_text().splitlines())
    columns = site.cluster.kubectl("get", "pools", "-n", site.namespace).splitlines()
    assert "SOCKETS" in columns[0]
    assert " 14 " in columns[1]
    assert "14 sockets on 2 pods: 2 by demand" in site.status()["message"]


def test_a_drain_is_taken_back_when_sockets_come(site: Site, voices: Voices, operator: OperatorProcess) -> None:
    first, second = follow_sockets(site, 2)
    voices.sockets |= {first: 3, second: 4}
    wait_until(lambda: voices.asked[first] == ["drain"], "the emptier pod to be drained")
    voices.sockets |= {first: 2, second: 11}
    wait_until(lambda: voices.asked[first][-1] == "undrain", "the drain to be taken back")
    time.sleep(HELD_S)
    assert site.pods() == {first, second}
    assert site.replicas() == 2


def test_a_drain_is_asked_for_again_as_long_as_it_is_wanted(
    site: Site, voices: Voices, operator: OperatorProcess
) -> None:
    first, second = follow_sockets(site, 2)
    voices.sockets |= {first: 1, second: 4}
    wait_until(lambda: voices.asked[first] == ["drain", "drain"], "the drain to be repeated")
    assert voices.asked[second] == []


def test_a_ready_pod_that_was_never_heard_keeps_every_pod_and_does_not_keep_new_ones_away(
    site: Site, voices: Voices, operator: OperatorProcess
) -> None:
    first, second, _silent = follow_sockets(site, 3)
    voices.sockets |= {first: 1, second: 1}
    wait_until(lambda: site.status().get("readyReplicas") == 3, "the silent one to be ready")
    until_observed(site, "False", "ConnectionsUnknown")
    words = "1 of 3 ready pods of worker have not reported their sockets"
    wait_until(lambda: words in site.status()["message"], "it to be counted")
    time.sleep(HELD_S)
    assert site.replicas() == 3
    assert not any(voices.asked.values()), "nobody is drained for a number that is not known"
    voices.sockets |= {first: 35}
    site.until_replicas(4)


def test_the_next_operator_lets_every_pod_speak_before_it_says_anything(
    site: Site, voices: Voices, redis_url: str, tmp_path: Path
) -> None:
    with operating(site.cluster, redis_url, tmp_path, site.namespace):
        voices.sockets |= dict.fromkeys(follow_sockets(site, 2), 9)
        until_observed(site, "True", "ConnectionsFound")
        wait_until(lambda: site.status().get("readyReplicas") == 2, "both to be ready")
        time.sleep(6)  # what is told late is told by then
    before = site.cluster.get("pool", "reports", "-n", site.namespace)["metadata"]["resourceVersion"]
    with operating(site.cluster, redis_url, tmp_path, site.namespace) as operator:
        wait_until(lambda: bool(operator.records()), "a decision")
        time.sleep(0.5)
    assert site.cluster.get("pool", "reports", "-n", site.namespace)["metadata"]["resourceVersion"] == before


def test_while_nobody_was_heard_nothing_changes(site: Site, operator: OperatorProcess) -> None:
    follow_sockets(site, 2)
    until_observed(site, "False", "ConnectionsUnknown")
    time.sleep(HELD_S)
    assert site.replicas() == 2
    assert "AFTERBELL_POD_NAME" in site.status()["message"]


def test_while_redis_is_away_no_pod_goes_and_afterwards_each_must_be_heard_anew(site: Site, tmp_path: Path) -> None:
    require_wheels("valkey")
    with ExitStack() as stack:
        valkey = TcpValkey(tmp_path / "valkey")
        stack.callback(valkey.stop)
        valkey.start()
        voices = Voices(valkey.url, site.queue)
        stack.callback(voices.close)
        stack.enter_context(operating(site.cluster, valkey.url, tmp_path, site.namespace))
        first, second = follow_sockets(site, 2)
        voices.sockets |= {first: 9, second: 9}
        until_observed(site, "True", "ConnectionsFound")
        valkey.kill()
        until_observed(site, "False", "ConnectionsUnknown")
        assert "Redis" in site.status()["message"]
        del voices.sockets[second]
        voices.sockets[first] = 0
        valkey.start()
        wait_until(lambda: "1 of 2 ready pods" in site.status()["message"], "the one that is not heard to be named")
        time.sleep(HELD_S)
        assert site.replicas() == 2
        voices.sockets[second] = 1
        until_observed(site, "True", "ConnectionsFound")
        site.until_replicas(1)
        assert site.until_pods(1) == {second}
