"""Every promise of the queue names a test that exists, and that drives code which an entry point reaches."""

import re
from functools import cache
from pathlib import Path

import pytest
from tests.architecture.reachable import Code, names_of_test

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| (?!Promise|---)(?P<promise>.+?) \| .+ \| `(?P<file>tests/\S+\.py)::(?P<test>test_\w+)` \|$")
ROWS = [
    line
    for line in (ROOT / "docs/reference/guarantees.md").read_text().splitlines()
    if line.startswith("|") and not line.startswith(("| Promise", "| ---"))
]


@pytest.mark.parametrize("line", ROWS)
def test_a_promise_names_a_test_that_exists(line: str) -> None:
    row = ROW.match(line)
    assert row is not None, f"not a row of promise, way and `file::test`: {line}"
    proof = ROOT / row["file"]
    assert proof.is_file(), f"{row['file']} is not there"
    assert re.search(rf"^(async )?def {row['test']}\(", proof.read_text(), re.MULTILINE), f"no {row['test']} there"


@pytest.mark.parametrize("line", ROWS)
def test_the_proof_of_a_promise_drives_code_that_an_entry_point_reaches(line: str) -> None:
    row = ROW.match(line)
    assert row is not None
    named = names_of_test(ROOT / row["file"], row["test"]) & code().defined.keys()
    assert named - code().reached == set(), "the promise is kept by code that only tests call"


def test_no_code_is_called_by_tests_alone() -> None:
    assert set(code().only_named_by_tests()) == set(), "delete it, or give it an entry point"


@cache
def code() -> Code:
    return Code()


def test_there_are_promises_and_none_twice() -> None:
    promises = [line.split("|")[1] for line in ROWS]
    assert len(promises) > 20
    assert len(set(promises)) == len(promises)
