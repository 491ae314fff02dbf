"""What the tests of the operator share: arbitrary specs, backlogs and pods; a site on a cluster and its operator."""

import string
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import strategies as st
from tests.operator.pools import install_crd
from tests.operator.running import Hands, OperatorProcess, Site, operating
from tests.support.cluster import Cluster

from afterbell_operator.decide.values import Backlog, Ceiling, Connections, Jobs, Policy, Rules, ScalingSpec, Sockets
from afterbell_operator.decide.victims import Pod

policies = st.builds(Policy, st.sampled_from(["Pods", "Percent"]), st.integers(1, 200), st.integers(1, 120))
rules = st.builds(
    Rules, st.integers(0, 300), st.sampled_from(["Max", "Min", "Disabled"]), st.lists(policies, max_size=2).map(tuple)
)
ceilings = st.builds(Ceiling, st.sampled_from(["provider", "database"]), st.floats(0.1, 500), st.floats(1, 120))
backlogs = st.builds(
    Backlog, st.integers(0, 500), st.integers(0, 200), st.integers(0, 100), st.floats(0, 600), st.booleans()
)
connections = st.builds(
    Connections, st.integers(0, 20_000), st.integers(1, 40), st.integers(0, 3), st.sampled_from([0, 500, 2_000])
)
followed_jobs = st.builds(
    Jobs,
    per_pod=st.integers(1, 10),
    start_within_s=st.sampled_from([0.0, 30.0, 300.0]),
    ceilings=st.lists(ceilings, max_size=2).map(tuple),
)
followed_sockets = st.builds(Sockets, st.integers(1, 1_500))
names = st.text(string.ascii_lowercase, min_size=1, max_size=6)


@st.composite
def specs(draw: st.DrawFn) -> ScalingSpec:
    """Of jobs or of sockets, in equal parts."""
    most = draw(st.integers(1, 60))
    follows = draw(followed_jobs | followed_sockets)
    return ScalingSpec(
        max_replicas=most,
        min_replicas=draw(st.integers(isinstance(follows, Sockets), most)),
        follows=follows,
        idle_after_s=draw(st.sampled_from([0.0, 60.0, 300.0])),
        up=draw(rules),
        down=draw(rules),
    )


@st.composite
def pods(draw: st.DrawFn) -> tuple[Pod, ...]:
    pod_names = draw(st.lists(names, max_size=8, unique=True))
    return tuple(
        Pod(
            name,
            owner=draw(st.sampled_from(["rs1", "rs1", "rs1", "rs2"])),
            assigned=draw(st.booleans()),
            running=draw(st.booleans()),
            ready=draw(st.booleans()),
            cost=draw(st.sampled_from([0, 0, -1000])),
            terminating=draw(st.integers(0, 9)) == 0,
            created_s=draw(st.integers(0, 100)),
        )
        for name in pod_names
    )


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
