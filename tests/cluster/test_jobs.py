"""Jobs, which the hooks of a Helm chart are made of."""

import json
from pathlib import Path

import pytest
from tests.cluster.conftest import Workload
from tests.support.cluster import Manifest, Refused

pytestmark = pytest.mark.cluster


def job(name: str, script: str, **more: object) -> Manifest:
    container = {"name": "job", "image": "none", "command": ["sh", "-c", script]}
    pod = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    spec = {"template": pod, "backoffLimit": 0} | more
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}


def test_a_job_completes(workload: Workload) -> None:
    workload.apply(job("migrate", "echo migrated"))
    workload.kubectl("wait", "--for=condition=Complete", "job/migrate", "--timeout=60s")
    assert workload.kubectl("logs", "job/migrate") == "migrated\n"


def test_a_job_that_fails_is_tried_as_often_as_it_says_and_then_failed(workload: Workload) -> None:
    workload.apply(job("migrate", "exit 4", backoffLimit=1, podReplacementPolicy="Failed"))
    workload.kubectl("wait", "--for=condition=Failed", "job/migrate", "--timeout=60s")
    failed = workload.cluster.pods(workload.namespace, "job-name=migrate")
    codes = [pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] for pod in failed]
    assert codes == [4, 4]


def test_helm_waits_for_the_job_of_a_hook_and_for_the_deployment(workload: Workload, tmp_path: Path) -> None:
    chart = a_chart(tmp_path, workload, "exit 0")
    workload.cluster.run("helm", "install", "tiny", str(chart), "-n", workload.namespace, "--wait", "--timeout=60s")
    available = workload.cluster.get("deployment", "answering", "-n", workload.namespace)["status"]["availableReplicas"]
    assert available == 1
    assert "STATUS: deployed" in workload.cluster.run("helm", "status", "tiny", "-n", workload.namespace)
    workload.cluster.run("helm", "uninstall", "tiny", "-n", workload.namespace, "--wait", "--timeout=60s")
    assert workload.names() == set()


def test_helm_installs_nothing_when_the_job_of_a_hook_fails(workload: Workload, tmp_path: Path) -> None:
    chart = a_chart(tmp_path, workload, "exit 1")
    with pytest.raises(Refused, match="pre-install"):
        workload.cluster.run("helm", "install", "tiny", str(chart), "-n", workload.namespace, "--timeout=60s")
    assert workload.names() == set()


def a_chart(folder: Path, workload: Workload, script: str) -> Path:
    """One Deployment, and a Job before it. JSON is YAML."""
    hook = job("before", script)
    hook["metadata"]["annotations"] = {"helm.sh/hook": "pre-install"}
    labels = {"app": "answering"}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "answering"},
        "spec": {"selector": {"matchLabels": labels}, "template": workload.template(workload.container())},
    }
    (folder / "templates").mkdir()
    (folder / "Chart.yaml").write_text(json.dumps({"apiVersion": "v2", "name": "tiny", "version": "0.1.0"}))
    for name, manifest in (("hook", hook), ("deployment", deployment)):
        (folder / "templates" / f"{name}.yaml").write_text(json.dumps(manifest))
    return folder
