"""Values that make no sense are refused before anything is applied, with a sentence that says what to change."""

import json

import pytest
from tests.support.chart import CHART, Unrendered, rendered

ROUTE = "httpRoute.enabled=true,httpRoute.hostnames={a.b},httpRoute.parentRefs[0].name=g"
# What is set → words of the complaint: the values concerned, and what to do.
NONSENSE = [
    ("worker.pool.minReplicas=20", ["worker.pool.minReplicas (20)", "worker.pool.maxReplicas (10)", "lower the first"]),
    ("api.autoscaling.enabled=true,api.autoscaling.minReplicas=11", ["api.autoscaling.maxReplicas (10)"]),
    ("api.pool.enabled=true,api.pool.minReplicas=11", ["api.pool.minReplicas (11)", "api.pool.maxReplicas (10)"]),
    ("api.pool.enabled=true,api.autoscaling.enabled=true", ["both decide the number of api pods", "disable one"]),
    ("api.pool.minReplicas=0", ["/api/pool/minReplicas", "minimum"]),
    ("settings.AFTERBELL_POD_NAME=mine", ["/settings", "'AFTERBELL_POD_NAME' not allowed"]),
    ("existingSecret=", ["no DATABASE_URL", "database.existingSecret", "no REDIS_URL", "values/dev.yaml"]),
    ("existingSecret=,database.existingSecret=a,redis.existingSecret=b,auth.existingSecret=c", ["no OPENAI_API_KEY"]),
    ("worker.replicas=3", ["worker.replicas is set", "worker.pool.enabled=false"]),
    ("worker.drainSeconds=60", ["worker.drainSeconds (60)", "AFTERBELL_ATTEMPT_TIMEOUT_SECONDS, 180", "raise"]),
    ("ingress.enabled=true", ["set ingress.hosts"]),
    ("httpRoute.enabled=true,httpRoute.hostnames={a.b}", ["set httpRoute.parentRefs"]),
    (f"ingress.enabled=true,ingress.hosts={{a.b}},{ROUTE}", ["ingress and httpRoute both serve a.b", "keep one"]),
    ("trial.enabled=true", ["trial.enabled is for development", "environment=development"]),
    ("model.stub=true", ["model.stub is for development"]),
    ("api.classroom=true", ["api.classroom is for development"]),
    ("model.stub=true,environment=development,model.baseUrl=http://a", ["model.stub and model.baseUrl"]),
    ("workers.concurrency=3", ["'workers' not allowed"]),
    ("worker.pool.maxreplicas=3", ["'maxreplicas' not allowed"]),
    ("worker.concurrency=0", ["/worker/concurrency", "minimum"]),
    ("worker.concurrency=many", ["/worker/concurrency", "got string, want integer"]),
    ("environment=staging", ["/environment", "'production', 'development'"]),
    ("api.image.digest=abc", ["/api/image/digest", "does not match pattern"]),
    ("settings.AFTERBELL_NONE=1", ["/settings", "'AFTERBELL_NONE' not allowed"]),
    ("settings.AFTERBELL_QUEUE=mine", ["/settings", "'AFTERBELL_QUEUE' not allowed"]),
    ("settings.AFTERBELL_JWT_SECRET=mine", ["/settings", "'AFTERBELL_JWT_SECRET' not allowed"]),
    ("worker.pool.idleAfter=soon", ["/worker/pool/idleAfter"]),
    ("migrations.run=sometimes", ["/migrations/run"]),
]


@pytest.mark.parametrize(("settings", "words"), NONSENSE, ids=[settings[:60] for settings, _ in NONSENSE])
def test_nonsense_is_refused_with_a_sentence_that_helps(settings: str, words: list[str]) -> None:
    with pytest.raises(Unrendered) as complaint:
        rendered("", settings)
    assert [word for word in words if word not in str(complaint.value)] == []


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(Unrendered, match=r"minReplicas \(20\)[\s\S]*trial.enabled is for development"):
        rendered("", "worker.pool.minReplicas=20,trial.enabled=true")


def test_the_schema_is_closed_at_every_level_of_ours() -> None:
    def open_levels(node: dict[str, object], path: str) -> list[str]:
        properties = node.get("properties")
        if not isinstance(properties, dict):
            return []
        levels = [path] if node.get("additionalProperties") is not False else []
        return levels + [each for name, inside in properties.items() for each in open_levels(inside, f"{path}/{name}")]

    # `global` belongs to every chart there is, so others may write into it.
    assert open_levels(json.loads((CHART / "values.schema.json").read_text("utf-8")), "") == ["/global"]
