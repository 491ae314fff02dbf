"""Random walks over the queue's verbs on a real server, each step compared with the model.

The scripts run as they are but for one line: they read the clock from a key, so that a walk moves time instead of
sleeping. Workers are played here: they are woken, come back, go silent and crash as real ones do.
"""

import uuid
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from hypothesis import assume, note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.adapters.queue.clocked_queue import ClockedQueue, Patch, Server
from tests.adapters.queue.queue_model import QueueModel

from afterbell.adapters.queue import redis_queue as product
from afterbell.adapters.queue.consumer import timer_of
from afterbell.adapters.queue.keys import QueueKeys
from afterbell.adapters.queue.redis_queue import Ended, Grant, NewJob, Polled, QueueRules, lane_of
from afterbell.core.queue.outcomes import Cancelled, Dead, Defer, Done, HandBack, Outcome, Retry

DAY_MS = 86_400_000
START_MS = 20_834 * DAY_MS - 60_000  # a day ends on the way
SLACK_MS = 500
MODEL = "m"  # the provider of the only model asks to wait: that holds the queue
TENANTS, CLASSES = ("a", "b", "c"), ("interactive", "bulk")
OUTCOMES: tuple[Outcome, ...] = (
    Done(),
    Retry(2, "timeout"),
    Retry(4, "refused"),
    Defer(5, "429"),
    Dead("refused"),
    Dead("timeout"),
    Cancelled(),
    HandBack(),
)
STEPS_MS = (1, 2, 499, 1000, 2000, 4000, 9_999, 10_000, 10_001, 30_000, 60_600, 60_601)


@dataclass
class Worker:
    """What a consumer knows: its jobs, whether it was woken, when it promised to come back."""

    name: str
    slots: int
    held: dict[str, Grant] = field(default_factory=dict)
    woken: bool = True  # the first poll comes by itself
    idle: bool = False  # its last poll left it with a free slot
    back_by_answer_at: float = float("inf")
    timer_at: float = float("inf")
    alive: bool = True

    @property
    def back_at(self) -> float:
        return min(self.back_by_answer_at, self.timer_at)


