"""What the metrics say about a report that was written and a model that was called."""

from collections.abc import Iterable
from typing import Literal

from afterbell.adapters.db.reports.rows import Claim
from afterbell.core.report.report import Report
from afterbell.core.usage import Usage
from afterbell.observability.metrics import (
    CONCERNS,
    GROUNDED,
    MODEL_REQUESTS,
    MODEL_TOKENS,
    REPORT_ATTEMPTS,
    REPORT_READY,
    REPORTS,
)

Writer = Literal["model", "fallback", "unasked"]


def report_written(writer: Writer, claimed: Claim, report: Report) -> None:
    """By a model, in place of one that could not be had, or without asking one."""
    REPORTS.labels(writer).inc()
    REPORT_READY.observe((report.created_at - claimed.requested_at).total_seconds())
    REPORT_ATTEMPTS.observe(claimed.attempt)
    GROUNDED.observe(report.checks.grounded_ratio)


def concerns_raised(topics: Iterable[str]) -> None:
    """A session holds turns about these topics that somebody should look at; the topic "model" is a model's word."""
    for topic in topics:
        CONCERNS.labels(topic).inc()


def model_called(usage: Usage | None, result: str) -> None:
    """``result``: answered, or the code of the error. ``usage`` None: the provider said nothing."""
    MODEL_REQUESTS.labels(result).inc()
    if usage is not None:
        MODEL_TOKENS.labels("input").inc(usage.input_tokens)
        MODEL_TOKENS.labels("output").inc(usage.output_tokens)
