"""The ledger every fault case ends with: what became of each job, what was done twice and why, what is left."""

import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.faults.servers import TcpValkey

from afterbell.adapters.queue.keys import QueueKeys

Rows = Callable[[str], Awaitable[list[dict[str, Any]]]]
ENDED_STATES = {"completed", "cancelled", "dead"}
# Facts about the fleet and the limiter, none about a job that is still to be done.
BOOKKEEPING = {"idle", "watch", "control", "ended", "starts", "dead", "spent"}
COLUMNS = (
    "case",
    "what was broken",
    "enqueued",
    "completed",
    "dead",
    "cancelled",
    "starts",
    "doubled",
    "why doubled",
    "refused results",
    "model calls",
    "lost",
    "recovered in",
)
# A start calls the model once, in parts where the session is long, and once more to put an answer right.
CALL_OF_A_START = re.compile(r"-(part\d+|whole|repair)$")


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the promise allows a case: so many starts beyond the first of each job, and why; dead and cancelled jobs."""

    doubled: int = 0
    because: str = ""
    dead: int = 0
    cancelled: int = 0
    # A report that was asked for on a connection that broke before the answer.
    unanswered: int = 0


@dataclass(frozen=True, slots=True)
class Ledger:
    """Counts of one case; ``faults`` are broken promises, in words."""

    enqueued: int
    statuses: Counter[str]
    starts: int
    doubled: int
    because: str
    refused: int
    model_calls: int
    recovered_s: float | None
    faults: list[str] = field(default_factory=list)

    @property
    def lost(self) -> int:
        return self.enqueued - sum(self.statuses[status] for status in ("succeeded", "failed", "cancelled"))

    def row(self, case: str, broken: str) -> dict[str, str]:
        """One line of the table."""
        counts = self.statuses
        recovered = "-" if self.recovered_s is None else f"{self.recovered_s:.1f} s"
        values = (
            case,
            broken,
            self.enqueued,
            counts["succeeded"],
            counts["failed"],
            counts["cancelled"],
            self.starts,
            self.doubled,
            self.because if self.doubled else "-",
            self.refused,
            self.model_calls,
            self.lost,
            recovered,
        )
        return dict(zip(COLUMNS, map(str, values), strict=True))


async def read_ledger(
    rows: Rows,
    valkey: TcpValkey,
    keys: QueueKeys,
    enqueued: list[str],
    requests: list[dict[str, Any]],
    allowed: Allowed,
    recovered_s: float | None,
) -> Ledger:
    """Collect the facts from PostgreSQL, the model's log and Redis, and compare them with the promises."""
    reports, attempts = await rows(_REPORTS), await rows(_ATTEMPTS)
    ledger = Ledger(
        enqueued=len(reports),
        statuses=Counter(row["status"] for row in reports),
        starts=len(attempts),
        doubled=sum(max(row["attempt"] - 1, 0) for row in reports),
        because=allowed.because,
        refused=sum(row["outcome"] == "superseded" for row in attempts),
        model_calls=len(requests),
        recovered_s=recovered_s,
    )
    ledger.faults.extend(
        [
            *_rows_wrong(reports, attempts, enqueued, allowed),
            *_ledger_wrong(ledger, allowed),
            *_model_wrong(requests, attempts),
            *_redis_wrong(valkey, keys),
        ]
    )
    return ledger


_REPORTS = """
SELECT 'report-' || id AS job, session_id, tenant_id, version, status, attempt,
       content IS NOT NULL AS written
FROM reports
"""
_ATTEMPTS = "SELECT 'report-' || report_id AS job, attempt, outcome, input_tokens FROM report_attempts"


def _rows_wrong(
    reports: list[dict[str, Any]], attempts: list[dict[str, Any]], enqueued: list[str], allowed: Allowed
) -> list[str]:
    faults = []
    jobs = {row["job"]: row for row in reports}
    if missing := set(enqueued) - set(jobs):
        faults.append(f"answered with 202 and not in PostgreSQL: {missing}")
    if len(jobs) - len(set(enqueued)) > allowed.unanswered:
        faults.append(f"{len(jobs)} reports for {len(set(enqueued))} jobs")
    sessions = Counter((row["tenant_id"], row["session_id"]) for row in reports)
    faults += [f"{count} reports of session {session}" for session, count in sessions.items() if count > 1]
    starts = Counter(row["job"] for row in attempts)
    results = Counter(row["job"] for row in attempts if row["outcome"] == "succeeded")
    for job, row in jobs.items():
        succeeded = row["status"] == "succeeded"
        if row["written"] != succeeded or results[job] != succeeded:
            faults.append(f"{job} is {row['status']} with {results[job]} results, written: {row['written']}")
        if starts[job] != row["attempt"]:
            faults.append(f"{job} has {starts[job]} starts in its ledger and says {row['attempt']}")
    return faults


def _ledger_wrong(ledger: Ledger, allowed: Allowed) -> list[str]:
    faults = []
    if ledger.lost:
        faults.append(f"{ledger.lost} jobs are lost or unfinished: {dict(ledger.statuses)}")
    if ledger.statuses["failed"] != allowed.dead:
        faults.append(f"{ledger.statuses['failed']} dead, {allowed.dead} expected")
    if ledger.statuses["cancelled"] != allowed.cancelled:
        faults.append(f"{ledger.statuses['cancelled']} cancelled, {allowed.cancelled} expected")
    if ledger.doubled > allowed.doubled:
        faults.append(f"{ledger.doubled} doubled starts, {allowed.doubled} allowed ({allowed.because or 'none'})")
    return faults


def _model_wrong(requests: list[dict[str, Any]], attempts: list[dict[str, Any]]) -> list[str]:
    asked = Counter(str(request["client_request_id"]) for request in requests)
    booked = {f"{row['job']}-{row['attempt']}" for row in attempts}
    starts = {CALL_OF_A_START.sub("", name) for name in asked}
    doubled = [name for name, count in asked.items() if count > 1]
    return [f"one start asked the model twice: {name}" for name in doubled] + [
        f"the model was asked by a start nobody knows: {name}" for name in starts - booked
    ]


def _redis_wrong(valkey: TcpValkey, keys: QueueKeys) -> list[str]:
    faults = []
    with valkey.client() as client:
        for key in client.scan_iter(match="*", count=1000):
            name = str(key).removeprefix(keys.prefix)
            if name.startswith("job:"):
                state, left_ms = client.hget(key, "state"), client.pttl(key)
                if state not in ENDED_STATES or left_ms <= 0:
                    faults.append(f"Redis keeps {name} as {state}, for {left_ms} ms")
            elif name.startswith(("model:", "verdicts:")) and client.pttl(key) > 0:
                continue  # what the fleet remembers of a model's failures for a while
            elif name not in BOOKKEEPING:
                faults.append(f"Redis keeps {key}")
    return faults
