"""Bring a Deployment to a decided number: up at once; down by drain, wait for idle, deletion cost, ``/scale``.

One call is one attempt: it reads the current state, does what can be done now, and says when to try again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from afterbell.core.errors import QueueScriptError, StoreUnavailable
from afterbell_operator import metrics
from afterbell_operator.decide.victims import VICTIM_COST, Occupancy, Pod, Steps, steps_to
from afterbell_operator.kube import CONFLICT, COST_ANNOTATION, Kube, KubeRefused, KubeUnavailable, Manifest
from afterbell_operator.observe.observer import Drains, Observer, OccupancyUnknown
from afterbell_operator.watch_cache import Key, ScaleTarget, pods_of

# Kubernetes reads the cost from a cache that lags behind; a number written too early removes the wrong pod (#126138).
SETTLE_S: Final = 2.0
RETRY_S: Final = 1.0
# Whatever else changed the target is done by then.
CONFLICT_AGAIN_S: Final = 0.2

Result = Literal["Reached", "Waits", "Rolling", "Conflict", "Refused", "Unavailable", "OccupancyUnknown"]


class Fenced(Exception):
    """This process may not write: it is not the leader, or might not be any more when the write arrives."""


@dataclass(frozen=True, slots=True)
class ScaleAttempt:
    """How one attempt ended: replicas written (None: none), what is in the way, when to try again.

    ``because``: the message of the API server, Redis or a pod; ``waits_for``: pods whose jobs or sockets must end.
    """

    result: Result = "Reached"
    written: int | None = None
    because: str = ""
    waits_for: tuple[str, ...] = ()
    again_s: float | None = None


@dataclass(slots=True)
class _Descent:
    """What is under way on one target. Lost at a restart: the first attempt afterwards reads everything again."""

    clean: bool = False
    cheap_since: dict[str, float] = field(default_factory=dict)


class Actor:
    """Writes to targets. ``fence`` raises Fenced if this process may not write; ``now`` is a monotonic clock."""

    def __init__(self, kube: Kube, fence: Callable[[], None], now: Callable[[], float], settle_s: float = SETTLE_S):
        self._kube, self._fence, self._now, self._settle_s = kube, fence, now, settle_s
        self._descents: dict[Key, _Descent] = {}

    async def attempt(self, target: ScaleTarget, wanted: int, observer: Observer) -> ScaleAttempt:
        """One step towards ``wanted``. Raises Fenced; every other failure is in the result."""
        descent, written = self._descents.setdefault(target.key, _Descent()), None
        try:
            if wanted > target.replicas:  # first of all, before anything is read
                self._fence()
                await self._kube.write_scale(target.namespace, target.name, wanted)
                written = wanted
            elif wanted == target.replicas and descent.clean:
                return ScaleAttempt()
            return await self._with_pods(target, wanted, observer, descent, written)
        except (KubeRefused, KubeUnavailable, StoreUnavailable, QueueScriptError, OccupancyUnknown) as error:
            if isinstance(error, StoreUnavailable | QueueScriptError):
                metrics.failed(error)
                observer.refresh()
            if written is not None:  # the next attempt ends drains that are no longer wanted
                return ScaleAttempt(written=written, again_s=self._settle_s)
            return _failed(error)

    def forget(self, target: Key) -> None:
        """The target is no longer ours."""
        self._descents.pop(target, None)

    async def _with_pods(
        self, target: ScaleTarget, wanted: int, drains: Drains, descent: _Descent, written: int | None
    ) -> ScaleAttempt:
        descent.clean = False
        scale = await self._kube.read_scale(target.namespace, target.name)
        asked = int(scale["spec"].get("replicas", 0))
        pods = [pod_in(item) for item in await self._kube.pods(target.namespace, scale["status"]["selector"])]
        occupancy = await drains.occupancy(pods)  # after the pods: whatever is drained by now gets no new jobs
        lowest = max(wanted, asked) if target.rolling else wanted
        steps = steps_to(lowest, asked, pods, occupancy, self._settled(descent))
        await self._prepare(target, steps, drains, descent, pods, occupancy)
        if steps.replicas is not None:
            self._fence()
            version = scale["metadata"]["resourceVersion"]
            await self._kube.write_scale(target.namespace, target.name, steps.replicas, version=version)
            written = asked = steps.replicas
        reached = asked == wanted and not (steps.drain or steps.cheapen)
        surplus = len([pod for pod in pods if not pod.terminating]) - wanted
        descent.clean = reached and surplus <= 0
        rolling = wanted < target.replicas and (target.rolling or _mixed(pods))
        return ScaleAttempt(
            result="Rolling" if rolling else "Waits" if steps.waits_for else "Reached",
            written=written,
            waits_for=steps.waits_for,
            again_s=None if descent.clean else self._settle_s,
        )

    def _settled(self, descent: _Descent) -> frozenset[str]:
        return frozenset(pod for pod, at in descent.cheap_since.items() if self._now() - at >= self._settle_s)

    async def _prepare(
        self,
        target: ScaleTarget,
        steps: Steps,
        drains: Drains,
        descent: _Descent,
        pods: list[Pod],
        occupancy: Occupancy,
    ) -> None:
        if steps.hold:
            self._fence()
            await drains.renew(steps.hold)
        if not any((steps.drain, steps.undrain, steps.cheapen, steps.restore)):
            await self._sweep(target, drains, pods, occupancy)
            self._notice(descent, pods)
            return
        self._fence()
        for pod in steps.undrain:
            await drains.undrain(pod)
        for pod in steps.restore:
            descent.cheap_since.pop(pod, None)
            await self._kube.set_deletion_cost(target.namespace, pod, None)
        for pod in steps.drain:
            await drains.drain(pod)
        for pod in steps.cheapen:
            await self._kube.set_deletion_cost(target.namespace, pod, VICTIM_COST)
            descent.cheap_since[pod] = self._now()
        self._notice(descent, pods)

    def _notice(self, descent: _Descent, pods: list[Pod]) -> None:
        """A cost that another process wrote counts from the moment it is first read here."""
        names = {pod.name for pod in pods}
        for pod in pods:
            if pod.cost <= VICTIM_COST:
                descent.cheap_since.setdefault(pod.name, self._now())
        for gone in set(descent.cheap_since) - names:
            del descent.cheap_since[gone]

    async def _sweep(self, target: ScaleTarget, drains: Drains, pods: list[Pod], occupancy: Occupancy) -> None:
        """End the drains of pods that are gone."""
        ours = pods_of(target.name)
        for name in sorted(occupancy.drained - {pod.name for pod in pods}):
            if ours.fullmatch(name):
                await drains.undrain(name)


def pod_in(manifest: Manifest) -> Pod:
    """A pod, as the choice of victims needs it."""
    metadata, status = manifest["metadata"], manifest.get("status", {})
    owners = [owner["uid"] for owner in metadata.get("ownerReferences", ()) if owner.get("controller")]
    conditions = {condition["type"]: condition["status"] for condition in status.get("conditions", ())}
    created = datetime.fromisoformat(metadata["creationTimestamp"]).timestamp()
    return Pod(
        name=metadata["name"],
        owner=owners[0] if owners else "",
        assigned=bool(manifest["spec"].get("nodeName")),
        running=status.get("phase") == "Running",
        ready=conditions.get("Ready") == "True",
        cost=_cost(metadata.get("annotations", {}).get(COST_ANNOTATION, "0")),
        terminating="deletionTimestamp" in metadata or status.get("phase") in ("Succeeded", "Failed"),
        created_s=created,
    )


def _cost(text: str) -> int:
    try:
        return int(text)
    except ValueError:  # as Kubernetes does
        return 0


def _failed(error: Exception) -> ScaleAttempt:
    if isinstance(error, KubeRefused):
        if error.status == CONFLICT:
            return ScaleAttempt("Conflict", again_s=CONFLICT_AGAIN_S)
        return ScaleAttempt("Refused", because=str(error), again_s=RETRY_S)
    result: Result = "Unavailable" if isinstance(error, KubeUnavailable) else "OccupancyUnknown"
    return ScaleAttempt(result, because=str(error), again_s=RETRY_S)


def _mixed(pods: list[Pod]) -> bool:
    return len({pod.owner for pod in pods if not pod.terminating}) > 1
