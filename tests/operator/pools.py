"""Pools and their CRD for the tests."""

from typing import Any

from tests.support.cluster import Cluster
from tests.support.waiting import until as wait_until
from tools.crd import render

from afterbell_operator.resources import GROUP, VERSION


def pool(name: str = "reports", **spec: Any) -> dict[str, Any]:
    """A Pool with these parts of a spec over the smallest one."""
    least = {
        "scaleTargetRef": {"name": "worker"},
        "maxReplicas": 5,
        "source": {"backlog": {"queue": "reports", "jobsPerPod": 1}},
    }
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Pool", "metadata": {"name": name}, "spec": least | spec}


def install_crd(cluster: Cluster) -> None:
    """Apply the committed definition and wait until it is served."""
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=render())
    cluster.kubectl("wait", "--for=condition=Established", "crd/pools.afterbell.dev", "--timeout=60s")
    wait_until(lambda: "pools" in cluster.kubectl("api-resources", f"--api-group={GROUP}", "-o", "name"), "pools")
