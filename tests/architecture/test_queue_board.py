"""Every function of the old queue board names the test that proves what replaces it."""

import re
from pathlib import Path

import pytest
from tests.cluster.board import ROWS as DONE_THREE_WAYS
from tests.support.prometheus import dashboards

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| (?P<board>.+?) \| (?P<here>.+) \| `(?P<file>tests/\S+\.py)::(?P<test>test_\w+)` \|$")


def rows_under(heading: str) -> list[str]:
    """The lines of the table under a heading, without its head."""
    page = (ROOT / "docs/reference/queue-board.md").read_text("utf-8")
    lines = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0].splitlines()
    return [line for line in lines if line.startswith("|")][2:]


ACTED, DRAWN = rows_under("Look and act"), rows_under("History")


@pytest.mark.parametrize("line", [*ACTED, *DRAWN])
def test_what_replaces_a_function_of_the_board_names_a_test_that_exists(line: str) -> None:
    row = ROW.match(line)
    assert row is not None, f"not a row of function, place and `file::test`: {line}"
    proof = ROOT / row["file"]
    assert proof.is_file(), f"{row['file']} is not there"
    assert re.search(rf"^(?:async )?def {row['test']}\(", proof.read_text(), re.MULTILINE), f"no {row['test']} there"


def test_each_row_is_done_three_ways_by_the_request_and_the_command_it_names() -> None:
    assert [line.split(" | ")[0].removeprefix("| ") for line in ACTED] == list(DONE_THREE_WAYS)
    for line, done in zip(ACTED, DONE_THREE_WAYS.values(), strict=True):
        path = done.request.partition("?")[0].replace("{way}", "{worker}")
        assert f"`{path}`" in line
        assert f"afterbell {done.words[0]} {done.words[1]}" in line


@pytest.mark.parametrize("line", DRAWN)
def test_what_the_board_drew_is_a_panel_of_a_dashboard(line: str) -> None:
    panels = {
        board["title"].removeprefix("Afterbell / "): {panel["title"] for panel in board["panels"]}
        for board in dashboards().values()
    }
    for place in line.split(" | ")[1].split("; "):
        board, _, titles = place.partition(": ")
        assert set(titles.split(", ")) <= panels[board], place
