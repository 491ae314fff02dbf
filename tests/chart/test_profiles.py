"""Every profile on a real API server: each object is accepted as it is, each pod let in by `restricted`."""

from typing import Any

import pytest
from tests.chart.conftest import Release, new_release
from tests.chart.test_rendering import EVERYTHING
from tests.support.chart import CHART, PROFILES, helm, parsed, profile, rendered
from tests.support.cluster import Cluster, Refused
from tests.support.engines import empty_database
from tests.support.waiting import until

from afterbell.dev.engines.engines import EngineUrls

pytestmark = [pytest.mark.cluster, pytest.mark.engines]


@pytest.mark.parametrize("name", [*PROFILES, "everything"])
def test_the_api_server_accepts_every_field_of_every_object(cluster_with_resources: Cluster, name: str) -> None:
    words = ["-f", profile("production" if name == "everything" else name)]
    with new_release(cluster_with_resources) as release:
        release.own_the_definition()
        text = helm(
            "template",
            "afterbell",
            str(CHART),
            "-n",
            release.namespace,
            *words,
            "-f",
            "-",
            stdin=str(EVERYTHING if name == "everything" else {}),
        )
        accepted = release.cluster.kubectl(
            "apply",
            "--server-side",
            "--dry-run=server",
            "--validate=strict",
            "-f",
            "-",
            "-n",
            release.namespace,
            stdin=text,
        )
        assert len(accepted.splitlines()) == len(parsed(text))


@pytest.mark.parametrize("name", ["dev", "free-tier", "large"])
def test_every_pod_of_an_installed_profile_is_let_in(
    cluster_with_resources: Cluster, engine_urls: EngineUrls, name: str
) -> None:
    with empty_database(engine_urls) as database_url, new_release(cluster_with_resources) as release:
        release.make_secret(DATABASE_URL=database_url, REDIS_URL=str(engine_urls.redis_url))
        release.apply("install", name, resources_kept_small(name, release))
        workloads = {
            f"{each['kind']}/{each['metadata']['name']}"
            for each in rendered(name)
            if each["kind"] in ("Deployment", "StatefulSet")
        }
        until(lambda: with_pods(release) >= workloads, "a pod of each workload")
        refused = [each["message"] for each in release.get("events")["items"] if each["reason"] == "FailedCreate"]
        assert refused == []


def test_a_pod_that_is_not_restricted_is_refused_there(cluster_with_resources: Cluster) -> None:
    with new_release(cluster_with_resources) as release, pytest.raises(Refused, match="violates PodSecurity"):
        release.kubectl("run", "any", "--image=any")


def test_the_passwords_of_a_trial_are_made_once_and_outlive_upgrades_and_the_release(
    cluster_with_resources: Cluster,
) -> None:
    def passwords() -> dict[str, str]:
        secrets: dict[str, str] = release.get("secret", "afterbell-trial")["data"]
        return secrets

    with new_release(cluster_with_resources) as release:
        release.apply("install", "dev", {})
        first = passwords()
        release.apply("upgrade", "dev", {"worker": {"concurrency": 2}})
        assert passwords() == first
        release.helm("uninstall", "afterbell")
        release.apply("install", "dev", {})
        assert passwords() == first
    with new_release(cluster_with_resources) as release:
        release.apply("install", "dev", {})
        assert passwords() != first


def resources_kept_small(name: str, release: Release) -> dict[str, Any]:
    """A queue of its own on the Redis of this run, and not three api processes at once."""
    return {"queue": {"name": release.namespace}} | ({"api": {"pool": {"minReplicas": 1}}} if name == "large" else {})


def with_pods(release: Release) -> set[str]:
    """Workloads some pod of which was created."""
    workloads = release.get("deployments,statefulsets")["items"]
    return {f"{each['kind']}/{each['metadata']['name']}" for each in workloads if each["status"].get("replicas")}
