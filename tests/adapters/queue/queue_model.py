"""The queue in a hundred lines: what the scripts promise, without Redis. Times are milliseconds."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from afterbell.adapters.queue.redis_queue import QueueRules

CLASS_STEP = 2.0**40
AGAIN = ("retry", "defer", "handback")


@dataclass
class Job:
    """``at`` is when it began to wait, is due, counts as lost or was given up, as its state has it."""

    lane: str
    seq: int
    state: str = "new"
    at: float = 0
    run: int = 0
    failures: int = 0
    lost: int = 0
    owner: str = ""
    cancel: bool = False
    reason: str = ""


@dataclass
class Answer:
    """What a take returns, but for the hint when to come back."""

    grants: list[tuple[str, int, int]] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    gate: str = ""
    lost: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)


class QueueModel:
    def __init__(self, rules: QueueRules, now: int) -> None:
        self.rules, self.now = rules, now
        self.jobs: dict[str, Job] = {}
        self.seq = 0
        self.tags: dict[str, float] = {}  # of the lanes that have waiting jobs
        self.last_tags: dict[str, float] = {}  # of the lanes that ran empty
        self.virtual = {"0": 0.0, "1": CLASS_STEP}
        self.starts: list[int] = []
        self.paused, self.hold_until = False, 0
        self.drained: set[str] = set()

    def of_state(self, *states: str) -> list[str]:
        """Ids in the order of their moments, as a sorted set has them."""
        return sorted(
            (job_id for job_id, job in self.jobs.items() if job.state in states),
            key=lambda job_id: (self.jobs[job_id].at, job_id),
        )

    def enqueue(self, job_id: str, lane: str, delay_ms: int) -> str:
        if job_id in self.jobs:
            return self.jobs[job_id].state
        self.seq += 1
        self.jobs[job_id] = Job(lane, self.seq, "due", self.now + delay_ms)
        if delay_ms <= 0:
            self._ready(job_id)
        return "enqueued"

    def poll(
        self,
        worker: str,
        free: int,
        running: Sequence[tuple[str, int]],
        ended: Sequence[tuple[str, int, str, int, str]],
    ) -> Answer:
        answer = Answer()
        for job_id, run, outcome, delay_ms, reason in ended:
            if self._own(job_id, run, worker, answer):
                self._settle(job_id, outcome, delay_ms, reason)
        for job_id, run in running:
            if self._own(job_id, run, worker, answer):
                self.jobs[job_id].at = self.now + self.rules.lease_s * 1000
                answer.cancelled |= {job_id} if self.jobs[job_id].cancel else set()
        for job_id in self.of_state("due"):
            if self.jobs[job_id].at <= self.now:
                self._ready(job_id)
        answer.gate, _, room = self.gate(worker)
        room = min(room, free)
        named = {job_id for job_id, _ in running} - answer.lost - answer.unknown
        self._reclaim(worker, room, free + 10, any(self.suspect(job_id) for job_id in named), answer)
        while len(answer.grants) < room and self.tags:
            self._start(self._next_waiting(), worker, answer)
        if len(answer.grants) < free and not answer.gate:
            answer.gate = self.gate(worker)[0]
        return answer

    def gate(self, worker: str) -> tuple[str, float, float]:
        """Which rule forbids starts, until when, and how many may start."""
        if worker in self.drained:
            return "drained", math.inf, 0
        if self.paused:
            return "paused", math.inf, 0
        if self.hold_until > self.now:
            return "hold", self.hold_until, 0
        if self.rules.starts_max == 0:
            return "", self.now, math.inf
        room = self.rules.starts_max - sum(at >= self.now - self.rules.window_ms for at in self.starts)
        return ("", self.now, room) if room > 0 else ("limiter", self.limited_until(), 0)

    def limited_until(self) -> int:
        """When the limiter lets one start again; now where it does already."""
        most = self.rules.starts_max
        if most == 0 or len(self.starts) < most:
            return self.now
        return max(self.starts[-most] + self.rules.window_ms + 1, self.now)

    def _own(self, job_id: str, run: int, worker: str, answer: Answer) -> bool:
        job = self.jobs.get(job_id)
        if job is None:
            answer.unknown.add(job_id)
        elif (job.state, job.owner, job.run) == ("active", worker, run):
            return True
        else:
            answer.lost.add(job_id)
        return False

    def _settle(self, job_id: str, outcome: str, delay_ms: int, reason: str) -> None:
        job = self.jobs[job_id]
        if outcome in ("done", "cancelled") or (job.cancel and outcome in AGAIN):
            job.state = "completed" if outcome == "done" else "cancelled"
        elif outcome == "dead":
            job.state, job.at, job.reason = "dead", self.now, reason
        elif outcome == "handback":
            self._ready(job_id)
        else:
            job.state, job.at, job.reason = "due", self.now + delay_ms, reason
            job.failures += outcome == "retry"

    def _ready(self, job_id: str) -> None:
        job = self.jobs[job_id]
        job.state, job.at = "waiting", self.now
        if job.lane not in self.tags:
            self.tags[job.lane] = max(self.virtual[job.lane[0]], self.last_tags.get(job.lane, 0))

    def _waiting_in(self, lane: str) -> list[str]:
        waiting = [job_id for job_id in self.of_state("waiting") if self.jobs[job_id].lane == lane]
        return sorted(waiting, key=lambda job_id: self.jobs[job_id].seq)

    def _next_waiting(self) -> str:
        """Start-time fair queueing: the lane with the lowest tag, its oldest job first."""
        lane = min(self.tags, key=lambda lane: (self.tags[lane], lane))
        job_id = self._waiting_in(lane)[0]
        self.virtual[lane[0]] = self.tags[lane]
        self.tags[lane] += 1
        self._out_of_lane(job_id, "starting")
        return job_id

    def _out_of_lane(self, job_id: str, state: str) -> None:
        job = self.jobs[job_id]
        was, job.state = job.state, state
        if was == "waiting" and not self._waiting_in(job.lane):
            self.last_tags[job.lane] = self.tags.pop(job.lane)

    def _start(self, job_id: str, worker: str, answer: Answer) -> None:
        job = self.jobs[job_id]
        job.state, job.owner, job.at, job.run = "active", worker, self.now + self.rules.lease_s * 1000, job.run + 1
        self.starts.append(self.now)
        answer.grants.append((job_id, job.run, job.failures))

    def suspect(self, job_id: str, more: int = 0) -> bool:
        """Whether the next worker it takes along would be its last: it shares its worker with no other such job."""
        return self.jobs[job_id].lost + more >= max(self.rules.deliveries_max - 1, 1)

    def _reclaim(self, worker: str, room: float, looked_at: int, holds_suspect: bool, answer: Answer) -> None:
        overdue = [job_id for job_id in self.of_state("active") if self.jobs[job_id].at <= self.now]
        for job_id in overdue[:looked_at]:
            job = self.jobs[job_id]
            if job.cancel:
                job.state = "cancelled"
            elif job.lost + 1 >= self.rules.deliveries_max:
                job.state, job.at = "dead", self.now
                job.reason = f"its worker was lost {job.lost + 1} times while it ran"
                answer.given_up.append(job_id)
            elif len(answer.grants) < room and not (holds_suspect and self.suspect(job_id, 1)):
                job.lost += 1
                holds_suspect = holds_suspect or self.suspect(job_id)
                self._start(job_id, worker, answer)

    def apply(self, verb: str, job_id: str) -> str:
        """retry, promote, cancel or remove one job: ``ok``, or the state that forbids it."""
        job = self.jobs.get(job_id)
        if job is None:
            return "unknown"
        allowed = {"retry": ("dead",), "promote": ("due",), "cancel": ("waiting", "due", "active")}
        if job.state not in allowed.get(verb, ("waiting", "due", "dead", "completed", "cancelled")):
            return job.state
        actions: dict[str, Callable[[str], Any]] = {
            "retry": self._retry,
            "promote": self._ready,
            "cancel": self._cancel,
            "remove": self._remove,
        }
        actions[verb](job_id)
        return "ok"

    def _retry(self, job_id: str) -> None:
        job = self.jobs[job_id]
        job.failures, job.lost, job.cancel = 0, 0, False
        self._ready(job_id)

    def _cancel(self, job_id: str) -> None:
        if self.jobs[job_id].state == "active":
            self.jobs[job_id].cancel = True
        else:
            self._out_of_lane(job_id, "cancelled")

    def _remove(self, job_id: str) -> None:
        self._out_of_lane(job_id, "gone")
        del self.jobs[job_id]

    def facts(self) -> dict[str, Any]:
        """What the stats tell, but for the idle workers."""
        at = {
            state: [self.jobs[job_id].at for job_id in self.of_state(state)] for state in ("waiting", "due", "active")
        }
        window = self.now - self.rules.window_ms
        return {
            "at_ms": self.now,
            "waiting": len(at["waiting"]),
            "active": len(at["active"]),
            "due": len(at["due"]),
            "dead": len(self.of_state("dead")),
            "paused": self.paused,
            "lanes": len(self.tags),
            "starts_in_window": sum(start >= window for start in self.starts) if self.rules.starts_max else 0,
            "oldest_waiting_age_ms": self.now - at["waiting"][0] if at["waiting"] else None,
            "next_due_in_ms": max(at["due"][0] - self.now, 0) if at["due"] else None,
            "overdue": sum(ends_at <= self.now for ends_at in at["active"]),
        }