class QueueMachine(RuleBasedStateMachine):
    """Bound to a server and a patch by ``machine_on``."""

    server: Server
    patch: Patch = MappingProxyType({})

    @initialize(
        starts_max=st.sampled_from((0, 1, 3)),
        most_lost=st.sampled_from((2, 3)),
        slots=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    )
    def begin(self, starts_max: int, most_lost: int, slots: list[int]) -> None:
        rules = QueueRules(lease_s=10, starts_max=starts_max, window_s=60, deliveries_max=most_lost)
        self.model = QueueModel(rules, START_MS)
        self.queue = ClockedQueue(self.server.client, QueueKeys(f"m{uuid.uuid4().hex}"), rules, self.patch)
        self.workers: list[Worker] = []
        self.starts: list[int] = []
        self.payloads: dict[str, bytes] = {}
        self.number = 0
        self.run(self.queue.move_to(START_MS))
        self.run(self.server.wakeups.subscribe(self.queue.keys.wakeup_of_all))
        for count in slots:
            self._hire(count)

    def run(self, step: Any) -> Any:
        return self.server.run(step)

    def _hire(self, slots: int) -> None:
        worker = Worker(f"w{len(self.workers)}", slots)
        self.workers.append(worker)
        self.run(self.server.wakeups.subscribe(self.queue.keys.wakeup(worker.name)))

    @property
    def alive(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.alive]

    def _chosen(self, workers: list[Worker], data: st.DataObject) -> Worker:
        by_name = {worker.name: worker for worker in workers}
        return by_name[data.draw(st.sampled_from(list(by_name)), label="worker")]

    # -- jobs -------------------------------------------------------------------------------------------------

    @rule(
        tenant=st.sampled_from(TENANTS),
        job_class=st.sampled_from(CLASSES),
        count=st.integers(1, 4),
        delay_s=st.sampled_from((0, 0, 0, 1, 5)),
        again=st.booleans(),
        data=st.data(),
    )
    def enqueue(
        self, tenant: str, job_class: Any, count: int, delay_s: float, again: bool, data: st.DataObject
    ) -> None:
        ids = [f"j{self.number + number}" for number in range(count)]
        self.number += count
        if again and self.model.jobs:
            ids.append(data.draw(st.sampled_from(sorted(self.model.jobs))))
        for job_id in ids:
            self.payloads.setdefault(job_id, f"payload of {job_id}".encode())
        jobs = [NewJob(job_id, self.payloads[job_id], delay_s, tenant, job_class) for job_id in ids]
        expected = [self.model.enqueue(job_id, lane_of(tenant, job_class), int(delay_s * 1000)) for job_id in ids]
        assert self.run(self.queue.enqueue(jobs)) == expected

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), forget=st.sampled_from((False,) * 9 + (True,)))
    def poll(self, data: st.DataObject, forget: bool) -> None:
        self._poll(self._chosen(self.alive, data), data, forget)

    @rule()
    def all_called_come_back(self) -> None:
        for _ in range(50 + len(self.model.jobs)):
            called = [worker for worker in self.alive if worker.woken or worker.back_at <= self.model.now]
            if not called:
                return
            self._poll(called[0], None, False)
            self._hear_wakeups()
        raise AssertionError("the workers keep calling each other without an end")

    @precondition(lambda self: any(worker.woken or worker.back_at <= self.model.now for worker in self.alive))
    @rule(data=st.data())
    def come_back(self, data: st.DataObject) -> None:
        called = [worker for worker in self.alive if worker.woken or worker.back_at <= self.model.now]
        self._poll(self._chosen(called, data), data, False)

    def _poll(self, worker: Worker, data: st.DataObject | None, forget: bool) -> None:
        ended = [
            (grant, outcome)
            for grant in worker.held.values()
            if data and (outcome := data.draw(st.sampled_from((None, *OUTCOMES)), label=grant.job_id))
        ]
        ending = {grant.job_id for grant, _ in ended}
        running = [grant for grant in worker.held.values() if grant.job_id not in ending]
        free = worker.slots - len(running)
        expected = self.model.poll(
            worker.name,
            free,
            [(grant.job_id, grant.run) for grant in running],
            [(grant.job_id, grant.run, *product._wire(outcome)) for grant, outcome in ended],
        )
        taken = self.run(
            self.queue.poll(worker.name, free, running, [Ended(*grant_and_verdict) for grant_and_verdict in ended])
        )
        assert [(grant.job_id, grant.run, grant.failures) for grant in taken.grants] == expected.grants
        assert all(grant.payload == self.payloads[grant.job_id] for grant in taken.grants)
        assert (list(taken.given_up), taken.gate) == (expected.given_up, expected.gate)
        assert (taken.lost, taken.unknown, taken.cancelled) == (expected.lost, expected.unknown, expected.cancelled)
        self.starts += [self.model.now] * len(taken.grants)
        self._hear_answer(worker, taken, running, free, forget)

    def _hear_answer(self, worker: Worker, taken: Polled, running: list[Grant], free: int, forget: bool) -> None:
        """An answer lost on its way leaves a worker without its grants; it asks again at once."""
        worker.held = {grant.job_id: grant for grant in running if grant.job_id not in taken.lost}
        worker.woken, worker.timer_at = forget, float("inf")
        # Redis counts on the promise even where the worker never heard of it.
        worker.back_by_answer_at = (
            float("inf") if taken.come_back_s is None else self.model.now + taken.come_back_s * 1000
        )
        if forget:
            note("its answer was lost")
            worker.idle = False
            return
        worker.held |= {grant.job_id: grant for grant in taken.grants}
        worker.idle = len(taken.grants) < free and taken.gate != "drained"

    # -- control ----------------------------------------------------------------------------------------------

    @rule(verb=st.sampled_from(("pause", "resume", "resume")))
    def pause_or_resume(self, verb: Any) -> None:
        self.model.paused = verb == "pause"
        self.run(self.queue.pause() if verb == "pause" else self.queue.resume())

    @rule(seconds=st.sampled_from((1, 3, 20)))
    def hold(self, seconds: int) -> None:
        self.model.hold_until = max(self.model.hold_until, self.model.now + seconds * 1000)
        self.run(self.queue.breaker.apply("wait", MODEL, seconds * 1000, 1, 0, 0))

    @precondition(lambda self: self.alive)
    @rule(verb=st.sampled_from(("drain", "undrain", "undrain")), data=st.data())
    def drain_or_undrain(self, verb: Any, data: st.DataObject) -> None:
        worker = self._chosen(self.alive, data)
        {"drain": self.model.drained.add, "undrain": self.model.drained.discard}[verb](worker.name)
        self.run((self.queue.drain if verb == "drain" else self.queue.undrain)(worker.name))

    @precondition(lambda self: self.model.jobs)
    @rule(verb=st.sampled_from(("retry", "promote", "cancel", "remove")), data=st.data())
    def apply(self, verb: Any, data: st.DataObject) -> None:
        ids = data.draw(st.lists(st.sampled_from([*sorted(self.model.jobs), "nobody"]), min_size=1, max_size=3))
        expected = [self.model.apply(verb, job_id) for job_id in ids]
        assert self.run(self.queue.apply(verb, ids)) == expected

    # -- the world --------------------------------------------------------------------------------------------

    @rule(step_ms=st.sampled_from(STEPS_MS))
    def time_passes(self, step_ms: int) -> None:
        if (self.model.now + step_ms) // DAY_MS > self.model.now // DAY_MS:
            self.queue.sent_today = 0
        self.model.now += step_ms
        self.run(self.queue.move_to(self.model.now))

    @precondition(lambda self: self.model.of_state("due", "active") or self.model.starts)
    @rule(early_ms=st.sampled_from((0, 1)))
    def time_passes_to_the_next_moment(self, early_ms: int) -> None:
        moments = [self.model.jobs[job_id].at for job_id in self.model.of_state("due", "active")]
        moments += [at + self.model.rules.window_ms + 1 for at in self.model.starts]
        moments = [int(at) - early_ms for at in moments if at - early_ms > self.model.now]
        assume(moments)
        self.time_passes(min(moments) - self.model.now)

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), slots=st.integers(1, 3))
    def crash_and_replace(self, data: st.DataObject, slots: int) -> None:
        worker = self._chosen(self.alive, data)
        worker.alive = False
        self.run(self.server.wakeups.unsubscribe(self.queue.keys.wakeup(worker.name)))
        self._hire(slots)

    @precondition(lambda self: self.model.jobs)
    @rule(sure=st.sampled_from((False,) * 7 + (True,)))
    def redis_is_emptied(self, sure: bool) -> None:
        assume(sure)
        self.run(self._wipe())
        self.queue.sent_today = 0
        self.model, self.starts = QueueModel(self.model.rules, self.model.now), []
        self.run(self.queue.move_to(self.model.now))

    async def _wipe(self) -> None:
        client, prefix = self.server.client, self.queue.keys.prefix
        keys = [
            *self.queue.keys.script_keys,
            prefix + "clock",
            f"{prefix}model:{MODEL}",
            *(f"{prefix}job:{job_id}" for job_id in self.payloads),
        ]
        lanes = [f"{prefix}lane:{lane_of(tenant, job_class)}" for tenant in TENANTS for job_class in CLASSES]
        await client.delete(*keys, *lanes)

    # -- what holds after every step --------------------------------------------------------------------------

    @invariant()
    def every_job_is_where_the_model_has_it(self) -> None:
        stored = self.run(self._read_jobs())
        assert stored == {
            job_id: (job.state, job.run, job.failures, job.lost, job.owner, job.at if job.state in TIMED else None)
            for job_id, job in self.model.jobs.items()
        }

    async def _read_jobs(self) -> dict[str, tuple[Any, ...]]:
        prefix, ids = self.queue.keys.prefix, list(self.model.jobs)
        async with self.server.client.pipeline(transaction=False) as pipe:
            for key in TIMED.values():
                pipe.zrange(prefix + key, 0, -1, withscores=True)
            for job_id in ids:
                pipe.hmget(f"{prefix}job:{job_id}", "state", "run", "failures", "lost", "owner")
            *sets, hashes = await _split(pipe, len(TIMED))
        times = {state: {name.decode(): at for name, at in timed} for state, timed in zip(TIMED, sets, strict=True)}
        assert sum(map(len, times.values())) == sum(job.state in TIMED for job in self.model.jobs.values())
        jobs = {}
        for job_id, (state, run, failures, lost, owner) in zip(ids, hashes, strict=True):
            word = (state or b"gone").decode()
            counts = (int(run or 0), int(failures or 0), int(lost or 0), (owner or b"").decode())
            jobs[job_id] = (word, *counts, times.get(word, {}).get(job_id))
        return jobs

    @invariant()
    def stats_tell_the_facts(self) -> None:
        facts = self.run(self.queue.stats())
        assert facts.commands_today == self.queue.sent_today
        for name, value in self.model.facts().items():
            assert getattr(facts, name) == value, name

    @invariant()
    def no_window_holds_more_starts_than_allowed(self) -> None:
        most = self.model.rules.starts_max
        recent = [at for at in self.starts if at > self.model.now - self.model.rules.window_ms]
        assert not most or len(recent) <= most

    @invariant()
    def somebody_comes_back_for_whatever_may_start(self) -> None:
        self._hear_wakeups()
        for at, owner in self._events():
            able = [worker for worker in self.alive if worker.idle and worker.name not in self.model.drained | owner]
            assert not able or any(self._comes_by(worker, at) for worker in self.workers if worker.name not in owner), (
                f"nobody comes back for what may start at {at - self.model.now:+.0f} ms, though {able} could run it"
            )

    def _hear_wakeups(self) -> None:
        for name, message in self.run(self.server.heard()):
            if name == "wakeup":
                for worker in self.workers:
                    worker.woken = True
                continue
            worker = next(worker for worker in self.workers if worker.name == name)
            if (timer := timer_of(message)) is not None:
                worker.back_by_answer_at, worker.timer_at = float("inf"), self.model.now + timer.in_s * 1000
            else:
                worker.woken = True

    def _events(self) -> list[tuple[float, set[str]]]:
        """When something may start, and who cannot be the one to notice: the worker whose lease would run out."""
        if self.model.paused:
            return []
        opens = max(self.model.hold_until, self.model.limited_until())
        events = [(self.model.now, set[str]())] if self.model.of_state("waiting") else []
        events += [(self.model.jobs[job_id].at, set()) for job_id in self.model.of_state("due")]
        for job_id in self.model.of_state("active"):
            job = self.model.jobs[job_id]
            holder = next(worker for worker in self.workers if worker.name == job.owner)
            knows = job_id in holder.held and holder.held[job_id].run == job.run
            barred = {holder.name} if knows else set()
            if job.at <= self.model.now and self.model.suspect(job_id, 1):
                barred |= {worker.name for worker in self.alive if self._holds_suspect(worker)}
            events.append((job.at, barred))
        return [(max(at, opens), owner) for at, owner in events]

    def _holds_suspect(self, worker: Worker) -> bool:
        known = [job_id for job_id in worker.held if job_id in self.model.jobs]
        return any(self.model.jobs[job_id].owner == worker.name and self.model.suspect(job_id) for job_id in known)

    def _comes_by(self, worker: Worker, at: float) -> bool:
        """A crashed worker's promise counts until its time is over: two watch, so that one may crash."""
        if worker.alive:
            return worker.woken or worker.back_at <= at + SLACK_MS
        return self.model.now - SLACK_MS <= worker.back_at <= at + SLACK_MS

    def teardown(self) -> None:
        if hasattr(self, "queue"):
            self.run(self._wipe())
            self.run(self.server.wakeups.unsubscribe())
            self.run(self.server.heard())


TIMED = {"waiting": "waiting", "due": "due", "active": "leases", "dead": "dead"}


async def _split(pipe: Any, first: int) -> list[Any]:
    answers = await pipe.execute()
    return [*answers[:first], answers[first:]]


def machine_on(server: Server, patch: Patch | None = None) -> type[QueueMachine]:
    """A machine class whose walks go to this server."""
    return type("QueueWalk", (QueueMachine,), {"server": server, "patch": patch or {}})
