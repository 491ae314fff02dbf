"""A rollout, an API server that is away, a leader that is killed: the operator waits, and then does what is right."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.operator.pools import install_crd
from tests.operator.running import OperatorProcess, Site, operating
from tests.operator.test_scaling_a_deployment import Hands
from tests.support.cluster import Cluster, wait_until

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def served(cluster: Cluster) -> Cluster:
    install_crd(cluster)
    return cluster


@pytest.fixture
def site(served: Cluster, namespace: str) -> Site:
    return Site(served, namespace, f"t{uuid.uuid4().hex}")


@pytest.fixture
def hands(site: Site, redis_url: str) -> Hands:
    return Hands(redis_url, site.queue)


@pytest.fixture
def operator(site: Site, redis_url: str, tmp_path: Path) -> Iterator[OperatorProcess]:
    with operating(site.cluster, redis_url, tmp_path, site.namespace) as process:
        yield process


def test_no_pod_is_taken_away_while_a_rollout_hangs_and_the_surplus_goes_when_it_ends(
    site: Site, hands: Hands, operator: OperatorProcess
) -> None:
    site.apply(replicas=2)
    hands.put("a", "b")
    pods = sorted(site.until_pods(2))
    grants = {pod: hands.take(pod) for pod in pods}
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
    site: Site, hands: Hands, operator: OperatorProcess
) -> None:
    site.apply(replicas=0)
    wait_until(lambda: site.condition("Ready")[0] == "True", "the Pool to be ready")
    with site.cluster.api_server_away():
        hands.put("a", "b")
        time.sleep(5)
    wait_until(lambda: bool(site.cluster.get("nodes")), "the API server", patience_s=20)
    assert site.until_replicas(2) < 5


def test_a_killed_leader_is_followed_within_twenty_seconds(
    site: Site, hands: Hands, redis_url: str, tmp_path: Path
) -> None:
    site.apply(replicas=0)
    with operating(site.cluster, redis_url, tmp_path, site.namespace) as leader:
        wait_until(lambda: site.condition("Ready")[0] == "True", "the Pool to be ready")
        with operating(site.cluster, redis_url, tmp_path, site.namespace) as standby:
            wait_until(lambda: "operator_up" in standby.log.read_text(), "the standby")
            time.sleep(3)
            leader.process.kill()
            leader.process.wait(5)
            hands.put("a")
            assert site.until_replicas(1) < 20
