"""The dashboards, by the question each answers."""

from typing import Final

from tools.dashboards.panels import (
    INFINITY_VARIABLE,
    Board,
    Json,
    Mark,
    panel,
    query_variable,
    stat,
    table_of,
    textbox,
)
from tools.dashboards.stores import REALTIME, STORES

_R: Final = "[$__rate_interval]"
_RED: Final = "red"
# What administrators ask on the internal port is counted as well, and no customer waits for it.
_PUBLIC: Final = 'route!~"/admin/.*"'


def _p(quantile: float, metric: str, by: str = "le", only: str = "") -> str:
    return f"histogram_quantile({quantile}, sum by ({by}) (rate({metric}_bucket{only}{_R})))"


def _of_each_pool(metric: str) -> str:
    """0 where a Pool does not have the metric, so that none is missing from the picture."""
    of_each = 'max by (scaler) ({}{{scaler=~"$scaler"}})'
    return f"{of_each.format(metric)} or 0 * {of_each.format('afterbell_operator_max_replicas')}"


_DEAD: Final = f'(sum(rate(afterbell_job_outcomes_total{{outcome="dead"}}{_R})) or vector(0))'
_ENDED: Final = f'sum(rate(afterbell_job_outcomes_total{{outcome=~"done|dead"}}{_R}))'

_WELL: Final = [
    stat("Reports a minute", "Reports that can be read since, a minute. 3,000 a day are 2-3 at the peak.", "short",
         f"60 * sum(rate(afterbell_reports_total{_R}))"),
    stat("Writing takes", "Median run time of a try. 30-60 s is what a hosted model takes.", "s",
         _p(0.5, "afterbell_job_duration_seconds"), Mark(60, "orange"), Mark(120, _RED)),
    stat("Failed", "Reports given up / reports ended. Below 5 % is well.", "percentunit",
         f"{_DEAD} / {_ENDED}", Mark(0.01, "orange"), Mark(0.05, _RED)),
    stat("Backlog", "Reports that wait for a worker. Below 10 is well.", "short",
         'max(afterbell_queue_jobs{state="waiting"})', Mark(10, "orange"), Mark(50, _RED)),
    stat("Redis commands today", "Sent by the fleet since midnight UTC. Free plans end at 10,000 a day.", "short",
         "max(afterbell_redis_commands_today)", Mark(8_000, "orange"), Mark(10_000, _RED)),
    stat("Redis memory", "As the operator saw it last. Small plans have 256 MB.", "bytes",
         "max(afterbell_redis_memory_bytes)", Mark(200e6, "orange"), Mark(256e6, _RED)),
    stat("Sockets", "Open now, over all api pods. 500 and more are usual at the peak.", "short",
         "sum(afterbell_realtime_sockets)"),
    stat("Failing requests", "Answers with 5xx / all answers of the public API.", "percentunit",
         f'(sum(rate(afterbell_http_request_duration_seconds_count{{{_PUBLIC}, status=~"5.."}}{_R})) or vector(0))'
         f" / sum(rate(afterbell_http_request_duration_seconds_count{{{_PUBLIC}}}{_R}))",
         Mark(0.001, "orange"), Mark(0.01, _RED)),
    stat("Spent today", "Model calls of the last 24 hours.", "currencyUSD",
         "sum(increase(afterbell_model_cost_usd_total[24h]))"),
    stat("Workers", "Worker processes that are up.", "short", 'count(afterbell_build_info{process="worker"})'),
    stat("Slots busy", "Running jobs / jobs the workers could run at once.", "percentunit",
         "sum(afterbell_worker_busy_slots) / sum(afterbell_worker_slots)", Mark(0.9, "orange")),
    stat("Grounded", "Claims the transcript bears out / all claims, in reports of the last hour.", "percentunit",
         "sum(increase(afterbell_report_grounded_ratio_sum[1h]))"
         " / sum(increase(afterbell_report_grounded_ratio_count[1h]))"),
]  # fmt: skip

