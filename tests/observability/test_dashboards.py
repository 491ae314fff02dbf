"""The dashboards keep the rules of Grafana's dashboard-linter and are what the code makes."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.prometheus import dashboards
from tools.dashboards.write import FOLDER, files
from tools.metrics_reference import registered

BOARDS = dashboards()
SERIES = {name: metric for metric in registered() for name in metric.series}
SELECTOR = re.compile(r"\b(afterbell_[a-z0-9_]+)\{([^}]*)\}")

each_board = pytest.mark.parametrize("name", BOARDS)


def test_the_files_are_what_the_code_makes() -> None:
    assert {path: path.read_text("utf-8") for path in sorted(FOLDER.glob("*.json"))} == dict(sorted(files().items())), (
        "run `make docs`"
    )


@each_board
def test_a_board_has_its_variables_links_and_annotations(name: str) -> None:
    board = BOARDS[name]
    variables = {one["name"]: one for one in board["templating"]["list"]}
    assert variables["datasource"]["query"] == "prometheus"
    for one in ("namespace", "job"):
        assert (variables[one]["multi"], variables[one]["allValue"], variables[one]["includeAll"]) == (True, ".*", True)
    assert {one["name"] for one in board["annotations"]["list"]} >= {"Scaling", "Deploys", "Alerts"}
    assert board["links"]
    assert (board["uid"], board["editable"]) == (f"afterbell-{name}", False)
    assert len({one["id"] for one in board["panels"]}) == len(board["panels"])


@each_board
def test_every_panel_says_what_it_shows_and_in_which_unit(name: str) -> None:
    for one in panels(name):
        assert one["title"]
        assert len(one["description"]) > 15, one["title"]
        assert one["fieldConfig"]["defaults"]["unit"], one["title"]
        assert one["datasource"]["uid"] in ("${datasource}", "${infinity}"), one["title"]
        assert one["targets"], one["title"]


@each_board
def test_panels_fill_the_rows_without_overlapping(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for one in BOARDS[name]["panels"]:
        place = one["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, one["title"]
        taken |= cells


@each_board
def test_every_query_is_narrowed_to_the_variables_and_rates_only_counters(name: str) -> None:
    for title, query in queries(name):
        for metric, matchers in SELECTOR.findall(query):
            assert metric in SERIES, f"{title}: {metric} is not registered"
            assert 'namespace=~"$namespace"' in matchers, title
            assert 'job=~"$job"' in matchers, title
        for metric in re.findall(r"(?:rate|increase)\((afterbell_[a-z0-9_]+)", query):
            assert SERIES[metric].kind in ("counter", "histogram"), f"{title}: {metric} does not count"
        for metric in re.findall(r"afterbell_[a-z0-9_]+", query):
            counts = SERIES[metric].kind != "gauge"
            assert not counts or re.search(rf"(rate|increase)\({metric}", query), f"{title}: {metric} needs a rate"
        assert not re.search(r"rate\([^\[]*\[(?!\$__rate_interval\])", query), f"{title}: rate over $__rate_interval"
        assert SELECTOR.search(query) or "ALERTS" in query, title


@each_board
def test_every_threshold_is_an_edge_of_the_histogram_it_judges(name: str) -> None:
    """Between two edges a quantile is a guess."""
    for one in panels(name):
        asked = " ".join(target.get("expr", "") for target in one["targets"])
        edges = {edge for series in re.findall(r"afterbell_\w+_bucket", asked) for edge in SERIES[series].edges}
        marks = {step["value"] for step in one["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])[1:]}
        assert not edges or marks <= edges, one["title"]


def panels(name: str) -> list[dict[str, Any]]:
    return [one for one in BOARDS[name]["panels"] if one["type"] != "row"]


def queries(name: str) -> Iterator[tuple[str, str]]:
    """Title and PromQL of every target and annotation."""
    for one in panels(name):
        for target in one["targets"]:
            if "expr" in target:
                yield one["title"], target["expr"]
    for one in BOARDS[name]["annotations"]["list"]:
        yield one["name"], one["expr"]
