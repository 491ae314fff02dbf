"""One pod: its init containers one after the other, its containers side by side, its status, its end."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx2
from tests.support.kubelet.api import Gone, Manifest, NodeApi, now
from tests.support.kubelet.container import RETRY_S, Container, Surroundings
from tests.support.kubelet.environment import Misconfigured, environment_of
from tests.support.kubelet.places import Place, Places

ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Node:
    """What pods get from their node: the API, addresses, a folder for logs, the words each image runs."""

    api: NodeApi
    name: str
    places: Places
    logs: Path
    environment: dict[str, str]
    images: dict[str, list[str]]


class Pod:
    """Lives from the moment it is bound to the node until the API server has forgotten it."""

    def __init__(self, manifest: Manifest, node: Node) -> None:
        self.manifest, self._node = manifest, node
        self._place: Place | None = None
        self._began = now()
        self._init: list[Container] = []
        self._main: list[Container] = []
        self._initialized = self._ended = False
        self._conditions: dict[str, tuple[str, str]] = {}
        self._changed, self._deleting = asyncio.Event(), asyncio.Event()
        self._said: set[asyncio.Task[None]] = set()
        self.task = asyncio.create_task(self._live())

    def update(self, manifest: Manifest) -> None:
        """The API server's newest word on it."""
        self.manifest = manifest
        self._changed.set()
        if "deletionTimestamp" in manifest["metadata"]:
            self._deleting.set()
            if manifest["metadata"].get("deletionGracePeriodSeconds") == 0:
                self.kill()

    def gone(self) -> None:
        """The API server does not know it any more: as `kubectl delete --force` does it."""
        self._deleting.set()
        self.kill()

    def kill(self) -> None:
        for container in (*self._init, *self._main):
            container.kill()

    def log(self, name: str, *, previous: bool) -> Path | None:
        """The file with what a container said in its current or previous life."""
        for container in (*self._init, *self._main):
            if container.name == name and container.restarts >= previous:
                return self._folder / f"{name}.{container.restarts - previous}.log"
        return None

    def speaks(self) -> bool:
        """Whether a process of it may still say something."""
        return not self._ended

    async def _live(self) -> None:
        if self.manifest.get("status", {}).get("phase") not in ENDED:
            self._place = await self._placed()
            self._fill(self._place)
            publishing = asyncio.create_task(self._publish())
            running, deleting = asyncio.create_task(self._run()), asyncio.create_task(self._deleting.wait())
            await asyncio.wait({running, deleting}, return_when=asyncio.FIRST_COMPLETED)
            if self._deleting.is_set():
                await self._stop()
            await running
            self._ended = True
            publishing.cancel()
            await self._persist(lambda: self._node.api.write_status(self.manifest, self._status()))
            self._place.close()
            deleting.cancel()
        await self._deleting.wait()
        await self._persist(lambda: self._node.api.forget(self.manifest))

    async def _placed(self) -> Place:
        if self.manifest["spec"].get("hostNetwork"):
            return Place(self._node.places.node_ip)
        while True:
            try:
                return self._node.places.open()
            except OSError as error:
                self._say("FailedCreatePodSandBox", str(error), True)
                await asyncio.sleep(RETRY_S)

    def _fill(self, place: Place) -> None:
        spec = self.manifest["spec"]
        around = partial(
            Surroundings,
            place.ip,
            place.enter,
            self._folder,
            float(spec.get("terminationGracePeriodSeconds", 30)),
            environment=self._environment,
            entrypoint=self._entrypoint,
            say=self._say,
            changed=self._changed.set,
        )
        policy = spec.get("restartPolicy", "Always")
        again = {"Always": lambda _: True, "OnFailure": bool, "Never": lambda _: False}[policy]
        for each in spec.get("initContainers", ()):
            sidecar = each.get("restartPolicy") == "Always"
            once = (lambda _: True) if sidecar else (lambda code: bool(code) and policy != "Never")
            self._init.append(Container(each, around(again=once)))
        self._main = [Container(each, around(again=again)) for each in spec["containers"]]

    async def _run(self) -> None:
        beside = []
        for container in self._init:
            if container.spec.get("restartPolicy") == "Always":
                beside.append(asyncio.create_task(container.run()))
                while not container.started and not self._deleting.is_set():
                    await asyncio.sleep(0.05)
            elif await container.run() != 0:
                break
        else:
            self._initialized = True
            self._changed.set()
            await asyncio.gather(*(container.run() for container in self._main))
        sidecars = [each for each in self._init if each.spec.get("restartPolicy") == "Always"]
        await asyncio.gather(*(each.stop(self._grace_s) for each in sidecars))
        await asyncio.gather(*beside)

    async def _stop(self) -> None:
        await asyncio.gather(*(container.stop(self._grace_s) for container in (*self._init, *self._main)))

    async def _environment(self, container: Manifest) -> dict[str, str]:
        assert self._place is not None
        meta, ip = self.manifest["metadata"], self._place.ip
        addresses = {"podIP": ip, "podIPs": [{"ip": ip}], "hostIP": self._node.places.node_ip}
        base = self._node.environment | {"HOSTNAME": meta["name"], "HOME": str(self._folder)}

        def read(kind: str, name: str) -> Awaitable[dict[str, str] | None]:
            return self._node.api.data(kind, meta["namespace"], name)

        return await environment_of(container, self.manifest | {"status": addresses}, base, read)

    def _entrypoint(self, image: str) -> list[str]:
        name = image.partition("@")[0].rpartition("/")[2].partition(":")[0]
        if name not in self._node.images:
            raise Misconfigured(f"the test kubelet pulls no images and knows no words for {image!r}: name a command")
        return self._node.images[name]

    async def _publish(self) -> None:
        """Write the status whenever it has changed, as long as there is something to write to."""
        written: Manifest = {}
        while True:
            self._changed.clear()
            if (status := self._status()) != written:
                await self._persist(partial(self._node.api.write_status, self.manifest, status))
                written = status
            await self._changed.wait()

    async def _persist(self, write: Callable[[], Awaitable[None]]) -> None:
        """Until it has worked or the pod is gone; the API server may be away meanwhile."""
        while True:
            try:
                return await write()
            except Gone:
                return None
            except httpx2.HTTPError:
                await asyncio.sleep(RETRY_S)

    def _status(self) -> Manifest:
        assert self._place is not None
        ip, host = self._place.ip, self._node.places.node_ip
        ready = self._initialized and all(container.ready for container in self._main)
        conditions = {"PodReadyToStartContainers": True, "Initialized": self._initialized, "ContainersReady": ready}
        conditions["Ready"] = ready and all(map(self._gate_is_open, self.manifest["spec"].get("readinessGates", ())))
        return {
            "phase": self._phase(),
            "startTime": self._began,
            "hostIP": host,
            "hostIPs": [{"ip": host}],
            "podIP": ip,
            "podIPs": [{"ip": ip}],
            "conditions": [self._condition(*each) for each in conditions.items()],
            "initContainerStatuses": [container.status() for container in self._init],
            "containerStatuses": [container.status() for container in self._main],
        }

    def _phase(self) -> str:
        """A final one only when nothing of the pod runs any more, sidecars included."""
        policy = self.manifest["spec"].get("restartPolicy", "Always")
        if policy == "Never" and any(each.exit_code and "terminated" in each.state for each in self._init):
            return "Failed"
        final = policy != "Always" or self._deleting.is_set()
        running = any("running" in each.state for each in self._init)
        if final and not running and all("terminated" in each.state for each in self._main):
            return "Failed" if any(each.exit_code for each in self._main) else "Succeeded"
        waiting = any("waiting" in each.state and not each.restarts for each in self._main)
        return "Pending" if waiting else "Running"

    def _condition(self, kind: str, holds: bool) -> Manifest:
        status = str(holds)
        if self._conditions.get(kind, ("",))[0] != status:
            self._conditions[kind] = (status, now())
        return {"type": kind, "status": status, "lastTransitionTime": self._conditions[kind][1]}

    def _gate_is_open(self, gate: Manifest) -> bool:
        known = self.manifest.get("status", {}).get("conditions", ())
        return any(each["type"] == gate["conditionType"] and each["status"] == "True" for each in known)

    def _say(self, reason: str, message: str, warning: bool) -> None:
        async def tell() -> None:
            with suppress(httpx2.HTTPError):  # an Event lost is only an Event
                await self._node.api.say(self.manifest, reason, message, warning=warning)

        task = asyncio.create_task(tell())
        self._said.add(task)
        task.add_done_callback(self._said.discard)

    @property
    def _grace_s(self) -> float:
        return float(self.manifest["metadata"].get("deletionGracePeriodSeconds", 30))

    @property
    def _folder(self) -> Path:
        meta = self.manifest["metadata"]
        return self._node.logs / str(meta["namespace"]) / str(meta["name"])