OVERVIEW: Final = Board("overview", "Overview", "Is it well?", {
    "Is it well?": _WELL,
    "Over time": [
        panel("Reports", "Written, by who wrote them: a model, the basic engine in place of one, or nobody asked.",
              "opm", {"{{writer}}": f"60 * sum by (writer) (rate(afterbell_reports_total{_R}))"}, stacked=True),
        panel("Queue", "Reports by what they wait for.", "short",
              {"{{state}}": 'max by (state) (afterbell_queue_jobs{state!="failed"})'},
              stacked=True, marks=(Mark(10, _RED),)),
        panel("From request to report", "What a person waits in all.", "s",
              {"half": _p(0.5, "afterbell_report_ready_seconds"), "95 %": _p(0.95, "afterbell_report_ready_seconds")}),
    ],
    "API": [
        panel("Requests", "To the public API, a second, by status.", "reqps",
              {"{{status}}":
               f"sum by (status) (rate(afterbell_http_request_duration_seconds_count{{{_PUBLIC}}}{_R}))"},
              stacked=True),
        panel("Time to answer", "Promised in 50 ms.", "s",
              {name: _p(quantile, "afterbell_http_request_duration_seconds", only=f"{{{_PUBLIC}}}")
               for name, quantile in (("half", 0.5), ("99 %", 0.99))}, marks=(Mark(0.05, "orange"),)),
        panel("Webhooks", "Attempts to deliver, by result; what is still to be delivered.", "short",
              {"{{result}} a minute": f"60 * sum by (result) (rate(afterbell_webhook_attempts_total{_R}))",
               "pending": "max(afterbell_webhook_pending)"}),
    ],
})  # fmt: skip

QUEUE: Final = Board("queue", "Queue", "What waits, for how long, and what becomes of it?", {
    "What waits": [
        panel("Reports by state", "As PostgreSQL has them; counts end at 10,000.", "short",
              {"{{state}}": "max by (state) (afterbell_queue_jobs)"}, width=6),
        panel("Oldest", "Age of the oldest report that waits to start.", "s",
              {"oldest": "max(afterbell_queue_oldest_waiting_seconds)"}, width=6, marks=(Mark(300, _RED),)),
        panel("Waiting time", "From the request to the first start. Promised: 95 % within 120 s.", "s",
              {"half": _p(0.5, "afterbell_report_wait_seconds"), "95 %": _p(0.95, "afterbell_report_wait_seconds")},
              width=6, marks=(Mark(120, "orange"),)),
        panel("Longest without progress", "Of the reports that run, since its last progress; 0: none runs.", "s",
              {"silent": "max(afterbell_queue_progress_age_seconds)"}, width=6, marks=(Mark(300, "orange"),)),
    ],
    "What becomes of it": [
        panel("Starts", "A minute: first tries, and tries after a failure or a lost worker.", "opm",
              {"{{try}}": f"60 * sum by (try) (rate(afterbell_job_starts_total{_R}))"}, stacked=True),
        panel("Outcomes", "Tries that ended, a minute.", "opm",
              {"{{outcome}}": f"60 * sum by (outcome) (rate(afterbell_job_outcomes_total{_R}))"}, stacked=True),
        panel("Why tries fail", "A minute, by reason.", "opm",
              {"{{reason}}": f"60 * sum by (reason) (rate(afterbell_job_failed_tries_total{_R}))"}, stacked=True),
        panel("Run time", "How long one try takes.", "s",
              {"half": _p(0.5, "afterbell_job_duration_seconds"), "95 %": _p(0.95, "afterbell_job_duration_seconds")},
              marks=(Mark(60, "orange"),)),
        panel("Starts a report needs", "Average over finished reports; 1 is the best.", "none",
              {"starts": f"sum(rate(afterbell_report_attempts_sum{_R}))"
                         f" / sum(rate(afterbell_report_attempts_count{_R}))"}),
        panel("From record to queue", "Reports committed and not yet in Redis; reports put again by the sweeper.",
              "short", {"not yet put": "sum(afterbell_outbox_waiting)",
                        "put again, a minute": f"60 * sum(rate(afterbell_outbox_swept_total{_R}))"}),
    ],
})  # fmt: skip

