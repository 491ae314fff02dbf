"""For each alert: series that keep it quiet, then make it fire, then let it resolve, minute by minute."""

from dataclasses import dataclass
from typing import Final

NS: Final = 'namespace="lessons"'


@dataclass(frozen=True, slots=True)
class Case:
    """``series``: name with labels → values in promtool's notation, one each ``every``."""

    alert: str
    severity: str
    series: dict[str, str]
    quiet_at: str = "29m"
    fires_at: str = "95m"
    resolved_at: str = "4h"
    every: str = "1m"


def gauge(well: float, ill: float) -> str:
    """Half an hour well, more than an hour ill, then well again."""
    return f"{well:g}x30 {ill:g}x70 {well:g}x200"


def counter(step: float) -> str:
    """Stands, then grows by ``step`` a minute for 70 minutes, then stands."""
    return f"0x30 {step:g}+{step:g}x69 {70 * step:g}x200"


def grows(step: float, minutes: int = 400) -> str:
    return f"0+{step:g}x{minutes}"


def up(process: str, values: str = "1x400", instance: str = "a") -> dict[str, str]:
    return {f'afterbell_build_info{{{NS}, process="{process}", version="1", instance="{instance}"}}': values}


def of(metric: str, values: str, *labels: str) -> dict[str, str]:
    return {f"{metric}{{{', '.join((NS, *labels))}}}": values}


_WAITING: Final = 'state="waiting"'
_DEAD, _DONE = 'outcome="dead"', 'outcome="done"'
_SCALER: Final = 'scaler="lessons/reports"'
_HTTP: Final = "afterbell_http_request_duration_seconds_count"
_WAIT: Final = "afterbell_report_wait_seconds"
# Three days of trouble, for the burn rates that look back as far; then a week without.
_LONG: Final = {"quiet_at": "1d", "fires_at": "2d12h", "resolved_at": "7d", "every": "10m"}


def burning(alert: str, bad: str, good: str, *, bad_step: float, good_step: float) -> tuple[Case, Case]:
    """A page for a quarter of an hour in which much is bad, a ticket for days in which a little is."""
    quick = {bad: f"0x120 0+{bad_step:g}x30 {30 * bad_step:g}x600", good: grows(good_step, 760)}
    slow_step = bad_step / 12
    slow = {bad: f"0x144 0+{10 * slow_step:g}x288 {2880 * slow_step:g}x700", good: grows(10 * good_step, 1_140)}
    return (
        Case(alert, "page", quick, quiet_at="115m", fires_at="149m", resolved_at="11h"),
        Case(alert, "ticket", slow, **_LONG),
    )


