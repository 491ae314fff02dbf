"""What a pod's manifest promises its process: environment, probes, hooks, restarts."""

import pytest
from tests.cluster.conftest import COMMAND, READY, Workload
from tests.support.cluster import Manifest
from tests.support.waiting import until

pytestmark = pytest.mark.cluster
LIVE = {"httpGet": {"path": "/livez", "port": "internal"}, "periodSeconds": 1, "failureThreshold": 2}


def shell(script: str, **more: object) -> Manifest:
    return {"name": "shell", "image": "none", "command": ["sh", "-c", script]} | more


def config(kind: str, name: str, **values: str) -> Manifest:
    field = "stringData" if kind == "Secret" else "data"
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, field: values}


def test_a_container_gets_the_environment_its_manifest_describes(workload: Workload) -> None:
    workload.apply(config("Secret", "keys", url="redis://:pass@host"), config("ConfigMap", "plain", level="debug"))
    env = [
        {"name": "FIRST", "value": "one"},
        {"name": "SECOND", "value": "$(FIRST)-two-$(THIRD)-$$(FIRST)"},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "url"}}},
        {"name": "ABSENT", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "none", "optional": True}}},
    ]
    every = [{"configMapRef": {"name": "plain"}, "prefix": "P_"}]
    container = shell("env; echo $(ADDRESS)", env=env, envFrom=every)
    pod = workload.run(template=workload.template(container, restartPolicy="Never"))
    workload.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{pod}", "--timeout=60s")
    meta = workload.cluster.get("pod", pod, "-n", workload.namespace)
    said = workload.said(pod)
    for line in (
        "FIRST=one",
        "SECOND=one-two-$(THIRD)-$(FIRST)",
        f"POD={pod}",
        "LABEL=answering",
        f"NODE={meta['spec']['nodeName']}",
        f"ADDRESS={meta['status']['podIP']}",
        "SECRET=redis://:pass@host",
        "P_level=debug",
        meta["status"]["podIP"],
    ):
        assert line in said
    assert not [line for line in said if line.startswith("ABSENT")]


