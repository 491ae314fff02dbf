"""Whoever has the operator's account can do what the operator does, and nothing more, in the whole cluster."""

import json
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from tests.operator.pools import pool
from tests.operator.running import deployment
from tests.support.attacks import Attack
from tests.support.chart import rendered
from tests.support.cluster import Cluster, Refused
from tests.support.waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.edge]
COST = "controller.kubernetes.io/pod-deletion-cost"


class Account:
    """Whoever has a token of the operator's service account. kubectl would read first, which the account may not."""

    def __init__(self, cluster: Cluster) -> None:
        config = json.loads(cluster.kubeconfig_of_service_account("lessons", "afterbell-operator").read_text())
        self._token = config["users"][0]["user"]["token"]
        self._trust = ssl.create_default_context(cafile=config["clusters"][0]["cluster"]["certificate-authority"])
        self._url = cluster.url

    def patch(self, path: str, change: dict[str, Any]) -> None:
        """Raises Refused with what the API server says."""
        kind = "strategic-merge" if "containers" in change.get("spec", {}) else "merge"
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": f"application/{kind}-patch+json"}
        with httpx2.Client(base_url=self._url, headers=headers, verify=self._trust) as client:
            answer = client.patch(path, json=change)
        if not answer.is_success:
            raise Refused(answer.json()["message"])

    def patch_pod(self, namespace: str, pod: str, change: dict[str, Any]) -> None:
        self.patch(f"/api/v1/namespaces/{namespace}/pods/{pod}", change)

    def scale(self, namespace: str, name: str, replicas: int) -> None:
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"
        self.patch(path, {"spec": {"replicas": replicas}})


def chart_rbac(*settings: str) -> list[dict[str, Any]]:
    words = ("-s", "templates/operator-rbac.yaml")
    return rendered("", "operator.clusterWide=true", *settings, words=words)


@pytest.fixture(scope="module")
def lessons(served: Cluster) -> Iterator[str]:
    """A namespace with a Pool and its Deployment, in a cluster whose operator is everybody's."""
    served.kubectl("create", "namespace", "lessons")
    served.apply(*chart_rbac(), namespace="lessons")
    served.apply(deployment(replicas=2), pool(), namespace="lessons")
    served.apply(deployment("dns", replicas=1), namespace="kube-system")
    for namespace, app in (("lessons", "worker"), ("kube-system", "dns")):
        until(lambda namespace=namespace, app=app: served.pods(namespace, f"app={app}"), "its pods")  # type: ignore[misc]
    account = Account(served)
    pod = pod_of(served, "lessons", "worker")
    said = ["nothing"]

    def holds() -> bool:
        said.append(refusal(lambda: account.patch_pod("lessons", pod, {"metadata": {"labels": {"probe": "1"}}})))
        return COST in said[-1]

    until(holds, lambda: f"the policy to be in force: {said[-1]}", within_s=30)
    yield "lessons"
    served.kubectl("delete", "deployment", "dns", "-n", "kube-system", "--wait=false")
    served.kubectl("delete", "namespace", "lessons", "--wait=false")


def refusal(act: Callable[[], object]) -> str:
    """What the API server says against it; empty where it lets it be done."""
    try:
        act()
    except Refused as refused:
        return str(refused)
    return ""


@pytest.fixture
def account(served: Cluster, lessons: str) -> Account:
    return Account(served)


def pod_of(cluster: Cluster, namespace: str, app: str) -> str:
    return str(cluster.pods(namespace, f"app={app}")[0]["metadata"]["name"])


def test_what_the_operator_does_is_allowed(served: Cluster, account: Account, lessons: str) -> None:
    pod = pod_of(served, lessons, "worker")
    account.patch_pod(lessons, pod, {"metadata": {"annotations": {COST: "-1000"}}})
    account.patch_pod(lessons, pod, {"metadata": {"annotations": {COST: None}}})
    account.scale(lessons, "worker", 3)
    assert served.get("deployment", "worker", "-n", lessons)["spec"]["replicas"] == 3


