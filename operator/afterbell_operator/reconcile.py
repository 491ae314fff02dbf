"""One round of one Pool, from top to bottom: read, decide, act, explain.

Level-based: whatever woke it, a round reads the current state and acts on it. Rounds of one Pool never overlap.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import structlog

from afterbell_operator import metrics
from afterbell_operator.act.actor import Actor, Fenced, ScaleAttempt
from afterbell_operator.decide.decide import applied, decide
from afterbell_operator.decide.values import Decision, Observation, Sample, ScalingHistory
from afterbell_operator.explain.explainer import Explainer
from afterbell_operator.explain.outcome import Decided, Outcome
from afterbell_operator.explain.records import history_from
from afterbell_operator.kube import KubeRefused, KubeUnavailable
from afterbell_operator.observe.facts import Blocked, Facts, Pending, Reader
from afterbell_operator.watch_cache import Key, Stored, Tables

RETRY_S: Final = 1.0

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Memory:
    """What is remembered of a Pool between its rounds. Another Pool of the same name has another ``uid``."""

    uid: str
    target: Key
    history: ScalingHistory | None = None


@dataclass(slots=True)
class Reconciler:
    """Rounds for the Pools in ``tables`` that are ours. ``leading`` gates everything that writes.

    ``operator_name``: a Pool that names another operator is that one's, and only in the way of ours.
    """

    operator_name: str
    tables: Tables
    reader: Reader
    actor: Actor
    explainer: Explainer
    leading: Callable[[], bool]
    _memories: dict[Key, _Memory] = field(default_factory=dict)

    async def reconcile(self, key: Key) -> float | None:
        """One round. Returns the seconds until the next, None if only an event starts one. Never raises."""
        result, again_s = "ok", None
        try:
            with metrics.RECONCILE_SECONDS.time():
                again_s = await self._round(key)
        except Fenced:
            result, again_s = "fenced", RETRY_S
            log.info("round_fenced", pool="/".join(key))
        except (KubeRefused, KubeUnavailable) as error:
            result, again_s = "failed", RETRY_S
            log.warning("round_failed", pool="/".join(key), error=f"{type(error).__name__}: {error}")
        except Exception:
            result, again_s = "broke", RETRY_S
            log.exception("round_crashed", pool="/".join(key))
        metrics.RECONCILES.labels(result).inc()
        return again_s

    async def _round(self, key: Key) -> float | None:
        pool = self.tables.pools.get(key)
        if pool is None or not self._is_ours(pool) or not self.leading():
            # Deleted, or another operator now scales it or is the leader: what that one does counts from then on.
            self._forget(key)
            return None
        memory = self._memory_of(pool)

        facts = await self.reader.read(pool)
        if isinstance(facts, Pending):
            return facts.again_s

        outcome: Outcome
        if isinstance(facts, Blocked):
            outcome = facts
        else:
            history = self._history_at(facts.observation, pool, memory)
            decision = decide(facts.observation, facts.spec, history)

            attempt = await self._act(key, facts, decision)
            if attempt is None:
                return RETRY_S
            memory.history = self._applied(facts, decision, attempt)
            outcome = Decided(
                facts=facts, history=history, decision=decision, attempt=attempt, next_history=memory.history
            )

        write_again_s = await self.explainer.explain(pool, outcome)
        return _soonest(outcome.again_s, write_again_s)

    def _is_ours(self, pool: Stored) -> bool:
        return pool.operator_name in ("", self.operator_name)

    async def _act(self, key: Key, facts: Facts, decision: Decision) -> ScaleAttempt | None:
        """None if the Pool was deleted while the watches were interrupted, which a new list does not show."""
        if facts.spec.mode != "Auto":
            return ScaleAttempt()
        if decision.replicas != facts.target.replicas and not await self.reader.has(key):
            return None
        return await self.actor.attempt(facts.target, decision.replicas, facts.observer)

    def _applied(self, facts: Facts, decision: Decision, attempt: ScaleAttempt) -> ScalingHistory:
        """The history with what was written; the tables hold it as well until the watch delivers it."""
        before, written = facts.target.replicas, attempt.written
        if written is None or written == before:
            return decision.history
        self.tables.write_through(facts.target, written)
        return applied(decision, decision.replicas - (written - before), facts.observation.at_s)

    def _memory_of(self, pool: Stored) -> _Memory:
        memory = self._memories.get(pool.key)
        if memory is None or memory.uid != pool.uid:
            self._forget(pool.key)
            memory = self._memories[pool.key] = _Memory(pool.uid, pool.target)
        return memory

    def _history_at(self, observation: Observation, pool: Stored, memory: _Memory) -> ScalingHistory:
        if memory.history is not None:
            return memory.history
        stored = ScalingHistory()
        with suppress(KeyError, TypeError, ValueError):
            stored = history_from(json.loads(pool.status.get("history") or "{}"))
        # What happened while no operator was the leader is unknown: treat the present number as right until now.
        present = Sample(observation.at_s, observation.replicas)
        higher = tuple(sample for sample in stored.highs if sample.value > present.value)
        return ScalingHistory((*higher, present), stored.lows, stored.changes, stored.busy_at_s)

    def _forget(self, key: Key) -> None:
        """Forget the Pool; its Deployment keeps the replicas it has."""
        memory = self._memories.pop(key, None)
        if memory is not None:
            self.reader.forget(key, memory.target)
            self.actor.forget(memory.target)
            self.explainer.forget(key)
            metrics.forget("/".join(key))


def _soonest(*waits: float | None) -> float | None:
    return min((wait for wait in waits if wait is not None), default=None)
