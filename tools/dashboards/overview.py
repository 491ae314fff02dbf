"""The dashboard for everybody: is all well?"""

from typing import Final

from tools.dashboards.panels import Board, Mark, panel, stat
from tools.dashboards.queries import DEAD, ENDED, PUBLIC, RATE, RED, quantile_of

_WELL: Final = [
    stat(
        "Reports per minute",
        "Reports finished per minute. 3,000 a day are 2-3 at the peak.",
        "short",
        f"60 * sum(rate(afterbell_reports_total{RATE}))",
    ),
    stat(
        "Median run time",
        "Of an attempt. A hosted model takes 30-60 s.",
        "s",
        quantile_of(0.5, "afterbell_job_duration_seconds"),
        Mark(60, "orange"),
        Mark(120, RED),
    ),
    stat(
        "Failed",
        "Reports given up / reports ended. Below 5 % is healthy.",
        "percentunit",
        f"{DEAD} / {ENDED}",
        Mark(0.01, "orange"),
        Mark(0.05, RED),
    ),
    stat(
        "Backlog",
        "Reports waiting for a worker. Below 10 is healthy.",
        "short",
        'max(afterbell_queue_jobs{state="waiting"})',
        Mark(10, "orange"),
        Mark(50, RED),
    ),
    stat(
        "Redis commands today",
        "Sent by all processes since midnight UTC. Free plans allow 10,000 a day.",
        "short",
        "max(afterbell_redis_commands_today)",
        Mark(8_000, "orange"),
        Mark(10_000, RED),
    ),
    stat(
        "Redis memory",
        "As the operator last read it. Small plans have 256 MB.",
        "bytes",
        "max(afterbell_redis_memory_bytes)",
        Mark(200e6, "orange"),
        Mark(256e6, RED),
    ),
    stat(
        "Sockets",
        "Open now, on all api pods. 500 and more are usual at the peak.",
        "short",
        "sum(afterbell_realtime_sockets)",
    ),
    stat(
        "Failing requests",
        "Responses with 5xx / all responses of the public API.",
        "percentunit",
        f'(sum(rate(afterbell_http_request_duration_seconds_count{{{PUBLIC}, status=~"5.."}}{RATE})) or vector(0))'
        f" / sum(rate(afterbell_http_request_duration_seconds_count{{{PUBLIC}}}{RATE}))",
        Mark(0.001, "orange"),
        Mark(0.01, RED),
    ),
    stat(
        "Spent in 24 hours",
        "Cost of model calls in the last 24 hours.",
        "currencyUSD",
        "sum(increase(afterbell_model_cost_usd_total[24h]))",
    ),
    stat("Workers", "Worker processes that are up.", "short", 'count(afterbell_build_info{process="worker"})'),
    stat(
        "Slots busy",
        "Running jobs / jobs the workers can run at once.",
        "percentunit",
        "sum(afterbell_worker_busy_slots) / sum(afterbell_worker_slots)",
        Mark(0.9, "orange"),
    ),
    stat(
        "Grounded",
        "Claims supported by the transcript / all claims, in reports of the last hour.",
        "percentunit",
        "sum(increase(afterbell_report_grounded_ratio_sum[1h]))"
        " / sum(increase(afterbell_report_grounded_ratio_count[1h]))",
    ),
]

OVERVIEW: Final = Board(
    "overview",
    "Overview",
    "Is everything healthy?",
    {
        "Is everything healthy?": _WELL,
        "Over time": [
            panel(
                "Reports",
                "Per minute, by writer: a model, the extractive engine in its place, or that engine without a model call.",
                "opm",
                {"{{writer}}": f"60 * sum by (writer) (rate(afterbell_reports_total{RATE}))"},
                stacked=True,
            ),
            panel(
                "Queue",
                "Reports by what they are waiting for.",
                "short",
                {"{{state}}": 'max by (state) (afterbell_queue_jobs{state!="failed"})'},
                stacked=True,
                marks=(Mark(10, RED),),
            ),
            panel(
                "From request to report",
                "The total time that a person waits.",
                "s",
                {
                    "p50": quantile_of(0.5, "afterbell_report_ready_seconds"),
                    "p95": quantile_of(0.95, "afterbell_report_ready_seconds"),
                },
            ),
        ],
        "API": [
            panel(
                "Requests",
                "To the public API, per second, by status.",
                "reqps",
                {
                    "{{status}}": f"sum by (status) (rate(afterbell_http_request_duration_seconds_count{{{PUBLIC}}}{RATE}))"
                },
                stacked=True,
            ),
            panel(
                "Time to answer",
                "Promised: within 50 ms.",
                "s",
                {
                    name: quantile_of(quantile, "afterbell_http_request_duration_seconds", only=f"{{{PUBLIC}}}")
                    for name, quantile in (("p50", 0.5), ("p99", 0.99))
                },
                marks=(Mark(0.05, "orange"),),
            ),
            panel(
                "Webhooks",
                "Delivery attempts by result; pending deliveries.",
                "short",
                {
                    "{{result}} a minute": f"60 * sum by (result) (rate(afterbell_webhook_attempts_total{RATE}))",
                    "pending": "max(afterbell_webhook_pending)",
                },
            ),
        ],
    },
)
