"""A Pool on a real cluster: pods follow the queue, no job is cut off, and whatever is in the way is said."""

import json
import time
from itertools import pairwise
from pathlib import Path

import pytest
from tests.operator.pools import pool
from tests.operator.recorded import decided_again
from tests.operator.running import Hands, OperatorProcess, Site, deployment, operating
from tests.support.promises import Promised
from tests.support.waiting import until as wait_until

from afterbell_operator.explain.records import RECORD_BYTES_MAX

pytestmark = pytest.mark.cluster


def test_pods_go_from_zero_to_what_is_needed_in_one_step_and_back_to_zero(
    site: Site, hands: Hands, operator: OperatorProcess
) -> None:
    site.apply(replicas=0)
    wait_until(lambda: site.condition("Ready") == ("True", "Scaling"), "the Pool to be ready")
    hands.enqueue("a", "b", "c")
    assert site.until_replicas(3) < 2
    pods = sorted(site.until_pods(3))
    grants = {pod: hands.poll(pod) for pod in pods}
    for pod in pods:
        hands.finish(pod, grants[pod])
    site.until_replicas(0)
    wait_until(lambda: site.status().get("currentReplicas") == 0, "the status to say so")
    steps = [(decision["fromReplicas"], decision["toReplicas"]) for decision in site.status()["decisions"]]
    assert steps[-1] == (0, 3), "one step up"
    assert steps[0][1] == 0
    described = site.cluster.kubectl("describe", "pool", "reports", "-n", site.namespace)
    assert "SuccessfulRescale" in described
    for line in operator.out.read_text().splitlines():
        assert len(line) <= RECORD_BYTES_MAX
        assert decided_again(line)
    columns = site.cluster.kubectl("get", "pools", "-n", site.namespace)
    assert "0+0+0" in columns


def test_every_change_is_an_event_and_a_record_and_the_last_ten_are_in_the_status(
    site: Site, operator: OperatorProcess
) -> None:
    numbers = [1, 3, 2, 4, 5, 3, 1, 2, 5, 4, 2, 3]
    site.apply(replicas=0, pause={"replicas": 0, "reason": "the test"})
    wait_until(lambda: site.condition("Ready")[0] == "True", "the Pool to be ready")
    for number in numbers:
        words = ("--type=merge", "-p", json.dumps({"spec": {"pause": {"replicas": number}}}))
        site.cluster.kubectl("patch", "pool/reports", "-n", site.namespace, *words)
        site.until_replicas(number)
    wait_until(lambda: site.status()["decisions"][0]["toReplicas"] == numbers[-1], "the last one")
    kept = [(decision["fromReplicas"], decision["toReplicas"]) for decision in site.status()["decisions"]]
    events = site.cluster.get("events.events.k8s.io", "-n", site.namespace, "--sort-by=.eventTime")["items"]
    notes = [event["note"] for event in events if event["reason"] == "SuccessfulRescale"]
    recorded = {(record["from"], record["to"]) for record in operator.records()}
    steps = stepwise(notes)
    assert all(step[1] == next_step[0] for step, next_step in pairwise(steps)), (
        "from the first to the last without a gap"
    )
    assert (steps[0][0], steps[-1][1]) == (0, numbers[-1])
    assert len(steps) >= len(numbers)
    assert kept == steps[:-11:-1]
    assert set(pairwise([0, *numbers])) <= recorded


def stepwise(notes: list[str]) -> list[tuple[int, int]]:
    """What each "2 to 3 replicas: why" says."""
    return [(int(note.split()[0]), int(note.split()[2])) for note in notes]


def test_the_idle_pod_goes_and_the_busy_one_finishes(site: Site, hands: Hands, operator: OperatorProcess) -> None:
    site.apply(replicas=3)
    first, busy, last = sorted(site.until_pods(3))
    hands.enqueue("a")
    (grant,) = hands.poll(busy)
    site.until_replicas(1)
    assert site.until_pods(1) == {busy}
    hands.enqueue("b")
    assert hands.do("poll", f"{first}-0a1b2c3d", 1).gate in ("drained", ""), "gone pods are forgotten"
    assert last
    hands.finish(busy, [grant])


