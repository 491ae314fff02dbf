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
        "run `make reference`"
    )


@each_board
def test_a_board_has_its_variables_links_and_annotations(name: str) -> None:
    board = BOARDS[name]
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert variables["datasource"]["query"] == "prometheus"
    for label in ("namespace", "job"):
        variable = variables[label]
        assert (variable["multi"], variable["allValue"], variable["includeAll"]) == (True, ".*", True)
    assert {annotation["name"] for annotation in board["annotations"]["list"]} >= {"Scaling", "Deploys", "Alerts"}
    assert board["links"]
    assert (board["uid"], board["editable"]) == (f"afterbell-{name}", False)
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


@each_board
def test_every_panel_says_what_it_shows_and_in_which_unit(name: str) -> None:
    for panel in panels(name):
        assert panel["title"]
        assert len(panel["description"]) > 15, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] in ("${datasource}", "${infinity}"), panel["title"]
        assert panel["targets"], panel["title"]


@each_board
def test_panels_fill_the_rows_without_overlapping(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARDS[name]["panels"]:
        position = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(position["x"], position["x"] + position["w"])
            for y in range(position["y"], position["y"] + position["h"])
        }
        assert position["x"] + position["w"] <= 24
        assert not cells & taken, panel["title"]
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
    for panel in panels(name):
        asked = " ".join(target.get("expr", "") for target in panel["targets"])
        edges = {edge for series in re.findall(r"afterbell_\w+_bucket", asked) for edge in SERIES[series].edges}
        marks = {step["value"] for step in panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])[1:]}
        assert not edges or marks <= edges, panel["title"]


def panels(name: str) -> list[dict[str, Any]]:
    return [panel for panel in BOARDS[name]["panels"] if panel["type"] != "row"]


def queries(name: str) -> Iterator[tuple[str, str]]:
    """Title and PromQL of every target and annotation."""
    for panel in panels(name):
        for target in panel["targets"]:
            if "expr" in target:
                yield panel["title"], target["expr"]
    for annotation in BOARDS[name]["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]
