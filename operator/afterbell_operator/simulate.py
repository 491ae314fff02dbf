"""A day of jobs through the real decision and the real choice of victims, second by second, on a simulated clock."""

import math
import random
from collections import deque
from dataclasses import dataclass, field

from afterbell_operator.decide.decide import applied, decide
from afterbell_operator.decide.values import Backlog, Jobs, KnownLoad, Observation, ScalingHistory, ScalingSpec
from afterbell_operator.decide.victims import VICTIM_COST, Occupancy, Pod, steps_to

DAY_S = 24 * 3600
_RUNNING_FOR_S = (30.0, 60.0)


@dataclass(frozen=True, slots=True)
class SimulatedDay:
    """``jobs`` arrive at random over ``length_s``, most in the evening; a pod needs ``pod_start_s`` to start."""

    jobs: int
    length_s: int = DAY_S
    pod_start_s: float = 8.0
    steady: bool = False
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Moment:
    """One second: number of pods, jobs waiting, jobs running, and how long the oldest has waited."""

    pods: int
    waiting: int
    running: int
    oldest_s: float


@dataclass(slots=True)
class Course:
    """How the day went. ``removed`` counts pods that were removed, ``interrupted`` the jobs they were still running."""

    moments: list[Moment] = field(default_factory=list)
    waits_s: list[float] = field(default_factory=list)
    resizes: int = 0
    interrupted: int = 0
    removed: int = 0
    work_s: float = 0.0

    @property
    def pod_hours(self) -> float:
        """Hours of all pods together."""
        return sum(moment.pods for moment in self.moments) / 3600

    def wait_s(self, share: float) -> float:
        """The waiting time that this share of the jobs did not exceed."""
        ordered = sorted(self.waits_s)
        return ordered[min(math.ceil(share * len(ordered)), len(ordered)) - 1] if ordered else 0.0


@dataclass(slots=True)
class _Worker:
    pod: Pod
    ready_at: float
    ends: list[float] = field(default_factory=list)
    drained: bool = False
    cheap_at: float | None = None


class Simulation:
    """``spec`` for one ``day``. Raises ValueError for a spec that follows sockets."""

    def __init__(self, spec: ScalingSpec, day: SimulatedDay) -> None:
        if not isinstance(spec.follows, Jobs):
            raise ValueError("only Pools of jobs can be simulated, and this one follows sockets")
        self._spec, self._day, self._jobs_per_pod = spec, day, spec.follows.per_pod
        self._random = random.Random(day.seed)  # noqa: S311  # a simulation, repeatable by its seed
        self._workers: list[_Worker] = []
        self._waiting: deque[float] = deque()
        self._asked, self._made = 0, 0
        self._history = ScalingHistory()
        self.course = Course()

    def run(self) -> Course:
        """Every second of the day, and on until the last job ended."""
        arrivals = deque(sorted(self._arrivals()))
        now = 0
        while now < self._day.length_s or arrivals or self._waiting or any(worker.ends for worker in self._workers):
            while arrivals and arrivals[0] <= now:
                self._waiting.append(arrivals.popleft())
            self._work(now)
            self._scale(now)
            running = sum(len(worker.ends) for worker in self._workers)
            oldest_s = now - self._waiting[0] if self._waiting else 0.0
            self.course.moments.append(Moment(len(self._workers), len(self._waiting), running, oldest_s))
            now += 1
        return self.course

    def _arrivals(self) -> list[float]:
        length_s = self._day.length_s
        if self._day.steady:
            return [self._random.uniform(0, length_s) for _ in range(self._day.jobs)]
        # Two thirds arrive around seven in the evening, when lessons end; the others over the day.
        in_evening = 2 * self._day.jobs // 3
        evening = (min(max(self._random.gauss(19 / 24, 1.2 / 24), 0), 1) for _ in range(in_evening))
        rest = (self._random.uniform(8 / 24, 22 / 24) for _ in range(self._day.jobs - in_evening))
        return [share * length_s for share in (*evening, *rest)]

    def _work(self, now: float) -> None:
        for worker in self._workers:
            worker.ends = [end for end in worker.ends if end > now]
            free = 0 if worker.drained or worker.ready_at > now else self._jobs_per_pod - len(worker.ends)
            for _ in range(min(free, len(self._waiting))):
                runs_s = self._random.uniform(*_RUNNING_FOR_S)
                worker.ends.append(now + runs_s)
                self.course.work_s += runs_s
                self.course.waits_s.append(now - self._waiting.popleft())

    def _scale(self, now: float) -> None:
        oldest_s = now - self._waiting[0] if self._waiting else 0.0
        running = sum(len(worker.ends) for worker in self._workers)
        backlog = Backlog(waiting=len(self._waiting), running=running, oldest_s=oldest_s)
        decision = decide(Observation(now, self._asked, KnownLoad(backlog)), self._spec, self._history)
        self._history = decision.history
        occupancy = Occupancy(
            {worker.pod.name: len(worker.ends) for worker in self._workers},
            frozenset(worker.pod.name for worker in self._workers if worker.drained),
        )
        settled = {
            worker.pod.name for worker in self._workers if worker.cheap_at is not None and now - worker.cheap_at >= 2
        }
        steps = steps_to(decision.replicas, self._asked, [worker.pod for worker in self._workers], occupancy, settled)
        for worker in self._workers:
            self._prepare(worker, steps.drain, steps.undrain, steps.cheapen, now)
        if steps.replicas is not None:
            self.course.resizes += 1
            self._history = applied(decision, decision.replicas - (steps.replicas - self._asked), now)
            self._asked = steps.replicas
        self._follow(now)

    def _prepare(
        self, worker: _Worker, drain: tuple[str, ...], undrain: tuple[str, ...], cheapen: tuple[str, ...], now: float
    ) -> None:
        name = worker.pod.name
        if name in drain:
            worker.drained = True
        if name in undrain:
            worker.drained, worker.cheap_at = False, None
            worker.pod = Pod(name, created_s=worker.pod.created_s)
        if name in cheapen:
            worker.cheap_at, worker.pod = now, Pod(name, cost=VICTIM_COST, created_s=worker.pod.created_s)

    def _follow(self, now: float) -> None:
        """What Kubernetes does with the number: create pods, or remove those it ranks first, the newest of equals."""
        while len(self._workers) < self._asked:
            self._made += 1
            self._workers.append(_Worker(Pod(f"pod-{self._made}", created_s=now), now + self._day.pod_start_s))
        surplus = len(self._workers) - self._asked
        for worker in sorted(self._workers, key=lambda worker: (worker.pod.rank, -worker.pod.created_s))[:surplus]:
            self.course.removed += 1
            self.course.interrupted += len(worker.ends)
            self._workers.remove(worker)
