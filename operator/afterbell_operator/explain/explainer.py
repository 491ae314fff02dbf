"""Explain the outcome of a round: metrics, a record of every decision that changes something, an Event for every
resize, and the status with the last ten resizes.

Nothing is written twice: an idle Pool costs no request.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from afterbell_operator import metrics
from afterbell_operator.decide.decide import WITHIN_RANGE
from afterbell_operator.decide.values import Backlog, Connections, KnownLoad, Load, UnknownLoad, UntrustedLoad
from afterbell_operator.explain.conditions import Aspect, aspects_of, blocked_aspects, conditions, stamp, words_of
from afterbell_operator.explain.outcome import Decided, Outcome
from afterbell_operator.explain.records import history_as_json, record
from afterbell_operator.explain.sentences import problems_sentence, sentence_of
from afterbell_operator.kube import MANAGER, Kube, KubeRefused, KubeUnavailable
from afterbell_operator.resources import DECISIONS_KEPT, GROUP, VERSION, pool_path
from afterbell_operator.watch_cache import Key, Stored, jobs_ever

# How often the status is written while only the number of jobs changes.
QUIET_S: Final = 5.0
# While only messages change. Rarer: during an outage they change every second, for every Pool at once.
REWORDED_S: Final = 30.0

log = structlog.get_logger(__name__)
Json = dict[str, Any]


@dataclass(slots=True)
class _Explained:
    """What was last written about a Pool: its status, and the decision as recorded."""

    status: Json | None = None
    at_s: float = 0.0
    answer: tuple[int, int, str] | None = None


@dataclass(slots=True)
class Explainer:
    """Writes status and Events; hands records to ``sink``, one line each. ``wall`` gives Unix seconds."""

    kube: Kube
    sink: Callable[[str], None]
    wall: Callable[[], float]
    _explained: dict[Key, _Explained] = field(default_factory=dict)

    async def explain(self, pool: Stored, outcome: Outcome) -> float | None:
        """Measure, record and write the outcome of a round. Returns the seconds until what was left out may be written.

        Raises KubeRefused or KubeUnavailable where the status cannot be written.
        """
        if not isinstance(outcome, Decided):
            return await self._write(pool, self._blocked(pool, blocked_aspects(pool.key, outcome)), at_once=True)
        _measure("/".join(pool.key), outcome)
        self._record(pool.key, outcome)
        if outcome.resized:
            await self._event(pool, outcome)
        return await self._write(pool, self._status(pool, outcome), at_once=outcome.resized)

    def forget(self, key: Key) -> None:
        """Forget a deleted Pool: nothing has been said yet about a new one of the same name."""
        self._explained.pop(key, None)

    def _record(self, key: Key, decided: Decided) -> None:
        """Write a record if the decision differs from the last."""
        facts, decision = decided.facts, decided.decision
        last = self._explained.setdefault(key, _Explained())
        answer = (facts.observation.replicas, decision.replicas, decision.reason)
        if answer == last.answer:
            return
        if decision.reason != WITHIN_RANGE and (last.answer is None or last.answer[2] != decision.reason):
            metrics.DECISION_BLOCKED.labels(decision.reason).inc()
        last.answer = answer
        self.sink(record("/".join(key), facts.observation, facts.spec, decided.history, decision))

    def _blocked(self, pool: Stored, aspects: Sequence[Aspect]) -> Json:
        return self._base(pool, aspects) | {"reason": aspects[0].reason, "message": aspects[0].message}

    def _status(self, pool: Stored, decided: Decided) -> Json:
        facts, decision = decided.facts, decided.decision
        status = self._base(pool, aspects_of(decided)) | {
            "currentReplicas": decided.replicas,
            "desiredReplicas": decision.replicas,
            "readyReplicas": facts.target.ready,
            "reason": decision.reason,
            "message": _message(decided)[:1024],
            "history": json.dumps(history_as_json(decided.next_history), separators=(",", ":")),
        }
        if not isinstance(facts.observation.reading, UnknownLoad):
            status |= self._load(pool, decided, facts.observation.reading.load)
        if decided.resized:
            status["lastScaleTime"] = stamp(_time(self.wall()))
            status["decisions"] = self._decisions(pool, decided)
        return status

    def _load(self, pool: Stored, decided: Decided, load: Load) -> Json:
        match load:
            case Backlog():
                return {"backlog": self._backlog(pool, decided, load)}
            case Connections():
                words = {"sockets": load.sockets, "pods": load.pods, "draining": load.draining, "podTakes": load.cap}
                return {"connections": words}

    def _backlog(self, pool: Stored, decided: Decided, backlog: Backlog) -> Json:
        source = decided.facts.source.backlog
        queue = "" if source is None else source.queue
        # The counts of a Redis that lost its data must not overwrite the number that proves the loss.
        lost = isinstance(decided.facts.observation.reading, UntrustedLoad)
        return {
            "queue": queue,
            "jobsEver": jobs_ever(self._before(pool), queue) if lost else backlog.ever,
            "running": backlog.running,
            "waiting": backlog.waiting,
            "due": backlog.due,
            "oldestWaitingSeconds": int(backlog.oldest_s),
            "summary": f"{backlog.running}+{backlog.waiting}+{backlog.due}",
        }

    def _base(self, pool: Stored, aspects: Sequence[Aspect]) -> Json:
        before = self._before(pool).get("conditions", [])
        stored = conditions(aspects, before, pool.generation, _time(self.wall()))
        return {"observedGeneration": pool.generation, "conditions": stored}

    def _before(self, pool: Stored) -> Json:
        last = self._explained.get(pool.key)
        return pool.status if last is None or last.status is None else last.status

    def _decisions(self, pool: Stored, decided: Decided) -> list[Json]:
        facts, decision = decided.facts, decided.decision
        newest = {
            "time": stamp(_time(facts.observation.at_s)),
            "fromReplicas": facts.observation.replicas,
            "toReplicas": decided.replicas,
            "reason": decision.reason,
            "message": sentence_of(facts.observation, facts.spec, decision)[:512],
        }
        return [newest, *self._before(pool).get("decisions", [])][:DECISIONS_KEPT]

    async def _write(self, pool: Stored, status: Json, *, at_once: bool) -> float | None:
        last = self._explained.setdefault(pool.key, _Explained())
        before = self._before(pool)
        merged = {**before, **status}
        if _essence(merged) == _essence(before) and not at_once:
            pause_s = _pause_s(before, merged)
            if pause_s is None:
                return None
            left_s = last.at_s + pause_s - self.wall()
            if left_s > 0:
                return min(left_s, pause_s)
        if merged == before:
            return None
        await self.kube.patch_status(pool_path(*pool.key), status)
        last.status, last.at_s = merged, self.wall()
        return None

    async def _event(self, pool: Stored, decided: Decided) -> None:
        (namespace, name), now, before = pool.key, _time(self.wall()), decided.facts.observation.replicas
        sentence = sentence_of(decided.facts.observation, decided.facts.spec, decided.decision)
        body = {
            "metadata": {"generateName": f"{name}-", "namespace": namespace},
            "regarding": {
                "apiVersion": f"{GROUP}/{VERSION}",
                "kind": "Pool",
                "name": name,
                "namespace": namespace,
                "uid": pool.uid,
            },
            "type": "Normal",
            "reason": "SuccessfulRescale",
            "action": "Scale",
            "note": f"{before} to {decided.replicas} replicas: {sentence}"[:1000],
            "reportingController": f"{GROUP}/{MANAGER}",
            "reportingInstance": MANAGER,
            "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
        try:
            await self.kube.create(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events", body)
        except (KubeRefused, KubeUnavailable) as error:
            log.warning("event_not_created", error=str(error))


def _measure(scaler: str, decided: Decided) -> None:
    facts, decision = decided.facts, decided.decision
    metrics.BACKLOG_AGE.labels(scaler).set_function(facts.observer.age_s)
    metrics.READY.labels(scaler).set(facts.target.ready)
    metrics.DESIRED.labels(scaler).set(decision.replicas)
    metrics.CURRENT.labels(scaler).set(facts.observation.replicas)
    metrics.MIN.labels(scaler).set(facts.spec.min_replicas)
    metrics.MAX.labels(scaler).set(facts.spec.max_replicas)
    metrics.BACKLOG_KNOWN.labels(scaler).set(isinstance(facts.observation.reading, KnownLoad))
    if not isinstance(facts.observation.reading, UnknownLoad):
        gauge = metrics.JOBS if decided.follows == "Backlog" else metrics.SOCKETS
        gauge.labels(scaler).set(facts.observation.reading.load.demand)
    if decided.resized:
        direction = "up" if decided.replicas > facts.observation.replicas else "down"
        metrics.SCALE_EVENTS.labels(direction, decision.reason).inc()


def _message(decided: Decided) -> str:
    """Why this number and, if pods are missing, what keeps them from running."""
    sentence = sentence_of(decided.facts.observation, decided.facts.spec, decided.decision)
    problems = decided.facts.problems
    return f"{sentence}; {problems_sentence(problems)}" if problems else sentence


def _essence(status: Json) -> Json:
    """What is worth writing at once: everything except the current job counts and the messages that contain them."""
    kept = {
        name: status.get(name)
        for name in ("observedGeneration", "currentReplicas", "desiredReplicas", "readyReplicas", "reason")
    }
    kept["conditions"] = [
        (condition["type"], condition["status"], condition["reason"]) for condition in status.get("conditions", [])
    ]
    return kept


def _pause_s(before: Json, after: Json) -> float | None:
    """How long after the last write the rest is written; None if nothing but time has passed."""
    if any(_counts(after, load) != _counts(before, load) for load in ("backlog", "connections")):
        return QUIET_S
    return REWORDED_S if words_of(after.get("conditions", ())) != words_of(before.get("conditions", ())) else None


def _counts(status: Json, load: str) -> Json:
    """Without the age of the oldest job, which grows by itself."""
    return {name: value for name, value in (status.get(load) or {}).items() if name != "oldestWaitingSeconds"}


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
