"""Scale-ins on the real cluster: real pods, whose jobs are held by this process under the pods' names.

A pod that goes because the number was lowered must hold no job at that moment. Pods that a rollout replaces finish what
they run in their grace period, as workers do; none of them counts, and none may go by a lowered number meanwhile.
"""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.queue_site import job
from benchmarks.scaling_site import DEPLOYMENTS, Site, create, deployment, pool
from tests.support.kube import kube_of

from afterbell.adapters.queue.redis_queue import Ended, Grant, Queue
from afterbell.core.queue.outcomes import Done
from afterbell_operator.kube import Kube

POD_SLOTS: Final = 2
PODS: Final = 8
STEP_S: Final = 0.1
HASH: Final = "pod-template-hash"


@dataclass(slots=True)
class ScaleIns:
    """``count`` pods went by a lowered number; ``interrupted`` jobs were theirs; jobs started more than once."""

    count: int = 0
    interrupted: int = 0
    replaced: int = 0
    starts: Counter[str] = field(default_factory=Counter)

    @property
    def doubled(self) -> int:
        """Jobs that started more than once."""
        return sum(1 for starts in self.starts.values() if starts > 1)


@dataclass(slots=True)
class _Fleet:
    """The pods of one Deployment as workers."""

    kube: Kube
    namespace: str
    name: str
    queue: Queue
    counts: ScaleIns
    chance: random.Random
    running: dict[str, list[tuple[float, Grant]]] = field(default_factory=dict)
    template: dict[str, str] = field(default_factory=dict)
    leaving: set[str] = field(default_factory=set)

    async def step(self) -> int:
        """One look at the pods, and what workers do; the pods there are."""
        pods = await self.kube.pods(self.namespace, f"app={self.name}")
        newest = max(
            (manifest["metadata"] for manifest in pods),
            key=lambda metadata: metadata["creationTimestamp"],
            default=None,
        )
        names = {manifest["metadata"]["name"] for manifest in pods}
        for manifest in pods:
            self.template[manifest["metadata"]["name"]] = manifest["metadata"]["labels"][HASH]
            if "deletionTimestamp" in manifest["metadata"]:
                self._leaves(manifest["metadata"]["name"], newest["labels"][HASH] if newest else "")
        for gone in self.template.keys() - names - self.leaving:
            self._leaves(gone, newest["labels"][HASH] if newest else self.template[gone])
        up = {manifest["metadata"]["name"] for manifest in pods if manifest["status"].get("phase") == "Running"}
        for pod in sorted(up | self.running.keys()):  # whoever leaves finishes first
            await self._work(pod)
        return len(names - self.leaving)

    def _leaves(self, pod: str, newest: str) -> None:
        if pod in self.leaving:
            return
        self.leaving.add(pod)
        if self.template[pod] != newest:
            self.counts.replaced += 1
            return
        self.counts.count += 1
        self.counts.interrupted += sum(1 for end, _ in self.running.get(pod, []) if end > time.monotonic())

    async def _work(self, pod: str) -> None:
        held, now = self.running.setdefault(pod, []), time.monotonic()
        ended = [Ended(grant, Done()) for end, grant in held if end <= now]
        self.running[pod] = held = [entry for entry in held if entry[0] > now]
        free = 0 if pod in self.leaving else POD_SLOTS - len(held)
        if not ended and not free:
            return
        taken = await self.queue.poll(f"{pod}-0a1b2c3d", free, [grant for _, grant in held], ended)
        for grant in taken.grants:
            self.counts.starts[grant.job_id] += 1
            held.append((now + self.chance.uniform(0.3, 4.0), grant))


async def scale_ins(site: Site, namespace: str, wanted: int, seed: int = 1) -> ScaleIns:
    """Waves of jobs over two Deployments until ``wanted`` pods went by a lowered number; each fourth wave a rollout."""
    counts = ScaleIns()
    async with kube_of(site.cluster) as kube, asyncio.TaskGroup() as group:
        for number in range(2):
            group.create_task(_waves(site, kube, namespace, f"fleet-{number}", wanted // 2, counts, seed + number))
    return counts


async def _waves(site: Site, kube: Kube, namespace: str, name: str, wanted: int, counts: ScaleIns, seed: int) -> None:
    followed = f"{namespace}-{name}"
    source = {"backlog": {"queue": followed, "jobsPerPod": POD_SLOTS}}
    await create(kube, namespace, [deployment(name, pods={}), pool(name, followed, source=source, maxReplicas=PODS)])
    chance, own = random.Random(seed), ScaleIns(starts=counts.starts)  # repeatable
    async with site.queue(followed) as queue:
        fleet = _Fleet(kube, namespace, name, queue, own, chance)
        wave = 0
        while own.count < wanted:
            await queue.enqueue([job(f"{name}-{wave}-{n}") for n in range(chance.randint(4, 2 * PODS))])
            if wave % 4 == 3:
                await _roll(kube, namespace, name, wave)
            await _until_quiet(fleet, chance)
            wave += 1
    counts.count += own.count
    counts.interrupted += own.interrupted
    counts.replaced += own.replaced


async def _until_quiet(fleet: _Fleet, chance: random.Random) -> None:
    """Until few pods are left: sometimes none, sometimes some that work."""
    left, deadline = chance.choice((0, 0, 1, 2)), time.monotonic() + 60
    await _steps(fleet, 3.0)
    while await fleet.step() > left and time.monotonic() < deadline:
        await asyncio.sleep(STEP_S)


async def _steps(fleet: _Fleet, seconds: float) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        await fleet.step()
        await asyncio.sleep(STEP_S)


async def _roll(kube: Kube, namespace: str, name: str, wave: int) -> None:
    change: dict[str, Any] = {"spec": {"template": {"metadata": {"annotations": {"wave": str(wave)}}}}}
    await kube.call("PATCH", f"{DEPLOYMENTS.format(namespace)}/{name}", change)
