"""Why work waits: facts in, one cause and one sentence out, with what to do about it.

The order is the one in which the queue itself refuses a start: a pause before a hold before the limiter before workers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from afterbell.core.queue.stats import QueueLoad, pod_of

Cause = Literal[
    "nothing_waits",
    "queue_away",
    "not_enqueued",
    "parked",
    "paused",
    "told_to_wait",
    "model_away",
    "limiter",
    "poison",
    "worker_lost",
    "scaling",
    "drained",
    "no_slots",
    "starting",
    "budget",
    "not_due",
]


@dataclass(frozen=True, slots=True)
class ModelTrouble:
    """A model the fleet holds calls back from. ``trips`` of its breaker: 0 where the provider only asked to wait."""

    name: str
    trips: int
    wait_ms: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What may keep jobs of the queue from starting. Times are milliseconds; 0: nothing holds them.

    ``there`` counts the workers that hear the queue, ``idle`` those of them with a free slot; ``owners`` has an entry a
    running job; ``lost_most`` is the greatest number of workers that vanished with one running job.
    """

    load: QueueLoad
    held_ms: int = 0
    starts_max: int = 0
    starts_in_window: int = 0
    opens_in_ms: int = 0
    there: int = 0
    idle: int = 0
    owners: tuple[str, ...] = ()
    drained: frozenset[str] = frozenset()
    lost_most: int = 0
    models: tuple[ModelTrouble, ...] = ()


@dataclass(frozen=True, slots=True)
class WaitFacts:
    """``queue`` None: the queue's store does not answer. ``jobs`` counts the record's jobs by status; ``parked`` are
    those of them that the queue cannot take."""

    queue: Standing | None
    jobs: Mapping[str, int] = field(default_factory=dict)
    out_of_budget: int = 0
    parked: int = 0


@dataclass(frozen=True, slots=True)
class Why:
    """The cause, for programs, and the sentence, for people."""

    cause: Cause
    sentence: str


def why(facts: WaitFacts) -> Why:
    """The first thing that keeps the next job from starting."""
    waiting = sum(facts.jobs.get(status, 0) for status in ("queued", "deferred"))
    if facts.queue is None:
        text = f"Redis does not answer, so none of {_jobs(waiting)} can start. They are safe in PostgreSQL; fix Redis."
        return Why("queue_away", text)
    now = facts.queue
    if not now.load.waiting + now.load.due + now.load.overdue:
        return _outside_the_queue(waiting, facts.parked)
    for rule in _RULES:
        if (answer := rule(now)) is not None:
            return answer
    return _not_due(now, facts.out_of_budget)


def _outside_the_queue(waiting: int, parked: int) -> Why:
    if not waiting:
        return Why("nothing_waits", "No jobs are waiting.")
    if parked >= waiting:
        reason = "`afterbell jobs list --parked` and `afterbell jobs show JOB` say why"
        return Why(
            "parked", f"The queue cannot take {_jobs(parked)}: {reason}; they are tried again every ten minutes."
        )
    return Why("not_enqueued", f"The api has not enqueued {_jobs(waiting)} yet: its outbox does so within a minute.")


def _paused(now: Standing) -> Why | None:
    if not now.load.paused:
        return None
    who = "`afterbell queue audit` says who paused it and why, `afterbell queue resume` ends it"
    return Why("paused", f"The queue is paused, so none of {_all(now)} starts: {who}.")


def _held(now: Standing) -> Why | None:
    if now.held_ms <= 0:
        return None
    away = [model for model in now.models if model.trips]
    if away:
        names = ", ".join(model.name for model in away)
        next_call = f"next call in {_s(now.held_ms)}"
        text = f"The model {names} does not answer or rejects our calls: its breaker is open, {next_call}."
        return Why("model_away", text)
    names = ", ".join(model.name for model in now.models) or "the model"
    return Why("told_to_wait", f"The provider of {names} asked us to wait: starts resume in {_s(now.held_ms)}.")


def _limited(now: Standing) -> Why | None:
    if not now.load.waiting or now.opens_in_ms <= 0:
        return None
    text = f"The limiter allows {now.starts_max} starts per window, and {now.starts_in_window} have been used"
    return Why("limiter", f"{text}: the next of {_jobs(now.load.waiting)} starts in {_s(now.opens_in_ms)}.")


def _poisoned(now: Standing) -> Why | None:
    if not now.load.overdue:
        return None
    lost = _jobs(now.load.overdue)
    if now.lost_most:
        text = f"{lost} lost a worker again ({now.lost_most + 1} for one of them), so the job itself may kill workers"
        return Why("poison", f"{text}: it is given up after a few; see `afterbell jobs list --state running`.")
    if now.load.waiting:
        return None
    return Why("worker_lost", f"The worker of {lost} stopped responding: the next free worker takes over.")


def _without_workers(now: Standing) -> Why | None:
    if not now.load.waiting or now.there:
        return None
    text = f"No worker is running yet for {_jobs(now.load.waiting)}"
    return Why(
        "scaling", f"{text}: pods are being started; if none is ready within minutes, see `kubectl get pools,pods`."
    )


def _drained(now: Standing) -> Why | None:
    if not now.load.waiting or now.idle or not now.drained:
        return None
    if any(owner not in now.drained and pod_of(owner) not in now.drained for owner in now.owners):
        return None
    names = ", ".join(sorted(now.drained)[:5])
    return Why("drained", f"Every worker is drained ({names}): run `afterbell queue undrain`, or wait for new pods.")


def _busy(now: Standing) -> Why | None:
    if not now.load.waiting or now.idle or not now.load.active:
        return None
    text = f"All slots of {now.there} workers are taken by {_jobs(now.load.active)}"
    return Why("no_slots", f"{text}: {_jobs(now.load.waiting)} must wait for one to finish or for more pods.")


def _starting(now: Standing) -> Why | None:
    if not now.load.waiting:
        return None
    return Why("starting", f"A worker was notified and is starting {_jobs(now.load.waiting)}.")


_RULES: Final[tuple[Callable[[Standing], Why | None], ...]] = (
    _paused,
    _held,
    _limited,
    _poisoned,
    _without_workers,
    _drained,
    _busy,
    _starting,
)


def _not_due(now: Standing, out_of_budget: int) -> Why:
    if out_of_budget:
        text = f"The model budget is spent for {_jobs(out_of_budget)}: they are retried every 15 minutes"
        return Why("budget", f"{text}; raise the budget or wait for the next day.")
    text = f"The next attempt of {_jobs(now.load.due)} is not due yet, after a failure or a deferral"
    return Why("not_due", f"{text}: the first is due in {_s(now.load.next_due_in_ms or 0)}; promote them to start now.")


def _all(now: Standing) -> str:
    return _jobs(now.load.waiting + now.load.due + now.load.overdue)


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


def _s(milliseconds: int) -> str:
    return f"{max(milliseconds, 0) / 1000:.0f} s" if milliseconds >= 1000 else "less than 1 s"
