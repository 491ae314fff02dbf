"""The loop: for every Pool that something happened to, observe, decide, act, explain.

Level-based: whatever woke it, a round reads the tables, which kopf's watches fill, and does what is right for what is
there. A Pool's rounds never overlap; those of different Pools take turns, a few at a time.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field
from typing import Final

import structlog
from pydantic import ValidationError

from afterbell.core.errors import StoreUnavailable
from afterbell_operator import metrics
from afterbell_operator.act import Actor, Fenced, Round, Target, Unheard
from afterbell_operator.conditions import Able, Aspect, broken
from afterbell_operator.decide import applied, decide
from afterbell_operator.explain import Explainer, jobs_ever
from afterbell_operator.kube import CONFLICT, Kube, KubeRefused, KubeUnavailable, autoscaler_path, scale_path
from afterbell_operator.model import Decision, History, Observation, Sample, Spec
from afterbell_operator.observe import Observer, QueueObserver
from afterbell_operator.records import history_from
from afterbell_operator.resources import Source, pool_path, spec_of
from afterbell_operator.tables import Followed, Key, Stored, Tables

RETRY_S: Final = 1.0
# A conflict whose end the watches missed lasts no longer.
ANEW_S: Final = 20.0
# A start with thousands of Pools must leave the API server, and this loop, time for the Lease.
ROUNDS_AT_ONCE: Final = 16

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Pool:
    """What is remembered of a Pool between its rounds."""

    history: History | None = None
    task: "asyncio.Task[None] | None" = None
    again: bool = False
    timer: asyncio.TimerHandle | None = None
    acted_on: Key | None = None
    uid: str = ""


@dataclass(slots=True)
class Reconciler:
    """Rounds for every Pool in ``tables``. ``wall`` gives Unix seconds; ``leading`` gates everything that writes."""

    tables: Tables
    kube: Kube
    actor: Actor
    explainer: Explainer
    observer_of: Callable[[Source, Target], Observer]
    leading: Callable[[], bool]
    wall: Callable[[], float]
    _pools: dict[Key, _Pool] = field(default_factory=dict)
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(ROUNDS_AT_ONCE))

    def wake(self, key: Key) -> None:
        """Have a round for this Pool as soon as possible; while one is under way, another follows it."""
        pool = self._pools.setdefault(key, _Pool())
        if pool.task is not None and not pool.task.done():
            pool.again = True
            return
        # In a context of its own: kopf's, in which events come, would keep the whole object as long as the Pool.
        pool.task = asyncio.create_task(self._rounds(key, pool), context=Context())

    def wake_all(self) -> None:
        """Leadership changed, say."""
        for key in list(self.tables.pools):
            self.wake(key)

    def wake_source(self, source: Followed) -> None:
        """News of a queue, or of the api pods that share one."""
        for key in self.tables.pools_of_source(source):
            self.wake(key)

    def wake_target(self, target: Key) -> None:
        """News of a Deployment."""
        for key in self.tables.pools_of_target(target):
            self.wake(key)

    def forget(self, key: Key) -> None:
        """The Pool was deleted. Its Deployment keeps the replicas it has."""
        pool = self._pools.pop(key, None)
        if pool is None:
            return
        if pool.timer:
            pool.timer.cancel()
        if pool.task:
            pool.task.cancel()
        if pool.acted_on:
            self.actor.forget(*pool.acted_on)
        self.explainer.forget(key)
        metrics.forget("/".join(key))

    async def close(self) -> None:
        """End every round."""
        tasks = [pool.task for pool in self._pools.values() if pool.task]
        for key in list(self._pools):
            self.forget(key)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _rounds(self, key: Key, pool: _Pool) -> None:
        while True:
            pool.again = False
            again_s: float | None = RETRY_S
            result = "ok"
            try:
                async with self._turns:
                    with metrics.RECONCILE_SECONDS.time():
                        again_s = await self._round(key, pool)
            except Fenced:
                result = "fenced"
                log.info("round_fenced", pool="/".join(key))
            except (KubeRefused, KubeUnavailable, StoreUnavailable) as error:
                result = "failed"
                log.warning("round_failed", pool="/".join(key), error=f"{type(error).__name__}: {error}")
            except Exception:  # whatever it is, the next round must come
                result = "broke"
                log.exception("round_broke", pool="/".join(key))
            metrics.RECONCILES.labels(result).inc()
            if not pool.again:
                break
        self._come_again(key, pool, again_s)

    def _come_again(self, key: Key, pool: _Pool, again_s: float | None) -> None:
        if pool.timer:
            pool.timer.cancel()
        pool.timer = None
        if again_s is not None and key in self._pools:
            pool.timer = asyncio.get_running_loop().call_later(max(again_s, 0.01), self.wake, key)

    async def _round(self, key: Key, pool: _Pool) -> float | None:
        """One round; seconds until the next, None where only news brings one."""
        stored = self.tables.pools.get(key)
        if stored is None:
            return None
        if not self.leading():
            # Another may lead meanwhile. What it decides and says is in the status, and counts from then on.
            pool.uid = ""
            self.explainer.forget(key)
            return None
        try:
            spec, written = spec_of({"spec": stored.spec})
        except (ValidationError, ValueError, KeyError) as error:
            await self.explainer.broken(stored, broken("InvalidSpec", _first_problem(error)))
            return None
        target = (key[0], written.scale_target_ref.name)
        problem = await self._problem(key, target)
        if problem:
            await self.explainer.broken(stored, problem)
            return ANEW_S
        found = self.tables.targets.get(target)
        if found is None:
            return RETRY_S  # it is there, and the watches have not told of it yet
        return await self._scale(key, pool, stored, spec, written.source, found)

    async def _problem(self, key: Key, target: Key) -> tuple[Aspect, ...] | None:
        """What keeps the Pool from working. The watches may not have told of it yet, or never will: it is asked for."""
        if target not in self.tables.targets and not await self.kube.has(scale_path(*target)):
            return broken("TargetMissing", f"there is no Deployment {target[1]} in namespace {key[0]}: create it")
        while other := self.tables.autoscaler_of(target):
            if await self.kube.has(autoscaler_path(*other)):
                words = f"HorizontalPodAutoscaler {other[1]} scales {target[1]} as well: delete one of the two"
                return broken("ConflictingAutoscaler", words)
            self.tables.autoscalers.pop(other, None)
        while other := self.tables.older_pool_of(key, target):
            if await self.kube.has(pool_path(*other)):
                return broken("ConflictingPool", f"Pool {other[1]} scales {target[1]} already: delete one of the two")
            self.tables.drop(other)
            self.forget(other)
        return None

    async def _scale(
        self, key: Key, pool: _Pool, stored: Stored, spec: Spec, source: Source, target: Target
    ) -> float | None:
        observer = self.observer_of(source, target)
        pool.acted_on = (target.namespace, target.name)
        if pool.uid != stored.uid and isinstance(observer, QueueObserver):
            observer.expect(jobs_ever(stored.status, observer.queue.keys.name))
        if observer.awaited():
            return None
        metrics.BACKLOG_AGE.labels("/".join(key)).set_function(observer.age_s)
        metrics.READY.labels("/".join(key)).set(target.ready)
        seen = self._seen(target, observer)
        history = self._history(pool, stored, seen)
        decision = decide(seen, spec, history)
        self.explainer.decided(key, seen, spec, history, decision)
        pool.history = decision.history
        came = Round()
        able = Able()
        if spec.mode == "Auto":
            if decision.replicas != target.replicas and not await self.kube.has(pool_path(*key)):
                return RETRY_S  # it was deleted while the watches were away, which lists do not tell
            came, able = await self._act(target, decision, observer)
        if came.written is not None and came.written != target.replicas:
            pool.history = applied(decision, decision.replicas - (came.written - target.replicas), seen.at_s)
            self.tables.write_through(target, came.written)
        untold_s = await self.explainer.status(stored, seen, decision, able, pool.history, target, came.written, source)
        return _soonest(decision.look_again_s, came.again_s, untold_s)

    async def _act(self, target: Target, decision: Decision, observer: Observer) -> tuple[Round, Able]:
        try:
            came = await self.actor.round(target, decision.replicas, observer)
        except KubeRefused as error:
            if error.status == CONFLICT:
                return Round(again_s=0.2), Able(message="somebody else changed the target; trying again")
            return Round(again_s=RETRY_S), Able(False, "FailedUpdateScale", f"the API server refused: {error}")
        except StoreUnavailable as error:
            metrics.failed(error)
            observer.look_now()
            return Round(again_s=RETRY_S), Able(False, "DrainUnknown", f"no pod is taken away: {error}")
        except Unheard as error:
            return Round(again_s=RETRY_S), Able(False, "DrainUnknown", f"no pod is taken away: {error}")
        if decision.replicas < target.replicas and came.rolling:
            return came, Able(False, "RolloutUnderWay", "no pod is taken away while a rollout is under way")
        if came.waits_for:
            what = "jobs" if isinstance(observer, QueueObserver) else "sockets"
            return came, Able(True, "Draining", f"waits for the {what} of {', '.join(came.waits_for[:5])}")
        return came, Able(True, "SucceededRescale") if came.written is not None else Able()

    def _seen(self, target: Target, observer: Observer) -> Observation:
        sight, now_s = observer.sight(), round(self.wall(), 3)
        return Observation(now_s, target.replicas, sight.backlog, sight.because, sight.trusted, sight.connections)

    def _history(self, pool: _Pool, stored: Stored, seen: Observation) -> History:
        if pool.history is not None and pool.uid == stored.uid:
            return pool.history
        pool.uid = stored.uid
        found = History()
        with suppress(KeyError, TypeError, ValueError):
            found = history_from(json.loads(stored.status.get("history") or "{}"))
        # What was seen while nobody watched is not known: as if the present number had been right until now.
        present = Sample(seen.at_s, seen.replicas)
        kept = tuple(one for one in found.highs if one.value > present.value)
        return History((*kept, present), found.lows, found.changes, found.busy_at_s)


def _soonest(*waits: float | None) -> float | None:
    return min((one for one in waits if one is not None), default=None)


def _first_problem(error: Exception) -> str:
    if isinstance(error, ValidationError):
        problem = error.errors(include_input=False, include_url=False)[0]
        return f"spec.{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
    return f"the spec cannot be read: {type(error).__name__}"
