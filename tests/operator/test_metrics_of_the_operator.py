"""What the operator measures: names that dashboards stand on, and none left of a Pool that is gone."""

import pytest
from prometheus_client import REGISTRY, generate_latest

from afterbell_operator import metrics


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        ("/apis/apps/v1/namespaces/school/deployments/worker/scale", "deployments/scale"),
        ("/apis/coordination.k8s.io/v1/namespaces/school/leases/afterbell-operator", "leases"),
        ("/apis/events.k8s.io/v1/namespaces/school/events", "events"),
        ("/apis/afterbell.dev/v1alpha1/namespaces/namespaces/pools/reports/status", "pools/status"),
        ("/api/v1/namespaces/school/pods", "pods"),
        ("/api/v1/namespaces/school/pods/worker-1", "pods"),
    ],
)
def test_requests_are_counted_by_kind_and_never_by_name(path: str, resource: str) -> None:
    assert metrics.resource_in(path) == resource


def test_a_deleted_pool_leaves_no_series_behind() -> None:
    metrics.DESIRED.labels("school/gone").set(3)
    metrics.BACKLOG_AGE.labels("school/gone").set_function(lambda: 1.0)
    assert b"school/gone" in generate_latest(REGISTRY)
    metrics.forget("school/gone")
    assert b"school/gone" not in generate_latest(REGISTRY)
