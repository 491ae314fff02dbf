"""A finished report as the JSON that is stored, and back."""

from typing import Any, Final

from pydantic import TypeAdapter

from afterbell.core.report.report import Report

_ADAPTER: Final = TypeAdapter(Report)


def dump(report: Report) -> dict[str, Any]:
    """JSON-ready content of a report."""
    content: dict[str, Any] = _ADAPTER.dump_python(report, mode="json")
    return content


def load(content: dict[str, Any]) -> Report:
    """The report as it was stored. Raises pydantic's ValidationError for content of another shape."""
    return _ADAPTER.validate_python(content)
