"""A report's job: its names, its states and what became of one try. Both sides of the queue import only this."""

from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

REPORT_TASK: Final = "afterbell.report"
"""The task's name on the wire: the API sends it by name, ``worker.tasks`` binds it to a function."""

PAYLOAD_BYTES_MAX: Final = 64 * 1024
JOB_PREFIX: Final = "report-"

ReportStatus = Literal["queued", "deferred", "running", "succeeded", "failed", "cancelled"]
JobState = Literal["waiting", "active", "completed", "failed"]

_STATES: Final[dict[ReportStatus, JobState]] = {
    "queued": "waiting",
    "deferred": "waiting",
    "running": "active",
    "succeeded": "completed",
    "failed": "failed",
    "cancelled": "failed",
}


def job_id_of(report_id: UUID) -> str:
    """The job id clients see; one report has one job for its whole life."""
    return f"{JOB_PREFIX}{report_id}"


def report_id_of(job_id: str) -> UUID:
    """The inverse of ``job_id_of``. Raises ValueError for anything else."""
    if not job_id.startswith(JOB_PREFIX):
        raise ValueError(f"not a report job: {job_id[:80]!r}")
    return UUID(job_id.removeprefix(JOB_PREFIX))


def job_state_of(status: ReportStatus) -> JobState:
    """The four states the REST API tells apart."""
    return _STATES[status]


@dataclass(frozen=True, slots=True)
class Done:
    """The job's work is committed."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The try failed; again after ``delay_s``. Uses one of the retries."""

    delay_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class Defer:
    """Told to wait ``delay_s``; uses none of the retries."""

    delay_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class Dead:
    """No further try; kept as a dead letter with its reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Somebody asked for it to stop."""


@dataclass(frozen=True, slots=True)
class HandBack:
    """Not finished here, through no fault of the job's: the next free worker starts it again."""


Outcome = Done | Retry | Defer | Dead | Cancelled | HandBack
