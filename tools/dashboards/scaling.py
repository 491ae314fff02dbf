"""The dashboard of the operator: how many pods, and why?"""

from typing import Final

from tools.dashboards.panels import Board, panel, query_variable
from tools.dashboards.queries import RATE, quantile_of


def _of_each_pool(metric: str) -> str:
    """0 where a Pool does not have the metric, so that none is missing from the picture."""
    of_each = 'max by (scaler) ({}{{scaler=~"$scaler"}})'
    return f"{of_each.format(metric)} or 0 * {of_each.format('afterbell_operator_max_replicas')}"


SCALING: Final = Board(
    "scaling",
    "Workers & scaling",
    "Why this many replicas?",
    {
        "Why N replicas": [
            panel(
                "Replicas",
                "Desired, requested, ready, and the bounds.",
                "short",
                {
                    f"{name} {{{{scaler}}}}": f'max by (scaler) (afterbell_operator_{name}_replicas{{scaler=~"$scaler"}})'
                    for name in ("desired", "current", "ready", "min", "max")
                },
            ),
            panel(
                "Demand",
                "Jobs that run, wait or become due soon, as the operator sees them; 0 for a Pool that follows sockets.",
                "short",
                {"{{scaler}}": _of_each_pool("afterbell_operator_jobs")},
            ),
            panel(
                "Sockets",
                "Open sockets reported by api pods; 0 for a Pool that follows jobs.",
                "short",
                {"{{scaler}}": _of_each_pool("afterbell_operator_sockets")},
            ),
            panel(
                "Changes",
                "Replica changes in the last 15 minutes, with their reason.",
                "short",
                {
                    "{{direction}}: {{reason}}": "sum by (direction, reason) (increase(afterbell_operator_scale_events_total[15m]))"
                },
                width=6,
            ),
            panel(
                "Held back",
                "Times something kept replicas from following demand, in the last 15 minutes.",
                "short",
                {
                    "{{reason}}": "sum by (reason) (increase(afterbell_operator_decision_blocked_total[15m])) or vector(0)"
                },
                width=6,
            ),
            panel(
                "Age of observation",
                "Time since the queue was last read, or since the last heartbeat of an api pod.",
                "s",
                {
                    "{{scaler}}": 'max by (scaler) (afterbell_operator_backlog_observation_age_seconds{scaler=~"$scaler"})'
                },
                width=6,
            ),
            panel(
                "Leader", "One of the operators leads.", "short", {"leaders": "sum(afterbell_operator_leader)"}, width=6
            ),
        ],
        "Workers": [
            panel(
                "Slots",
                "Running jobs, and jobs that could run.",
                "short",
                {"busy": "sum(afterbell_worker_busy_slots)", "slots": "sum(afterbell_worker_slots)"},
            ),
            panel(
                "Starts blocked",
                "Share of time in which workers could start no job, by cause.",
                "percentunit",
                {
                    "{{gate}}": f"sum by (gate) (rate(afterbell_worker_held_seconds_total{RATE}))"
                    ' / ignoring (gate) group_left count(afterbell_build_info{process="worker"})'
                },
            ),
            panel(
                "Leases",
                "Renewed, and lost to another worker, per minute.",
                "opm",
                {
                    "renewed": f"60 * sum(rate(afterbell_worker_lease_renewals_total{RATE}))",
                    "lost": f"60 * sum(rate(afterbell_worker_leases_lost_total{RATE}))",
                },
            ),
        ],
        "The operator": [
            panel(
                "Rounds",
                "Per minute, by result.",
                "opm",
                {"{{result}}": f"60 * sum by (result) (rate(afterbell_operator_reconcile_total{RATE}))"},
            ),
            panel(
                "Time of a round",
                "Rounds that write wait for the API server.",
                "s",
                {"p99": quantile_of(0.99, "afterbell_operator_reconcile_duration_seconds")},
            ),
            panel(
                "Requests to the API server",
                "Per minute, by resource.",
                "opm",
                {
                    "{{verb}} {{resource}} {{code}}": f"60 * sum by (verb, resource, code) (rate(afterbell_operator_kube_api_requests_total{RATE}))"
                },
            ),
        ],
    },
    variables=(query_variable("scaler", "Pool", "label_values(afterbell_operator_max_replicas, scaler)"),),
)
