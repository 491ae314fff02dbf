#!/usr/bin/env python3
"""Write charts/afterbell/rules/slo.yaml: the promises as ratios over many windows, and the burn rates' alerts.

Each promise is the share of bad events that is allowed over 30 days. An alert looks at a long and a short window, so
that it comes early, and goes when the trouble is over (Google, The Site Reliability Workbook, chapter 5).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

FILE: Final = Path(__file__).parents[1] / "charts" / "afterbell" / "rules" / "slo.yaml"
RUNBOOKS: Final = "https://github.com/afterbell/afterbell/blob/main/docs/runbooks"
HEAD: Final = "# Made by tools/slo_rules.py; do not edit: `make reference`.\n"
# (burn rate, long window, short window, severity): 14.4 spends 2 % of the month's budget in an hour.
BURNS: Final = (
    (14.4, "1h", "5m", "page"),
    (6, "6h", "30m", "page"),
    (3, "1d", "2h", "ticket"),
    (1, "3d", "6h", "ticket"),
)
WINDOWS: Final = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")


@dataclass(frozen=True, slots=True)
class Promise:
    """``bad`` and ``all`` count events over ``{w}``, by namespace; ``least`` events a window are needed to judge."""

    name: str
    alert: str
    allowed: float
    bad: str
    all: str
    least: int
    summary: str
    says: str


_HTTP: Final = "afterbell_http_request_duration_seconds_count"
# Whoever looks at the queue while Redis is away is told so with 503: no request of a customer fails by that.
_PUBLIC: Final = 'route!~"/admin/.*"'
PROMISES: Final = (
    Promise(
        "api_errors",
        "AfterbellApiErrors",
        0.001,
        f'sum by (namespace) (increase({_HTTP}{{{_PUBLIC}, status=~"5.."}}[{{w}}]))'
        f" or 0 * sum by (namespace) (increase({_HTTP}{{{_PUBLIC}}}[{{w}}]))",
        f"sum by (namespace) (increase({_HTTP}{{{_PUBLIC}}}[{{w}}]))",
        50,
        "The API answers too many requests with 5xx",
        "of the requests fail; at most 0.1 % may",
    ),
    Promise(
        "reports_failed",
        "AfterbellReportsFail",
        0.01,
        'sum by (namespace) (increase(afterbell_job_outcomes_total{outcome="dead"}[{w}]))'
        ' or 0 * sum by (namespace) (increase(afterbell_job_outcomes_total{outcome=~"done|dead"}[{w}]))',
        'sum by (namespace) (increase(afterbell_job_outcomes_total{outcome=~"done|dead"}[{w}]))',
        5,
        "Too many reports are given up",
        "of the reports fail; at most 1 % may",
    ),
    Promise(
        "starts_late",
        "AfterbellReportsStartLate",
        0.05,
        "sum by (namespace) (increase(afterbell_report_wait_seconds_count[{w}]))"
        ' - sum by (namespace) (increase(afterbell_report_wait_seconds_bucket{le="120.0"}[{w}]))',
        "sum by (namespace) (increase(afterbell_report_wait_seconds_count[{w}]))",
        5,
        "Too many reports wait more than 120 s to start",
        "of the reports start late; at most 5 % may",
    ),
)


def rules() -> dict[str, Any]:
    """The groups, as Prometheus reads them."""
    return {"groups": [_group(promise) for promise in PROMISES]}


def text() -> str:
    """The file."""
    return HEAD + str(yaml.safe_dump(rules(), sort_keys=False, width=1000))


def _group(promise: Promise) -> dict[str, Any]:
    """Ratios and alerts in one group, which is evaluated in order: an alert sees the ratios of its own moment."""
    return {"name": f"afterbell-{promise.name.replace('_', '-')}", "rules": [*_records(promise), *_alerts(promise)]}


def _records(promise: Promise) -> list[dict[str, Any]]:
    records = []
    for window in WINDOWS:
        bad, total = promise.bad.replace("{w}", window), promise.all.replace("{w}", window)
        records.append(
            {
                "record": f"namespace:afterbell_{promise.name}:ratio_{window}",
                "expr": f"({bad}) / ({total} > {promise.least})",
            }
        )
    return records


def _alerts(promise: Promise) -> list[dict[str, Any]]:
    alerts = []
    for severity in ("page", "ticket"):
        tests = [_burns(promise, *burn[:3]) for burn in BURNS if burn[3] == severity]
        alerts.append(
            {
                "alert": promise.alert,
                "expr": " or ".join(tests),
                "for": "2m" if severity == "page" else "15m",
                "keep_firing_for": "5m",
                "labels": {"severity": severity},
                "annotations": {
                    "summary": promise.summary,
                    "description": "{{ $value | humanizePercentage }} "
                    + promise.says
                    + " (namespace {{ $labels.namespace }}).",
                    "runbook_url": f"{RUNBOOKS}/{promise.alert}.md",
                },
            }
        )
    return alerts


def _burns(promise: Promise, burn: float, long: str, short: str) -> str:
    limit = f"{burn * promise.allowed:.4g}"
    name = f"namespace:afterbell_{promise.name}:ratio"
    return f"({name}_{long} > {limit} and {name}_{short} > {limit})"


if __name__ == "__main__":
    FILE.write_text(text(), "utf-8")
