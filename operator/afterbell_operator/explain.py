"""Say why: a record for every decision that changes something, an Event and ten lines of status for every resize.

Nothing is written that says what is written already: an idle Pool costs no request.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from afterbell_operator import metrics
from afterbell_operator.act import Target
from afterbell_operator.conditions import WITHIN_RANGE, Able, Aspect, aspects_of, conditions, stamp, words_of
from afterbell_operator.kube import MANAGER, Kube, KubeRefused, KubeUnavailable
from afterbell_operator.model import Backlog, Connections, Decision, History, Observation, Spec
from afterbell_operator.records import history_as_json, record
from afterbell_operator.resources import DECISIONS_KEPT, GROUP, VERSION, Source, pool_path
from afterbell_operator.tables import Key, Stored

# While nothing but the number of jobs changes, the status follows it this often.
QUIET_S: Final = 5.0
# While nothing but words change. Rarer: the words of an outage change by the second, for every Pool at once.
REWORDED_S: Final = 30.0

log = structlog.get_logger(__name__)
Json = dict[str, Any]


@dataclass(slots=True)
class _Told:
    """What was said last about a Pool."""

    status: Json | None = None
    at_s: float = 0.0
    answer: tuple[int, int, str] | None = None


@dataclass(slots=True)
class Explainer:
    """Writes status and Events; hands records to ``sink``, one line each."""

    kube: Kube
    sink: Callable[[str], None]
    wall: Callable[[], float]
    _told: dict[Key, _Told] = field(default_factory=dict)

    def decided(self, key: Key, seen: Observation, spec: Spec, history: History, decision: Decision) -> None:
        """Measure it; record it where the answer is another one than the last."""
        scaler = "/".join(key)
        _measure(scaler, seen, spec, decision)
        told = self._told.setdefault(key, _Told())
        answer = (seen.replicas, decision.replicas, decision.reason)
        if answer != told.answer:
            if decision.reason != WITHIN_RANGE and (told.answer is None or told.answer[2] != decision.reason):
                metrics.DECISION_BLOCKED.labels(decision.reason).inc()
            told.answer = answer
            self.sink(record(scaler, seen, spec, history, decision))

    async def status(
        self,
        pool: Stored,
        seen: Observation,
        decision: Decision,
        able: Able,
        history: History,
        target: Target,
        written: int | None,
        source: Source,
    ) -> float | None:
        """Bring the status up to date, and tell a resize as an Event. Seconds until what was left out may be told."""
        resized = written is not None and written != seen.replicas
        if resized and written is not None:
            metrics.SCALE_EVENTS.labels("up" if written > seen.replicas else "down", decision.reason).inc()
            await self._event(pool, seen.replicas, written, decision)
        now_replicas = seen.replicas if written is None else written
        follows = "Connections" if source.connections is not None else "Backlog"
        status = self._base(pool, aspects_of(seen, decision, able, follows=follows))
        status |= {
            "currentReplicas": now_replicas,
            "desiredReplicas": decision.replicas,
            "readyReplicas": target.ready,
            "reason": decision.reason,
            "message": decision.sentence[:1024],
            "history": json.dumps(history_as_json(history), separators=(",", ":")),
        }
        if seen.backlog is not None and source.backlog is not None:
            status["backlog"] = self._backlog(pool, source.backlog.queue, seen.backlog, trusted=seen.trusted)
        if seen.connections is not None:
            status["connections"] = _connections(seen.connections)
        if resized:
            status["lastScaleTime"] = stamp(_time(self.wall()))
            status["decisions"] = self._decisions(pool, seen, now_replicas, decision)
        return await self._write(pool, status, at_once=resized)

    def forget(self, key: Key) -> None:
        """The Pool was deleted; another one of its name has nothing said about it."""
        self._told.pop(key, None)

    async def broken(self, pool: Stored, aspects: Sequence[Aspect]) -> None:
        """A Pool that cannot work as it is."""
        status = self._base(pool, aspects)
        status |= {"reason": aspects[0].reason, "message": aspects[0].message}
        await self._write(pool, status, at_once=True)

    def _backlog(self, pool: Stored, queue: str, backlog: Backlog, *, trusted: bool) -> Json:
        ever = backlog.ever if trusted else jobs_ever(self._before(pool), queue)
        return {"queue": queue, "jobsEver": ever, "running": backlog.running, "waiting": backlog.waiting,
                "due": backlog.due, "oldestWaitingSeconds": int(backlog.oldest_s),
                "summary": f"{backlog.running}+{backlog.waiting}+{backlog.due}"}  # fmt: skip

    def _base(self, pool: Stored, aspects: Sequence[Aspect]) -> Json:
        before = self._before(pool).get("conditions", [])
        stored = conditions(aspects, before, pool.generation, _time(self.wall()))
        return {"observedGeneration": pool.generation, "conditions": stored}

    def _before(self, pool: Stored) -> Json:
        told = self._told.get(pool.key)
        return pool.status if told is None or told.status is None else told.status

    def _decisions(self, pool: Stored, seen: Observation, replicas: int, decision: Decision) -> list[Json]:
        newest = {"time": stamp(_time(seen.at_s)), "fromReplicas": seen.replicas, "toReplicas": replicas,
                  "reason": decision.reason, "message": decision.sentence[:512]}  # fmt: skip
        return [newest, *self._before(pool).get("decisions", [])][:DECISIONS_KEPT]

    async def _write(self, pool: Stored, status: Json, *, at_once: bool) -> float | None:
        told = self._told.setdefault(pool.key, _Told())
        before = self._before(pool)
        merged = {**before, **status}
        if _essence(merged) == _essence(before) and not at_once:
            pause_s = _pause_s(before, merged)
            if pause_s is None:
                return None
            left_s = told.at_s + pause_s - self.wall()
            if left_s > 0:
                return min(left_s, pause_s)
        if merged == before:
            return None
        await self.kube.patch_status(pool_path(*pool.key), status)
        told.status, told.at_s = merged, self.wall()
        return None

    async def _event(self, pool: Stored, before: int, after: int, decision: Decision) -> None:
        (namespace, name), now = pool.key, _time(self.wall())
        body = {
            "metadata": {"generateName": f"{name}-", "namespace": namespace},
            "regarding": {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Pool", "name": name,
                          "namespace": namespace, "uid": pool.uid},
            "type": "Normal",
            "reason": "SuccessfulRescale",
            "action": "Scale",
            "note": f"{before} to {after} replicas: {decision.sentence}"[:1000],
            "reportingController": f"{GROUP}/{MANAGER}",
            "reportingInstance": MANAGER,
            "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }  # fmt: skip
        try:
            await self.kube.create(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events", body)
        except (KubeRefused, KubeUnavailable) as error:
            log.warning("event_untold", error=str(error))


def _measure(scaler: str, seen: Observation, spec: Spec, decision: Decision) -> None:
    metrics.DESIRED.labels(scaler).set(decision.replicas)
    metrics.CURRENT.labels(scaler).set(seen.replicas)
    metrics.MIN.labels(scaler).set(spec.min_replicas)
    metrics.MAX.labels(scaler).set(spec.max_replicas)
    metrics.BACKLOG_KNOWN.labels(scaler).set(seen.load is not None and seen.trusted)
    if seen.backlog is not None:
        metrics.JOBS.labels(scaler).set(seen.backlog.demand)
    if seen.connections is not None:
        metrics.SOCKETS.labels(scaler).set(seen.connections.sockets)


def _connections(seen: Connections) -> Json:
    return {"sockets": seen.sockets, "pods": seen.pods, "draining": seen.draining, "podTakes": seen.cap}


def _essence(status: Json) -> Json:
    """What is worth a write at once: everything but the jobs of the moment and the words that count them."""
    kept = {name: status.get(name) for name in ("observedGeneration", "currentReplicas", "desiredReplicas",
                                                "readyReplicas", "reason")}  # fmt: skip
    kept["conditions"] = [(one["type"], one["status"], one["reason"]) for one in status.get("conditions", [])]
    return kept


def _pause_s(before: Json, after: Json) -> float | None:
    """How long after the last write the rest is told; None where it is only time that went by."""
    if any(after.get(load) != before.get(load) for load in ("backlog", "connections")):
        return QUIET_S
    return REWORDED_S if words_of(after.get("conditions", ())) != words_of(before.get("conditions", ())) else None


def jobs_ever(status: Json, queue: str) -> int:
    """Jobs this queue is known to have had, by a Pool's status; 0 where it says nothing."""
    backlog = status.get("backlog") or {}
    return int(backlog.get("jobsEver", 0)) if backlog.get("queue") == queue else 0


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
