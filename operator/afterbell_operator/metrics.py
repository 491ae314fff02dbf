"""The operator's own metrics: base units, few labels. ``scaler`` is a Pool as ``namespace/name``."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

# A round without writes takes milliseconds, one with writes waits for the API server.
_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

RECONCILES: Final = Counter("afterbell_operator_reconcile_total", "Rounds by outcome", ["result"])
RECONCILE_SECONDS: Final = Histogram(
    "afterbell_operator_reconcile_duration_seconds", "Duration of one round of one Pool", buckets=_BUCKETS
)
WATCH_AGE: Final = Gauge(
    "afterbell_operator_watch_last_event_age_seconds", "Time since a watch last delivered an object", ["kind"]
)
LEADER: Final = Gauge("afterbell_operator_leader", "1 while this process is the leader")
LEADER_TRANSITIONS: Final = Counter(
    "afterbell_operator_leader_transitions_total", "Times this process became or stopped being the leader"
)
BACKLOG_AGE: Final = Gauge(
    "afterbell_operator_backlog_observation_age_seconds",
    "Time since the queue was last read, or an api pod last reported",
    ["scaler"],
)
BACKLOG_KNOWN: Final = Gauge(
    "afterbell_operator_backlog_known", "1 while the backlog, or the sockets of every pod, is known", ["scaler"]
)
SOCKETS: Final = Gauge("afterbell_operator_sockets", "Open sockets of the api pods that reported", ["scaler"])
JOBS: Final = Gauge("afterbell_operator_jobs", "Jobs that run, wait or become due soon", ["scaler"])
DESIRED: Final = Gauge("afterbell_operator_desired_replicas", "Pods decided on", ["scaler"])
CURRENT: Final = Gauge("afterbell_operator_current_replicas", "Replicas set on the target", ["scaler"])
READY: Final = Gauge("afterbell_operator_ready_replicas", "Ready pods of the target", ["scaler"])
MIN: Final = Gauge("afterbell_operator_min_replicas", "minReplicas of the Pool", ["scaler"])
MAX: Final = Gauge("afterbell_operator_max_replicas", "maxReplicas of the Pool", ["scaler"])
SCALE_EVENTS: Final = Counter(
    "afterbell_operator_scale_events_total", "Changes of replicas that were written", ["direction", "reason"]
)
DECISION_BLOCKED: Final = Counter(
    "afterbell_operator_decision_blocked_total",
    "Times a limit began to keep the number away from the demand",
    ["reason"],
)
KUBE_REQUESTS: Final = Counter(
    "afterbell_operator_kube_api_requests_total",
    "Requests to the API server, except watches; code is unavailable if there was no answer",
    ["verb", "resource", "code"],
)
REDIS_ERRORS: Final = Counter("afterbell_operator_redis_errors_total", "Failed Redis requests", ["kind"])
_PER_POOL: Final = (BACKLOG_AGE, BACKLOG_KNOWN, JOBS, SOCKETS, DESIRED, CURRENT, READY, MIN, MAX)


def forget(scaler: str) -> None:
    """Remove the series of a deleted Pool."""
    for gauge in _PER_POOL:
        if (scaler,) in gauge._metrics:
            gauge.remove(scaler)


def failed(error: Exception) -> None:
    """Count a failed Redis request by the class of the error."""
    REDIS_ERRORS.labels(type(error.__cause__ or error).__name__).inc()


def resource_in(path: str) -> str:
    """``deployments/scale`` of a request's path: kind and part, without names."""
    parts = path.strip("/").split("/")
    parts = parts[3:] if parts[0] == "apis" else parts[2:]
    if parts[0] == "namespaces" and len(parts) > 2:
        parts = parts[2:]
    return "/".join(parts[::2])
