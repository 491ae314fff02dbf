"""Every function of the old queue board names the test that proves what replaces it."""

import re
from pathlib import Path

import pytest
from tests.cluster.board import ROWS as DONE_THREE_WAYS

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| (?P<board>.+?) \| (?P<here>.+) \| `(?P<file>tests/\S+\.py)::(?P<test>test_\w+)` \|$")
ROWS = [
    line for line in (ROOT / "docs/reference/queue-board.md").read_text().splitlines()
    if line.startswith("|") and not line.startswith(("| The board's |", "| ---"))
]  # fmt: skip


@pytest.mark.parametrize("line", ROWS)
def test_what_replaces_a_function_of_the_board_names_a_test_that_exists(line: str) -> None:
    row = ROW.match(line)
    assert row is not None, f"not a row of function, place and `file::test`: {line}"
    proof = ROOT / row["file"]
    assert proof.is_file(), f"{row['file']} is not there"
    assert re.search(rf"^def {row['test']}\(", proof.read_text(), re.MULTILINE), f"no {row['test']} there"


def test_each_row_is_done_three_ways_by_the_request_and_the_command_it_names() -> None:
    assert [line.split(" | ")[0].removeprefix("| ") for line in ROWS] == list(DONE_THREE_WAYS)
    for line, done in zip(ROWS, DONE_THREE_WAYS.values(), strict=True):
        path = done.request.partition("?")[0].replace("{way}", "{worker}")
        assert f"`{path}`" in line
        assert f"afterbell {done.words[0]} {done.words[1]}" in line
