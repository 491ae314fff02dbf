"""A real Kubernetes control plane for the tests: etcd, API server, controller manager, scheduler, each to be killed."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from tests.support.certificates import Authority, Certificate
from tests.support.networks import Network
from tests.support.ports import free_port

from afterbell.dev.engines.launch import launcher

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".tools"
PATHS = [str(ROOT / "services"), str(ROOT / "operator"), str(ROOT)]
ENVIRONMENT = os.environ  # noqa: TID251 - the servers inherit it
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
LOOPBACK = "127.0.0.1"
SERVICE_RANGE = "10.96.0.0/24"
SERVICE_ADDRESS = "10.96.0.1"
START_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Site:
    """Where the cluster stands.

    ``prefix``: the first two numbers of its addresses; node ``i`` is ``prefix.i.1``, its pods are behind it.
    ``api``: host and port of the API server as pods see it.
    """

    network: Network | None
    prefix: str
    api: tuple[str, int]

    @property
    def enter(self) -> list[str]:
        return self.network.enter if self.network else []


def site_in(network: Network | None) -> Site:
    """In a network of its own pods have one each, on a bridge; else they share this machine's loopback."""
    if network is None:
        return Site(None, "127.77", (LOOPBACK, free_port()))
    network.configure(
        "link add pods type bridge",
        "address add 10.244.0.1/16 dev pods",
        f"address add {SERVICE_ADDRESS}/32 dev pods",
        "link set pods up",
    )
    return Site(network, "10.244", (SERVICE_ADDRESS, 443))