def test_a_container_whose_secret_is_missing_waits_for_it(workload: Workload) -> None:
    env = [{"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "late", "key": "word"}}}]
    pod = workload.run(template=workload.template(shell("echo $SECRET; sleep 60", env=env)))
    status = workload.wait_for(
        pod, lambda container: "message" in container["state"].get("waiting", {}), "it to say why"
    )
    assert status["state"]["waiting"] == {
        "reason": "CreateContainerConfigError",
        "message": "no key word in secrets late",
    }
    workload.apply(config("Secret", "late", word="here"))
    workload.wait(pod)
    until(lambda: workload.said(pod) == ["here"], "the container to start")


def test_a_pod_is_ready_as_long_as_its_probe_succeeds_and_is_not_restarted_for_it(workload: Workload) -> None:
    pod = workload.run(environment={"BROKEN_AT": "/readyz"}, readinessProbe=READY | {"failureThreshold": 1})
    workload.wait(pod)
    tell(workload, pod, "/break")
    workload.kubectl("wait", "--for=condition=Ready=false", f"pod/{pod}", "--timeout=60s")
    assert workload.wait_for(pod, lambda _: True, "a status")["restartCount"] == 0
    assert "Readiness probe failed: HTTP probe failed with statuscode: 503" in workload.kubectl("describe", "pod", pod)


def test_a_process_that_fails_its_liveness_probe_is_ended_and_started_again(workload: Workload) -> None:
    pod = workload.run(environment={"BROKEN_AT": "/livez"}, livenessProbe=LIVE)
    workload.wait(pod)
    tell(workload, pod, "/break")
    status = workload.wait_for(
        pod, lambda container: bool(container["restartCount"] and container["ready"]), "the restart"
    )
    assert status["lastState"]["terminated"]["exitCode"] == 0
    assert workload.kubectl("logs", pod, "--previous").splitlines()[-2:] == ["SIGTERM", "finished"]
    assert "SIGTERM" not in workload.kubectl("logs", pod)


def test_a_process_that_dies_is_started_again_and_its_exit_code_kept(workload: Workload) -> None:
    pod = workload.run()
    workload.wait(pod)
    tell(workload, pod, "/crash")
    status = workload.wait_for(
        pod, lambda container: bool(container["restartCount"] and container["ready"]), "the restart"
    )
    assert (status["restartCount"], status["lastState"]["terminated"]["exitCode"]) == (1, 3)


def test_a_process_that_dies_at_once_is_backed_off(workload: Workload) -> None:
    pod = workload.run(template=workload.template(shell("exit 7")))
    status = workload.wait_for(
        pod, lambda container: container["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff", "the back-off"
    )
    assert status["lastState"]["terminated"]["exitCode"] == 7


def test_readiness_and_liveness_wait_for_the_startup_probe(workload: Workload) -> None:
    started = {"exec": {"command": ["sh", "-c", "test -e up"]}, "periodSeconds": 1, "failureThreshold": 30}
    never = {"exec": {"command": ["sh", "-c", "test -e up"]}, "periodSeconds": 1, "failureThreshold": 1}
    container = shell("sleep 2; touch up; sleep 60", startupProbe=started, livenessProbe=never, readinessProbe=never)
    pod = workload.run(template=workload.template(container))
    status = workload.wait_for(pod, lambda container: "running" in container["state"], "it to run")
    assert (status["started"], status["ready"]) == (False, False)
    workload.wait(pod)
    assert workload.wait_for(pod, lambda container: container["started"], "it to have started")["restartCount"] == 0


def test_a_startup_probe_that_never_succeeds_ends_the_container(workload: Workload) -> None:
    refusing = {"tcpSocket": {"port": 9}, "periodSeconds": 1, "failureThreshold": 1}
    container = shell("exec sleep 60", startupProbe=refusing)
    pod = workload.run(template=workload.template(container, restartPolicy="Never"))
    status = workload.wait_for(pod, lambda container: "terminated" in container["state"], "the container to be ended")
    assert status["state"]["terminated"]["exitCode"] == 128 + 15


@pytest.mark.parametrize(
    ("hook", "heard"),
    [
        ({"httpGet": {"path": "/drain", "port": "internal"}}, ["GET /drain"]),
        ({"exec": {"command": ["sh", "-c", "sleep 0.5"]}}, []),
        ({"sleep": {"seconds": 1}}, []),
    ],
    ids=["httpGet", "exec", "sleep"],
)
def test_the_hook_before_the_end_comes_before_the_signal(workload: Workload, hook: Manifest, heard: list[str]) -> None:
    pod = workload.run(lifecycle={"preStop": hook})
    workload.wait(pod)
    workload.kubectl("delete", "pod", pod)
    assert workload.said(pod) == ["started", *heard, "SIGTERM", "finished"]


def test_the_grace_period_runs_while_the_hook_does(workload: Workload) -> None:
    container = workload.container(lifecycle={"preStop": {"sleep": {"seconds": 1}}}, environment={"LAST_WORK_S": "60"})
    pod = workload.run(template=workload.template(container, grace_s=2))
    workload.wait(pod)
    workload.kubectl("delete", "pod", pod, "--timeout=30s")
    assert workload.said(pod) == ["started", "SIGTERM"]


def test_init_containers_run_one_after_the_other_before_the_first_container(workload: Workload) -> None:
    first, second = shell("echo a >> order", name="first"), shell("cat order; echo b >> order", name="second")
    template = workload.template(shell("cat order; sleep 60"), initContainers=[first, second])
    pod = workload.run(template=template)
    workload.wait(pod)
    until(lambda: workload.said(pod) == ["a", "a", "b"], "all three to have run in turn")


def test_a_failing_init_container_keeps_the_pod_from_starting(workload: Workload) -> None:
    template = workload.template(
        shell("echo no"), initContainers=[shell("exit 1", name="first")], restartPolicy="Never"
    )
    pod = workload.run(template=template)
    workload.kubectl("wait", "--for=jsonpath={.status.phase}=Failed", f"pod/{pod}", "--timeout=60s")
    assert workload.said(pod) == []


def test_a_sidecar_starts_before_and_ends_after_the_container(workload: Workload) -> None:
    beside = shell("echo up; trap 'echo down; exit' TERM; while :; do sleep 0.1; done", name="beside")
    template = workload.template(
        shell("sleep 1"), initContainers=[beside | {"restartPolicy": "Always"}], restartPolicy="Never"
    )
    pod = workload.run(template=template)
    workload.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{pod}", "--timeout=60s")
    assert workload.said(pod) == ["up", "down"]


def test_an_image_nobody_knows_says_so(workload: Workload) -> None:
    pod = workload.run(template=workload.template({"name": "x", "image": "registry.example/unheard:1"}))
    status = workload.wait_for(
        pod, lambda container: "message" in container["state"].get("waiting", {}), "it to say why"
    )
    assert "knows no words for 'registry.example/unheard:1'" in status["state"]["waiting"]["message"]


def test_an_image_of_the_product_runs_its_command(workload: Workload) -> None:
    container = {"name": "cli", "image": "ghcr.io/afterbell/afterbell:0.1.0", "args": ["--help"]}
    pod = workload.run(template=workload.template(container, restartPolicy="Never"))
    workload.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{pod}", "--timeout=60s")
    assert any("afterbell" in line for line in workload.said(pod))


def test_a_command_that_does_not_exist_fails(workload: Workload) -> None:
    container = {"name": "x", "image": "none", "command": ["no-such-program"]}
    pod = workload.run(template=workload.template(container, restartPolicy="Never"))
    status = workload.wait_for(pod, lambda container: "terminated" in container["state"], "it to fail")
    assert status["state"]["terminated"]["exitCode"] == 127


def tell(workload: Workload, pod: str, path: str) -> None:
    """A request to the process, from its own network, so that it works without a proxy too."""
    address = workload.cluster.get("pod", pod, "-n", workload.namespace)["status"]["podIP"]
    script = f"import http.client as h; c = h.HTTPConnection('{address}', 9000, 5); c.request('GET', '{path}')"
    teller = {"name": "x", "image": "none", "command": [*COMMAND[:1], "-c", f"{script}; c.getresponse()"]}
    name = f"tell-{path.strip('/')}"
    workload.run(name, template=workload.template(teller, restartPolicy="Never"))
    ended = ("Succeeded", "Failed")  # it fails where the answer never comes

    def asked() -> bool:
        return workload.cluster.get("pod", name, "-n", workload.namespace)["status"]["phase"] in ended

    until(asked, f"{path} to be asked for")
