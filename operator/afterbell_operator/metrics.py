"""The operator's own metrics: base units, few labels. ``scaler`` is a Pool as ``namespace/name``."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

# A round without writes takes milliseconds, one with writes waits for the API server.
_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

RECONCILES: Final = Counter("afterbell_operator_reconcile_total", "Rounds by what became of them", ["result"])
RECONCILE_SECONDS: Final = Histogram(
    "afterbell_operator_reconcile_duration_seconds", "Time of one round of one Pool", buckets=_BUCKETS
)
WATCH_AGE: Final = Gauge(
    "afterbell_operator_watch_last_event_age_seconds", "Time since Kubernetes last told of an object", ["kind"]
)
LEADER: Final = Gauge("afterbell_operator_leader", "1 while this process leads")
LEADER_TRANSITIONS: Final = Counter(
    "afterbell_operator_leader_transitions_total", "Times this process began or ceased to lead"
)
BACKLOG_AGE: Final = Gauge(
    "afterbell_operator_backlog_observation_age_seconds",
    "Time since the queue was last seen, or an api pod heard",
    ["scaler"],
)
BACKLOG_KNOWN: Final = Gauge(
    "afterbell_operator_backlog_known", "1 while the backlog, or the sockets of every pod, are known", ["scaler"]
)
SOCKETS: Final = Gauge("afterbell_operator_sockets", "Open sockets of the api pods that were heard", ["scaler"])
JOBS: Final = Gauge("afterbell_operator_jobs", "Jobs that run, wait or become due soon", ["scaler"])
DESIRED: Final = Gauge("afterbell_operator_desired_replicas", "Pods decided for", ["scaler"])
CURRENT: Final = Gauge("afterbell_operator_current_replicas", "Pods the target is asked for", ["scaler"])
READY: Final = Gauge("afterbell_operator_ready_replicas", "Pods of the target that are ready", ["scaler"])
MIN: Final = Gauge("afterbell_operator_min_replicas", "Never fewer pods", ["scaler"])
MAX: Final = Gauge("afterbell_operator_max_replicas", "Never more pods", ["scaler"])
SCALE_EVENTS: Final = Counter(
    "afterbell_operator_scale_events_total", "Changes of replicas that were written", ["direction", "reason"]
)
DECISION_BLOCKED: Final = Counter(
    "afterbell_operator_decision_blocked_total", "Times something began to keep the number from the demand", ["reason"]
)
KUBE_REQUESTS: Final = Counter(
    "afterbell_operator_kube_api_requests_total",
    "Requests to the API server, those of the watches left out; code is unavailable where none came",
    ["verb", "resource", "code"],
)
REDIS_ERRORS: Final = Counter("afterbell_operator_redis_errors_total", "Failures of Redis", ["kind"])
_PER_POOL: Final = (BACKLOG_AGE, BACKLOG_KNOWN, JOBS, SOCKETS, DESIRED, CURRENT, READY, MIN, MAX)


def forget(scaler: str) -> None:
    """A deleted Pool leaves no series behind."""
    for gauge in _PER_POOL:
        if (scaler,) in gauge._metrics:
            gauge.remove(scaler)


def failed(error: Exception) -> None:
    """Count a failure of Redis by the class of what Redis or the network said."""
    REDIS_ERRORS.labels(type(error.__cause__ or error).__name__).inc()


def resource_in(path: str) -> str:
    """``deployments/scale`` of a request's path: kind and part, without names."""
    parts = path.strip("/").split("/")
    parts = parts[3:] if parts[0] == "apis" else parts[2:]
    if parts[0] == "namespaces" and len(parts) > 2:
        parts = parts[2:]
    return "/".join(parts[::2])
