"""Two releases in one namespace: each operator scales the Pools that name it, by the Redis it knows, and no others."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.faults.servers import TcpValkey
from tests.operator.pools import pool
from tests.operator.running import Hands, Site, deployment, operating
from tests.support.waiting import until

pytestmark = pytest.mark.cluster
NAMES = ("blue", "green")


@pytest.fixture
def backlogs(site: Site, tmp_path: Path) -> Iterator[dict[str, Hands]]:
    """What an operator's own Redis holds, by the operator's name; both run in the namespace of the site."""
    with ExitStack() as stack:
        hands = {}
        for name in NAMES:
            valkey = TcpValkey(tmp_path / name)
            stack.callback(valkey.stop)
            valkey.start()
            own = {"AFTERBELL_OPERATOR_NAME": name, "AFTERBELL_LEASE_NAME": f"{name}-operator"}
            stack.enter_context(operating(site.cluster, valkey.url, tmp_path / name, site.namespace, **own))
            hands[name] = Hands(valkey.url, site.queue)
        yield hands


def test_each_operator_scales_its_own_pools_by_its_own_redis(site: Site, backlogs: dict[str, Hands]) -> None:
    source = {"backlog": {"queue": site.queue, "jobsPerPod": 1}}
    for name in NAMES:
        target = {"scaleTargetRef": {"name": name}, "source": source, "operatorName": name}
        site.cluster.apply(deployment(name, replicas=0), pool(name, **target), namespace=site.namespace)
    backlogs["blue"].enqueue("a", "b")
    until(lambda: replicas_of(site, "blue") == 2, "blue's pods")
    backlogs["green"].enqueue("c", "d", "e")
    until(lambda: replicas_of(site, "green") == 3, "green's pods")
    assert replicas_of(site, "blue") == 2, "what waits for green is none of its business"
    for name, count in zip(NAMES, (2, 3), strict=True):
        status = site.cluster.get("pool", name, "-n", site.namespace)["status"]
        assert status["desiredReplicas"] == count, "by one operator, not by two in turn"


def test_a_pool_of_another_operator_on_the_same_deployment_is_in_the_way(
    site: Site, backlogs: dict[str, Hands]
) -> None:
    source = {"backlog": {"queue": site.queue, "jobsPerPod": 1}}
    site.cluster.apply(deployment(replicas=1), pool(source=source, operatorName="blue"), namespace=site.namespace)
    until(lambda: site.condition("Ready")[0] == "True", "blue's Pool to work")
    site.cluster.apply(pool("second", source=source, operatorName="green"), namespace=site.namespace)
    until(lambda: reason_of(site, "second") == "ConflictingPool", "green's Pool to be refused")


def replicas_of(site: Site, name: str) -> int:
    return int(site.cluster.get("deployment", name, "-n", site.namespace)["spec"]["replicas"])


def reason_of(site: Site, name: str) -> str:
    path = '-o=jsonpath={.status.conditions[?(@.type=="Ready")].reason}'
    return site.cluster.kubectl("get", f"pool/{name}", "-n", site.namespace, path)
