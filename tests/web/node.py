"""Node and Chromium for the tests of the page: found, or skipped with what is missing; in CI never skipped."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from tests.architecture.repository import SERVICES

ENVIRONMENT: Final = os.environ  # noqa: TID251 - the tests' own settings, which no process of ours reads
MODULES: Final = SERVICES / "afterbell" / "web" / "node_modules"
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
# Node counts a file as a test of its own.
TEST_MS_MAX: Final = 80_000
FILE_S_MAX: Final = 100
HERE: Final = Path(__file__).parent
# `make web` puts Node beside Python where the machine's own is missing or too old.
PROGRAMS: Final = os.pathsep.join([str(Path(sys.executable).parent), ENVIRONMENT.get("PATH", "")])


def missing(what: str) -> None:
    """Skip, or fail in CI."""
    if ENVIRONMENT.get("CI"):
        pytest.fail(f"{what}: CI must have it")
    pytest.skip(what)


def node_program() -> str:
    """The path of ``node``, where npm's packages are there too."""
    program = shutil.which("node", path=PROGRAMS)
    if program is None:
        missing("no Node: run `make web`")
    if not (MODULES / "socket.io-client").is_dir():
        missing("no npm packages: run `make web`")
    return program or ""


def browser_program() -> str:
    """The path of a Chromium."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        missing("no Chromium: install Debian's package chromium")
    return program or ""


def run_tests(file: str, *, meanwhile: Callable[[], None] | None = None, **variables: str) -> None:
    """``node --test`` of one file; its report is the failure's message. ``meanwhile`` happens beside it."""
    command = [node_program(), "--test", "--test-reporter=spec", f"--test-timeout={TEST_MS_MAX}", str(HERE / file)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**ENVIRONMENT, **variables}
    ) as tests:
        try:
            if meanwhile is not None:
                meanwhile()
            said, _ = tests.communicate(timeout=FILE_S_MAX)
        except subprocess.TimeoutExpired:
            tests.kill()
            said, _ = tests.communicate()
        if tests.returncode:
            pytest.fail(f"{file}:\n{said[-12_000:]}", pytrace=False)
