"""What kubectl is told when Tab is pressed behind `kubectl afterbell`."""

import subprocess
import sys

import pytest
from tests.support.command import environment_of

from afterbell.cli.kubectl.completion import completions


def names(*words: str) -> list[str]:
    return [line.partition("\t")[0] for line in completions(words)]


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (("",), ["queue", "jobs"]),
        (("queue", "dr"), ["drain"]),
        (("-n", "school", "jobs", "re"), ["retry", "remove"]),
        (("queue", "status", "-o", ""), ["table", "wide", "json", "yaml"]),
        (("--role", "v"), ["viewer"]),
        (("queue", "status", "--wa"), ["--watch"]),
        (("queue", "status", "--con"), ["--context"]),
        (("-n", ""), []),
        (("jobs", "retry", "--all", "--dr"), ["--dry-run"]),
        (("nonsense", "que"), ["queue"]),
        ((), ["queue", "jobs"]),
    ],
)
def test_commands_options_and_values_are_completed(words: tuple[str, ...], completed: list[str]) -> None:
    assert names(*words) == completed


def test_every_completion_is_one_line_and_no_file_is_offered() -> None:
    command = [sys.executable, "-c", "from afterbell.cli.kubectl.completion import main; main()", "queue", ""]
    done = subprocess.run(command, env=environment_of(), capture_output=True, text=True, timeout=60)
    *lines, end = done.stdout.splitlines()
    assert (done.returncode, end) == (0, ":4"), done.stderr
    assert all(line.count("\t") == 1 for line in lines)
    assert any(line.startswith("workers\t") for line in lines)
