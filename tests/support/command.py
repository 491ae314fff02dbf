"""The real command line as a child process."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import afterbell

PROGRAM = (sys.executable, "-m", "afterbell")
SECRET = "s3cret-s3cret-s3cret-s3cret-s3cret-s3cret"


def environment_of(**variables: str) -> dict[str, str]:
    """These variables and no others of ours."""
    base = {"PYTHONPATH": str(Path(afterbell.__file__).parents[1]), "PATH": "/usr/bin:/bin", "COLUMNS": "400"}
    return base | variables


def run(*arguments: str, stdin: bytes = b"", cwd: Path | None = None, **variables: str) -> Any:
    """The command, ended, as a user types it: a CompletedProcess of texts."""
    done = subprocess.run(
        [*PROGRAM, *arguments], input=stdin, capture_output=True, timeout=100, cwd=cwd, env=environment_of(**variables)
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def refused(done: Any, *said: str, code: int = 2) -> None:
    """Nothing on standard output, one line on standard error with these words, the exit code."""
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("afterbell: ")
    for words in said:
        assert words in line
    assert "s3cret" not in line