def test_a_busy_pod_is_drained_waited_for_and_called_back_when_work_comes(
    site: Site, hands: Hands, operator: OperatorProcess
) -> None:
    site.apply(replicas=2, minReplicas=1, source={"backlog": {"queue": site.queue, "jobsPerPod": 2}})
    pods = sorted(site.until_pods(2))
    hands.enqueue("a", "b")
    grants = {pod: hands.poll(pod) for pod in pods}
    wait_until(lambda: hands.do("fleet")[1].drained, "one of the two to be drained")
    assert site.replicas() == 2, "both still work"
    (drained,) = hands.do("fleet")[1].drained
    wait_until(lambda: site.condition("AbleToScale")[1] == "Draining", "the status to say so")
    hands.enqueue("c", "d")
    wait_until(lambda: not hands.do("fleet")[1].drained, "the drain to be taken back")
    assert site.pods() == set(pods)
    grants[drained] += hands.poll(drained, 1)
    assert len(grants[drained]) == 2
    other = next(pod for pod in pods if pod != drained)
    grants[other] += hands.poll(other, 1)
    for pod in pods:
        hands.finish(pod, grants[pod])
    site.until_replicas(1)


def test_nothing_is_taken_away_while_redis_is_unknown_or_has_just_lost_its_data(
    site: Site, hands: Hands, operator: OperatorProcess
) -> None:
    site.apply(replicas=2)
    hands.enqueue("a", "b", "c")
    site.until_replicas(3)
    hands.empty()
    hands.enqueue("d")
    wait_until(lambda: site.condition("BacklogObserved")[1] == "BacklogDistrusted", "the loss to be noticed")
    time.sleep(3)
    assert site.replicas() == 3
    assert site.status()["reason"] == "BacklogDistrusted"


def test_a_job_waits_no_longer_than_the_pool_says_though_the_queue_tells_nothing_new(
    site: Site, hands: Hands, operator: OperatorProcess
) -> None:
    backlog = {"queue": site.queue, "jobsPerPod": 1, "startWithin": "20s", "jobDuration": "2s"}
    site.apply(replicas=0, source={"backlog": backlog})
    hands.enqueue("a")
    site.until_replicas(1)
    (pod,) = site.until_pods(1)
    hands.poll(pod)
    hands.enqueue("b")
    time.sleep(3)
    assert site.replicas() == 1, "the running job may end in time"
    site.until_replicas(2)


def test_the_next_operator_says_again_what_the_last_one_said_and_so_writes_nothing(
    site: Site, hands: Hands, redis_url: str, tmp_path: Path
) -> None:
    hands.enqueue("a", "b")
    hands.poll("other", 2)
    versions = set()
    for _ in range(4):
        with operating(site.cluster, redis_url, tmp_path, site.namespace) as operator:
            if not versions:
                site.apply(replicas=2)
                wait_until(lambda: site.condition("Ready") == ("True", "Scaling"), "the Pool to be ready")
                wait_until(lambda: site.status().get("readyReplicas") == 2, "both pods to be ready")
                time.sleep(6)  # what is told late is told by then
            wait_until(lambda: bool(operator.records()), "a decision")
            time.sleep(0.5)
        versions.add(site.cluster.get("pool", "reports", "-n", site.namespace)["metadata"]["resourceVersion"])
    assert len(versions) == 1


def test_a_redis_that_does_not_answer_is_said_and_no_pod_is_taken_away(
    site: Site, tmp_path: Path, promised: Promised
) -> None:
    site.apply(replicas=2)
    with operating(site.cluster, "redis://127.0.0.1:1/0", tmp_path, site.namespace):
        began = time.monotonic()
        wait_until(lambda: site.condition("BacklogObserved") == ("False", "BacklogUnknown"), "it to be said")
        promised("unknown_said_from_the_start_of_a_process", time.monotonic() - began, 15)
        assert site.replicas() == 2


