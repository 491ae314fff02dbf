"""Every promise of the queue names a test that exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| (?!Promise|---)(?P<promise>.+?) \| .+ \| `(?P<file>tests/\S+\.py)::(?P<test>test_\w+)` \|$")
ROWS = [
    line for line in (ROOT / "docs/reference/guarantees.md").read_text().splitlines()
    if line.startswith("|") and not line.startswith(("| Promise", "| ---"))
]  # fmt: skip


@pytest.mark.parametrize("line", ROWS)
def test_a_promise_names_a_test_that_exists(line: str) -> None:
    row = ROW.match(line)
    assert row is not None, f"not a row of promise, way and `file::test`: {line}"
    proof = ROOT / row["file"]
    assert proof.is_file(), f"{row['file']} is not there"
    assert re.search(rf"^(async )?def {row['test']}\(", proof.read_text(), re.MULTILINE), f"no {row['test']} there"


def test_there_are_promises_and_none_twice() -> None:
    promises = [line.split("|")[1] for line in ROWS]
    assert len(promises) > 20
    assert len(set(promises)) == len(promises)
