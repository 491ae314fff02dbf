"""A real node beside a real control plane: kubelet, containerd, kube-proxy, CoreDNS, enforced network policies.

All of it stands in a network and a mount namespace of its own: nothing of the machine's is touched, and nothing is left
when it ends. Only the images that were imported are kept, in `.node/`.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.support.cluster import Cluster
from tests.support.control_plane import ROOT, ControlPlane, Program, Site, as_user
from tests.support.networks import Network
from tests.support.real_node import cgroups, files
from tests.support.waiting import until

from afterbell.dev.engines.launch import launcher

BUILT: Final = ROOT / ".node"
PROGRAMS: Final = BUILT / "bin"
MADE: Final = ("kubelet", "kube-proxy", "coredns", "kube-router")
NEEDED: Final = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "ipset": "ipset",
    "conntrack": "conntrack",
    "etcd": "etcd-server",
    "openssl": "openssl",
}
PREFIX: Final = "10.199"
OWN_ADDRESS: Final = f"{PREFIX}.0.1"
API: Final = (OWN_ADDRESS, 6443)
PAGES: Final = 4  # of `kubectl logs`
MAY_RAISE_OOM_SCORES: Final = 1 << 24  # CAP_SYS_RESOURCE


def missing_parts() -> list[str]:
    """What there is to install or to build before a node can be started."""
    missing = [f"{name} (Debian: {package})" for name, package in NEEDED.items() if not shutil.which(name)]
    missing += [f".node/bin/{name} (run `make node`; needs Go)" for name in MADE if not (PROGRAMS / name).exists()]
    if not Path(files.PLUGINS).is_dir():
        missing.append(f"{files.PLUGINS} (Debian: containernetworking-plugins)")
    if os.geteuid() != 0:
        missing.append("the rights of root")
    return missing


class Room(Network):
    """A network and a mount namespace; what is mounted inside is seen by all who enter, and by nobody else."""

    def __init__(self) -> None:
        super().__init__()
        holding = [*self.enter, "unshare", "--mount", "--propagation", "private", *launcher(signal.SIGKILL)]
        self._mounts = subprocess.Popen([*holding, "sleep", "infinity"], stdin=subprocess.DEVNULL)
        until(self._separate, "a mount namespace")
        self.enter = ["nsenter", "--target", str(self._mounts.pid), "--net", "--mount", "--"]
        subprocess.run([*self.enter, "mount", "--make-rshared", "/"], check=True)

    def close(self) -> None:
        self._mounts.kill()
        self._mounts.wait()
        super().close()

    def _separate(self) -> bool:
        with suppress(OSError):
            theirs = Path(f"/proc/{self._mounts.pid}/ns/mnt").readlink()
            done = Path(f"/proc/{self._mounts.pid}/cmdline").read_bytes().startswith(b"sleep")
            return done and theirs != Path("/proc/self/ns/mnt").readlink()
        return False


class RealCluster(Cluster):
    """A control plane and one node, which runs images as any node does."""

    PATIENCE_S = 500.0

    def __init__(self, home: Path, kept: Path = BUILT / "kept") -> None:
        self.home, self.places = home, files.Places(home / "node-1", kept, 1)
        room = Room()
        room.configure(
            "link set lo up",
            "link add node0 type bridge",
            f"address add {OWN_ADDRESS}/24 dev node0",
            f"address add {files.DNS_ADDRESS}/32 dev node0",
            "link set node0 up",
            f"route add default via {PREFIX}.0.254",
        )
        self._site = Site(room, PREFIX, API)
        self._cgroup = f"afterbell-{os.getpid()}"
        self.control_plane = ControlPlane(home, self._site, real_nodes=True)
        self.url = self.control_plane.url
        self.kubeconfig = self.control_plane.kubeconfig(home / "admin.json", as_user(self.control_plane.admin))
        self.nodes = self._programs()

    def start(self) -> None:
        """Until pods can be scheduled."""
        for folder in (self.places.networks, self.places.state, self.places.kept):
            folder.mkdir(parents=True, exist_ok=True)
        (self.places.networks / "10-node.conflist").write_text(files.network(self.places))
        self.inside("sysctl", "-qw", "net.ipv4.ip_forward=1")
        cgroups.make(self._cgroup)
        self.control_plane.start()
        self.apply(*files.api_server_behind_its_service(*API))
        for name in ("containerd", "kubelet", "kube-proxy", "coredns"):
            self.nodes[name].start()
        until(self._is_ready, "the node to be ready")
        self.nodes["kube-router"].start()  # it ends where its node is not registered yet

    def stop(self) -> None:
        """Nothing of it stays: no process, no mount, no control group."""
        for name in ("kubelet", "kube-proxy", "coredns", "kube-router"):
            self.nodes[name].stop()
        self._end_containers()
        self.nodes["containerd"].stop()
        self.control_plane.stop()
        assert self._site.network
        self._site.network.close()
        cgroups.remove(self._cgroup)

    def import_image(self, archive: Path) -> None:
        """Into containerd, unless this very file was imported before."""
        stamp = self.places.kept / f"{archive.name}.imported"
        state = f"{archive.stat().st_size} {archive.stat().st_mtime_ns}"
        if not stamp.exists() or stamp.read_text() != state:
            self.ctr("images", "import", "--all-platforms", str(archive))
            stamp.write_text(state)

    def ctr(self, *words: str) -> str:
        """What containerd's own client says."""
        return self.inside("ctr", "--address", str(self.places.socket), "--namespace", "k8s.io", *words)

    def inside(self, *words: str, check: bool = True) -> str:
        """What a command says that runs on the node."""
        done = subprocess.run([*self._site.enter, *words], capture_output=True, text=True)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def said(self, namespace: str, pod: str) -> str:
        """What the containers of a pod said, by the API server and the kubelet."""
        return self.kubectl("logs", pod, "-n", namespace, "--all-containers", "--prefix=false")

    def process_of(self, namespace: str, pod: str, container: str) -> int:
        """The process of a container as this machine numbers it: to be killed, or stopped and let go on."""
        manifest = self.get("pod", pod, "-n", namespace)
        (status,) = [each for each in manifest["status"]["containerStatuses"] if each["name"] == container]
        identity = status["containerID"].removeprefix("containerd://")
        for line in self.ctr("tasks", "list").splitlines()[1:]:
            name, process, *_ = line.split()
            if name == identity:
                return int(process)
        raise LookupError(f"{namespace}/{pod}/{container} does not run")

    def _programs(self) -> dict[str, Program]:
        places, plane = self.places, self.control_plane
        places.home.mkdir(parents=True)
        certificate = plane.authority.server(places.name, f"IP:{OWN_ADDRESS}", f"DNS:{places.name}")
        admin = plane.kubeconfig(places.home / "admin.json", as_user(plane.admin), plane.url_inside)
        authority = plane.authority.own.certificate
        texts = {
            "containerd.toml": files.containerd(places, may_raise_oom_scores=_has_right(MAY_RAISE_OOM_SCORES)),
            "kubelet.json": files.kubelet(places, authority, certificate.certificate, certificate.key, self._cgroup),
            "Corefile": files.names(admin),
        }
        for name, text in texts.items():
            (places.home / name).write_text(text)
        return {name: self._program(name, words) for name, words in self._words(admin).items()}

    def _words(self, admin: Path) -> dict[str, list[str]]:
        home, name = self.places.home, self.places.name
        return {
            "containerd": ["containerd", "--config", str(home / "containerd.toml")],
            "kubelet": [
                str(PROGRAMS / "kubelet"),
                f"--config={home / 'kubelet.json'}",
                f"--kubeconfig={admin}",
                f"--root-dir={home / 'kubelet'}",
                f"--hostname-override={name}",
                f"--node-ip={OWN_ADDRESS}",
            ],
            "kube-proxy": [
                str(PROGRAMS / "kube-proxy"),
                f"--kubeconfig={admin}",
                f"--hostname-override={name}",
                "--proxy-mode=iptables",
                f"--cluster-cidr={files.PODS}",
                "--conntrack-max-per-core=0",
                "--conntrack-tcp-timeout-established=0s",
                "--conntrack-tcp-timeout-close-wait=0s",
            ],
            "coredns": [str(PROGRAMS / "coredns"), "-conf", str(home / "Corefile")],
            "kube-router": [
                str(PROGRAMS / "kube-router"),
                f"--kubeconfig={admin}",
                f"--hostname-override={name}",
                "--run-router=false",
                "--run-service-proxy=false",
                "--run-firewall=true",
                "--run-loadbalancer=false",
                f"--service-cluster-ip-range={PREFIX_OF_SERVICES}",
            ],
        }

    def _program(self, name: str, words: list[str]) -> Program:
        answers = self._containerd_answers if name == "containerd" else None
        return Program(name, words, self._site, self.home / f"{name}.log", answers=answers)

    def _containerd_answers(self) -> bool:
        words = ["ctr", "--address", str(self.places.socket), "version"]
        return subprocess.run([*self._site.enter, *words], capture_output=True).returncode == 0

    def _is_ready(self) -> bool:
        return any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for node in self.get("nodes")["items"]
            if not node["spec"].get("taints")
            for condition in node["status"]["conditions"]
        )

    def _end_containers(self) -> None:
        """Kill what still runs, and forget it: what is imported stays, and nothing else."""
        for name in self.ctr("tasks", "list", "--quiet").split():
            self.inside(*self._ctr_words("tasks", "kill", "--signal", "SIGKILL", name), check=False)
        until(lambda: "RUNNING" not in self.ctr("tasks", "list"), "the containers to end")
        for name in self.ctr("containers", "list", "--quiet").split():
            self.inside(*self._ctr_words("tasks", "delete", "--force", name), check=False)
            self.inside(*self._ctr_words("containers", "delete", name), check=False)

    def _ctr_words(self, *words: str) -> list[str]:
        return ["ctr", "--address", str(self.places.socket), "--namespace", "k8s.io", *words]


PREFIX_OF_SERVICES: Final = "10.96.0.0/24"


def _has_right(bit: int) -> bool:
    """Whether this process has a capability."""
    text = Path("/proc/self/status").read_text()
    return bool(int(text.partition("CapEff:")[2].split()[0], 16) & bit)


@contextmanager
def running_node(archives: Sequence[Path]) -> Iterator[RealCluster]:
    """A node with these images for the block; its logs are in its home until then."""
    home = Path(tempfile.mkdtemp(prefix="afterbell-node-"))
    cluster = RealCluster(home)
    try:
        cluster.start()
        for archive in archives:
            cluster.import_image(archive)
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(home, ignore_errors=True)
