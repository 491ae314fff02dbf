"""What the commands of the admin API print, as values: formats, hostile texts, the live screen."""

import json
from typing import Any

import pytest
import yaml
from rich.console import Console

from afterbell.cli import admin_jobs, top
from afterbell.cli.output import Output, told, yaml_of

HOSTILE = "\x1b[2J\x9b31m\u202e[red]gotcha[/red]\n\x00 end 🎓 \"quoted\" \\ 'x': - #"
JOB: dict[str, Any] = {
    "jobId": "report-1", "status": "failed", "progress": 40, "attempt": 3, "tenant_id": HOSTILE, "session_id": "s",
    "created_at": "2026-03-03 16:00:00.123", "started_at": None, "finished_at": None, "requested_by": "p",
    "error": HOSTILE * 30, "stage": "writing", "bulk": False,
}  # fmt: skip
FACTS = {
    "waiting": 12, "active": 3, "due": 1, "dead": 2, "overdue": 0, "idle_workers": 0, "starts_in_window": 10,
    "commands_today": 4321, "oldest_waiting_age_ms": 61_000, "paused": False,
}  # fmt: skip
SCREEN: dict[str, Any] = {
    "status": {"name": "reports", "facts": FACTS, "running": {"pod-1": 3}, "drained": ["pod-1", "pod-9"]},
    "why": {"cause": "no_slots", "sentence": "All slots of 1 workers are taken by 3 jobs: 12 jobs wait."},
    "jobs": [JOB],
    "costs": {"cost_usd": "1.25", "calls": 7,
              "lines": [{"tenant_id": "school", "model": "small-1", "calls": 7, "cost_usd": "1.25"}]},
}  # fmt: skip


def drawn(what: Any, columns: int = 120) -> str:
    screen = Console(width=columns, height=40, force_terminal=False)
    with screen.capture() as captured:
        screen.print(what)
    return captured.get()


@pytest.mark.parametrize(
    "value",
    [{}, [], None, HOSTILE, {"a": []}, {"on": {"pod-7": 3, HOSTILE: [1, [2, {"x": None}], {}]}, "f": 1.5, "t": True},
     [{"a": 1, "b": [HOSTILE]}, "- x", "null", "1"]],
)  # fmt: skip
def test_yaml_is_read_as_what_was_written(value: Any) -> None:
    text = yaml_of(value)
    assert yaml.safe_load(text) == value
    assert all(char.isprintable() or char == "\n" for char in text)


@pytest.mark.parametrize("output", [Output.table, Output.wide])
def test_a_hostile_text_moves_no_cursor_and_is_no_markup(output: Output) -> None:
    text = told({"jobs": [JOB], "nextPage": None}, admin_jobs.table_of_jobs, output)
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "[red]gotcha[/red]" in text
    assert len(text.splitlines()) == 2 or output is Output.wide


def test_json_and_yaml_print_the_whole_answer() -> None:
    answer = {"jobs": [JOB], "nextPage": None}
    assert json.loads(told(answer, admin_jobs.table_of_jobs, Output.json)) == answer
    assert yaml.safe_load(told(answer, admin_jobs.table_of_jobs, Output.yaml)) == answer


def test_the_live_screen_shows_queue_cause_workers_costs_and_what_runs() -> None:
    text = drawn(top.frame(SCREEN))
    for words in ("queue reports: running", "waiting 12", "oldest waits 61 s", "no_slots: All slots", "pod-1", "pod-9",
                  "drained", "1.25 USD in 7 calls", "small-1", "report-1", "########............ 40 %"):  # fmt: skip
        assert words in text, text
    assert max(len(line) for line in text.splitlines()) <= 120
    assert all(char.isprintable() or char == "\n" for char in text)


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_the_live_screen_fits_every_terminal(columns: int) -> None:
    assert max(len(line) for line in drawn(top.frame(SCREEN), columns).splitlines()) <= columns
