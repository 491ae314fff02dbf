"""Every example runs as its README says, against a real `afterbell dev` with engines of its own."""

import os
import re
import signal
import stat
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
VARIABLE = re.compile(r"^export (AFTERBELL_\w+)=(\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Dev:
    """A running platform: what it wrote into its file of variables, and the lines it printed to paste."""

    folder: Path
    variables: dict[str, str]
    lines: list[str]

    @property
    def url(self) -> str:
        return self.variables["AFTERBELL_URL"]

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text("utf-8")


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
            yield started(process, folder)
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0


def environment(folder: Path) -> dict[str, str]:
    """Nothing of the caller's settings but where programs are: free ports, data in the test's folder."""
    kept = {name: ENVIRONMENT[name] for name in ("PATH", "TMPDIR", "HOME") if name in ENVIRONMENT}
    own = {"PORT": "0", "AFTERBELL_INTERNAL_PORT": "0", "AFTERBELL_DATA_DIR": str(folder / "data")}
    return kept | own | {"PYTHONPATH": str(SERVICES)}


def started(process: "subprocess.Popen[str]", folder: Path) -> Dev:
    assert process.stdout is not None
    lines = [process.stdout.readline().strip() for _ in range(4)]
    file = folder / "data/dev.env"
    assert file.exists(), f"`afterbell dev` wrote no variables: {(folder / 'log').read_text('utf-8')[-2000:]}"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    return Dev(folder, dict(VARIABLE.findall(file.read_text("utf-8"))), lines)


def test_every_line_of_dev_works_when_pasted(dev: Dev) -> None:
    first, send, report, top = dev.lines
    assert top.endswith("afterbell queue top")
    script = "\n".join((first, send, report, top.replace("queue top", "queue status")))
    done = subprocess.run(
        ["sh", "-eu", "-c", script],
        cwd=dev.folder,
        env=environment(dev.folder),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    assert "fractions-lesson: stored" in done.stdout
    assert "Prepared answer" in done.stdout


def test_the_first_screen_of_dev_fits_80_columns(dev: Dev) -> None:
    screen = dev.log[dev.log.index("Afterbell runs on this machine") :].splitlines()[:12]
    assert max(len(line.rstrip()) for line in [*screen, *dev.lines]) <= 80 + len(sys.executable)


def test_dev_serves_the_classroom_page_and_says_what_it_lacks(dev: Dev) -> None:
    assert "<title>" in httpx2.get(dev.url + "/").text
    assert httpx2.post(dev.url + "/classroom/seat?as=tutor").json()["user"] == "tutor"
    screen = " ".join(dev.log.split())
    assert f"lesson {dev.url}/ {classroom.missing() or 'chat in two tabs, and the report'}" in screen


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
    done = subprocess.run(
        [*command, dev.url, dev.variables["AFTERBELL_TOKEN"]], capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_dev_says_which_folder_it_cannot_write_its_variables_to(
    redis_url: str, database_url: str, tmp_path: Path
) -> None:
    blocked = tmp_path / "data"
    blocked.write_text("a file stands where the folder should be")
    stores = {"REDIS_URL": redis_url, "DATABASE_URL": database_url, "AFTERBELL_DATA_DIR": str(blocked)}
    done = subprocess.run(
        [sys.executable, "-m", "afterbell", "dev", "--pace", "none"],
        env=environment(tmp_path) | stores,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 2
    assert f"afterbell: AFTERBELL_DATA_DIR {blocked} is not writable" in done.stderr
    assert "Traceback" not in done.stderr
