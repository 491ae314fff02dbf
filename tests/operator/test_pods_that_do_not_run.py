"""A Pool whose pods do not run says which image cannot be pulled, or which pod was killed for memory, until it is over.

No node takes these pods, so the test says in the kubelet's place what becomes of them.
"""

import json
from typing import Any

import pytest
from tests.operator.pools import pool
from tests.operator.running import OperatorProcess, Site, deployment
from tests.operator.trio import NOWHERE
from tests.support.cluster import Manifest
from tests.support.waiting import until as wait_until

pytestmark = pytest.mark.cluster
IMAGE = "ghcr.io/afterbell/worker:nope"
PATIENCE_S = 90


def nowhere(replicas: int) -> Manifest:
    target = deployment(replicas=replicas)
    target["spec"]["template"]["spec"]["nodeSelector"] = NOWHERE
    return target


def report(site: Site, pod: str, **container: Any) -> None:
    """The status that a kubelet would write for the pod's only container."""
    status = {"name": "worker", "image": IMAGE, "imageID": "", "ready": False, "restartCount": 0} | container
    patch = json.dumps({"status": {"containerStatuses": [status]}})
    site.cluster.kubectl(
        "patch", f"pod/{pod}", "-n", site.namespace, "--subresource=status", "--type=merge", "-p", patch
    )


def until_ready(site: Site, status: str, reason: str) -> None:
    wait_until(lambda: site.condition("Ready") == (status, reason), f"Ready={status} {reason}", within_s=PATIENCE_S)


def hold(site: Site, replicas: int) -> None:
    patch = json.dumps({"spec": {"pause": {"replicas": replicas}}})
    site.cluster.kubectl("patch", "pool/reports", "-n", site.namespace, "--type=merge", "-p", patch)


def test_a_rollout_that_does_not_end_names_the_image_that_cannot_be_pulled(
    site: Site, operator: OperatorProcess
) -> None:
    site.apply(replicas=2, pause={"replicas": 2})
    before = site.until_pods(2)
    wait_until(lambda: site.status().get("readyReplicas") == 2, "both to be ready")
    site.cluster.apply(nowhere(2), namespace=site.namespace)
    (new,) = site.until_pods(3) - before
    report(site, new, state={"waiting": {"reason": "ImagePullBackOff", "message": f'Back-off pulling "{IMAGE}"'}})
    hold(site, 1)
    until_ready(site, "False", "ImagePullBackOff")
    assert site.condition("AbleToScale") == ("False", "RolloutUnderWay")
    assert f"image {IMAGE} cannot be pulled" in site.status()["message"]
    assert new in site.status()["message"]
    hold(site, 2)
    site.cluster.apply(deployment(replicas=2), namespace=site.namespace)
    until_ready(site, "True", "Scaling")
    assert site.condition("PodsRunning")[0] == "True"


def test_a_pod_killed_for_memory_is_named(site: Site, operator: OperatorProcess) -> None:
    held = pool(source={"backlog": {"queue": site.queue}}, pause={"replicas": 1})
    site.cluster.apply(nowhere(1), held, namespace=site.namespace)
    (pod,) = site.until_pods(1)
    report(
        site,
        pod,
        state={"waiting": {"reason": "CrashLoopBackOff"}},
        lastState={"terminated": {"reason": "OOMKilled", "exitCode": 137}},
    )
    until_ready(site, "False", "OOMKilled")
    words = f"container worker was killed for using more memory than its limit ({pod})"
    assert words in site.status()["message"]
