"""The open sockets of the api pods, as each of them reports in its heartbeats.

Unknown is not zero. While Redis is away, nothing is known. A pod that is ready but has not reported lately may hold any
number of sockets: what the others report may then add pods, but removes none.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from afterbell.adapters.bus.api_pods import ApiPods
from afterbell.core.errors import StoreUnavailable
from afterbell.core.live.heartbeat import HEARTBEAT_EVERY_S, PodHeartbeat, PodVerb
from afterbell.core.live.presence import SILENT_S
from afterbell.service import Service
from afterbell_operator import metrics
from afterbell_operator.decide.values import Connections, KnownLoad, Reading, UnknownLoad, UntrustedLoad
from afterbell_operator.decide.victims import Occupancy, Pod
from afterbell_operator.observe.observer import OccupancyUnknown
from afterbell_operator.watch_cache import ScaleTarget, pods_of

# A drain request is repeated this often. It lasts a minute, so some of the requests may get lost.
ASK_AGAIN_S: Final = 10.0
# Every live pod has reported after this time.
FIRST_S: Final = HEARTBEAT_EVERY_S + 1

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Report:
    """The last heartbeat of one pod, and when it came."""

    token: str
    heartbeat: PodHeartbeat
    at: float


class PodsObserver:
    """Subscribes to the api pods that share a queue. ``changed`` is called on every change, failures included."""

    def __init__(self, pods: ApiPods, *, changed: Callable[[], None]) -> None:
        self._pods, self._changed = pods, changed
        self._reports: dict[str, _Report] = {}
        self._asked_at: dict[str, float] = {}
        self._reported_at = float("-inf")
        self.because = ""
        self.new = True
        self._service = Service("pods_observer", self._run)

    def start(self) -> None:
        """Subscribe."""
        self._service.start()

    async def close(self) -> None:
        """End the subscription."""
        await self._service.stop()

    def age_s(self) -> float:
        """Seconds since any of them reported; infinite before the first time."""
        return self._now() - self._reported_at

    def of(self, target: ScaleTarget) -> "PodsOf":
        """Those of one Deployment."""
        return PodsOf(self, target)

    def heartbeats(self, target: ScaleTarget) -> dict[str, PodHeartbeat]:
        """What its pods last reported, by name, without those that went silent."""
        ours, since = pods_of(target.name), self._now() - SILENT_S
        return {
            name: report.heartbeat
            for name, report in self._reports.items()
            if report.at > since and ours.fullmatch(name)
        }

    async def ask(self, pod: str, verb: PodVerb) -> None:
        """Ask a pod to drain, unless it was just asked, or to take sockets again. Raises StoreUnavailable."""
        report = self._reports.get(pod)
        if report is None:
            return
        if verb == "undrain":
            self._asked_at.pop(report.token, None)
        elif self._now() - self._asked_at.get(report.token, float("-inf")) < ASK_AGAIN_S:
            return
        else:
            self._asked_at[report.token] = self._now()
        await self._pods.ask(report.token, verb)

    async def _run(self) -> None:
        await self._pods.subscribe(self._on_heartbeat, self._on_loss)
        await asyncio.sleep(FIRST_S)
        self.new = False
        self._changed()
        while True:
            await asyncio.sleep(HEARTBEAT_EVERY_S)
            self._forget(self._now() - SILENT_S)

    def _on_heartbeat(self, token: str, heartbeat: PodHeartbeat) -> None:
        before, self._reported_at = self._reports.get(heartbeat.pod), self._now()
        self._reports[heartbeat.pod] = _Report(token, heartbeat, self._reported_at)
        self.because = ""
        if before is None or (before.token, before.heartbeat) != (token, heartbeat):
            self._changed()

    def _on_loss(self, error: StoreUnavailable) -> None:
        """Earlier reports are no longer valid: each pod must report anew."""
        metrics.failed(error)
        if not self.because:
            log.warning("socket_counts_unknown", error=str(error)[:200])
        self.because = str(error)[:200]
        self._reports.clear()
        self._changed()

    def _forget(self, before: float) -> None:
        silent = [name for name, report in self._reports.items() if report.at <= before]
        for name in silent:
            self._asked_at.pop(self._reports.pop(name).token, None)
        if silent:
            self._changed()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


class PodsOf:
    """The api pods of one Deployment, as a round sees them."""

    def __init__(self, observer: PodsObserver, target: ScaleTarget) -> None:
        self._observer, self._target = observer, target

    def reading(self) -> Reading:
        """Their sockets together, as far as they are known."""
        if self._observer.because:
            return UnknownLoad(self._observer.because)
        heartbeats = self._observer.heartbeats(self._target).values()
        name, ready = self._target.name, self._target.ready
        if not heartbeats:
            hint = "check that AFTERBELL_POD_NAME is set there and that they and the operator use the same live Redis"
            return UnknownLoad(f"no pod of {name} has reported its sockets: {hint}")
        load = Connections(
            sockets=sum(heartbeat.sockets for heartbeat in heartbeats),
            pods=len(heartbeats),
            draining=sum(heartbeat.draining for heartbeat in heartbeats),
            cap=min(heartbeat.sockets_max for heartbeat in heartbeats),
        )
        silent = ready - load.pods
        if silent > 0:
            because = f"{silent} of {ready} ready pods of {name} have not reported their sockets for {SILENT_S:g} s"
            return UntrustedLoad(load, because)
        return KnownLoad(load)

    def pending(self) -> bool:
        """Whether the operator started listening so recently that some pod may not have reported yet."""
        reported = len(self._observer.heartbeats(self._target))
        return self._observer.new and not self._observer.because and reported < max(self._target.ready, 1)

    def age_s(self) -> float:
        """Seconds since any of them reported."""
        return self._observer.age_s()

    def expect(self, jobs_ever: int) -> None:
        """Nothing to do: sockets are not counted over time, so no number of them proves a loss."""

    def refresh(self) -> None:
        """Nothing to do: the pods report by themselves."""

    async def occupancy(self, pods: Sequence[Pod]) -> Occupancy:
        """Sockets by pod. Raises OccupancyUnknown if a ready pod has not reported."""
        heartbeats = self._observer.heartbeats(self._target)
        silent = [pod.name for pod in pods if pod.ready and not pod.terminating and pod.name not in heartbeats]
        if self._observer.because or silent:
            because = self._observer.because or f"{', '.join(silent[:5])} ready without having reported sockets"
            raise OccupancyUnknown(because)
        return Occupancy(
            {name: heartbeat.sockets for name, heartbeat in heartbeats.items()},
            frozenset(pod.name for pod in pods if pod.name in heartbeats and heartbeats[pod.name].draining),
            frozenset(pod.name for pod in pods if not pod.running and pod.name not in heartbeats),
        )

    async def drain(self, pod: str) -> None:
        """Ask a pod to drain. Raises StoreUnavailable."""
        await self._observer.ask(pod, "drain")

    async def undrain(self, pod: str) -> None:
        """Ask a pod to take sockets again. Raises StoreUnavailable."""
        await self._observer.ask(pod, "undrain")

    async def renew(self, pods: Sequence[str]) -> None:
        """Ask again. Raises StoreUnavailable."""
        for pod in pods:
            await self._observer.ask(pod, "drain")
