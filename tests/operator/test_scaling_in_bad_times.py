"""A rollout, an API server that is away, a leader that is killed: the operator waits, and then does what is right."""

import signal
import time
from pathlib import Path

import pytest
from tests.operator.running import Hands, OperatorProcess, Site, operating
from tests.support.promises import Promised
from tests.support.waiting import until as wait_until

pytestmark = pytest.mark.cluster


def test_no_pod_is_taken_away_while_a_rollout_hangs_and_the_surplus_goes_when_it_ends(
    site: Site, hands: Hands, operator: OperatorProcess
) -> None:
    site.apply(replicas=2)
    hands.enqueue("a", "b")
    pods = sorted(site.until_pods(2))
    grants = {pod: hands.poll(pod) for pod in pods}
    for patch in ('{"nodeSelector":{"nowhere":"true"}}', '{"nodeSelector":null}'):
        words = (
            "patch",
            "deployment",
            "worker",
            "-n",
            site.namespace,
            "-p",
            f'{{"spec":{{"template":{{"spec":{patch}}}}}}}',
        )
        site.cluster.kubectl(*words)
        if "true" in patch:
            wait_until(lambda: len(site.pods()) == 3, "the new pod that fits nowhere")
            hands.finish(pods[0], grants.pop(pods[0]))
            wait_until(lambda: site.condition("AbleToScale")[1] == "RolloutUnderWay", "it to be said")
            time.sleep(2)
            assert site.replicas() == 2
    site.until_replicas(1)
    assert site.until_pods(1) == {pods[1]}, "the busy one stays"


def test_after_an_api_server_was_away_the_right_number_is_written_within_five_seconds(
    site: Site, hands: Hands, operator: OperatorProcess, promised: Promised
) -> None:
    site.apply(replicas=0)
    wait_until(lambda: site.condition("Ready")[0] == "True", "the Pool to be ready")
    with site.cluster.api_server_away():
        hands.enqueue("a", "b")
        time.sleep(5)
    wait_until(lambda: bool(site.cluster.get("nodes")), "the API server")
    promised("right_after_api_server_was_away", site.until_replicas(2), 5)


def test_a_killed_leader_is_followed_within_twenty_seconds(
    site: Site, hands: Hands, redis_url: str, tmp_path: Path, promised: Promised
) -> None:
    site.apply(replicas=0)
    with operating(site.cluster, redis_url, tmp_path, site.namespace) as leader:
        wait_until(lambda: site.condition("Ready")[0] == "True", "the Pool to be ready")
        with operating(site.cluster, redis_url, tmp_path, site.namespace) as standby:
            wait_until(lambda: "operator_up" in standby.log.read_text(), "the standby")
            time.sleep(3)
            leader.process.kill()
            leader.process.wait(5)
            hands.enqueue("a")
            promised("takeover_from_killed_leader", site.until_replicas(1), 20)


def test_the_next_leader_goes_on_with_the_drain_of_a_killed_one(
    site: Site, hands: Hands, redis_url: str, tmp_path: Path
) -> None:
    two_each = {"backlog": {"queue": site.queue, "jobsPerPod": 2}}
    with operating(site.cluster, redis_url, tmp_path, site.namespace) as leader:
        site.apply(replicas=2, minReplicas=1, source=two_each)
        pods = site.until_pods(2)
        hands.enqueue("a", "b")
        grants = {pod: hands.poll(pod) for pod in sorted(pods)}
        wait_until(lambda: len(drained(hands)) == 1, "one of the two to be drained")
        (going,) = drained(hands)
        with operating(site.cluster, redis_url, tmp_path, site.namespace) as standby:
            leader.process.kill()
            leader.process.wait(5)
            wait_until(lambda: '"leading": true' in standby.log.read_text(), "the standby to lead")
            wait_until(lambda: site.condition("AbleToScale")[1] == "Draining", "it to go on")
            assert (drained(hands), site.replicas(), site.pods()) == ({going}, 2, pods)
            hands.finish(going, grants.pop(going))
            site.until_replicas(1)
            assert site.until_pods(1) == pods - {going}, "the busy one stays"


def test_a_leader_that_slept_goes_on_from_what_another_has_decided_meanwhile(
    site: Site, hands: Hands, operator: OperatorProcess, redis_url: str, tmp_path: Path
) -> None:
    site.apply(replicas=0)
    hands.enqueue("a")
    wait_until(lambda: steps(site) == [(0, 1)], "the first to say so")
    operator.process.send_signal(signal.SIGSTOP)
    try:
        with operating(site.cluster, redis_url, tmp_path, site.namespace) as other:
            wait_until(lambda: '"leading": true' in other.log.read_text(), "the other to lead")
            hands.enqueue("b")
            site.until_replicas(2)
            wait_until(lambda: steps(site) == [(1, 2), (0, 1)], "the other to say so")
            operator.process.send_signal(signal.SIGCONT)
            wait_until(lambda: '"leading": false' in operator.log.read_text(), "the first to notice")
    finally:
        operator.process.send_signal(signal.SIGCONT)
    hands.enqueue("c")
    site.until_replicas(3)
    wait_until(lambda: steps(site) == [(2, 3), (1, 2), (0, 1)], "the whole story to be told")


def steps(site: Site) -> list[tuple[int, int]]:
    return [(decision["fromReplicas"], decision["toReplicas"]) for decision in site.status().get("decisions", [])]


def test_a_node_that_is_drained_in_the_middle_of_a_scale_in_costs_no_other_pod_its_job(
    site: Site, hands: Hands, operator: OperatorProcess
) -> None:
    site.apply(replicas=3, minReplicas=2, source={"backlog": {"queue": site.queue, "jobsPerPod": 2}})
    pods = site.until_pods(3)
    hands.enqueue("a", "b", "c")
    grants = {pod: hands.poll(pod) for pod in sorted(pods)}
    wait_until(lambda: len(drained(hands)) == 1, "one of the three to be drained")
    (going,) = drained(hands)
    wait_until(lambda: all(nodes_of(site).values()), "each pod to be on a node")
    nodes = nodes_of(site)
    node = nodes[min(pods - {going})]
    site.cluster.kubectl("drain", node, "--force", "--pod-selector=app=worker", "--timeout=60s")
    try:
        stay = {pod for pod in pods if nodes[pod] != node}
        assert stay <= site.pods()
        if going in stay & drained(hands):
            hands.finish(going, grants.pop(going))
            stay -= {going}
        site.until_replicas(2)
        assert stay <= site.until_pods(2)
        wait_until(lambda: not drained(hands) & site.pods(), "nobody to be left drained")
    finally:
        site.cluster.kubectl("uncordon", node)


def nodes_of(site: Site) -> dict[str, str | None]:
    return {pod["metadata"]["name"]: pod["spec"].get("nodeName") for pod in site.cluster.pods(site.namespace)}


def drained(hands: Hands) -> set[str]:
    pods: set[str] = set(hands.do("fleet")[1].drained)
    return pods
