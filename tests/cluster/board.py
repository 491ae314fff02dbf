"""What the old queue board did, as it is done here: one request and the words of one command for each row of its table.

The keys are the first cells of ``docs/reference/queue-board.md``. In paths and words ``{job}`` is a job made for the
way that is tried, ``{error}`` its error, ``{way}`` the way's name.
"""

from dataclasses import dataclass, field
from typing import Any, Final

WHY: Final = {"reason": "trying it"}
REASON: Final = ("--reason", WHY["reason"])
DRAIN: Final = 'Drain a worker or a pod (not on the old board; "quiet" in Sidekiq)'
# What no terminal should be sent, and longer than the record may be shown.
HOSTILE: Final = "Traceback \x1b[2J\u202e<script>" + "frame\n" * 170_000


@dataclass(frozen=True, slots=True)
class Row:
    """``same``: the field that all three ways have to answer alike; ``becomes``: the status of the job afterwards.

    ``job``: the status of the job that is made for each way; ``refused``: the status the answer has to name.
    ``role`` None: whose token is none of ours.
    """

    request: str
    words: tuple[str, ...]
    body: dict[str, Any] | None = None
    same: str | None = None
    job: str | None = None
    error: str = "the model is away"
    becomes: str | None = None
    role: str | None = "operator"
    refused: int | None = None
    says: str = field(default="")


def _read(request: str, command: str, same: str, output: str = "json", **more: Any) -> Row:
    return Row(f"GET {request}", (*command.split(), "-o", output), same=same, **more)


def _act(request: str, command: str, **more: Any) -> Row:
    return Row(f"POST {request}", (*command.split(), *REASON), body=WHY, **more)


ROWS: Final = {
    "Counts of each state": _read("/admin/queue", "queue status", "jobs", job="failed"),
    "Jobs of a state, in pages": _read(
        "/admin/jobs?state=failed&limit=1", "jobs list --state failed --limit 1", "nextPage", job="failed"
    ),
    "Find jobs by tenant, session, participant, time or error text (not on the old board)": _read(
        "/admin/jobs?tenant=school&participant=p-1&error=marked&older_than_s=0&newer_than_s=3600",
        "jobs list --tenant school --participant p-1 --error marked --older-than 0s --since 1h",
        "jobs",
        job="failed",
        error="marked",
    ),
    "One job, by id": _read("/admin/jobs/{job}", "jobs show {job}", "status", job="failed"),
    "A job's progress and stage": _read("/admin/jobs/{job}", "jobs show {job}", "stage", job="running"),
    "A job's attempts: when, on which worker, how they ended, with which error": _read(
        "/admin/jobs/{job}", "jobs show {job}", "attempts", job="failed", says="w-1"
    ),
    "What a job cost (not on the old board)": _read("/admin/jobs/{job}", "jobs show {job}", "cost_usd", job="failed"),
    "A job's log lines, kept with each attempt": _read(
        "/admin/jobs/{job}/logs", "jobs logs {job}", "tries", job="failed", says="model_failed"
    ),
    "Follow one request through api, worker and model (not on the old board)": _read(
        "/admin/jobs/{job}", "jobs show {job}", "trace_id", job="failed", says="ab" * 16
    ),
    "Retry one": _act("/admin/jobs/{job}/retry", "jobs retry {job}", job="failed", becomes="queued"),
    "Retry all, with a filter and a dry run": _act(
        "/admin/jobs/retry", "jobs retry --all --yes --error {error}", job="failed", becomes="queued"
    ),
    "Promote": _act("/admin/jobs/{job}/promote", "jobs promote {job}", job="deferred", becomes="deferred"),
    "Promote all delayed jobs": _act(
        "/admin/jobs/promote",
        "jobs promote --all --yes --error {error}",
        job="deferred",
        error="has its time",
        becomes="deferred",
    ),
    "Cancel all matching jobs (not on the old board)": _act(
        "/admin/jobs/cancel",
        "jobs cancel --all --yes --error {error}",
        job="deferred",
        error="is not wanted",
        becomes="cancelled",
    ),
    "Preview how many jobs an action would affect (not on the old board)": Row(
        "POST /admin/jobs/remove",
        ("jobs", "remove", "--all", "--dry-run", "--error", "{error}", *REASON),
        body=WHY | {"dry_run": True},
        job="failed",
        error="is counted",
        becomes="failed",
        says="1 job matches",
    ),
    "Remove one job or all matching jobs; cancel waiting jobs (not on the old board)": _act(
        "/admin/jobs/remove", "jobs remove --all --yes --error {error}", job="failed", error="is broken", becomes="gone"
    ),
    "Stop a running job (not on the old board)": _act(
        "/admin/jobs/{job}/cancel", "jobs cancel {job}", job="running", becomes="cancelled"
    ),
    "Pause": _act("/admin/queue/pause", "queue pause"),
    "Resume": _act("/admin/queue/resume", "queue resume"),
    DRAIN: _act("/admin/workers/{way}/drain", "queue drain {way}"),
    "Workers, idle ones included (not on the old board; in Flower)": _read(
        "/admin/workers", "queue workers", "drained_unseen"
    ),
    "Let a drained worker start jobs again": _act("/admin/workers/{way}/undrain", "queue undrain {way}"),
    "The state of limiter, breakers, quotas and budgets (not on the old board)": _read(
        "/admin/limits", "queue limits", "limiter"
    ),
    "Why jobs are waiting (not on the old board)": _read("/admin/queue/why", "queue why", "cause"),
    "The live page: counts, workers, running jobs; here also costs": Row(
        "GET /admin/costs", ("queue", "top", "--frames", "1")
    ),
    "Lists for scripts (not on the old board)": _read(
        "/admin/jobs?limit=1", "jobs list --limit 1", "nextPage", output="yaml", job="failed"
    ),
    "Access with a kubeconfig only (the old board needed an Ingress)": _read(
        "/admin/queues/{queue}", "queue status", "name"
    ),
    "Read-only mode": _act("/admin/queue/pause", "queue pause", role="viewer", refused=403),
    "Long or hostile error texts do no harm (shown raw on the old board)": _read(
        "/admin/jobs/{job}",
        "jobs show {job}",
        "status",
        output="wide",
        job="failed",
        error=HOSTILE,
        says="\\x1b[2J\\u202e<script>frame",
    ),
    "Access guard": Row("GET /admin/queue", ("queue", "status"), role=None, refused=401),
    "Audit log (not on the old board)": _read("/admin/audit?limit=1", "queue audit --limit 1", "acts"),
}
