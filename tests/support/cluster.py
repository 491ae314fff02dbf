"""A real Kubernetes cluster for the tests: real control plane, two nodes whose pods are processes of this machine.

Built by `make tools`, started once per run of pytest (about 5 s), in a network of its own where that is allowed. Then
every pod has its own address and may bind any port, the API server can proxy to pods, and pods reach this machine's
loopback only through ``Cluster.let_out``. Where it is not allowed, pods share the loopback and bind their own POD_IP.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import pytest
from tests.support.control_plane import LOOPBACK, PATHS, PROGRAMS, TOOLS, ControlPlane, Program, Site, as_user, site_in
from tests.support.kubelet.main import Settings
from tests.support.networks import listener_in, own_network
from tests.support.waiting import until

ENVIRONMENT = os.environ  # noqa: TID251 - CI is told by it, and kubectl needs a PATH
NODES = 2
Manifest = dict[str, Any]
# What the images of the chart run; their entrypoints in services/Dockerfile.
IMAGES = {
    f"afterbell{target}": [sys.executable, "-m", "afterbell"]
    for target in ("", "-api", "-worker", "-operator", "-stub")
}


class Cluster:
    """The servers, the nodes, and kubectl as their administrator. PATIENCE_S is how long one command of it may take."""

    PATIENCE_S = 200.0

    def __init__(self, home: Path, site: Site) -> None:
        self.home, self._site = home, site
        self.control_plane = ControlPlane(home, site)
        self.url = self.control_plane.url
        self.kubeconfig = self.control_plane.kubeconfig(home / "admin.json", as_user(self.control_plane.admin))
        self.nodes = {f"node-{number}": self._node(number) for number in range(1, NODES + 1)}

    @property
    def isolated(self) -> bool:
        """Whether it has a network of its own."""
        return self._site.network is not None

    @property
    def program(self) -> dict[str, Program]:
        """Its processes by name ("kube-apiserver", "etcd", …, "node-1"): to kill, stop and start."""
        return self.control_plane.programs | self.nodes

    def start(self) -> None:
        """Until pods can be scheduled."""
        self.control_plane.start()
        for node in self.nodes.values():
            node.start()
        try:
            until(self._nodes_are_ready, "the nodes to be ready")
        except TimeoutError as error:
            raise RuntimeError("\n".join([str(error), *(node.last_words() for node in self.nodes.values())])) from error

    def stop(self) -> None:
        for node in self.nodes.values():
            node.send(signal.SIGCONT)
            node.stop()
        self.control_plane.stop()
        if self._site.network:
            self._site.network.close()

    def kubectl(self, *words: str, stdin: str = "", kubeconfig: Path | None = None) -> str:
        """What kubectl wrote; raises Refused with what it complained about."""
        return self.run("kubectl", *words, stdin=stdin, kubeconfig=kubeconfig)

    def run(self, tool: str, *words: str, stdin: str = "", kubeconfig: Path | None = None) -> str:
        """kubectl, or helm, by its name below .tools; raises Refused."""
        environment = {**ENVIRONMENT, "KUBECONFIG": str(kubeconfig or self.kubeconfig), "HOME": str(self.home)}
        command = [str(TOOLS / tool), *words]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=self.PATIENCE_S, env=environment
        )
        if done.returncode:
            raise Refused(f"{tool} {' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def get(self, *words: str) -> Manifest:
        """An object, or a list of them: `kubectl get … -o json`."""
        answer: Manifest = json.loads(self.kubectl("get", *words, "-o", "json"))
        return answer

    def apply(self, *manifests: Manifest, namespace: str = "default") -> None:
        bundle = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        self.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(bundle))

    def pods(self, namespace: str, selector: str = "") -> list[Manifest]:
        listed: list[Manifest] = self.get("pods", "-n", namespace, "-l", selector)["items"]
        return listed

    def said(self, namespace: str, pod: str) -> str:
        """Everything the containers of a pod said in all their lives, after it is gone as well."""
        files = sorted((self.home / "pods" / namespace / pod).glob("*.log"))
        return "".join(path.read_text(errors="replace") for path in files)

    @contextmanager
    def api_server_away(self, *, hanging: bool = False) -> Iterator[None]:
        """For the block it is killed, or takes connections and never answers; afterwards it serves again.

        The scheduler and the controller manager are started anew then: they would wait up to 30 s to ask again.
        """
        server, others = self.program["kube-apiserver"], ("kube-controller-manager", "kube-scheduler")
        if hanging:
            server.send(signal.SIGSTOP)
        else:
            server.kill()
        try:
            yield
        finally:
            if hanging:
                server.send(signal.SIGCONT)
            else:
                server.start()
            for name in others:
                self.program[name].kill()
                self.program[name].start()

    def kubeconfig_of_service_account(self, namespace: str, name: str, *, in_pods: bool = False) -> Path:
        """For a client, outside or in a pod, that has the rights of a service account and no others."""
        token = self.kubectl("create", "token", name, "-n", namespace, "--duration=12h").strip()
        host, port = self._site.api
        url = f"https://{host}:{port}" if in_pods else None
        return self.control_plane.kubeconfig(self.home / f"{namespace}-{name}.json", {"token": token}, url)

    def let_out(self, port: int, host: str = LOOPBACK) -> str:
        """host:port by which pods reach this port of the tests' own loopback, until the cluster is stopped."""
        return f"{host}:{port}" if not self._site.network else self._let_out(port, host)

    def serve(self, namespace: str, service: str, port: str = "http") -> str:
        """http://host:port on the tests' loopback that leads to the ready pods of a Service."""
        listener = socket.create_server((LOOPBACK, 0))
        number = listener.fileno()
        inside = self.control_plane.kubeconfig(
            self.home / "service.json", as_user(self.control_plane.admin), self.control_plane.url_inside
        )
        words = [str(number), str(inside), namespace, service, port]
        command = [sys.executable, "-m", "tests.support.service", *words]
        proxy = Program("service", command, self._site, self.home / "service.log", descriptors=(number,))
        proxy.start()
        self.control_plane.programs[f"service-{namespace}-{service}-{port}"] = proxy
        address = f"http://{LOOPBACK}:{listener.getsockname()[1]}"
        listener.close()
        return address

    def _let_out(self, port: int, host: str) -> str:
        inside = f"{self._site.prefix}.0.1"
        listener = listener_in(self._site.enter, inside)
        number = listener.fileno()
        command = [sys.executable, "-m", "tests.support.forward", str(number), host, str(port)]
        wire = Program(
            "outlet", command, Site(None, "", self._site.api), self.home / "outlet.log", descriptors=(number,)
        )
        wire.start()
        self.control_plane.programs[f"outlet-{port}"] = wire
        address = f"{inside}:{listener.getsockname()[1]}"
        listener.close()
        return address

    def _node(self, number: int) -> Program:
        name = f"node-{number}"
        certificate = self.control_plane.authority.server(name, f"IP:{self._site.prefix}.{number}.1")
        admin = as_user(self.control_plane.admin)
        inside = self.control_plane.kubeconfig(self.home / f"{name}.json", admin, self.control_plane.url_inside)
        settings = Settings(
            name,
            number,
            self._site.prefix,
            self.isolated,
            str(inside),
            str(certificate.certificate),
            str(certificate.key),
            str(self.home / "pods"),
            self._environment(),
            IMAGES,
        )
        path = self.home / f"{name}-settings.json"
        path.write_text(json.dumps(asdict(settings)))
        command = [sys.executable, "-m", "tests.support.kubelet.main", str(path)]
        return Program(name, command, self._site, self.home / f"{name}.log")

    def _environment(self) -> dict[str, str]:
        """What every container finds, as if it were in its image."""
        host, port = self._site.api
        return {
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": os.pathsep.join(PATHS),
            "LANG": "C.UTF-8",
            "KUBERNETES_SERVICE_HOST": host,
            "KUBERNETES_SERVICE_PORT": str(port),
        }

    def _nodes_are_ready(self) -> bool:
        """Registered, and without the taint that the control plane takes off a little later."""
        nodes = self.get("nodes")["items"]
        return len(nodes) == NODES and not any(node["spec"].get("taints") for node in nodes)


