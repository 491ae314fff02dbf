"""Every metric of every process, in one registry module. Base units; labels of few values only."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

# A report takes 30-60 s: the edges that matter lie there. Requests are promised in under 50 ms.
_JOB_BUCKETS: Final = (0.5, 1, 2, 5, 10, 15, 20, 30, 40, 50, 60, 90, 120, 180, 300, 600)
_WAIT_BUCKETS: Final = (0.01, 0.1, 0.5, 1, 5, 15, 30, 60, 120, 300, 900, 1800, 3600)
_REQUEST_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_STORE_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

BUILD: Final = Gauge(
    "afterbell_build_info", "Always 1; labelled with the running version and process", ["version", "process"]
)
REDIS_SECONDS: Final = Histogram(
    "afterbell_redis_command_duration_seconds", "Time of one queue operation", ["purpose"], buckets=_STORE_BUCKETS
)
REDIS_ERRORS: Final = Counter("afterbell_redis_errors_total", "Queue operations that Redis did not answer", ["purpose"])
QUEUE_SCRIPT_ERRORS: Final = Counter(
    "afterbell_queue_script_errors_total", "Queue scripts that failed inside Redis: a fault of ours", ["script"]
)
REDIS_CONNECTIONS: Final = Gauge("afterbell_redis_connections", "Connections of this process to Redis")
REDIS_COMMANDS_TODAY: Final = Gauge(
    "afterbell_redis_commands_today", "Commands all processes have sent since midnight UTC, as a worker last read it"
)
REDIS_MEMORY: Final = Gauge("afterbell_redis_memory_bytes", "Memory used by Redis, as the operator last read it")
REDIS_MEMORY_MAX: Final = Gauge("afterbell_redis_memory_max_bytes", "maxmemory of Redis; 0 = no limit")
REDIS_EVICTS: Final = Gauge("afterbell_redis_evicts", "1: Redis deletes keys of the queue when its memory is full")
POSTGRES_POOL: Final = Gauge("afterbell_postgres_pool_connections", "Maximum connections of this process to PostgreSQL")
POSTGRES_BUSY: Final = Gauge("afterbell_postgres_pool_busy_connections", "Connections to PostgreSQL in use")
POSTGRES_WAIT: Final = Histogram(
    "afterbell_postgres_pool_wait_seconds", "Time to obtain a connection to PostgreSQL", buckets=_STORE_BUCKETS
)
POSTGRES_ERRORS: Final = Counter("afterbell_postgres_unavailable_total", "Times PostgreSQL did not answer")

# The queue as PostgreSQL has it, read by each api process every few seconds: take the max over processes, not the sum.
QUEUE_JOBS: Final = Gauge(
    "afterbell_queue_jobs",
    "Reports by state: waiting, due (delayed), active, failed; at most 10000",
    ["state"],
)
QUEUE_OLDEST: Final = Gauge("afterbell_queue_oldest_waiting_seconds", "Age of the oldest report waiting to start")
QUEUE_SILENT: Final = Gauge(
    "afterbell_queue_progress_age_seconds",
    "Longest time any running report has gone without progress; 0 = none is running",
)
QUEUE_UNCHECKED: Final = Gauge(
    "afterbell_sweep_unchecked_seconds",
    "Longest time since any waiting report was last found in the queue, or was requested; 0 = none waits",
)
REPORTS_PARKED: Final = Gauge(
    "afterbell_reports_parked", "Reports set aside because the queue cannot take them; at most 10000"
)
OLDEST_KEPT: Final = Gauge(
    "afterbell_retention_oldest_seconds", "Age of the oldest data of a kind that is kept; 0 = there is none", ["kind"]
)
KEPT_FOR: Final = Gauge(
    "afterbell_retention_limit_seconds", "How long the last retention run was told to keep data of a kind", ["kind"]
)
RETENTION_ENDED: Final = Gauge(
    "afterbell_retention_completed_timestamp_seconds",
    "When a retention run last deleted all that was due of a kind (Unix time)",
    ["kind"],
)
QUEUE_SEEN: Final = Gauge("afterbell_queue_observed_timestamp_seconds", "When this api process last read the queue")
JOB_STARTS: Final = Counter("afterbell_job_starts_total", "Attempts started, first or repeated", ["try"])
JOB_FAILURES: Final = Counter("afterbell_job_failed_tries_total", "Failed attempts by reason", ["reason"])
REPORTS: Final = Counter(
    "afterbell_reports_total",
    "Reports written: by a model, instead of an unavailable one, or without calling one",
    ["writer"],
)
REPORT_READY: Final = Histogram(
    "afterbell_report_ready_seconds",
    "Time from the request for a report until it can be read",
    buckets=(5, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200),
)
REPORT_ATTEMPTS: Final = Histogram(
    "afterbell_report_attempts", "Attempts until a report could be read", buckets=(1, 2, 3, 4, 5, 10)
)
GROUNDED: Final = Histogram(
    "afterbell_report_grounded_ratio",
    "Claims of a report that the transcript supports / all claims",
    buckets=(0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1),
)
CONCERNS: Final = Counter(
    "afterbell_report_concerns_total", "Topics in sessions that somebody should look at, by topic", ["topic"]
)
LEASES_RENEWED: Final = Counter("afterbell_worker_lease_renewals_total", "Leases of running jobs renewed")
LEASES_LOST: Final = Counter("afterbell_worker_leases_lost_total", "Running jobs taken over by another worker")
WORKER_HELD: Final = Counter(
    "afterbell_worker_held_seconds_total", "Time in which this worker could start no job, by cause", ["gate"]
)
MODEL_SECONDS: Final = Histogram(
    "afterbell_model_request_duration_seconds", "Time of one model call", ["model"], buckets=_JOB_BUCKETS
)
MODEL_HELD: Final = Histogram(
    "afterbell_model_limiter_wait_seconds",
    "Time a breaker, pause or quota told a call to wait",
    ["model"],
    buckets=_WAIT_BUCKETS,
)
WEBHOOK_SECONDS: Final = Histogram(
    "afterbell_webhook_attempt_duration_seconds",
    "Duration of one webhook delivery attempt",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 30),
)
WEBHOOKS_PENDING: Final = Gauge("afterbell_webhook_pending", "Pending webhook deliveries; at most 10000")
REDIS_COMMANDS: Final = Counter(
    "afterbell_redis_commands_total", "Commands sent to Redis, as a hosted Redis bills them", ["purpose"]
)
REDIS_BUDGET_USED: Final = Gauge(
    "afterbell_redis_budget_used_ratio", "Commands all processes have sent today / AFTERBELL_REDIS_COMMANDS_PER_DAY"
)
HTTP_REFUSED: Final = Counter(
    "afterbell_http_refused_total", "Requests and connections refused before the app saw them, by reason", ["reason"]
)
HTTP_REQUESTS: Final = Histogram(
    "afterbell_http_request_duration_seconds",
    "Time to answer a request",
    ["method", "route", "status"],
    buckets=_REQUEST_BUCKETS,
)
JOB_OUTCOMES: Final = Counter("afterbell_job_outcomes_total", "Attempts by outcome", ["outcome"])
JOB_DURATION: Final = Histogram("afterbell_job_duration_seconds", "Run time of one attempt", buckets=_JOB_BUCKETS)
JOB_WAIT: Final = Histogram(
    "afterbell_report_wait_seconds",
    "Time from the request for a report to its first start",
    buckets=_WAIT_BUCKETS,
)
WORKER_SLOTS: Final = Gauge("afterbell_worker_slots", "Maximum number of jobs this worker runs at once")
WORKER_BUSY: Final = Gauge("afterbell_worker_busy_slots", "Jobs this worker is running")
OUTBOX_WAITING: Final = Gauge("afterbell_outbox_waiting", "Reports this process has committed but not yet enqueued")
OUTBOX_SWEPT: Final = Counter("afterbell_outbox_swept_total", "Reports the sweeper asked the queue about")
SWEEP_REPAIRS: Final = Counter(
    "afterbell_sweep_repairs_total",
    "Reports that record and queue disagreed on: enqueued (Redis did not know it), repaired (held nowhere), anew "
    "(ended in Redis alone), dead (given up by the queue), parked (the queue cannot take it)",
    ["repair"],
)
for _repair in ("enqueued", "repaired", "anew", "dead", "parked"):
    SWEEP_REPAIRS.labels(_repair)  # from 0 on, so that the first one counts as an increase
MODEL_TOKENS: Final = Counter("afterbell_model_tokens_total", "Tokens billed by the model provider", ["kind"])
MODEL_REQUESTS: Final = Counter("afterbell_model_requests_total", "Model calls by result", ["result"])
MODEL_COST: Final = Counter(
    "afterbell_model_cost_usd_total", "Cost of model calls, by the model that answered", ["model"]
)
MODEL_SHUTDOWN: Final = Gauge(
    "afterbell_model_shutdown_timestamp_seconds",
    "When the provider shuts down a configured model (Unix time)",
    ["model"],
)
BUDGET_USED: Final = Gauge("afterbell_budget_used_ratio", "Spent / budget, all tenants, by period", ["period"])
BUDGET_MARKS: Final = Counter(
    "afterbell_budget_marks_total", "Budgets that passed 50, 80 or 100 %", ["period", "whose", "percent"]
)
WEBHOOK_ATTEMPTS: Final = Counter("afterbell_webhook_attempts_total", "Webhook delivery attempts by result", ["result"])
MODEL_TROUBLED: Final = Gauge(
    "afterbell_model_troubled", "1 while calls to a model are held back by breaker or pause", ["model"]
)

# Realtime. A message is promised to be acknowledged within 20 ms.
_ACK_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
RT_SOCKETS: Final = Gauge("afterbell_realtime_sockets", "Sockets open in this process")
RT_ROOMS: Final = Gauge("afterbell_realtime_rooms", "Rooms with a client in this process")
RT_HANDSHAKES: Final = Counter("afterbell_realtime_handshakes_total", "Handshakes by result", ["result"])
RT_CLOSED: Final = Counter("afterbell_realtime_closed_total", "Sockets this process closed, by reason", ["reason"])
RT_EVENTS: Final = Histogram(
    "afterbell_realtime_event_seconds",
    "Time from a client's event to its acknowledgement",
    ["event", "result"],
    buckets=_ACK_BUCKETS,
)
RT_FANOUT: Final = Histogram(
    "afterbell_realtime_fanout_sockets",
    "Sockets of this process that one event was sent to",
    buckets=(1, 2, 5, 10, 50, 100, 500, 1_000, 5_000),
)
RT_EMIT_SECONDS: Final = Histogram(
    "afterbell_realtime_emit_seconds",
    "Time to send one event to all local sockets of a room",
    buckets=(0.00001, 0.00005, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1),
)
RT_UNREAD_MAX: Final = Gauge("afterbell_realtime_unread_max_bytes", "Unread bytes of the slowest reader")
RT_DISCONNECTED: Final = Counter("afterbell_realtime_disconnects_total", "Disconnected sockets by reason", ["reason"])
RT_CATCHUPS: Final = Counter("afterbell_realtime_catchups_total", "Pages of messages read by clients")
RT_BUS_QUEUED: Final = Gauge("afterbell_realtime_bus_queue_depth", "Messages waiting to be published")
RT_DELIVERED: Final = Counter("afterbell_realtime_delivered_total", "Copies of events sent to sockets")
RT_SKIPPED: Final = Counter("afterbell_realtime_skipped_total", "Outdated progress events not sent to slow readers")
RT_CATCHUP_ROWS: Final = Counter("afterbell_realtime_catchup_rows_total", "Messages that clients read to catch up")
RT_DRAINING: Final = Gauge("afterbell_realtime_draining", "1 while this process is draining its sockets")
RT_TASKS: Final = Gauge("afterbell_realtime_tasks", "Tasks in the event loop; three or four per socket")
RT_LOOP_LAG: Final = Gauge("afterbell_realtime_loop_lag_seconds", "Lateness of the event loop's last one-second tick")
RT_BUS_CONNECTED: Final = Gauge("afterbell_realtime_bus_connected", "1 while other api pods can be reached")
RT_BUS_PUBLISHED: Final = Counter("afterbell_realtime_bus_published_total", "Messages published to other pods")
RT_BUS_DROPPED: Final = Counter("afterbell_realtime_bus_dropped_total", "Live copies that other pods did not receive")
RT_BUS_SECONDS: Final = Histogram(
    "afterbell_realtime_bus_publish_seconds", "Time of one batch of publishes", buckets=_ACK_BUCKETS
)
RT_BUS_ECHO_AGE: Final = Gauge(
    "afterbell_realtime_bus_echo_age_seconds", "Age of the newest heartbeat this process received from itself"
)
RT_BUS_RESUBSCRIBED: Final = Counter(
    "afterbell_realtime_bus_resubscribes_total", "Times the bus connected or reconnected"
)
