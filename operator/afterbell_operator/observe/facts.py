"""Everything a round reads, as one value: the Pool's spec, its target, the load, and the problems of its pods.

What the watches delivered is taken as it is. The API server is asked only before a Pool is declared blocked: a watch
may not have delivered the change yet, or may have missed it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import ValidationError

from afterbell_operator.decide.values import Observation, ScalingSpec
from afterbell_operator.kube import Kube, autoscaler_path, scale_path
from afterbell_operator.observe.observer import Observer
from afterbell_operator.observe.pod_problems import PodProblem, PodReader
from afterbell_operator.resources import Source, pool_path, spec_of
from afterbell_operator.watch_cache import Key, ScaleTarget, Stored, Tables, jobs_ever

# A target that exists but that no watch has delivered yet arrives within this time.
SOON_S: Final = 1.0
# A conflict whose end the watches missed lasts no longer than this.
BLOCKED_AGAIN_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Facts:
    """What one round knows about a Pool that can work. ``read_again_s``: when the pods should be read again."""

    spec: ScalingSpec
    source: Source
    target: ScaleTarget
    observer: Observer
    observation: Observation
    problems: tuple[PodProblem, ...] = ()
    read_again_s: float | None = None


@dataclass(frozen=True, slots=True)
class Blocked:
    """A Pool that cannot work as it is. ``by``: the object in its way, or what is wrong with the spec."""

    reason: Literal["InvalidSpec", "TargetMissing", "ConflictingAutoscaler", "ConflictingPool"]
    target: str = ""
    by: str = ""
    again_s: float | None = BLOCKED_AGAIN_S


@dataclass(frozen=True, slots=True)
class Pending:
    """Too early to say anything; None where an event will wake the next round."""

    again_s: float | None = None


class Reader:
    """Reads for rounds. ``wall`` gives Unix seconds; ``gone`` is called for Pools whose deletion was missed."""

    def __init__(
        self,
        tables: Tables,
        kube: Kube,
        pods: PodReader,
        observer_of: Callable[[Source, ScaleTarget], Observer],
        wall: Callable[[], float],
        gone: Callable[[Key], None],
    ) -> None:
        self._tables, self._kube, self._pods = tables, kube, pods
        self._observer_of, self._wall, self._gone = observer_of, wall, gone
        self._met: dict[Key, str] = {}

    async def read(self, pool: Stored) -> Facts | Blocked | Pending:
        """What a round needs to decide. Raises KubeRefused or KubeUnavailable."""
        try:
            spec, wish = spec_of({"spec": pool.spec})
        except (ValidationError, ValueError, KeyError) as error:
            return Blocked("InvalidSpec", by=_first_problem(error), again_s=None)
        blocked = await self._obstacle(pool)
        if blocked is not None:
            return blocked
        target = self._tables.targets.get(pool.target)
        if target is None:
            return Pending(SOON_S)
        observer = self._observer_of(wish.source, target)
        self._meet(pool, wish.source, observer)
        if observer.pending():
            return Pending()
        problems, read_again_s = await self._pods.problems(target)
        observation = Observation(round(self._wall(), 3), target.replicas, observer.reading())
        return Facts(
            spec=spec,
            source=wish.source,
            target=target,
            observer=observer,
            observation=observation,
            problems=problems,
            read_again_s=read_again_s,
        )

    async def has(self, pool: Key) -> bool:
        """Whether the Pool exists at this moment. Raises KubeRefused or KubeUnavailable."""
        return await self._kube.has(pool_path(*pool))

    def forget(self, pool: Key, target: Key) -> None:
        """The Pool is gone, or another operator looks after it."""
        self._met.pop(pool, None)
        self._pods.forget(target)

    def _meet(self, pool: Stored, source: Source, observer: Observer) -> None:
        """Once for each Pool: pass on what its status knew about the queue before this process began."""
        if self._met.get(pool.key) != pool.uid and source.backlog is not None:
            observer.expect(jobs_ever(pool.status, source.backlog.queue))
        self._met[pool.key] = pool.uid

    async def _obstacle(self, pool: Stored) -> Blocked | None:
        target, name = pool.target, pool.target[1]
        if target not in self._tables.targets and not await self._kube.has(scale_path(*target)):
            return Blocked("TargetMissing", name)
        while autoscaler := self._tables.autoscaler_of(target):
            if await self._kube.has(autoscaler_path(*autoscaler)):
                return Blocked("ConflictingAutoscaler", name, by=autoscaler[1])
            self._tables.autoscalers.pop(autoscaler, None)
        while older := self._tables.older_pool_of(pool.key, target):
            if await self.has(older):
                return Blocked("ConflictingPool", name, by=older[1])
            self._tables.drop(older)
            self._gone(older)
        return None


def _first_problem(error: Exception) -> str:
    if isinstance(error, ValidationError):
        problem = error.errors(include_input=False, include_url=False)[0]
        return f"spec.{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
    return f"the spec cannot be read: {type(error).__name__}"
