"""Bring a Deployment to a decided number: up at once, down by way of drain, idle, deletion cost, ``/scale``.

One call is one round: it reads the world, does what can be done now, and says when another round may do more.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from afterbell.core.errors import StoreUnavailable
from afterbell.core.pods import PodVerb
from afterbell_operator.kube import COST_ANNOTATION, Kube, Manifest
from afterbell_operator.victims import VICTIM_COST, Occupancy, Pod, Steps, steps_to

# Kubernetes reads the cost from a cache that lags behind; a number written too early takes the wrong pod (#126138).
SETTLE_S: Final = 2.0


class Fenced(Exception):
    """This process may not write: it does not lead, or cannot be sure that it still will when the write arrives."""


class Unheard(Exception):
    """What some pod holds is not known, so none may be taken away."""


class Drains(Protocol):
    """What pods hold, and how they are told to take no more: the queue for workers, the bus for api pods."""

    async def occupancy(self, pods: Sequence[Pod], /) -> Occupancy:
        """What these pods hold now. Raises StoreUnavailable or Unheard."""

    async def steer(self, verb: PodVerb, pod: str) -> None:
        """Tell a pod to take nothing more, or to take something again. Raises StoreUnavailable."""

    async def renew(self, pods: Sequence[str]) -> None:
        """These are drained and to stay so, where that does not last by itself. Raises StoreUnavailable."""


@dataclass(frozen=True, slots=True)
class Target:
    """A Deployment as it was last seen. ``rolling``: its controller has not caught up with its template."""

    namespace: str
    name: str
    replicas: int
    ready: int = 0
    selector: str = ""
    rolling: bool = False


@dataclass(frozen=True, slots=True)
class Round:
    """What a round came to: replicas written (None: none), whether the number is reached, when to come again."""

    written: int | None = None
    reached: bool = True
    again_s: float | None = None
    waits_for: tuple[str, ...] = ()
    rolling: bool = False


@dataclass(slots=True)
class _Progress:
    """What is under way on one target. Forgotten at a restart: the first round there looks at everything again."""

    clean: bool = False
    cheap_since: dict[str, float] = field(default_factory=dict)


class Actor:
    """Writes to targets. ``fence`` raises Fenced where this process may not; ``now`` is a monotonic clock."""

    def __init__(self, kube: Kube, fence: Callable[[], None], now: Callable[[], float], settle_s: float = SETTLE_S):
        self._kube, self._fence, self._now, self._settle_s = kube, fence, now, settle_s
        self._progress: dict[tuple[str, str], _Progress] = {}

    async def round(self, target: Target, wanted: int, drains: Drains) -> Round:
        """One step towards ``wanted``. Raises KubeRefused, KubeUnavailable, StoreUnavailable, Unheard, Fenced."""
        progress = self._progress.setdefault((target.namespace, target.name), _Progress())
        written = None
        if wanted > target.replicas:  # first of all, and without a question
            self._fence()
            await self._kube.write_scale(target.namespace, target.name, wanted)
            written = wanted
        elif wanted == target.replicas and progress.clean:
            return Round()
        try:
            return await self._with_pods(target, wanted, drains, progress, written)
        except (StoreUnavailable, Unheard):
            if written is None:
                raise
            return Round(written, again_s=self._settle_s)  # drains that are no longer wanted are taken back then

    def forget(self, namespace: str, name: str) -> None:
        """The target is no longer ours."""
        self._progress.pop((namespace, name), None)

    async def _with_pods(
        self, target: Target, wanted: int, drains: Drains, progress: _Progress, written: int | None
    ) -> Round:
        progress.clean = False
        scale = await self._kube.read_scale(target.namespace, target.name)
        asked = int(scale["spec"].get("replicas", 0))
        found = [pod_in(one) for one in await self._kube.pods(target.namespace, scale["status"]["selector"])]
        occupancy = await drains.occupancy(found)  # after the pods: what is drained by now stays without new jobs
        lowest = max(wanted, asked) if target.rolling else wanted
        steps = steps_to(lowest, asked, found, occupancy, self._settled(progress))
        await self._prepare(target, steps, drains, progress, found, occupancy)
        if steps.replicas is not None:
            self._fence()
            version = scale["metadata"]["resourceVersion"]
            await self._kube.write_scale(target.namespace, target.name, steps.replicas, version=version)
            written = asked = steps.replicas
        reached = asked == wanted and not (steps.drain or steps.cheapen)
        surplus = len([pod for pod in found if not pod.terminating]) - wanted
        progress.clean = reached and surplus <= 0
        again_s = None if progress.clean else self._settle_s
        return Round(written, asked == wanted, again_s, steps.waits_for, target.rolling or _mixed(found))

    def _settled(self, progress: _Progress) -> frozenset[str]:
        return frozenset(pod for pod, at in progress.cheap_since.items() if self._now() - at >= self._settle_s)

    async def _prepare(
        self, target: Target, steps: Steps, drains: Drains, progress: _Progress, found: list[Pod], occupancy: Occupancy
    ) -> None:
        if steps.hold:
            self._fence()
            await drains.renew(steps.hold)
        if not any((steps.drain, steps.undrain, steps.cheapen, steps.restore)):
            await self._sweep(target, drains, found, occupancy)
            self._notice(progress, found)
            return
        self._fence()
        for pod in steps.undrain:
            await drains.steer("undrain", pod)
        for pod in steps.restore:
            progress.cheap_since.pop(pod, None)
            await self._kube.set_deletion_cost(target.namespace, pod, None)
        for pod in steps.drain:
            await drains.steer("drain", pod)
        for pod in steps.cheapen:
            await self._kube.set_deletion_cost(target.namespace, pod, VICTIM_COST)
            progress.cheap_since[pod] = self._now()
        self._notice(progress, found)

    def _notice(self, progress: _Progress, found: list[Pod]) -> None:
        """A cost that another process wrote counts from the moment it is seen here."""
        names = {pod.name for pod in found}
        for pod in found:
            if pod.cost <= VICTIM_COST:
                progress.cheap_since.setdefault(pod.name, self._now())
        for gone in set(progress.cheap_since) - names:
            del progress.cheap_since[gone]

    async def _sweep(self, target: Target, drains: Drains, found: list[Pod], occupancy: Occupancy) -> None:
        """Take back the drains of pods that are gone."""
        ours = pods_of(target.name)
        for name in sorted(occupancy.drained - {pod.name for pod in found}):
            if ours.fullmatch(name):
                await drains.steer("undrain", name)


def pods_of(deployment: str) -> "re.Pattern[str]":
    """Names that Kubernetes gives to the pods of a Deployment."""
    return re.compile(rf"{re.escape(deployment)}-[a-z0-9]{{1,10}}-[a-z0-9]{{5}}")


def pod_in(manifest: Manifest) -> Pod:
    """A pod as the choice of victims sees it."""
    metadata, status = manifest["metadata"], manifest.get("status", {})
    owners = [one["uid"] for one in metadata.get("ownerReferences", ()) if one.get("controller")]
    conditions = {one["type"]: one["status"] for one in status.get("conditions", ())}
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


def _mixed(pods: list[Pod]) -> bool:
    return len({pod.owner for pod in pods if not pod.terminating}) > 1