TAKEOVERS: list[tuple[str, str, dict[str, Any]]] = [
    ("image of a pod", "allowed", {"spec": {"containers": [{"name": "worker", "image": "attacker.example/shell:1"}]}}),
    ("labels of a pod", "allowed", {"metadata": {"labels": {"app": "x"}}}),
    ("end of a pod", "allowed", {"spec": {"activeDeadlineSeconds": 1}}),
    ("another annotation of a pod", "allowed", {"metadata": {"annotations": {"sidecar.example/inject": "true"}}}),
    ("owner of a pod", "allowed", {"metadata": {"ownerReferences": []}}),
    ("finalizer of a pod", "allowed", {"metadata": {"finalizers": ["attacker.example/stay"]}}),
]


@pytest.mark.parametrize("namespace", ["lessons", "kube-system"])
@pytest.mark.parametrize(("name", "before", "change"), TAKEOVERS, ids=[name for name, *_ in TAKEOVERS])
def test_nothing_else_of_a_pod_can_be_changed(
    served: Cluster,
    account: Account,
    namespace: str,
    name: str,
    before: str,
    change: dict[str, Any],
    attacked: Callable[[Attack], None],
) -> None:
    pod = pod_of(served, namespace, "worker" if namespace == "lessons" else "dns")
    with pytest.raises(Refused, match="ValidatingAdmissionPolicy") as refused:
        account.patch_pod(namespace, pod, change)
    attacked(Attack(f"operator's account: {name} in {namespace}", before, "denied"))
    assert "denied request" in str(refused.value)


def test_a_namespace_that_is_not_labelled_is_none_of_its(
    served: Cluster, account: Account, attacked: Callable[[Attack], None]
) -> None:
    pod = pod_of(served, "kube-system", "dns")
    with pytest.raises(Refused, match=r"kubectl label namespace kube-system afterbell\.dev/pools=true"):
        account.scale("kube-system", "dns", 0)
    with pytest.raises(Refused, match="ValidatingAdmissionPolicy"):
        account.patch_pod("kube-system", pod, {"metadata": {"annotations": {COST: "-1000"}}})
    attacked(Attack("operator's account: scale of a Deployment of kube-system", "allowed", "denied"))
    assert served.get("deployment", "dns", "-n", "kube-system")["spec"]["replicas"] == 1


def test_a_namespace_that_is_labelled_can_be_scaled_in(served: Cluster, account: Account, namespace: str) -> None:
    served.apply(deployment(replicas=1), namespace=namespace)
    with pytest.raises(Refused, match="label the namespace"):
        account.scale(namespace, "worker", 2)
    served.kubectl("label", "namespace", namespace, "afterbell.dev/pools=true")
    account.scale(namespace, "worker", 2)


def test_other_accounts_are_none_of_the_policys(served: Cluster, lessons: str) -> None:
    pod = pod_of(served, lessons, "worker")
    served.kubectl("label", "pod", pod, "-n", lessons, "somebody=else", "--overwrite")
    served.kubectl("scale", "deployment/worker", "-n", lessons, "--replicas=2")


def test_a_pod_that_belongs_to_no_deployment_is_not_marked(served: Cluster, account: Account, lessons: str) -> None:
    spec = {"containers": [{"name": "a", "image": "none", "command": ["sleep", "60"]}]}
    served.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "alone"}, "spec": spec}, namespace=lessons)
    with pytest.raises(Refused, match="pods of Deployments only"):
        account.patch_pod(lessons, "alone", {"metadata": {"annotations": {COST: "-1000"}}})


def test_deployments_that_are_not_named_can_be_shut_out(
    served: Cluster, account: Account, lessons: str, attacked: Callable[[Attack], None]
) -> None:
    served.apply(deployment("other", replicas=1), namespace=lessons)
    until(lambda: served.pods(lessons, "app=other"), "its pod")
    served.apply(*chart_rbac("operator.targets={lessons/worker}"), namespace=lessons)
    try:
        until(lambda: "operator.targets" in refusal(lambda: account.scale(lessons, "other", 1)), "the policy to change")
        pod = pod_of(served, lessons, "other")
        with pytest.raises(Refused, match=r"operator\.targets"):
            account.patch_pod(lessons, pod, {"metadata": {"annotations": {COST: "-1000"}}})
        account.scale(lessons, "worker", 2)
        attacked(Attack("operator's account: scale of a Deployment that is not named", "allowed", "denied"))
    finally:
        served.apply(*chart_rbac(), namespace=lessons)
