"""What was tried from outside, what it did on 30 November 2026, and what it does now: the table of `make test-edge`."""

from collections.abc import Callable
from dataclasses import astuple, dataclass

import pytest


@dataclass(frozen=True, slots=True)
class Attack:
    """One row."""

    name: str
    before: str
    now: str


def table_of(attacks: list[Attack]) -> str:
    """The rows under their heads, aligned."""
    rows = [("attack", "before", "now"), *((row.name, row.before, row.now) for row in attacks)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--attacks", action="store_true", help="print the table of what was tried from outside")


@pytest.fixture
def attacked(record_property: Callable[[str, object], None]) -> Callable[[Attack], None]:
    """Keep a row of the table with the test's results."""
    return lambda attack: record_property("attack", astuple(attack))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if terminalreporter.config.getoption("--attacks"):
        reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
        rows = [Attack(*row) for report in reports for name, row in report.user_properties if name == "attack"]
        terminalreporter.write_line(table_of(rows))