def test_what_is_in_the_way_is_a_condition_that_goes_by_itself(
    site: Site, hands: Hands, operator: OperatorProcess
) -> None:
    source = {"backlog": {"queue": site.queue, "jobsPerPod": 1}}
    site.cluster.apply(pool(source=source), namespace=site.namespace)
    wait_until(lambda: site.condition("Ready") == ("False", "TargetMissing"), "the missing target to be said")
    site.cluster.apply(deployment(replicas=1), namespace=site.namespace)
    wait_until(lambda: site.condition("Ready")[0] == "True", "the target to be found")
    site.cluster.kubectl("autoscale", "deployment/worker", "-n", site.namespace, "--max=4", "--cpu-percent=80")
    wait_until(lambda: site.condition("Ready") == ("False", "ConflictingAutoscaler"), "the HPA to be said")
    site.cluster.kubectl("delete", "hpa/worker", "-n", site.namespace)
    wait_until(lambda: site.condition("Ready")[0] == "True", "the Pool to work again")
    time.sleep(1.1)  # the age of an object is stored in whole seconds
    site.cluster.apply(pool("second", source=source), namespace=site.namespace)
    jsonpath = '-o=jsonpath={.status.conditions[?(@.type=="Ready")].reason}'
    wait_until(
        lambda: site.cluster.kubectl("get", "pool/second", "-n", site.namespace, jsonpath) == "ConflictingPool",
        "the second Pool to be refused",
    )
    assert site.condition("Ready")[0] == "True", "the first one goes on"


def test_advice_writes_nothing_and_a_pause_holds(site: Site, hands: Hands, operator: OperatorProcess) -> None:
    site.apply(replicas=0, mode="Advise")
    hands.enqueue("a", "b")
    wait_until(lambda: site.status().get("desiredReplicas") == 2, "the advice")
    assert site.replicas() == 0
    site.apply(pause={"replicas": 1, "reason": "looking at it"})
    site.until_replicas(1)
    assert "looking at it" in site.status()["message"]


def test_our_field_manager_owns_the_replicas(site: Site, hands: Hands, operator: OperatorProcess) -> None:
    site.apply(replicas=0)
    hands.enqueue("a")
    site.until_replicas(1)
    manifest = json.loads(
        site.cluster.kubectl("get", "deployment/worker", "-n", site.namespace, "-o", "json", "--show-managed-fields")
    )
    owners = {
        entry["manager"] for entry in manifest["metadata"]["managedFields"] if entry.get("subresource") == "scale"
    }
    assert owners == {"afterbell-operator"}


def test_a_second_operator_takes_over_from_one_that_ended_and_no_two_ever_lead(
    site: Site, hands: Hands, redis_url: str, tmp_path: Path, promised: Promised
) -> None:
    site.apply(replicas=0)
    with (
        operating(site.cluster, redis_url, tmp_path, site.namespace) as first,
        operating(site.cluster, redis_url, tmp_path, site.namespace) as second,
    ):
        wait_until(lambda: '"leading": true' in first.log.read_text() + second.log.read_text(), "one of them to lead")
        leader, standby = (first, second) if '"leading": true' in first.log.read_text() else (second, first)
        wait_until(lambda: site.condition("Ready")[0] == "True", "the Pool to be ready")
        assert '"leading": true' not in standby.log.read_text()
        began = time.monotonic()
        leader.process.terminate()
        wait_until(lambda: '"leading": true' in standby.log.read_text(), "the standby to lead")
        promised("takeover_from_ended_leader", time.monotonic() - began, 5)
        hands.enqueue("a")
        promised("scaled_by_the_next_leader", site.until_replicas(1), 3)
