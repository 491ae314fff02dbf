"""Every example runs as its README says, against a real `afterbell dev` with engines of its own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from tests.architecture.repository import ROOT, SERVICES
from tests.support.engines import ENVIRONMENT, require_wheels

from afterbell.api import classroom

pytestmark = pytest.mark.engines

EXAMPLES = sorted(path for path in (ROOT / "examples").glob("*/run*") if path.is_file())
PATIENCE_S = 60
RECIPE = re.compile(r"^TOKEN=(?P<token>\S+)\ncurl -sS -X PUT (?P<url>http://[\d.]+:\d+)/", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Dev:
    """A running platform, as its recipe on standard output describes it."""

    url: str
    token: str
    log: Path


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    require_wheels("valkey", "postgres")
    folder = tmp_path_factory.mktemp("dev")
    command = [sys.executable, "-m", "afterbell", "dev", "--pace", "none"]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment(folder), cwd=folder
        ) as process,
    ):
        try:
            yield recipe_of(process, folder / "log")
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0


def environment(folder: Path) -> dict[str, str]:
    """Nothing of the caller's settings but where programs are: free ports, data in the test's folder."""
    kept = {name: ENVIRONMENT[name] for name in ("PATH", "TMPDIR", "HOME") if name in ENVIRONMENT}
    own = {"PORT": "0", "AFTERBELL_INTERNAL_PORT": "0", "AFTERBELL_DATA_DIR": str(folder / "data")}
    return kept | own | {"PYTHONPATH": str(SERVICES)}


def recipe_of(process: "subprocess.Popen[str]", log: Path) -> Dev:
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(2)]
    found = RECIPE.search("".join(lines))
    assert found, f"`afterbell dev` printed no recipe: {log.read_text()[-2000:]}"
    return Dev(found["url"], found["token"], log)


def test_dev_serves_the_classroom_page_and_says_what_it_lacks(dev: Dev) -> None:
    assert "<title>" in httpx2.get(dev.url + "/").text
    assert httpx2.post(dev.url + "/classroom/seat?as=tutor").json()["user"] == "tutor"
    told = " ".join(dev.log.read_text("utf-8").split())
    assert f"classroom {dev.url}/ {classroom.missing() or 'a lesson in two tabs, and its report'}" in told


def test_there_are_examples() -> None:
    assert EXAMPLES


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.parent.name)
def test_an_example_runs_and_says_the_same_when_run_again(example: Path, dev: Dev) -> None:
    first, again = (run(example, dev) for _ in range(2))
    assert ": stored" in first
    assert ": known already" in again
    assert first.split("\n\n", 1)[1] == again.split("\n\n", 1)[1]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.parent.name)
def test_an_example_passes_on_why_it_was_refused(example: Path, dev: Dev) -> None:
    done = subprocess.run(
        [sys.executable, str(example), dev.url, "no-token"], capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode != 0
    assert "401" in done.stderr
    assert "invalid token" in done.stderr


def run(example: Path, dev: Dev) -> str:
    command = [sys.executable, str(example)] if example.suffix == ".py" else [os.fspath(example)]
    done = subprocess.run([*command, dev.url, dev.token], capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    return done.stdout
