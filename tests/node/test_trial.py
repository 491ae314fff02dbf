"""The first commands of docs/howto/install.md, as written, on a node that runs the images."""

import base64
from collections.abc import Iterator

import pytest
from tests.node.conftest import NodeRelease, Timed, release_in
from tests.support.real_node.node import RealCluster
from tests.support.waiting import until

# The node has no volumes to claim: the stores of the trial keep their data as long as their pods.
NO_VOLUMES = {"trial": {"postgresql": {"storage": ""}, "valkey": {"storage": ""}}}
# What `helm uninstall` leaves, and docs/howto/install.md names.
LEFT = {"secret/afterbell-trial", "lease.coordination.k8s.io/afterbell-operator", "pod/afterbell-test"}


@pytest.fixture(scope="module")
def trial(node: RealCluster, timed: Timed) -> Iterator[NodeRelease]:
    with release_in(node) as release:
        with timed("trial: helm install dev, until all is ready"):
            release.install_profile("dev", NO_VOLUMES)
        secret = release.get("secret", "afterbell-trial")["data"]
        release.secret = {key: base64.b64decode(value).decode() for key, value in secret.items()}
        release.serve()
        yield release


def test_the_first_start_needs_no_second_try(trial: NodeRelease) -> None:
    """Nothing waits in back-off because its database was not there yet."""
    restarts = {f"{pod}/{status['name']}": status["restartCount"] for pod, status in trial.containers()}
    assert {name: count for name, count in restarts.items() if count} == {}


def test_helm_test_passes(trial: NodeRelease, timed: Timed) -> None:
    with timed("trial: helm test, which has a report made"):
        trial.helm("test", "afterbell")


def test_pods_come_from_none_and_go_again(trial: NodeRelease, timed: Timed) -> None:
    until(lambda: not trial.pod_names("worker"), "no worker to be left", within_s=150)
    with timed("trial: three reports from no worker pod"):
        trial.reports("one", "two", "three")
        trial.until_completed("one", "two", "three")
    with timed("trial: no worker again (idle after 60 s)"):
        until(lambda: not trial.pod_names("worker"), "the workers to go", within_s=150)


def test_what_uninstalling_leaves_is_in_the_docs(trial: NodeRelease, timed: Timed) -> None:
    with timed("trial: helm uninstall"):
        trial.helm("uninstall", "afterbell", "--wait", "--cascade=foreground")
    kinds = "all,secret,configmap,serviceaccount,role,rolebinding,lease,pool,networkpolicy,pdb,pvc"
    made_by_kubernetes = {"configmap/kube-root-ca.crt", "serviceaccount/default"}
    assert set(trial.kubectl("get", kinds, "-o", "name").split()) - made_by_kubernetes == LEFT
