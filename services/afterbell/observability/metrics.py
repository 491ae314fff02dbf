"""Every metric of every process, in one registry module. Base units; labels of few values only."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

# A report takes 30-60 s: the edges that matter lie there. Requests are promised in under 50 ms.
_JOB_BUCKETS: Final = (0.5, 1, 2, 5, 10, 15, 20, 30, 40, 50, 60, 90, 120, 180, 300, 600)
_WAIT_BUCKETS: Final = (0.01, 0.1, 0.5, 1, 5, 15, 30, 60, 120, 300, 900, 1800, 3600)
_REQUEST_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_STORE_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

BUILD: Final = Gauge("afterbell_build_info", "1, labelled with what runs here", ["version", "process"])
REDIS_SECONDS: Final = Histogram(
    "afterbell_redis_command_duration_seconds", "Time of one verb of the queue", ["purpose"], buckets=_STORE_BUCKETS
)
REDIS_ERRORS: Final = Counter("afterbell_redis_errors_total", "Verbs of the queue Redis did not answer", ["purpose"])
REDIS_CONNECTIONS: Final = Gauge("afterbell_redis_connections", "Connections of this process to Redis")
REDIS_COMMANDS_TODAY: Final = Gauge(
    "afterbell_redis_commands_today", "Commands the fleet has sent since midnight UTC, as a worker was told last"
)
REDIS_MEMORY: Final = Gauge("afterbell_redis_memory_bytes", "Memory Redis uses, as the operator was told last")
REDIS_MEMORY_MAX: Final = Gauge("afterbell_redis_memory_max_bytes", "maxmemory of Redis; 0: none is set")
POSTGRES_POOL: Final = Gauge("afterbell_postgres_pool_connections", "Connections this process may open to PostgreSQL")
POSTGRES_BUSY: Final = Gauge("afterbell_postgres_pool_busy_connections", "Connections to PostgreSQL in use")
POSTGRES_WAIT: Final = Histogram(
    "afterbell_postgres_pool_wait_seconds", "Time to get a connection to PostgreSQL", buckets=_STORE_BUCKETS
)
POSTGRES_ERRORS: Final = Counter("afterbell_postgres_unavailable_total", "Times PostgreSQL did not answer")

# The queue as PostgreSQL has it, read by each api process every few seconds: take the max over processes, not the sum.
QUEUE_JOBS: Final = Gauge(
    "afterbell_queue_jobs",
    "Reports by state: waiting, due (for a later moment), active, failed; at most 10000",
    ["state"],
)
QUEUE_OLDEST: Final = Gauge("afterbell_queue_oldest_waiting_seconds", "Age of the oldest report that waits to start")
QUEUE_SILENT: Final = Gauge(
    "afterbell_queue_progress_age_seconds",
    "Time since that running report last made progress which has been silent longest; 0: none runs",
)
QUEUE_SEEN: Final = Gauge("afterbell_queue_observed_timestamp_seconds", "When this api process last read the queue")
JOB_STARTS: Final = Counter("afterbell_job_starts_total", "Tries of jobs begun, by whether it is the first", ["try"])
JOB_FAILURES: Final = Counter("afterbell_job_failed_tries_total", "Tries of jobs that failed, by reason", ["reason"])
REPORTS: Final = Counter(
    "afterbell_reports_total", "Reports written: by a model, instead of one, or unasked", ["writer"]
)
REPORT_READY: Final = Histogram(
    "afterbell_report_ready_seconds",
    "Time from the request of a report until it can be read",
    buckets=(5, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200),
)
REPORT_ATTEMPTS: Final = Histogram(
    "afterbell_report_attempts", "Starts a report took until it could be read", buckets=(1, 2, 3, 4, 5, 10)
)
GROUNDED: Final = Histogram(
    "afterbell_report_grounded_ratio",
    "Claims of a report that the transcript bears out / all claims",
    buckets=(0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1),
)
LEASES_RENEWED: Final = Counter("afterbell_worker_lease_renewals_total", "Leases of running jobs renewed")
LEASES_LOST: Final = Counter("afterbell_worker_leases_lost_total", "Running jobs that went to another worker")
WORKER_HELD: Final = Counter(
    "afterbell_worker_held_seconds_total", "Time the queue let this worker start nothing, by what held it", ["gate"]
)
MODEL_SECONDS: Final = Histogram(
    "afterbell_model_request_duration_seconds", "Time of one model call", ["model"], buckets=_JOB_BUCKETS
)
MODEL_HELD: Final = Histogram(
    "afterbell_model_limiter_wait_seconds",
    "How long the fleet's breaker, pause or quota told a call to wait",
    ["model"],
    buckets=_WAIT_BUCKETS,
)
WEBHOOK_SECONDS: Final = Histogram(
    "afterbell_webhook_attempt_duration_seconds",
    "Time of one attempt to deliver a webhook",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 30),
)
WEBHOOKS_PENDING: Final = Gauge("afterbell_webhook_pending", "Webhook deliveries not yet settled; at most 10000")
REDIS_COMMANDS: Final = Counter(
    "afterbell_redis_commands_total", "Commands sent to Redis, as a hosted Redis bills them", ["purpose"]
)
REDIS_BUDGET_USED: Final = Gauge(
    "afterbell_redis_budget_used_ratio", "Commands the fleet has sent today / AFTERBELL_REDIS_COMMANDS_PER_DAY"
)
HTTP_REQUESTS: Final = Histogram(
    "afterbell_http_request_duration_seconds",
    "Time to answer a request",
    ["method", "route", "status"],
    buckets=_REQUEST_BUCKETS,
)
JOB_OUTCOMES: Final = Counter("afterbell_job_outcomes_total", "Tries of jobs by what became of them", ["outcome"])
JOB_DURATION: Final = Histogram("afterbell_job_duration_seconds", "Run time of one try of a job", buckets=_JOB_BUCKETS)
JOB_WAIT: Final = Histogram(
    "afterbell_report_wait_seconds",
    "Time from the request of a report to its first start",
    buckets=_WAIT_BUCKETS,
)
WORKER_SLOTS: Final = Gauge("afterbell_worker_slots", "Jobs this worker runs at once at the most")
WORKER_BUSY: Final = Gauge("afterbell_worker_busy_slots", "Jobs this worker runs now")
OUTBOX_WAITING: Final = Gauge(
    "afterbell_outbox_waiting", "Reports this process has committed and not yet handed to the queue"
)
OUTBOX_SWEPT: Final = Counter("afterbell_outbox_swept_total", "Reports the sweeper handed to the queue again")
MODEL_TOKENS: Final = Counter("afterbell_model_tokens_total", "Tokens billed by the model provider", ["kind"])
MODEL_REQUESTS: Final = Counter("afterbell_model_requests_total", "Model calls by result", ["result"])
MODEL_COST: Final = Counter(
    "afterbell_model_cost_usd_total", "What model calls cost, by the model that served", ["model"]
)
MODEL_SHUTDOWN: Final = Gauge(
    "afterbell_model_shutdown_timestamp_seconds", "When the provider ends a configured model (Unix time)", ["model"]
)
BUDGET_USED: Final = Gauge("afterbell_budget_used_ratio", "Spent / budget of all tenants, by period", ["period"])
BUDGET_MARKS: Final = Counter(
    "afterbell_budget_marks_total", "Budgets that went past 50, 80 or 100 %", ["period", "whose", "percent"]
)
WEBHOOK_ATTEMPTS: Final = Counter(
    "afterbell_webhook_attempts_total", "Attempts to deliver a webhook by what became of them", ["result"]
)
MODEL_TROUBLED: Final = Gauge(
    "afterbell_model_troubled", "1 while the fleet holds calls of a model back: breaker or pause", ["model"]
)

# Realtime. A message is promised to be acknowledged within 20 ms.
_ACK_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
RT_SOCKETS: Final = Gauge("afterbell_realtime_sockets", "Sockets open in this process")
RT_ROOMS: Final = Gauge("afterbell_realtime_rooms", "Rooms with a member in this process")
RT_HANDSHAKES: Final = Counter("afterbell_realtime_handshakes_total", "Handshakes by result", ["result"])
RT_CLOSED: Final = Counter("afterbell_realtime_closed_total", "Sockets this process closed, by reason", ["reason"])
RT_EVENTS: Final = Histogram(
    "afterbell_realtime_event_seconds", "Time from a client's event to its acknowledgement", ["event", "result"],
    buckets=_ACK_BUCKETS,
)  # fmt: skip
RT_FANOUT: Final = Histogram(
    "afterbell_realtime_fanout_sockets", "Sockets of this process one event went to",
    buckets=(1, 2, 5, 10, 50, 100, 500, 1_000, 5_000),
)  # fmt: skip
RT_EMIT_SECONDS: Final = Histogram(
    "afterbell_realtime_emit_seconds", "Time to hand one event to all sockets of a room here",
    buckets=(0.00001, 0.00005, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1),
)  # fmt: skip
RT_UNREAD_MAX: Final = Gauge("afterbell_realtime_unread_max_bytes", "What the slowest reader has not taken yet")
RT_DISCONNECTED: Final = Counter("afterbell_realtime_disconnects_total", "Sockets that went, by reason", ["reason"])
RT_CATCHUPS: Final = Counter("afterbell_realtime_catchups_total", "Pages of messages read by clients")
RT_BUS_QUEUED: Final = Gauge("afterbell_realtime_bus_queue_depth", "Messages waiting to be published")
RT_DELIVERED: Final = Counter("afterbell_realtime_delivered_total", "Copies of events handed to sockets")
RT_SKIPPED: Final = Counter("afterbell_realtime_skipped_total", "Outdated progress not sent to slow readers")
RT_CATCHUP_ROWS: Final = Counter("afterbell_realtime_catchup_rows_total", "Messages read again by clients")
RT_DRAINING: Final = Gauge("afterbell_realtime_draining", "1 while this process sends its sockets away")
RT_TASKS: Final = Gauge("afterbell_realtime_tasks", "Tasks of the event loop; three or four a socket")
RT_LOOP_LAG: Final = Gauge("afterbell_realtime_loop_lag_seconds", "How late the event loop's last one-second tick came")
RT_BUS_CONNECTED: Final = Gauge("afterbell_realtime_bus_connected", "1 while other api pods are within reach")
RT_BUS_PUBLISHED: Final = Counter("afterbell_realtime_bus_published_total", "Messages published to other pods")
RT_BUS_DROPPED: Final = Counter("afterbell_realtime_bus_dropped_total", "Live copies other pods did not get")
RT_BUS_SECONDS: Final = Histogram(
    "afterbell_realtime_bus_publish_seconds", "Time of one pipeline of publishes", buckets=_ACK_BUCKETS
)
RT_BUS_ECHO_AGE: Final = Gauge("afterbell_realtime_bus_echo_age_seconds", "Age of the newest own sign of life heard")
RT_BUS_RESUBSCRIBED: Final = Counter("afterbell_realtime_bus_resubscribes_total", "Times the bus came (back) up")
