"""The operator's own metrics; names as everywhere: ``afterbell_operator_*``, base units, few labels."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

ROUND_SECONDS: Final = Histogram(
    "afterbell_operator_round_duration_seconds", "Time of one round of one Pool", buckets=_BUCKETS
)
LEADING: Final = Gauge("afterbell_operator_leading", "1 while this process leads")
DESIRED: Final = Gauge("afterbell_operator_desired_replicas", "Pods decided for", ["namespace", "pool"])
CURRENT: Final = Gauge("afterbell_operator_current_replicas", "Pods the target is asked for", ["namespace", "pool"])
DEMAND: Final = Gauge("afterbell_operator_jobs", "Jobs that run, wait or become due soon", ["namespace", "pool"])
KNOWN: Final = Gauge("afterbell_operator_backlog_known", "1 while the backlog is known", ["namespace", "pool"])
RESIZES: Final = Counter("afterbell_operator_resizes_total", "Changes of replicas", ["namespace", "pool", "direction"])
STATUS_WRITES: Final = Counter("afterbell_operator_status_writes_total", "Writes of a Pool's status")
_PER_POOL: Final = (DESIRED, CURRENT, DEMAND, KNOWN)


def forget(pool: tuple[str, str]) -> None:
    """A deleted Pool leaves no series behind."""
    for gauge in _PER_POOL:
        if pool in gauge._metrics:
            gauge.remove(*pool)
    for direction in ("up", "down"):
        if (*pool, direction) in RESIZES._metrics:
            RESIZES.remove(*pool, direction)