SCALING: Final = Board("scaling", "Workers & scaling", "Why so many replicas?", {
    "Why N replicas": [
        panel("Replicas", "Decided, asked for, ready, and the bounds.", "short",
              {f"{name} {{{{scaler}}}}": f'max by (scaler) (afterbell_operator_{name}_replicas{{scaler=~"$scaler"}})'
               for name in ("desired", "current", "ready", "min", "max")}),
        panel("Demand", "Jobs that run, wait or become due soon, as the operator sees them; 0 for a Pool of sockets.",
              "short", {"{{scaler}}": _of_each_pool("afterbell_operator_jobs")}),
        panel("Sockets", "Open sockets of the api pods the operator heard; 0 for a Pool that follows jobs.", "short",
              {"{{scaler}}": _of_each_pool("afterbell_operator_sockets")}),
        panel("Changes", "Replicas written in the last quarter of an hour, and why.", "short",
              {"{{direction}}: {{reason}}":
               "sum by (direction, reason) (increase(afterbell_operator_scale_events_total[15m]))"}, width=6),
        panel("Held back", "Times something kept the number from the demand, in the last quarter of an hour.",
              "short",
              {"{{reason}}":
               "sum by (reason) (increase(afterbell_operator_decision_blocked_total[15m])) or vector(0)"}, width=6),
        panel("Age of what is known", "Since the queue was last seen, or an api pod heard.", "s",
              {"{{scaler}}":
               'max by (scaler) (afterbell_operator_backlog_observation_age_seconds{scaler=~"$scaler"})'}, width=6),
        panel("Leader", "One of the operators leads.", "short", {"leaders": "sum(afterbell_operator_leader)"}, width=6),
    ],
    "Workers": [
        panel("Slots", "Jobs that run, jobs that could.", "short",
              {"busy": "sum(afterbell_worker_busy_slots)", "slots": "sum(afterbell_worker_slots)"}),
        panel("Told to wait", "Share of time the queue let a worker start nothing, by what held it.", "percentunit",
              {"{{gate}}": f"sum by (gate) (rate(afterbell_worker_held_seconds_total{_R}))"
                           ' / ignoring (gate) group_left count(afterbell_build_info{process="worker"})'}),
        panel("Leases", "Renewed, and lost to another worker, a minute.", "opm",
              {"renewed": f"60 * sum(rate(afterbell_worker_lease_renewals_total{_R}))",
               "lost": f"60 * sum(rate(afterbell_worker_leases_lost_total{_R}))"}),
    ],
    "The operator": [
        panel("Rounds", "A minute, by result.", "opm",
              {"{{result}}": f"60 * sum by (result) (rate(afterbell_operator_reconcile_total{_R}))"}),
        panel("Time of a round", "Rounds that write wait for the API server.", "s",
              {"99 %": _p(0.99, "afterbell_operator_reconcile_duration_seconds")}),
        panel("Requests to the API server", "A minute, by resource.", "opm",
              {"{{verb}} {{resource}} {{code}}":
               f"60 * sum by (verb, resource, code) (rate(afterbell_operator_kube_api_requests_total{_R}))"}),
    ],
}, variables=(query_variable("scaler", "Pool", "label_values(afterbell_operator_max_replicas, scaler)"),))  # fmt: skip

MODEL: Final = Board("model", "Model & cost", "Does the provider answer, how well, and for how much?", {
    "Answers": [
        panel("Calls", "A minute, by result.", "opm",
              {"{{result}}": f"60 * sum by (result) (rate(afterbell_model_requests_total{_R}))"}, stacked=True),
        panel("Time of a call", "From the request to the last token.", "s",
              {"half {{model}}": _p(0.5, "afterbell_model_request_duration_seconds", "le, model"),
               "95 % {{model}}": _p(0.95, "afterbell_model_request_duration_seconds", "le, model")}),
        panel("Held back", "1 while the fleet spares a model: breaker or pause.", "bool",
              {"{{model}}": "max by (model) (afterbell_model_troubled)"}),
        panel("Waits for the limiter", "Calls told to wait by breaker, pause or quota, a minute.", "opm",
              {"told to wait": f"60 * (sum(rate(afterbell_model_limiter_wait_seconds_count{_R})) or vector(0))"}),
        panel("Grounded", "Claims the transcript bears out / all claims.", "percentunit",
              {"grounded": f"sum(rate(afterbell_report_grounded_ratio_sum{_R}))"
                           f" / sum(rate(afterbell_report_grounded_ratio_count{_R}))"}),
        panel("In place of a model", "Basic reports because no model could be had / all.", "percentunit",
              {"basic": f'(sum(rate(afterbell_reports_total{{writer="fallback"}}{_R})) or vector(0))'
                        f" / sum(rate(afterbell_reports_total{_R}))"}),
    ],
    "Money": [
        panel("Cost", "Dollars an hour, by the model that served.", "currencyUSD",
              {"{{model}}": f"3600 * sum by (model) (rate(afterbell_model_cost_usd_total{_R}))"}),
        panel("Tokens", "A minute, read and written.", "short",
              {"{{kind}}": f"60 * sum by (kind) (rate(afterbell_model_tokens_total{_R}))"}),
        panel("Budgets", "Spent / budget of all tenants.", "percentunit",
              {"{{period}}": "max by (period) (afterbell_budget_used_ratio)"},
              marks=(Mark(0.8, "orange"), Mark(1, _RED))),
        panel("A report costs", "Average over the last hour.", "currencyUSD",
              {"a report": "sum(increase(afterbell_model_cost_usd_total[1h]))"
                           ' / sum(increase(afterbell_reports_total{writer="model"}[1h]))'}),
        panel("Budgets passed", "Marks of 50, 80 and 100 % passed in the last day.", "short",
              {"{{whose}} {{period}} {{percent}} %":
               "sum by (whose, period, percent) (increase(afterbell_budget_marks_total[1d])) or vector(0)"}),
        panel("Models end in", "Until the provider's announced end of a configured model; 0: none is announced.", "s",
              {"{{model}}": "max by (model) (afterbell_model_shutdown_timestamp_seconds) - time() or vector(0)"}),
    ],
})  # fmt: skip

