"""The Pool in Kubernetes: what the server takes, what it refuses and with which words."""

import json

import pytest
from tests.operator.pools import pool
from tests.support.cluster import Cluster, Refused
from tools import crd as tool

from afterbell_operator.decide.values import Ceiling, Jobs, Policy, Rules, ScalingPause, Sockets
from afterbell_operator.resources import seconds_of, spec_of


def test_the_committed_definition_is_what_the_models_make() -> None:
    assert tool.FILE.read_text("utf-8") == tool.render(), "run `.venv/bin/python tools/crd.py`"


def test_a_pool_is_read_as_it_was_meant() -> None:
    spec, _ = spec_of(
        pool(
            minReplicas=1,
            source={"backlog": {"startWithin": "1m30s"}},
            behavior={
                "scaleDown": {"selectPolicy": "Min", "policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]}
            },
            ceilings=[{"name": "openai", "jobsPerMinute": 10}],
            pause={"replicas": 2, "until": "2026-11-24T00:00:00Z", "reason": "night"},
        )
    )
    assert (spec.min_replicas, spec.idle_after_s) == (1, 300)
    assert spec.follows == Jobs(per_pod=5, start_within_s=90, ceilings=(Ceiling("openai", 10, 45),))
    assert (spec.up, spec.down) == (Rules(), Rules(60, "Min", (Policy("Pods", 2, 60),)))
    assert spec.pause == ScalingPause(2, 1795478400.0, "night")


def test_a_pool_of_sockets_goes_down_slowly_unless_it_says_otherwise() -> None:
    source = {"connections": {}}
    spec, _ = spec_of(pool(minReplicas=1, source=source))
    assert spec.follows == Sockets(700)
    assert (spec.up, spec.down) == (Rules(), Rules(600, "Max", (Policy("Pods", 1, 120),)))
    quick = {"scaleDown": {"stabilizationWindowSeconds": 0, "policies": []}}
    assert spec_of(pool(minReplicas=1, source=source, behavior=quick))[0].down == Rules()


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("1h30m", 5400), ("0.5s", 0.5), ("250ms", 0.25)])
def test_durations_are_read_as_kubernetes_writes_them(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.cluster
def test_defaults_appear_in_what_is_stored(served: Cluster, namespace: str) -> None:
    least = {"scaleTargetRef": {"name": "worker"}, "maxReplicas": 3, "source": {"backlog": {}}}
    served.apply(pool() | {"spec": least}, namespace=namespace)
    stored = served.get("pool", "reports", "-n", namespace)["spec"]
    assert stored["source"]["backlog"] == {
        "queue": "reports",
        "jobsPerPod": 5,
        "startWithin": "0s",
        "jobDuration": "45s",
    }
    assert (stored["minReplicas"], stored["idleAfter"], stored["mode"]) == (0, "5m", "Auto")
    assert spec_of({"spec": stored})[0] == spec_of({"spec": least})[0]


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"minReplicas": 6}, "spec.minReplicas: Invalid value: minReplicas must not exceed maxReplicas"),
        ({"maxReplicas": 0}, "spec.maxReplicas"),
        ({"pause": {"replicas": 9}}, "spec.pause.replicas: Invalid value: pause.replicas must not exceed"),
        ({"idleAfter": "soon"}, "spec.idleAfter"),
        ({"idleAfter": "48h"}, "must lie between 0s and 24h"),
        ({"mode": "Maybe"}, 'spec.mode: Unsupported value: "Maybe"'),
        ({"source": {}}, "spec.source: Invalid value: exactly one of source.backlog and source.connections"),
        ({"source": {"backlog": {}, "connections": {}}, "minReplicas": 1}, "exactly one of source.backlog and"),
        ({"source": {"connections": {}}}, "spec.minReplicas: Invalid value: minReplicas must be at least 1 with"),
        ({"source": {"connections": {"socketsPerPod": 0}}, "minReplicas": 1}, "spec.source.connections.socketsPerPod"),
        (
            {"source": {"connections": {}}, "minReplicas": 1, "ceilings": [{"name": "a", "jobsPerMinute": 9}]},
            "spec.ceilings: Invalid value: ceilings count jobs",
        ),
        ({"source": {"backlog": {"queue": "a{b"}}}, "spec.source.backlog.queue"),
        ({"scaleTargetRef": {"name": "x", "kind": "StatefulSet"}}, "spec.scaleTargetRef.kind"),
        ({"ceilings": [{"name": "a", "jobsPerMinute": 0}]}, "spec.ceilings[0].jobsPerMinute"),
        ({"replicas": 3}, 'unknown field "spec.replicas"'),
    ],
)
def test_a_pool_that_cannot_be_meant_is_refused_by_its_field(served: Cluster, namespace: str, spec, words) -> None:
    with pytest.raises(Refused) as refused:
        served.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(pool(**spec)))
    assert words in str(refused.value).replace("\n", " ")


@pytest.mark.cluster
def test_a_pool_keeps_its_target(served: Cluster, namespace: str) -> None:
    served.apply(pool(), namespace=namespace)
    with pytest.raises(Refused, match="scaleTargetRef cannot be changed"):
        served.apply(pool(scaleTargetRef={"name": "other"}), namespace=namespace)


@pytest.mark.cluster
def test_a_pool_keeps_the_kind_of_its_source(served: Cluster, namespace: str) -> None:
    served.apply(pool(minReplicas=1, source={"connections": {}}), namespace=namespace)
    stored = served.get("pool", "reports", "-n", namespace)["spec"]
    assert stored["source"] == {"connections": {"queue": "reports", "socketsPerPod": 700}}
    assert spec_of({"spec": stored})[0].down == Rules(600, "Max", (Policy("Pods", 1, 120),))
    with pytest.raises(Refused, match="the kind of source cannot be changed"):
        served.apply(pool(minReplicas=1), namespace=namespace)


@pytest.mark.cluster
def test_explain_says_units_and_defaults(served: Cluster) -> None:
    said = served.kubectl("explain", "pool.spec.source.backlog")
    assert "Jobs that a pod runs at once" in said
    assert "startWithin" in said
    assert "AFTERBELL_SOCKETS_MAX" in served.kubectl("explain", "pool.spec.source.connections.socketsPerPod")
