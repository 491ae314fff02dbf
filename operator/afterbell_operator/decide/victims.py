"""Which pods are removed, and when it is safe to remove them: pure.

Kubernetes chooses the pods that a smaller ``replicas`` removes. Of its order (unassigned before assigned, pending
before running, not ready before ready, lower deletion cost before higher, ``ActivePodsWithRanks``) we control only
the cost, and it is a hint. So the number is lowered only when every pod that Kubernetes could choose is drained and
has no job.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Final

VICTIM_COST: Final = -1000
"""The deletion cost of a drained pod; every other pod has 0 unless its owner says otherwise."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of the target. ``owner`` is its ReplicaSet; ``cost`` its ``controller.kubernetes.io/pod-deletion-cost``."""

    name: str
    owner: str = ""
    assigned: bool = True
    running: bool = True
    ready: bool = True
    cost: int = 0
    terminating: bool = False
    created_s: float = 0.0

    @property
    def rank(self) -> tuple[bool, bool, bool, int]:
        """Where Kubernetes ranks it among the pods to remove; lower goes first."""
        return (self.assigned, self.running, self.ready, self.cost)


@dataclass(frozen=True, slots=True)
class Occupancy:
    """Jobs (or sockets) by pod, and the pods that take no more; read after the pods were listed.

    ``empty``: pods whose process does not run yet, so it cannot be asked to drain; sockets that they get later
    reconnect by themselves.
    """

    jobs: Mapping[str, int] = field(default_factory=dict)
    drained: Set[str] = frozenset()
    empty: Set[str] = frozenset()

    def spent(self, pod: str) -> bool:
        """Drained and without a job: removing it loses nothing, now or later."""
        return pod in self.empty or (pod in self.drained and not self.jobs.get(pod, 0))


@dataclass(frozen=True, slots=True)
class Steps:
    """What to do now on the way to the wanted number; ``waits_for`` names the pods whose jobs must end first.

    ``hold`` are pods that are already drained and stay so.
    """

    drain: tuple[str, ...] = ()
    hold: tuple[str, ...] = ()
    undrain: tuple[str, ...] = ()
    cheapen: tuple[str, ...] = ()
    restore: tuple[str, ...] = ()
    replicas: int | None = None
    waits_for: tuple[str, ...] = ()


def victims(pods: Sequence[Pod], occupancy: Occupancy, count: int) -> tuple[Pod, ...]:
    """The ``count`` pods to remove: those Kubernetes would take first, then the drained, the idle, the least busy."""

    def price(pod: Pod) -> tuple[object, ...]:
        return (
            pod.rank[:3],
            pod.name not in occupancy.drained,
            occupancy.jobs.get(pod.name, 0),
            -pod.created_s,
            pod.name,
        )

    return tuple(sorted(_present(pods), key=price)[: max(count, 0)])


def could_go(pods: Sequence[Pod], count: int) -> frozenset[str]:
    """Every pod that Kubernetes could choose when it removes ``count``: all that rank no later than the last one."""
    ranked = sorted(_present(pods), key=lambda pod: pod.rank)
    if count <= 0 or not ranked:
        return frozenset()
    last = ranked[min(count, len(ranked)) - 1].rank
    return frozenset(pod.name for pod in ranked if pod.rank <= last)


def removable(pods: Sequence[Pod], occupancy: Occupancy, count: int) -> int:
    """The most pods, up to ``count``, that can be removed now without touching a job, whichever are chosen."""
    spent = {pod.name for pod in pods if occupancy.spent(pod.name)}
    return max((n for n in range(1, count + 1) if could_go(pods, n) <= spent), default=0)


def steps_to(
    wanted: int, asked: int, pods: Sequence[Pod], occupancy: Occupancy, settled: Set[str] = frozenset()
) -> Steps:
    """What brings a target from ``asked`` replicas towards ``wanted``.

    ``settled`` names the pods whose low cost was written long enough ago for Kubernetes to have read it. While pods of
    two ReplicaSets exist, a rollout is under way: costs are not comparable between them, so no pod is removed.
    """
    present = _present(pods)
    rolling = len({pod.owner for pod in present}) > 1
    surplus = 0 if rolling else max(len(present) - wanted, 0)
    chosen = victims(present, occupancy, surplus)
    spent = [pod for pod in chosen if occupancy.spent(pod.name)]
    return Steps(
        drain=tuple(pod.name for pod in chosen if pod.name not in occupancy.drained | occupancy.empty),
        hold=tuple(pod.name for pod in chosen if pod.name in occupancy.drained),
        undrain=tuple(pod.name for pod in present if pod.name in occupancy.drained and pod not in chosen),
        cheapen=tuple(pod.name for pod in spent if pod.cost > VICTIM_COST),
        restore=tuple(pod.name for pod in present if pod.cost == VICTIM_COST and pod not in chosen),
        replicas=_replicas(wanted, asked, present, occupancy, settled, rolling=rolling),
        waits_for=tuple(pod.name for pod in chosen if occupancy.jobs.get(pod.name, 0)),
    )


def _replicas(
    wanted: int, asked: int, present: Sequence[Pod], occupancy: Occupancy, settled: Set[str], *, rolling: bool
) -> int | None:
    if wanted > asked:
        return wanted
    if wanted == asked or rolling:
        return None
    ready = Occupancy(occupancy.jobs, occupancy.drained & settled, occupancy.empty)
    # Pods that were asked for but do not exist yet cost nothing to cancel.
    lowest = len(present) - removable(present, ready, len(present) - wanted)
    return max(lowest, wanted) if max(lowest, wanted) < asked else None


def _present(pods: Sequence[Pod]) -> list[Pod]:
    return [pod for pod in pods if not pod.terminating]