_COLUMNS: Final = {"jobId": "Job", "status": "State", "session_id": "Session", "tenant_id": "Tenant",
                   "attempt": "Attempt", "stage": "Stage", "progress": "%", "created_at": "Asked for",
                   "finished_at": "Finished", "error": "Error"}  # fmt: skip
_TRIES: Final = {"attempt": "Attempt", "worker": "Worker", "started_at": "Started", "ended_at": "Ended",
                 "outcome": "Outcome", "error": "Error", "model": "Model", "request_id": "Request",
                 "input_tokens": "Read", "output_tokens": "Written"}  # fmt: skip
_CALLS: Final = {"attempt": "Attempt", "model": "Model", "outcome": "Outcome", "started_at": "Started",
                 "input_tokens": "Read", "output_tokens": "Written", "cost_usd": "USD"}  # fmt: skip
_ACTS: Final = {"at": "At", "actor": "Who", "action": "Did", "subject": "To", "reason": "Why"}
_STATES: Final[Json] = {
    "name": "state", "label": "State", "type": "custom",
    "query": "any,failed,running,queued,deferred,succeeded,cancelled", "current": {"text": "any", "value": "any"},
}  # fmt: skip
_FILTERS: Final = ("tenant", "session", "participant", "error")
_ASKED: Final = "&".join(f"{name}=${{{name}:percentencode}}" for name in ("state", *_FILTERS))
_SHOW: Final = (
    "?"
    + "&".join(f"${{{name}:queryparam}}" for name in ("infinity", "state", *_FILTERS))
    + ("&var-job_id=${__data.fields.Job}")
)
JOBS: Final = Board("jobs", "Job explorer", "Which jobs, and what happened to one? Needs the Infinity data source.", {
    "Jobs": [table_of("Jobs", "Newest first, from the admin API; a click on one shows it below.",
                      f"/admin/jobs?{_ASKED}&limit=100", "jobs", _COLUMNS, link=("Job", _SHOW))],
    "One job": [
        table_of("Tries", "Every start of the chosen job, and how it ended.", "/admin/jobs/${job_id}", "attempts",
                 _TRIES, height=6),
        table_of("Log", "The lines each try left when it ended.", "/admin/jobs/${job_id}/logs", "tries.log", {}),
        table_of("Model calls", "What the chosen job's calls cost.", "/admin/jobs/${job_id}", "calls", _CALLS,
                 height=6),
    ],
    "What was done": [table_of("Acts", "Who did what and why, newest first.", "/admin/audit?limit=100", "acts", _ACTS,
                               height=8)],
}, variables=(INFINITY_VARIABLE, _STATES, *(textbox(name, name.capitalize()) for name in _FILTERS),
              textbox("job_id", "Job")))  # fmt: skip

BOARDS: Final = (OVERVIEW, QUEUE, JOBS, SCALING, REALTIME, MODEL, STORES)