CASES: Final = (
    *burning(
        "AfterbellApiErrors",
        f'{_HTTP}{{{NS}, status="500"}}',
        f'{_HTTP}{{{NS}, status="200"}}',
        bad_step=20,
        good_step=100,
    ),
    *burning(
        "AfterbellReportsFail",
        f"afterbell_job_outcomes_total{{{NS}, {_DEAD}}}",
        f"afterbell_job_outcomes_total{{{NS}, {_DONE}}}",
        bad_step=2,
        good_step=3,
    ),
    # The reports that start in time are the bucket; all of them the count.
    Case(
        "AfterbellReportsStartLate",
        "page",
        {f"{_WAIT}_count{{{NS}}}": grows(3, 760), f'{_WAIT}_bucket{{{NS}, le="120.0"}}': "0+3x120 360x60 360+3x600"},
        quiet_at="115m",
        fires_at="172m",
        resolved_at="11h",
    ),
    Case(
        "AfterbellReportsStartLate",
        "ticket",
        {
            f"{_WAIT}_count{{{NS}}}": grows(30, 1_140),
            f'{_WAIT}_bucket{{{NS}, le="120.0"}}': "0+30x144 4320+24x288 11232+30x700",
        },
        **_LONG,
    ),
    Case("AfterbellApiDown", "page", up("api", "1x30 _x70 1x200")),
    Case(
        "AfterbellWorkersAbsent",
        "page",
        of("afterbell_queue_jobs", "3x400", _WAITING) | up("worker", "1x30 _x70 1x200"),
    ),
    Case("AfterbellQueueOld", "ticket", of("afterbell_queue_oldest_waiting_seconds", gauge(20, 700))),
    Case(
        "AfterbellScaledToMaximum",
        "ticket",
        of("afterbell_queue_jobs", gauge(3, 40), _WAITING)
        | of("afterbell_operator_desired_replicas", "5x400", _SCALER)
        | of("afterbell_operator_max_replicas", "5x400", _SCALER),
    ),
    Case("AfterbellConcernRaised", "page", of("afterbell_report_concerns_total", counter(1), 'topic="violence"')),
    # A worker that starts for this one report shows the first concern in its first sample.
    Case(
        "AfterbellConcernRaised",
        "ticket",
        of("afterbell_report_concerns_total", "_x60 1x200", 'topic="hint"'),
        fires_at="61m",
        quiet_at="59m",
        resolved_at="90m",
    ),
    Case("AfterbellDeadLetters", "ticket", of("afterbell_job_outcomes_total", counter(1), _DEAD)),
    Case(
        "AfterbellQueueUnobserved",
        "ticket",
        of("afterbell_queue_observed_timestamp_seconds", "60+60x29 1800x70 6000+60x200"),
    ),
    Case("AfterbellOutboxWaits", "ticket", of("afterbell_outbox_waiting", gauge(0, 80))),
    Case("AfterbellReportsParked", "ticket", of("afterbell_reports_parked", gauge(0, 2))),
    Case("AfterbellSweepBehind", "ticket", of("afterbell_sweep_unchecked_seconds", gauge(90, 2_400))),
    Case(
        "AfterbellRetentionLate",
        "ticket",
        of("afterbell_retention_oldest_seconds", gauge(90 * 86_400, 93 * 86_400), 'kind="transcripts"')
        | of("afterbell_retention_limit_seconds", f"{90 * 86_400}x400", 'kind="transcripts"'),
        fires_at="98m",
    ),
    Case("AfterbellWebhooksPending", "ticket", of("afterbell_webhook_pending", gauge(2, 500))),
    Case("AfterbellModelAway", "ticket", of("afterbell_model_troubled", gauge(0, 1), 'model="m"')),
    Case(
        "AfterbellModelMisconfigured",
        "page",
        of("afterbell_model_requests_total", counter(2), 'result="model_misconfigured"'),
    ),
    Case(
        "AfterbellBasicReports",
        "ticket",
        of("afterbell_reports_total", counter(1), 'writer="fallback"')
        | of("afterbell_reports_total", grows(2), 'writer="model"'),
    ),
    Case(
        "AfterbellReportsUngrounded",
        "ticket",
        of("afterbell_report_grounded_ratio_sum", "0+0.98x30 30+0.4x300 150+0.98x600")
        | of("afterbell_report_grounded_ratio_count", grows(1, 1_000)),
        fires_at="5h",
        resolved_at="15h",
    ),
    Case(
        "AfterbellModelEnds",
        "ticket",
        of(
            "afterbell_model_shutdown_timestamp_seconds",
            f"{90 * 86400}x30 {20 * 86400}x120 {90 * 86400}x200",
            'model="m"',
        ),
        fires_at="110m",
    ),
    Case("AfterbellModelBudget", "ticket", of("afterbell_budget_used_ratio", gauge(0.5, 0.9), 'period="day"')),
    Case("AfterbellRedisCommands", "ticket", of("afterbell_redis_budget_used_ratio", gauge(0.5, 0.9))),
    Case(
        "AfterbellRedisMemory",
        "ticket",
        of("afterbell_redis_memory_bytes", gauge(20e6, 240e6)) | of("afterbell_redis_memory_max_bytes", "0x400"),
    ),
    Case("AfterbellRedisEvicts", "ticket", of("afterbell_redis_evicts", gauge(0, 1))),
    Case("AfterbellRedisAway", "page", of("afterbell_redis_errors_total", counter(5), 'purpose="poll"')),
    Case("AfterbellQueueScriptFails", "page", of("afterbell_queue_script_errors_total", counter(1), 'script="poll"')),
    Case("AfterbellPostgresAway", "page", of("afterbell_postgres_unavailable_total", counter(5))),
    Case(
        "AfterbellPostgresPoolFull",
        "ticket",
        of("afterbell_postgres_pool_busy_connections", gauge(2, 10), 'instance="a"')
        | of("afterbell_postgres_pool_connections", "10x400", 'instance="a"'),
    ),
    Case(
        "AfterbellBusAway",
        "ticket",
        of("afterbell_realtime_bus_connected", gauge(1, 0), 'instance="a"') | up("api") | up("api", instance="b"),
    ),
    Case("AfterbellLiveCopiesDropped", "ticket", of("afterbell_realtime_bus_dropped_total", counter(5))),
    Case("AfterbellEventLoopLate", "ticket", of("afterbell_realtime_loop_lag_seconds", gauge(0.01, 1), 'instance="a"')),
    Case("AfterbellOperatorBlind", "ticket", of("afterbell_operator_backlog_known", gauge(1, 0), _SCALER)),
    Case("AfterbellOperatorNoLeader", "page", of("afterbell_operator_leader", gauge(1, 0)) | up("operator")),
    Case(
        "AfterbellOperatorTwoLeaders",
        "page",
        of("afterbell_operator_leader", "1x400", 'instance="a"')
        | of("afterbell_operator_leader", gauge(0, 1), 'instance="b"'),
    ),
    Case(
        "AfterbellScalingThrash",
        "ticket",
        of("afterbell_operator_scale_events_total", counter(2), 'direction="up"', 'reason="x"'),
    ),
)
