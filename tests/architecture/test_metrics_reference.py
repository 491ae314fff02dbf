"""Metrics are registered in two modules, documented on one page and named as Prometheus wants them."""

import re
from typing import Final

import pytest
from tests.architecture.repository import ROOT, name_of, pages, python_files
from tools.metrics_reference import PAGE, SUBSYSTEMS, Metric, registered, updated

MODULES: Final = {"services/afterbell/observability/metrics.py", "operator/afterbell_operator/metrics.py"}
NAME: Final = re.compile(r"(?<![:\w])afterbell_[a-z]+_[a-z0-9_]*[a-z0-9]\b")
BASE_UNITS: Final = ("seconds", "bytes", "ratio", "usd", "timestamp_seconds")
OTHER_UNITS: Final = re.compile(r"_(ms|milliseconds|minutes|hours|days|kb|mb|percent)(_|$)")
# One report, one session or one person a label value would be a series for each of them.
PERSONAL: Final = {"job_id", "session", "session_id", "tenant", "tenant_id", "user", "student", "path", "url"}

each = pytest.mark.parametrize("metric", registered(), ids=lambda metric: metric.name)


def test_the_page_is_what_the_code_makes() -> None:
    page = PAGE.read_text("utf-8")
    assert updated(page) == page, "run `make reference`"


@each
def test_a_name_says_its_subsystem_and_its_base_unit(metric: Metric) -> None:
    assert re.fullmatch(r"afterbell(_[a-z0-9]+)+", metric.name)
    assert metric.subsystem in SUBSYSTEMS
    assert not OTHER_UNITS.search(metric.name), "seconds, bytes and ratios only"
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not metric.name.endswith(("_count", "_sum", "_bucket", "_created"))


@each
def test_labels_have_few_values_and_the_meaning_is_said(metric: Metric) -> None:
    assert set(metric.labels) & PERSONAL == set()
    assert len(metric.meaning) > 10


def test_nothing_is_measured_outside_the_registry() -> None:
    made = re.compile(r"^from prometheus_client import .*\b(Counter|Gauge|Histogram|Summary|Info|Enum)\b", re.MULTILINE)
    outside = [
        name_of(path)
        for path in python_files("services", "operator")
        if name_of(path) not in MODULES and made.search(path.read_text("utf-8"))
    ]
    assert outside == []


def test_every_metric_named_anywhere_is_registered() -> None:
    series = {name for metric in registered() for name in (metric.name, *metric.series)}
    known = series | {name.rpartition("_")[0] for name in series}
    now = [page for page in pages() if page.name != "CHANGELOG.md"]  # which names what is gone
    files = [*now, *(ROOT / "charts/afterbell/rules").glob("*"), *(ROOT / "charts/afterbell/dashboards").glob("*")]
    prefixes = tuple(f"afterbell_{subsystem}" for subsystem in SUBSYSTEMS)
    unknown = {
        f"{name_of(path)}: {name}"
        for path in files
        for name in NAME.findall(path.read_text("utf-8"))
        if name.startswith(prefixes)
        and name not in known
        and name not in prefixes
        and not any(metric.startswith(f"{name}_") for metric in series)
    }
    assert {place for place in unknown if not place.endswith((": afterbell_operator", ".py"))} == set()