class Program:
    """One process of the cluster, started again as often as it is killed. Start it from the main thread: the kernel
    ends it with the thread that started it."""

    def __init__(
        self,
        name: str,
        command: list[str],
        site: Site,
        log: Path,
        *,
        descriptors: tuple[int, ...] = (),
        answers: Callable[[], bool] | None = None,
    ) -> None:
        self.name, self.log = name, log
        self._command = [*site.enter, *launcher(signal.SIGKILL), *command]
        self._answers, self._descriptors = answers, descriptors
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it serves; raises RuntimeError with the end of its log."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=ROOT,
                start_new_session=True,
                pass_fds=self._descriptors,
                env={**ENVIRONMENT, "PYTHONPATH": os.pathsep.join([*PATHS, *sys.path])},
            )
        deadline = time.monotonic() + START_PATIENCE_S
        while self._answers and not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not start:\n{self.last_words()}")
            time.sleep(0.05)

    def last_words(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]

    def send(self, number: signal.Signals) -> None:
        """SIGSTOP and SIGCONT make it hang and go on."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def stop(self, patience_s: float = 5.0) -> None:
        """By SIGTERM, and SIGKILL where that does not help."""
        self.send(signal.SIGTERM)
        try:
            if self._process is not None:
                self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.kill()


class ControlPlane:
    """The four servers, the certificates and the wire by which this machine's loopback reaches the API server."""

    def __init__(self, home: Path, site: Site, *, real_nodes: bool = False) -> None:
        """``real_nodes``: kubelets mount tokens into pods, and are asked for logs by this API server's certificate."""
        self.home, self.site, self._real_nodes = home, site, real_nodes
        self.authority = Authority(home / "certificates")
        self.admin = self.authority.client("admin", "system:masters")
        self._listener = socket.create_server((LOOPBACK, 0)) if site.network else None
        port = self._listener.getsockname()[1] if self._listener else site.api[1]
        self.url = f"https://{LOOPBACK}:{port}"
        self.url_inside = f"https://{LOOPBACK}:{site.api[1]}"
        self.programs: dict[str, Program] = {}
        self._fill()

    def start(self) -> None:
        for program in self.programs.values():
            program.start()

    def stop(self) -> None:
        # The API server would wait for open watches, and nothing of its state is kept.
        for program in reversed(self.programs.values()):
            program.kill()
        if self._listener:
            self._listener.close()

    def kubeconfig(self, path: Path, user: dict[str, Any], url: str | None = None) -> Path:
        """A file for kubectl, helm and clients; ``user`` as kubeconfig has it."""
        server = {"server": url or self.url, "certificate-authority": str(self.authority.own.certificate)}
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "test",
                    "clusters": [{"name": "test", "cluster": server}],
                    "users": [{"name": "user", "user": user}],
                    "contexts": [{"name": "test", "context": {"cluster": "test", "user": "user"}}],
                }
            )
        )
        path.chmod(0o600)
        return path

    def _fill(self) -> None:
        ports = [free_port() for _ in range(2)]
        if self._listener:
            self._add(
                "wire",
                [
                    sys.executable,
                    "-m",
                    "tests.support.forward",
                    str(self._listener.fileno()),
                    LOOPBACK,
                    str(self.site.api[1]),
                ],
                descriptors=(self._listener.fileno(),),
            )
        self._add("etcd", self._etcd(*ports))
        self._add("kube-apiserver", self._api_server(ports[0]), answers=self._ready())
        kubeconfig = self.kubeconfig(self.home / "inside.json", as_user(self.admin), self.url_inside)
        swift = [f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--kube-api-qps=500", "--kube-api-burst=1000"]
        key = self.home / "certificates" / "accounts.key"
        self._add(
            "kube-controller-manager",
            [
                str(TOOLS / "kube-controller-manager"),
                *swift,
                "--secure-port=0",
                "--use-service-account-credentials=true",
                f"--service-account-private-key-file={key}",
                f"--root-ca-file={self.authority.own.certificate}",
            ],
        )
        self._add("kube-scheduler", [str(TOOLS / "kube-scheduler"), *swift, "--secure-port=0"])

    def _add(self, name: str, command: list[str], **more: Any) -> None:
        self.programs[name] = Program(name, command, self.site, self.home / f"{name}.log", **more)

    def _etcd(self, port: int, peer_port: int) -> list[str]:
        # Durability is not what is tested, and syncing would slow every other test on the same disk.
        url, peer_url = f"http://{LOOPBACK}:{port}", f"http://{LOOPBACK}:{peer_port}"
        return [
            shutil.which("etcd") or "etcd",
            "--data-dir",
            str(self.home / "etcd"),
            "--listen-client-urls",
            url,
            "--advertise-client-urls",
            url,
            "--listen-peer-urls",
            peer_url,
            "--unsafe-no-fsync",
            "--log-level",
            "warn",
        ]

    def _api_server(self, etcd_port: int) -> list[str]:
        names = [
            "IP:127.0.0.1",
            f"IP:{SERVICE_ADDRESS}",
            "DNS:localhost",
            "DNS:kubernetes",
            "DNS:kubernetes.default.svc",
        ]
        server = self.authority.server("kube-apiserver", *names)
        accounts = self.authority.key_pair("accounts")
        own = f"{self.site.prefix}.0.1" if self.site.network else LOOPBACK
        return [
            str(TOOLS / "kube-apiserver"),
            f"--etcd-servers=http://{LOOPBACK}:{etcd_port}",
            f"--bind-address={'0.0.0.0' if self.site.network else LOOPBACK}",  # noqa: S104 - inside its own network
            f"--advertise-address={own}",
            f"--secure-port={self.site.api[1]}",
            f"--tls-cert-file={server.certificate}",
            f"--tls-private-key-file={server.key}",
            f"--client-ca-file={self.authority.own.certificate}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={accounts.certificate}",
            f"--service-account-signing-key-file={accounts.key}",
            "--authorization-mode=RBAC",
            "--endpoint-reconciler-type=none",
            "--kubelet-preferred-address-types=InternalIP",
            *self._for_nodes(),
        ]

    def _for_nodes(self) -> list[str]:
        if not self._real_nodes:  # the kubelet of the tests mounts no volumes, so pods get no token either
            return ["--disable-admission-plugins=ServiceAccount"]
        return [
            "--allow-privileged=true",
            f"--kubelet-client-certificate={self.admin.certificate}",
            f"--kubelet-client-key={self.admin.key}",
            f"--kubelet-certificate-authority={self.authority.own.certificate}",
        ]

    def _ready(self) -> Callable[[], bool]:
        context = ssl.create_default_context(cafile=str(self.authority.own.certificate))
        context.load_cert_chain(self.admin.certificate, self.admin.key)

        def ready() -> bool:
            try:
                with httpx2.Client(verify=context, trust_env=False) as client:
                    return client.get(f"{self.url}/readyz", timeout=2).status_code == httpx2.codes.OK
            except httpx2.TransportError:
                return False

        return ready


def as_user(certificate: Certificate) -> dict[str, Any]:
    """The user of a kubeconfig who shows this certificate."""
    return {"client-certificate": str(certificate.certificate), "client-key": str(certificate.key)}
