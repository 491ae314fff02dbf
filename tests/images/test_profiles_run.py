"""Every pod of every profile runs in its image: each argv, init container, probe and hook that helm renders.

No list is kept here. What the chart renders is run in the folders of tests/support/dockerfile.py by a user without a
name, on a root file system that nobody can write, with no network but a loopback and no HOME.
"""

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.chart.conftest import cluster_with_resources  # noqa: F401 - a fixture
from tests.support.chart import CHART, PROFILES, Manifest, containers, of_kind, pods, rendered
from tests.support.cluster import Cluster, absent
from tests.support.control_plane import LOOPBACK
from tests.support.dockerfile import Image
from tests.support.engines import empty_database
from tests.support.image_pods import Failed, ImagePod, Surroundings, missing_parts, repository
from tests.support.promises import Promised
from tests.support.waiting import until

from afterbell.dev.engines.engines import EngineUrls

pytestmark = [pytest.mark.cluster, pytest.mark.engines, pytest.mark.network, pytest.mark.timeout(900)]

NAMESPACE: Final = "lessons"
DATABASE_PORT, REDIS_PORT, API_SERVER_PORT, MODEL_PORT = 5432, 6379, 443, 8090
API_PORT: Final = 5000
READY_WITHIN_S: Final = 20.0
NO_MODEL: Final = ("model.baseUrl", f"http://{LOOPBACK}:{MODEL_PORT}/v1")
"""The profiles of production have a provider far away: a stand-in serves at this address."""
PROVIDER: Final = {
    "containers": [
        {
            "name": "provider",
            "image": "afterbell-stub",
            "args": ["llm-stub", "--port", str(MODEL_PORT), "--pace", "quick"],
            "readinessProbe": {"httpGet": {"path": "/healthz", "port": MODEL_PORT}},
        }
    ]
}


@dataclass(slots=True)
class Site:
    """A profile that is run: its objects, what its pods find, and the pods."""

    objects: list[Manifest]
    around: Surroundings
    folder: Path
    started: dict[str, ImagePod] = field(default_factory=dict)

    def pod(self, where: str, spec: Manifest) -> ImagePod:
        name = where.rpartition("/")[2]
        made = self.started[where] = ImagePod(name, spec, self.around, self.folder / where.replace("/", "-"))
        return made

    def close(self) -> None:
        for each in self.started.values():
            each.close()


@pytest.fixture(scope="module")
def lessons(cluster_with_resources: Cluster) -> Iterator[Cluster]:  # noqa: F811
    """The cluster whose API server the operators ask, with the namespace that the chart is rendered for."""
    if missing := missing_parts():
        absent(f"images cannot be entered without {', '.join(missing)}")
    cluster = cluster_with_resources
    cluster.kubectl("create", "namespace", NAMESPACE)
    cluster.kubectl("apply", "--server-side", "-f", str(CHART / "crds"))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd/pools.afterbell.dev")
    yield cluster
    cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.mark.parametrize("name", PROFILES)
def test_every_pod_of_a_profile_runs_in_its_image(
    name: str,
    lessons: Cluster,
    images: dict[str, Image],
    engine_urls: EngineUrls,
    tmp_path: Path,
    promised: Promised,
) -> None:
    settings = () if name == "dev" else ("=".join(NO_MODEL),)
    objects = rendered(name, *settings)
    with empty_database(engine_urls) as url, site(objects, lessons, images, engine_urls, url, tmp_path) as run:
        provider = run.pod("Provider/provider", PROVIDER)
        provider.start()
        for where, spec in ours(objects, lambda kind: kind == "Job"):
            run.pod(where, spec).run_all()
        for where, spec in ours(objects, lambda kind: kind == "Deployment"):
            pod = run.pod(where, spec)
            provider.serve_to(pod, MODEL_PORT, MODEL_PORT)
            pod.start()
        an_operator_watches(lessons, objects)
        for where, spec in ours(objects, lambda kind: kind == "CronJob"):
            run.pod(where, spec).run_all()
        for where, spec in ours(objects, lambda kind: kind == "Pod"):
            tester = run.pod(where, spec)
            run.started["Deployment/afterbell-api"].serve_to(tester, 80, API_PORT)
            assert "a report was made" in tester.run_all()
        for where, _ in ours(objects, lambda kind: kind == "Deployment"):
            run.started[where].stop()
        keep_times(name, run, promised)


def test_each_command_without_its_settings_says_in_one_line_what_it_lacks(
    images: dict[str, Image], tmp_path: Path
) -> None:
    if missing := missing_parts():
        absent(f"images cannot be entered without {', '.join(missing)}")
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(0o755)
    around = Surroundings({f"afterbell-{target}": image for target, image in images.items()}, {})
    for number, container in enumerate(bare_containers()):
        pod = ImagePod("bare", {"containers": [container]}, around, tmp_path / str(number))
        try:
            with pytest.raises(Failed, match="exit code 2"):
                pod.run(container)
            (line,) = pod.said(container["name"]).splitlines()
        finally:
            pod.close()
        assert line.startswith("afterbell: ")
        assert "is not set" in line or "set one of your own" in line


