"""The dashboard of single jobs, asked of the admin API: what became of this one?"""

from typing import Final

from tools.dashboards.panels import INFINITY_VARIABLE, Board, Json, table_of, textbox

_COLUMNS: Final = {
    "jobId": "Job",
    "status": "State",
    "session_id": "Session",
    "tenant_id": "Tenant",
    "attempt": "Attempt",
    "stage": "Stage",
    "progress": "%",
    "created_at": "Requested",
    "finished_at": "Finished",
    "error": "Error",
}
_TRIES: Final = {
    "attempt": "Attempt",
    "worker": "Worker",
    "started_at": "Started",
    "ended_at": "Ended",
    "outcome": "Outcome",
    "error": "Error",
    "model": "Model",
    "request_id": "Request",
    "input_tokens": "Input",
    "output_tokens": "Output",
}
_CALLS: Final = {
    "attempt": "Attempt",
    "model": "Model",
    "outcome": "Outcome",
    "started_at": "Started",
    "input_tokens": "Input",
    "output_tokens": "Output",
    "cost_usd": "USD",
}
_ACTS: Final = {"at": "At", "actor": "Actor", "action": "Action", "subject": "Subject", "reason": "Reason"}
_STATES: Final[Json] = {
    "name": "state",
    "label": "State",
    "type": "custom",
    "query": "any,failed,running,queued,deferred,succeeded,cancelled",
    "current": {"text": "any", "value": "any"},
}
_FILTERS: Final = ("tenant", "session", "participant", "error")
_ASKED: Final = "&".join(f"{name}=${{{name}:percentencode}}" for name in ("state", *_FILTERS))
_SHOW: Final = (
    "?"
    + "&".join(f"${{{name}:queryparam}}" for name in ("infinity", "state", *_FILTERS))
    + ("&var-job_id=${__data.fields.Job}")
)
JOBS: Final = Board(
    "jobs",
    "Job explorer",
    "Which jobs are there, and what happened to one of them? Needs the Infinity data source.",
    {
        "Jobs": [
            table_of(
                "Jobs",
                "Newest first, from the admin API. Click a job to see it below.",
                f"/admin/jobs?{_ASKED}&limit=100",
                "jobs",
                _COLUMNS,
                link=("Job", _SHOW),
            )
        ],
        "One job": [
            table_of(
                "Attempts",
                "Every attempt of the selected job, and how it ended.",
                "/admin/jobs/${job_id}",
                "attempts",
                _TRIES,
                height=6,
            ),
            table_of("Log", "The log lines of each finished attempt.", "/admin/jobs/${job_id}/logs", "tries.log", {}),
            table_of(
                "Model calls",
                "Model calls of the selected job, with their cost.",
                "/admin/jobs/${job_id}",
                "calls",
                _CALLS,
                height=6,
            ),
        ],
        "Audit": [
            table_of(
                "Audit log", "Who did what and why, newest first.", "/admin/audit?limit=100", "acts", _ACTS, height=8
            )
        ],
    },
    variables=(
        INFINITY_VARIABLE,
        _STATES,
        *(textbox(name, name.capitalize()) for name in _FILTERS),
        textbox("job_id", "Job"),
    ),
)
