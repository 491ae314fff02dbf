"""Pods of the chart as processes in the folders that the Dockerfile makes: neither a node nor a container engine.

A pod has a network of its own, with nothing in it but its loopback. A container has a root file system that cannot be
written, the volumes it mounts, a user without a name, and a HOME that does not exist. Root may make all that; another
user where the kernel lets users have namespaces.
"""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.support.control_plane import LOOPBACK, PATHS, ROOT
from tests.support.dockerfile import Image
from tests.support.kubelet.environment import environment_of, expanded
from tests.support.networks import Network, listener_in

Manifest = dict[str, Any]
ENTER: Final = ROOT / "tests" / "support" / "enter_image.sh"
NEEDED: Final = {
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "findmnt": "util-linux",
    "mount": "mount",
    "ip": "iproute2",
}
DEVICES: Final = ("null", "zero", "full", "random", "urandom")
OF_THE_BASE: Final = ("/usr", "/etc/ssl", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d")
NOBODY: Final = "root:x:0:0:root:/:/usr/sbin/nologin\n"
ACCOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
NO_HOME: Final = "/nowhere"
START_PATIENCE_S: Final = 60.0
END_PATIENCE_S: Final = 300.0
GET: Final = """
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=float(sys.argv[2])).status)
except urllib.error.HTTPError as error:
    sys.exit(f"{error.code} {error.read().decode()[:500]}")
except OSError as error:
    sys.exit(str(error))
"""


class Failed(AssertionError):
    """A container did not do what its manifest asks; the message has its last words."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What pods find: images by repository, values of Secrets and ConfigMaps, names of hosts, more variables.

    ``account``: a folder with a service account's token; ``outside``: their port → host:port on our loopback.
    """

    images: Mapping[str, Image]
    data: Mapping[tuple[str, str], dict[str, str]]
    hosts: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    account: Path | None = None
    outside: Mapping[int, tuple[str, int]] = field(default_factory=dict)


def missing_parts() -> list[str]:
    """What to install before images can be entered; or that this user may not."""
    missing = [f"{name} (Debian: {package})" for name, package in NEEDED.items() if not shutil.which(name)]
    if missing or os.geteuid() == 0:
        return missing
    done = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "--net", "true"], capture_output=True)
    return [] if done.returncode == 0 else ["the right to make user namespaces (kernel.unprivileged_userns_clone)"]


def repository(image: str) -> str:
    """`afterbell-api` of `ghcr.io/afterbell/afterbell-api:0.1.0`."""
    return re.split(r"[@:]", image.rpartition("/")[2])[0]