class Refused(Exception):
    """A command to the cluster failed; the message is its complaint."""


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """A cluster for the block; its logs are in its home until then."""
    home = Path(tempfile.mkdtemp(prefix="afterbell-cluster-"))
    cluster = Cluster(home, site_in(own_network()))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(home, ignore_errors=True)


def missing_parts() -> list[str]:
    """What there is to install before a cluster can be started."""
    missing = [f"{TOOLS.name}/{name} (run `make tools`; needs Go)" for name in PROGRAMS if not (TOOLS / name).exists()]
    needed = {"etcd": "Debian: etcd-server", "openssl": "Debian: openssl"}
    return missing + [f"{name} ({hint})" for name, hint in needed.items() if not shutil.which(name)]


def absent(said: str) -> NoReturn:
    """Skip the test, or fail it in CI, where nothing may be missing."""
    if ENVIRONMENT.get("CI"):
        pytest.fail(said)
    pytest.skip(said)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster of this run; skips, or fails in CI, where a part of it is missing."""
    if missing := missing_parts():
        absent(f"no test cluster without {', '.join(missing)}")
    with running_cluster() as running:
        yield running


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own; what is in it is deleted after the test without waiting."""
    name = f"t-{uuid.uuid4().hex[:12]}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")
    cluster.kubectl("delete", "pods", "--all", "-n", name, "--force", "--grace-period=0", "--wait=false")
