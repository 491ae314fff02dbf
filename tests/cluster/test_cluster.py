"""The cluster itself: who reaches whom, who may what, and what happens when a part of it is away."""

import http.server
import threading
import time

import pytest
from tests.cluster.conftest import Workload
from tests.support.cluster import Cluster, Manifest, Refused, absent
from tests.support.waiting import until

pytestmark = pytest.mark.cluster


@pytest.fixture
def isolated(cluster: Cluster) -> None:
    if not cluster.isolated:
        absent("needs a network namespace: root, or user namespaces, and iproute2")


def test_kubectl_proxies_to_a_pod(workload: Workload, isolated: None) -> None:
    pod = workload.run()
    workload.wait(pod)
    path = f"/api/v1/namespaces/{workload.namespace}/pods/{pod}:9000/proxy/facts"
    assert workload.cluster.kubectl("get", "--raw", path) == f"{pod} at /facts"


def test_pods_reach_each_other_and_may_bind_the_same_port(workload: Workload, isolated: None) -> None:
    workload.deploy(2)
    pods = workload.cluster.pods(workload.namespace)
    addresses = {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in pods}
    script = (
        "import sys, urllib.request as u; "
        "[print(u.urlopen(f'http://{ip}:9000/').read().decode()) for ip in sys.argv[1:]]"
    )
    asking = {"name": "x", "image": "none", "command": ["python", "-c", script, *addresses.values()]}
    workload.run("asking", template=workload.template(asking, restartPolicy="Never"))
    workload.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/asking", "--timeout=60s")
    assert workload.said("asking") == [f"{name} at /" for name in addresses]


def test_pods_reach_the_api_server_where_every_pod_finds_it(workload: Workload) -> None:
    script = (
        "import os, ssl, urllib.request as u; e = os.environ; c = ssl._create_unverified_context(); "
        "a = 'https://' + e['KUBERNETES_SERVICE_HOST'] + ':' + e['KUBERNETES_SERVICE_PORT'] + '/readyz'; "
        "print(u.urlopen(a, context=c).read().decode())"
    )
    asking = {"name": "x", "image": "none", "command": ["python", "-c", script]}
    pod = workload.run(template=workload.template(asking, restartPolicy="Never"))
    workload.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{pod}", "--timeout=60s")
    assert workload.said(pod) == ["ok"]


def test_pods_reach_a_port_of_the_tests_that_was_let_out(workload: Workload) -> None:
    class Hello(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = workload.cluster.let_out(server.server_port)
        script = f"import urllib.request as u; print(u.urlopen('http://{address}/', timeout=5).status)"
        asking = {"name": "x", "image": "none", "command": ["python", "-c", script]}
        pod = workload.run(template=workload.template(asking, restartPolicy="Never"))
        workload.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{pod}", "--timeout=60s")
        server.shutdown()
    assert workload.said(pod) == ["204"]


def test_a_service_account_has_only_its_own_rights(workload: Workload) -> None:
    workload.kubectl("create", "serviceaccount", "reader")
    workload.kubectl("create", "role", "reads-pods", "--verb=list", "--resource=pods")
    bound = f"--serviceaccount={workload.namespace}:reader"
    workload.kubectl("create", "rolebinding", "reads-pods", "--role=reads-pods", bound)
    kubeconfig = workload.cluster.kubeconfig_of_service_account(workload.namespace, "reader")
    workload.cluster.kubectl("get", "pods", "-n", workload.namespace, kubeconfig=kubeconfig)
    with pytest.raises(Refused, match=r"reader.*cannot list resource"):
        workload.cluster.kubectl("get", "secrets", "-n", workload.namespace, kubeconfig=kubeconfig)


@pytest.mark.parametrize("hanging", [False, True], ids=["killed", "hanging"])
def test_pods_live_on_while_the_api_server_is_away_and_it_hears_of_them_later(
    workload: Workload, hanging: bool
) -> None:
    pod = workload.run()
    workload.wait(pod)
    process = workload.process(pod)
    with workload.cluster.api_server_away(hanging=hanging):
        with pytest.raises(Refused):
            workload.kubectl("get", "--raw", "/readyz", "--request-timeout=1s")
        assert process.exists()
    assert workload.names() == {pod}
    workload.run("another")
    workload.wait("another")
    workload.kubectl("delete", "pod", pod, "--timeout=60s")
    assert workload.said(pod) == ["started", "SIGTERM", "finished"]


def test_the_pods_of_a_node_die_with_its_power_and_start_anew_with_it(workload: Workload) -> None:
    template = workload.template(workload.container(), nodeSelector={"kubernetes.io/hostname": "node-2"})
    pod = workload.run(template=template)
    workload.wait(pod)
    process = workload.process(pod)
    node = workload.cluster.program["node-2"]
    node.kill()
    until(lambda: not process.exists(), "the process to die")
    node.start()
    until(lambda: workload.said(pod).count("started") == 2, "it to be started again")


def test_nothing_of_a_pod_is_left_when_it_is_gone(workload: Workload) -> None:
    grandchild = "python -c 'import time; time.sleep(60)' & echo $!; wait"
    container: Manifest = {"name": "x", "image": "none", "command": ["sh", "-c", grandchild]}
    pod = workload.run(template=workload.template(container, grace_s=1))
    until(lambda: bool(workload.said(pod)), "it to say its child's number")
    (number,) = workload.said(pod)
    workload.kubectl("delete", "pod", pod)
    time.sleep(0.1)
    assert not _runs(int(number))


def _runs(number: int) -> bool:
    try:
        with open(f"/proc/{number}/stat") as stat:  # noqa: PTH123 - a path of the kernel's
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
