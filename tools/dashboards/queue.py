"""The dashboard of the queue: what waits, and why?"""

from typing import Final

from tools.dashboards.panels import Board, Mark, panel
from tools.dashboards.queries import RATE, RED, quantile_of

QUEUE: Final = Board(
    "queue",
    "Queue",
    "What is waiting, for how long, and how do jobs end?",
    {
        "What waits": [
            panel(
                "Reports by state",
                "As stored in PostgreSQL; counts stop at 10,000.",
                "short",
                {"{{state}}": "max by (state) (afterbell_queue_jobs)"},
                width=6,
            ),
            panel(
                "Oldest",
                "Age of the oldest report waiting to start.",
                "s",
                {"oldest": "max(afterbell_queue_oldest_waiting_seconds)"},
                width=6,
                marks=(Mark(300, RED),),
            ),
            panel(
                "Waiting time",
                "From the request to the first start. Promised: 95 % within 120 s.",
                "s",
                {
                    "p50": quantile_of(0.5, "afterbell_report_wait_seconds"),
                    "p95": quantile_of(0.95, "afterbell_report_wait_seconds"),
                },
                width=6,
                marks=(Mark(120, "orange"),),
            ),
            panel(
                "Longest without progress",
                "Longest time any running report has gone without progress; 0 = none is running.",
                "s",
                {"silent": "max(afterbell_queue_progress_age_seconds)"},
                width=6,
                marks=(Mark(300, "orange"),),
            ),
        ],
        "What becomes of it": [
            panel(
                "Starts",
                "Per minute: first attempts, and attempts after a failure or a lost worker.",
                "opm",
                {"{{try}}": f"60 * sum by (try) (rate(afterbell_job_starts_total{RATE}))"},
                stacked=True,
            ),
            panel(
                "Outcomes",
                "Finished attempts per minute, by outcome.",
                "opm",
                {"{{outcome}}": f"60 * sum by (outcome) (rate(afterbell_job_outcomes_total{RATE}))"},
                stacked=True,
            ),
            panel(
                "Failed attempts",
                "Per minute, by reason.",
                "opm",
                {"{{reason}}": f"60 * sum by (reason) (rate(afterbell_job_failed_tries_total{RATE}))"},
                stacked=True,
            ),
            panel(
                "Run time",
                "Duration of one attempt.",
                "s",
                {
                    "p50": quantile_of(0.5, "afterbell_job_duration_seconds"),
                    "p95": quantile_of(0.95, "afterbell_job_duration_seconds"),
                },
                marks=(Mark(60, "orange"),),
            ),
            panel(
                "Attempts per report",
                "Average over finished reports; 1 is the best.",
                "none",
                {
                    "starts": f"sum(rate(afterbell_report_attempts_sum{RATE}))"
                    f" / sum(rate(afterbell_report_attempts_count{RATE}))"
                },
            ),
            panel(
                "Outbox",
                "Reports committed but not yet in Redis; reports the sweeper asked the queue about; reports the queue cannot take.",
                "short",
                {
                    "not yet put": "sum(afterbell_outbox_waiting)",
                    "asked about, per minute": f"60 * sum(rate(afterbell_outbox_swept_total{RATE}))",
                    "parked": "max(afterbell_reports_parked)",
                },
            ),
            panel(
                "Repairs",
                "What record and queue disagreed on and the sweeper put right, per minute, by kind.",
                "short",
                {"{{repair}}": f"60 * sum by (repair) (rate(afterbell_sweep_repairs_total{RATE}))"},
            ),
            panel(
                "Unchecked",
                "Longest time since any waiting report was last found in the queue.",
                "s",
                {"longest": "max(afterbell_sweep_unchecked_seconds)"},
            ),
            panel(
                "Kept beyond its time",
                "By how much the oldest data of a kind is older than the retention job was told to keep it; below zero it is in time.",
                "s",
                {
                    "{{kind}}": "max by (kind) (afterbell_retention_oldest_seconds)"
                    " - max by (kind) (afterbell_retention_limit_seconds)"
                },
            ),
        ],
    },
)