class ImagePod:
    """One pod: start it, ask its probes, end it. Its folder holds volumes and what its containers said."""

    def __init__(self, name: str, spec: Manifest, around: Surroundings, folder: Path) -> None:
        self.name, self.spec, self.around = name, spec, around
        self.folder = folder
        self.network = Network(as_root=os.geteuid() == 0)
        self.network.configure("link set lo up")
        self._wires = [self._wire_out(port, *to) for port, to in around.outside.items()]
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.seconds: dict[str, float] = {}
        self._make_folders()

    def start(self) -> None:
        """Init containers one after the other, then the others, until their probes are content. Raises Failed."""
        for each in self.spec.get("initContainers", ()):
            if each.get("restartPolicy") == "Always":
                self._bring_up(each)
            else:
                self.run(each)
        for each in self.spec["containers"]:
            self._bring_up(each)

    def run(self, container: Manifest) -> str:
        """A container that ends: what it said. Raises Failed where it ends badly."""
        began = time.monotonic()
        process = self._started(container, self.command(container))
        code = process.wait(END_PATIENCE_S)
        del self._running[container["name"]]
        self.seconds[container["name"]] = time.monotonic() - began
        if code:
            raise Failed(f"{self.name}, {container['name']}: exit code {code}\n{self.said(container['name'])}")
        return self.said(container["name"])

    def run_all(self) -> str:
        """A pod whose containers end, as a Job's."""
        for each in self.spec.get("initContainers", ()):
            self.run(each)
        return "".join(self.run(each) for each in self.spec["containers"])

    def ask(self, container: Manifest, action: Manifest, timeout_s: float) -> str | None:
        """One probe or hook; None where it succeeded, else the complaint."""
        if "httpGet" in action:
            ports = {each["name"]: each["containerPort"] for each in container.get("ports", ())}
            port = ports.get(action["httpGet"]["port"], action["httpGet"]["port"])
            return self.get(f"http://{LOOPBACK}:{port}{action['httpGet']['path']}", timeout_s)
        if "exec" in action:
            return self._exec(container, action["exec"]["command"])
        if "sleep" in action:
            time.sleep(action["sleep"]["seconds"])  # the promise under test is its length
            return None
        raise Failed(f"{self.name}, {container['name']}: no such probe or hook here: {', '.join(action)}")

    def get(self, url: str, timeout_s: float = 5) -> str | None:
        """None where the url answers with success from inside the pod, else the complaint."""
        words = [*self.network.enter, sys.executable, "-c", GET, url, str(timeout_s)]
        done = subprocess.run(words, capture_output=True, text=True)
        return None if done.returncode == 0 else done.stderr.strip()

    def stop(self) -> None:
        """As a kubelet ends a pod: preStop, SIGTERM, and everything over within the grace period. Raises Failed."""
        ends = time.monotonic() + self.spec.get("terminationGracePeriodSeconds", 30)
        for each in reversed([*self.spec.get("initContainers", ()), *self.spec["containers"]]):
            if each["name"] in self._running:
                self._end(each, ends)

    def close(self) -> None:
        """At once, whatever is left."""
        for process in [*self._running.values(), *self._wires]:
            process.kill()
            process.wait()
        self.network.close()

    def said(self, container: str) -> str:
        return (self.folder / f"{container}.log").read_text(errors="replace")

    def command(self, container: Manifest) -> list[str]:
        """The argv, with its variables filled in."""
        known = self._environment(container)
        return [expanded(word, known) for word in self._image(container).command(container)]

    def serve_to(self, other: "ImagePod", port: int, own_port: int) -> None:
        """Let another pod reach a port of this one at a port of its loopback, as a Service would."""
        listener = listener_in(other.network.enter, LOOPBACK, port)
        self._wires.append(_forward([*self.network.enter], listener, LOOPBACK, own_port))

    def _bring_up(self, container: Manifest) -> None:
        began = time.monotonic()
        process = self._started(container, self.command(container))
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            if kind in container:
                self._until_content(container, container[kind], process, kind)
        self.seconds[container["name"]] = time.monotonic() - began

    def _until_content(self, container: Manifest, probe: Manifest, process: subprocess.Popen[bytes], kind: str) -> None:
        deadline = time.monotonic() + START_PATIENCE_S
        while complaint := self.ask(container, probe, probe.get("timeoutSeconds", 1)):
            if process.poll() is not None or time.monotonic() > deadline:
                said = self.said(container["name"])[-3000:]
                raise Failed(f"{self.name}, {container['name']}: {kind}: {complaint}\n{said}")
            time.sleep(0.1)

    def _end(self, container: Manifest, ends: float) -> None:
        process = self._running.pop(container["name"])
        hook = container.get("lifecycle", {}).get("preStop")
        if hook and (complaint := self.ask(container, hook, ends - time.monotonic())):
            raise Failed(f"{self.name}, {container['name']}: preStop: {complaint}")
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(ends - time.monotonic())
        except subprocess.TimeoutExpired:
            process.kill()
            raise Failed(f"{self.name}, {container['name']} did not end in time\n{self._last(container)}") from None
        self.seconds[f"{container['name']} ends"] = time.monotonic() - began
        if code:
            raise Failed(f"{self.name}, {container['name']} ended with {code}\n{self._last(container)}")

    def _last(self, container: Manifest) -> str:
        return self.said(container["name"])[-3000:]

    def _exec(self, container: Manifest, command: list[str]) -> str | None:
        done = subprocess.run(
            self._inside(container, command), capture_output=True, text=True, env=self._environment(container)
        )
        return None if done.returncode == 0 else (done.stdout + done.stderr).strip() or str(done.returncode)

    def _started(self, container: Manifest, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{container['name']}.log").open("ab") as log:
            process = subprocess.Popen(
                self._inside(container, command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(container),
                start_new_session=True,
            )
        self._running[container["name"]] = process
        return process

    def _inside(self, container: Manifest, command: list[str]) -> list[str]:
        """The words that run a command as this container would run it."""
        root = Path(tempfile.mkdtemp(dir=self.folder, prefix="root-"))
        mounts = root.with_suffix(".mounts")
        mounts.write_text("".join(f"{mode} {source} {target}\n" for mode, source, target in self._mounts(container)))
        return [*self.network.enter, "unshare", "--mount", "sh", str(ENTER), str(root), str(mounts), *command]

    def _mounts(self, container: Manifest) -> list[tuple[str, Path, str]]:
        image = self._image(container)
        python = Path(sys.base_prefix)
        base = [Path(each) for each in OF_THE_BASE] + ([] if python.is_relative_to("/usr") else [python])
        mounts = [("ro", path, str(path)) for path in base if path.exists()]
        mounts += [("ro", path, f"/etc/{path.name}") for path in (self.folder / "etc").iterdir()]
        mounts += [("rw", Path("/dev") / each, f"/dev/{each}") for each in DEVICES]
        mounts += [("ro", image.app, "/app"), ("ro", image.venv, "/app/venv")]
        mounts += [("rw", self._volume(each["name"]), each["mountPath"]) for each in container.get("volumeMounts", ())]
        if self.around.account is not None and self.spec.get("automountServiceAccountToken"):
            mounts.append(("ro", self.around.account, ACCOUNT))
        return mounts

    def _volume(self, name: str) -> Path:
        return self.folder / "volumes" / name

    def _image(self, container: Manifest) -> Image:
        return self.around.images[repository(container["image"])]

    def _environment(self, container: Manifest) -> dict[str, str]:
        async def read(kind: str, name: str) -> dict[str, str] | None:
            return self.around.data.get((kind, name))

        pod = {
            "metadata": {"name": self.name, "namespace": "lessons"},
            "spec": self.spec,
            "status": {"podIP": LOOPBACK, "podIPs": [{"ip": LOOPBACK}], "hostIP": LOOPBACK},
        }
        base = {**self._image(container).environment, "HOSTNAME": self.name, **self.around.variables, "HOME": NO_HOME}
        return asyncio.run(environment_of(container, pod, base, read))

    def _make_folders(self) -> None:
        etc = self.folder / "etc"
        etc.mkdir(parents=True)
        (etc / "passwd").write_text(NOBODY)
        (etc / "group").write_text("root:x:0:\n")
        (etc / "hosts").write_text(f"{LOOPBACK} localhost {self.name} {' '.join(self.around.hosts)}\n")
        (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n")
        for volume in self.spec.get("volumes", ()):
            if "emptyDir" not in volume:
                raise Failed(f"{self.name}: volume {volume['name']} is of a kind that is not tried here")
            self._volume(volume["name"]).mkdir(parents=True)
            self._volume(volume["name"]).chmod(0o777)

    def _wire_out(self, port: int, host: str, far_port: int) -> "subprocess.Popen[bytes]":
        listener = listener_in(self.network.enter, LOOPBACK, port)
        return _forward([], listener, host, far_port)


def _forward(enter: list[str], listener: Any, host: str, port: int) -> "subprocess.Popen[bytes]":
    number = listener.fileno()
    words = [*enter, sys.executable, "-m", "tests.support.forward", str(number), host, str(port)]
    with listener:
        return subprocess.Popen(
            words,
            cwd=ROOT,
            pass_fds=[number],
            stdin=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": os.pathsep.join([*PATHS, *sys.path])},
        )