def bare_containers() -> list[Manifest]:
    """Each different command that some profile gives settings to, without them."""
    by_command = {}
    for profile in PROFILES:
        for _, spec in ours(rendered(profile), lambda _: True):
            for each in containers(spec):
                if "command" not in each and ("env" in each or "envFrom" in each):
                    bare = {key: each[key] for key in ("name", "image", "args")}
                    by_command[repository(each["image"]), *each["args"]] = bare
    return list(by_command.values())


def ours(objects: list[Manifest], wanted: Callable[[str], bool]) -> Iterator[tuple[str, Manifest]]:
    """Pods of these kinds whose containers are all of our images."""
    for where, spec in pods(objects):
        if wanted(where.partition("/")[0]) and all("afterbell" in each["image"] for each in containers(spec)):
            yield where, spec


def an_operator_watches(cluster: Cluster, objects: list[Manifest]) -> None:
    """It has seen the profile's Pools by its watches, and written what it thinks of each."""

    def has_written() -> bool:
        pools = cluster.get("pools", "-n", NAMESPACE)["items"]
        return bool(pools) and all(each.get("status", {}).get("conditions") for each in pools)

    assert of_kind(objects, "Pool")
    until(has_written, "the operator to write the status of every Pool", within_s=40)


@contextmanager
def site(
    objects: list[Manifest],
    cluster: Cluster,
    images: dict[str, Image],
    engine_urls: EngineUrls,
    database_url: str,
    folder: Path,
) -> Iterator[Site]:
    """All that the pods of a profile find: stores, a provider, an API server with their account, names of hosts."""
    for path in (folder, *folder.parents[:2]):
        path.chmod(0o755)
    made = [each for kind in ("ServiceAccount", "Role", "RoleBinding", "Pool") for each in of_kind(objects, kind)]
    cluster.apply(*made, namespace=NAMESPACE)
    try:
        around = surroundings(objects, cluster, images, engine_urls, database_url, folder)
        run = Site(objects, around, folder)
        try:
            yield run
        finally:
            run.close()
    finally:
        bundle = {"apiVersion": "v1", "kind": "List", "items": made}
        cluster.kubectl("delete", "-n", NAMESPACE, "-f", "-", stdin=json.dumps(bundle))


def surroundings(
    objects: list[Manifest],
    cluster: Cluster,
    images: dict[str, Image],
    engine_urls: EngineUrls,
    database_url: str,
    folder: Path,
) -> Surroundings:
    data = {("configmaps", each["metadata"]["name"]): each["data"] for each in of_kind(objects, "ConfigMap")}
    secret = stores_in_pods(database_url) | {"AFTERBELL_JWT_SECRET": secrets.token_hex(32), "OPENAI_API_KEY": "test"}
    data |= {("secrets", name): secret for name in ("afterbell", "afterbell-trial")}
    services = [each["metadata"]["name"] for each in of_kind(objects, "Service")]
    host, port = urlsplit(cluster.url).hostname or LOOPBACK, urlsplit(cluster.url).port or 443
    return Surroundings(
        images={f"afterbell-{target}": image for target, image in images.items()},
        data=data,
        hosts=("kubernetes.default.svc", *(f"{name} {name}.{NAMESPACE}.svc" for name in services)),
        variables={"KUBERNETES_SERVICE_HOST": LOOPBACK, "KUBERNETES_SERVICE_PORT": str(API_SERVER_PORT)},
        account=account(cluster, folder),
        outside={
            DATABASE_PORT: address(engine_urls.database_url or "", ".s.PGSQL.5432", DATABASE_PORT),
            REDIS_PORT: address(engine_urls.redis_url or "", "", REDIS_PORT),
            API_SERVER_PORT: (host, port),
        },
    )


def stores_in_pods(database_url: str) -> dict[str, str]:
    """Addresses of the stores as pods reach them, each at its usual port."""
    parts = urlsplit(database_url)
    user = parts.netloc.rpartition("@")[0]
    return {
        "DATABASE_URL": f"postgresql://{user}@{LOOPBACK}:{DATABASE_PORT}{parts.path}",
        "REDIS_URL": f"redis://{LOOPBACK}:{REDIS_PORT}/0",
    }


def address(url: str, socket_name: str, port: int) -> tuple[str, int]:
    """host and port of a server, or the path of its Unix socket and no port."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return parts.path, 0
    if folder := parse_qs(parts.query).get("host"):
        return f"{folder[0]}/{socket_name}", 0
    return parts.hostname or LOOPBACK, parts.port or port


def account(cluster: Cluster, folder: Path) -> Path:
    """The folder that a kubelet mounts: the token of the operator's account and whom to believe."""
    made = folder / "account"
    made.mkdir()
    token = cluster.kubectl("create", "token", "afterbell-operator", "-n", NAMESPACE, "--duration=1h").strip()
    authority = json.loads(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]["certificate-authority"]
    for name, text in {"token": token, "namespace": NAMESPACE, "ca.crt": Path(authority).read_text()}.items():
        (made / name).write_text(text)
        (made / name).chmod(0o644)
    return made


def keep_times(profile: str, run: Site, promised: Promised) -> None:
    """How long each container took to be ready, or to be done."""
    for where, pod in run.started.items():
        for container, seconds in pod.seconds.items():
            promised(f"{profile}: {where}: {container}", seconds, READY_WITHIN_S)
