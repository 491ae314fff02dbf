"""A Deployment of a real process, from its first pod to its last."""

import time

import pytest
from tests.cluster.conftest import Workload
from tests.support.promises import Promised
from tests.support.waiting import until

pytestmark = pytest.mark.cluster


def test_a_deployment_becomes_available_and_follows_its_replicas(workload: Workload) -> None:
    workload.deploy(2)
    before = workload.names()
    workload.kubectl("scale", "deployment/answering", "--replicas=4")
    workload.kubectl("wait", "--for=jsonpath={.status.readyReplicas}=4", "deployment/answering", "--timeout=60s")
    assert before < workload.names()
    workload.kubectl("scale", "deployment/answering", "--replicas=1")
    until(lambda: len(workload.cluster.pods(workload.namespace)) == 1, "three pods to be gone")
    (left,) = workload.names()
    assert "SIGTERM" not in workload.said(left)


def test_a_rollout_replaces_every_pod_and_never_has_too_few(workload: Workload) -> None:
    workload.deploy(2)
    before = workload.names()
    workload.deploy(2, environment={"LAST_WORK_S": "0.1"})
    assert len(workload.names()) == 2
    assert not before & workload.names()
    until(lambda: all(workload.said(pod)[-1] == "finished" for pod in before), "the old pods to end by themselves")


def test_the_pod_with_the_lowest_deletion_cost_is_the_one_that_goes(workload: Workload) -> None:
    workload.deploy(3)
    victim = sorted(workload.names())[1]
    workload.kubectl("annotate", "pod", victim, "controller.kubernetes.io/pod-deletion-cost=-100")
    workload.kubectl("scale", "deployment/answering", "--replicas=2")
    until(lambda: len(workload.names()) == 2, "one pod to go")
    assert victim not in workload.names()


def test_a_drained_node_hands_its_pods_to_the_other(workload: Workload) -> None:
    workload.deploy(4)
    try:
        workload.cluster.kubectl("drain", "node-1", "--pod-selector=app=answering", "--timeout=60s")
        workload.kubectl("rollout", "status", "deployment/answering", "--timeout=60s")
        pods = workload.cluster.pods(workload.namespace, "app=answering")
        assert {pod["spec"]["nodeName"] for pod in pods if pod["metadata"]["name"] in workload.names()} == {"node-2"}
    finally:
        workload.cluster.kubectl("uncordon", "node-1")


def test_work_begun_is_finished_within_the_grace_period(workload: Workload, promised: Promised) -> None:
    pod = workload.run(environment={"LAST_WORK_S": "1"})
    workload.wait(pod)
    began = time.monotonic()
    workload.kubectl("delete", "pod", pod)
    took_s = time.monotonic() - began
    assert took_s >= 1
    promised("pod_gone_after_1_s_of_work", took_s, 8)
    assert workload.said(pod) == ["started", "SIGTERM", "finished"]


def test_a_process_that_does_not_end_is_killed_after_the_grace_period(workload: Workload, promised: Promised) -> None:
    container = workload.container(environment={"LAST_WORK_S": "60"})
    pod = workload.run(template=workload.template(container, grace_s=2))
    workload.wait(pod)
    began = time.monotonic()
    workload.kubectl("delete", "pod", pod)
    took_s = time.monotonic() - began
    assert 2 <= took_s < 60
    promised("pod_killed_after_2_s_of_grace", took_s, 8)
    assert workload.said(pod) == ["started", "SIGTERM"]


def test_a_forced_deletion_kills_at_once(workload: Workload) -> None:
    pod = workload.run(environment={"LAST_WORK_S": "60"})
    workload.wait(pod)
    process = workload.process(pod)
    workload.kubectl("delete", "pod", pod, "--force", "--grace-period=0")
    until(lambda: not process.exists(), "its process to be gone")
