"""What every profile of the chart renders keeps the rules of the house; no cluster is needed to see it."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.support.chart import CHART, PROFILES, containers, helm, named, of_kind, pods, profile, rendered
from tools import chart_reference

EVERYTHING = {
    "ingress": {"enabled": True, "hosts": ["lessons.example.com"], "className": "traefik"},
    "httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}], "hostnames": ["sockets.example.com"]},
    "networkPolicy": {"enabled": True, "internalFrom": [{"namespaceSelector": {}}], "apiFrom": [{"podSelector": {}}]},
    "monitoring": {
        "podMonitor": {"enabled": True},
        "prometheusRule": {"enabled": True},
        "annotations": True,
        "dashboards": {"enabled": True},
    },
    "image": {"pullSecrets": [{"name": "regcred"}]},
    "api": {
        "priorityClassName": "system-cluster-critical",
        "podAnnotations": {"a": "b"},
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"operator": "Exists"}],
        "extraEnv": [{"name": "TZ", "value": "UTC"}],
    },
    "commonLabels": {"team": "lessons"},
    "commonAnnotations": {"owner": "lessons"},
    "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-more"}}],
}
RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
SECRET = re.compile(r"PASSWORD|SECRET|API_KEY|_URL$")

every_profile = pytest.mark.parametrize("name", ["", *PROFILES, "everything"])


def objects_of(name: str) -> list[dict[str, Any]]:
    return rendered("production", values=EVERYTHING) if name == "everything" else rendered(name)


@pytest.mark.parametrize("name", PROFILES)
def test_helm_finds_nothing_to_complain_about(name: str) -> None:
    said = helm("lint", "--strict", str(CHART), "-f", profile(name))
    assert "[WARNING]" not in said
    assert "[INFO]" not in said


@every_profile
def test_every_pod_is_restricted_and_reads_only(name: str) -> None:
    for where, spec in pods(objects_of(name)):
        pod = spec["securityContext"]
        assert (pod["runAsNonRoot"], pod["seccompProfile"]) == (True, {"type": "RuntimeDefault"}), where
        assert pod["runAsUser"] > 0, where
        assert all(each["securityContext"] == RESTRICTED for each in containers(spec)), where


@every_profile
def test_only_the_operator_gets_a_token(name: str) -> None:
    with_token = {where for where, spec in pods(objects_of(name)) if spec["automountServiceAccountToken"]}
    assert with_token == {"Deployment/afterbell-operator"}


@every_profile
def test_every_container_says_what_it_needs_and_names_a_version(name: str) -> None:
    for where, spec in pods(objects_of(name)):
        for each in containers(spec):
            resources = each["resources"]
            assert {"cpu", "memory"} <= resources["requests"].keys(), where
            assert "memory" in resources["limits"], where
            assert re.search(r"(:[\w.-]+|@sha256:[0-9a-f]{64})$", each["image"]), where
            assert not each["image"].endswith(":latest"), where


@every_profile
def test_secrets_are_only_referred_to(name: str) -> None:
    for where, spec in pods(objects_of(name)):
        for variable in (variable for each in containers(spec) for variable in each.get("env", ())):
            harmless = variable["name"] in ("API_URL", "OPENAI_BASE_URL") or variable.get("value") == "stub"
            assert harmless or not SECRET.search(variable["name"]) or "secretKeyRef" in variable["valueFrom"], where
    made = {each["metadata"]["name"] for each in of_kind(objects_of(name), "Secret")}
    assert made == ({"afterbell-trial"} if name == "dev" else set())


@every_profile
def test_probes_ask_the_process_and_only_api_and_operator_have_more_to_say(name: str) -> None:
    for each in of_kind(objects_of(name), "Deployment"):
        (container,) = each["spec"]["template"]["spec"]["containers"]
        paths = [container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")]
        assert paths[:2] == ["/livez", "/livez"]
        assert paths[2] == ("/livez" if container["name"] == "worker" else "/readyz")
        assert all(container[f"{probe}Probe"]["httpGet"]["port"] == "internal" for probe in ("startup", "readiness"))


@every_profile
def test_helm_holds_no_number_of_pods_that_somebody_else_decides(name: str) -> None:
    objects = objects_of(name)
    scaled = {(each["spec"]["scaleTargetRef"]["name"]) for each in of_kind(objects, "Pool", "HorizontalPodAutoscaler")}
    assert "afterbell-worker" in scaled
    for each in of_kind(objects, "Deployment"):
        assert ("replicas" in each["spec"]) is (each["metadata"]["name"] not in scaled)


@every_profile
def test_api_pods_tell_their_sockets_where_a_pool_follows_them_and_nowhere_else(name: str) -> None:
    objects = objects_of(name)
    followed = [each for each in of_kind(objects, "Pool") if "connections" in each["spec"]["source"]]
    telling = [
        where
        for where, spec in pods(objects)
        for each in containers(spec)
        for variable in each.get("env", ())
        if variable["name"] == "AFTERBELL_POD_NAME"
    ]
    wanted = name == "large"
    assert telling == ["Deployment/afterbell-api"] * wanted
    assert [each["metadata"]["name"] for each in followed] == ["afterbell-api"] * wanted
    for each in followed:
        assert each["spec"]["source"]["connections"] == {"queue": "reports", "socketsPerPod": 700}
        assert each["spec"]["minReplicas"] >= 1


@every_profile
def test_selectors_never_change_and_find_their_pods(name: str) -> None:
    for each in of_kind(objects_of(name), "Deployment", "StatefulSet"):
        selector = each["spec"]["selector"]["matchLabels"]
        assert not {"app.kubernetes.io/version", "helm.sh/chart"} & selector.keys()
        assert selector.items() <= each["spec"]["template"]["metadata"]["labels"].items()


@every_profile
def test_every_object_is_labelled_and_in_the_release_namespace(name: str) -> None:
    for each in objects_of(name):
        if each["metadata"]["name"] == "afterbell-more":
            continue
        assert each["metadata"]["labels"]["app.kubernetes.io/part-of"] == "afterbell"
        assert each["metadata"]["namespace"] == "lessons"


def test_grace_periods_hold_what_has_to_happen_in_them() -> None:
    objects = rendered("", "api.preStopSeconds=7", "api.drainWindowSeconds=30", "worker.drainSeconds=250")
    grace = {where: spec.get("terminationGracePeriodSeconds") for where, spec in pods(objects)}
    assert grace["Deployment/afterbell-api"] == 7 + 30 + 20
    assert grace["Deployment/afterbell-worker"] == 250 + 15


def test_a_rollout_never_has_fewer_pods_than_before() -> None:
    for each in of_kind(rendered("production"), "Deployment"):
        assert each["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_every_variable_the_chart_sets_is_one_the_code_reads() -> None:
    known = set(chart_reference.free_settings()) | chart_reference.DECIDED
    known |= {"DATABASE_URL", "REDIS_URL", "OPENAI_API_KEY", "AFTERBELL_FALLBACK_API_KEY"}
    known |= {f"AFTERBELL_{of}_SECRET{which}" for of in ("JWT", "ADMIN") for which in ("", "_PREVIOUS")}
    objects = rendered("production", values=EVERYTHING)
    data = named(objects, "ConfigMap", "afterbell-settings")["data"]
    env = {
        variable["name"]
        for where, spec in pods(objects)
        if "test" not in where
        for each in containers(spec)
        for variable in each.get("env", ())
    }
    assert (data.keys() | env) - {"TZ"} <= known


def test_a_change_of_settings_starts_new_pods() -> None:
    def checksum(*settings: str) -> str:
        template = named(rendered("", *settings), "Deployment", "afterbell-worker")["spec"]["template"]
        return str(template["metadata"]["annotations"]["checksum/settings"])

    assert checksum() == checksum("service.port=81") != checksum("settings.AFTERBELL_LOG_LEVEL=debug")


def test_a_digest_decides_over_a_tag_and_a_registry_of_an_umbrella_chart_over_ours() -> None:
    digest = f"sha256:{'a' * 64}"
    objects = rendered("", f"api.image.digest={digest}", "global.imageRegistry=mirror.example.com", "image.tag=1.2.3")
    images = {each["name"]: each["image"] for _, spec in pods(objects) for each in containers(spec)}
    assert images["api"] == f"mirror.example.com/afterbell/afterbell-api@{digest}"
    assert images["worker"] == "mirror.example.com/afterbell/afterbell-worker:1.2.3"


def test_the_operator_may_do_what_it_does_and_nothing_else() -> None:
    rules = [rule for each in of_kind(rendered(), "Role") for rule in each["rules"]]
    verbs = {(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}
    writes = {pair for pair in verbs if pair[1] not in ("get", "list", "watch")}
    assert writes == {
        ("pools/status", "patch"),
        ("deployments/scale", "patch"),
        ("pods", "patch"),
        ("events", "create"),
        ("leases", "create"),
        ("leases", "update"),
    }
    assert not {resource for resource, _ in verbs} & {"secrets", "*"}
    assert not of_kind(rendered(), "ClusterRole")
    assert of_kind(rendered("", "operator.clusterWide=true"), "ClusterRole")


def test_the_pools_of_a_release_name_its_operator_and_no_other() -> None:
    def names(*settings: str) -> tuple[str | None, set[str | None]]:
        made = rendered("", "api.pool.enabled=true", *settings)
        variables = {
            item["name"]: item.get("value")
            for _, spec in pods(made)
            for each in containers(spec)
            for item in each["env"]
        }
        pools = of_kind(made, "Pool")
        return variables.get("AFTERBELL_OPERATOR_NAME"), {pool["spec"].get("operatorName") for pool in pools}

    assert names() == ("lessons.afterbell", {"lessons.afterbell"})
    assert names("fullnameOverride=second") == ("lessons.second", {"lessons.second"})
    assert names("operator.name=shared") == ("shared", {"shared"})
    assert names("operator.enabled=false") == (None, {None}), "any operator that watches it"
    assert names("operator.enabled=false", "operator.name=shared") == (None, {"shared"})


def test_the_limiter_of_the_workers_is_a_ceiling_of_their_pool() -> None:
    def ceilings(*settings: str) -> list[dict[str, Any]]:
        (pool,) = of_kind(rendered("", *settings), "Pool")
        listed: list[dict[str, Any]] = pool["spec"].get("ceilings", [])
        return listed

    limiter = {"name": "limiter", "jobsPerMinute": 10, "jobDuration": "45s"}
    assert ceilings() == [limiter]
    assert ceilings("settings.AFTERBELL_STARTS_PER_WINDOW=0") == [], "no limiter"
    more = ("settings.AFTERBELL_STARTS_PER_WINDOW=5", "settings.AFTERBELL_STARTS_WINDOW_SECONDS=2.5")
    assert ceilings(*more) == [limiter | {"jobsPerMinute": 120}]
    openai = "worker.pool.ceilings[0].name=openai,worker.pool.ceilings[0].jobsPerMinute=60"
    assert ceilings(openai) == [{"name": "openai", "jobsPerMinute": 60}, limiter]
    own = "worker.pool.ceilings[0].name=limiter,worker.pool.ceilings[0].jobsPerMinute=30"
    assert ceilings(own) == [{"name": "limiter", "jobsPerMinute": 30}]


def test_migrations_run_before_the_pods_or_in_them_where_the_database_comes_with_the_release() -> None:
    (job,) = of_kind(rendered("production"), "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    dev = rendered("dev")
    assert not of_kind(dev, "Job")
    api = named(dev, "Deployment", "afterbell-api")["spec"]["template"]["spec"]
    assert [each["args"][0] for each in api["initContainers"]] == ["migrate"]


def test_sockets_have_no_timeout_at_the_gateway() -> None:
    objects = rendered("production", values=EVERYTHING)
    (route,) = of_kind(objects, "HTTPRoute")
    assert route["spec"]["rules"][0]["timeouts"] == {"request": "0s", "backendRequest": "0s"}
    (port,) = named(objects, "Service", "afterbell-api")["spec"]["ports"]
    assert port["appProtocol"] == "kubernetes.io/ws"


def test_the_internal_port_is_in_no_route() -> None:
    """Metrics and the admin API are there: whatever comes from outside leads to the public port alone."""
    objects = rendered("production", values=EVERYTHING)
    services = {each["metadata"]["name"]: each["spec"] for each in of_kind(objects, "Service")}
    (ingress,), (route,) = of_kind(objects, "Ingress"), of_kind(objects, "HTTPRoute")
    backends = [
        path["backend"]["service"]["name"] for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]
    ]
    backends += [backend["name"] for rule in route["spec"]["rules"] for backend in rule["backendRefs"]]
    assert "defaultBackend" not in ingress["spec"]
    assert {port["targetPort"] for name in backends for port in services[name]["ports"]} == {"http"}
    assert {spec.get("type", "ClusterIP") for spec in services.values()} == {"ClusterIP"}


def test_rules_and_dashboards_are_taken_as_they_are() -> None:
    objects = rendered("production")
    rules, dashboards = sorted((CHART / "rules").glob("*.yaml")), sorted((CHART / "dashboards").glob("*.json"))
    made = [each["spec"] for each in of_kind(objects, "PrometheusRule")]
    assert made == [yaml.safe_load(path.read_text("utf-8")) for path in rules]
    shown = {
        key: text
        for each in of_kind(objects, "ConfigMap")
        if "dashboard" in each["metadata"]["name"]
        for key, text in each["data"].items()
    }
    assert {name: text.strip() for name, text in shown.items()} == {
        path.name: path.read_text("utf-8").strip() for path in dashboards
    }


def test_what_is_made_from_the_values_is_up_to_date() -> None:
    for path, text in chart_reference.files().items():
        assert path.read_text("utf-8") == text, "run `make reference`"


def test_every_value_says_what_it_is_for() -> None:
    assert [leaf.path for leaf in chart_reference.leaves() if not leaf.about] == []


def test_the_files_of_the_chart_are_tidy_yaml() -> None:
    for path in [*CHART.glob("*.yaml"), *CHART.glob("values/*.yaml")]:
        text = path.read_text("utf-8")
        assert list(duplicates(yaml.compose(text))) == [], path.name
        assert all(len(line) <= 120 and line == line.rstrip() and "\t" not in line for line in text.splitlines())


def duplicates(node: Any) -> Iterator[str]:
    """Keys that are there twice: the parser would silently take the last."""
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value]
        yield from {key for key in keys if keys.count(key) > 1}
    for inside in node.value if isinstance(node.value, list) else ():
        for each in inside if isinstance(inside, tuple) else (inside,):
            yield from duplicates(each)
