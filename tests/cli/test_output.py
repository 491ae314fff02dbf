"""What the commands of the admin API print, as values: formats, hostile texts, the live screen."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from rich.console import Console

from afterbell.cli.admin import jobs as admin_jobs
from afterbell.cli.admin import top
from afterbell.cli.admin.job_filters import seconds_of
from afterbell.cli.output import Output, ago, rendered, yaml_of
from afterbell.core.errors import InvalidInput

NOW = datetime(2026, 3, 3, 16, tzinfo=UTC)
LONG_ID = "report-19057e2c-055d-4057-ad2a-c85ac6d5612e"
HOSTILE = "\x1b[2J\x9b31m\u202e[red]gotcha[/red]\n\x00 end 🎓 \"quoted\" \\ 'x': - #"
JOB: dict[str, Any] = {
    "jobId": "report-1",
    "status": "failed",
    "progress": 40,
    "attempt": 3,
    "tenant_id": HOSTILE,
    "session_id": "s",
    "created_at": "2026-03-03 16:00:00.123",
    "started_at": None,
    "finished_at": None,
    "requested_by": "p",
    "error": HOSTILE * 30,
    "stage": "writing",
    "bulk": False,
}
FACTS = {
    "waiting": 12,
    "active": 3,
    "due": 1,
    "dead": 2,
    "overdue": 0,
    "idle_workers": 0,
    "starts_in_window": 10,
    "commands_today": 4321,
    "oldest_waiting_age_ms": 61_000,
    "paused": False,
}
WORKER = {"idle": False, "there": True, "back_in_ms": None, "renewed_ms_ago": 900, "pod": "pod-1", "drained": False}
SCREEN: dict[str, Any] = {
    "status": {"name": "reports", "facts": FACTS, "jobs": {"queued": 12, "succeeded": 4711, "failed": 2}},
    "workers": {
        "workers": [
            WORKER | {"name": "pod-1-00000001", "jobs": 3},
            WORKER | {"name": "pod-2-00000001", "jobs": 0, "idle": True},
        ],
        "drained_unseen": ["pod-9"],
    },
    "why": {"cause": "no_slots", "sentence": "All slots of 1 workers are taken by 3 jobs: 12 jobs wait."},
    "jobs": [JOB],
    "costs": {
        "cost_usd": "1.25",
        "calls": 7,
        "lines": [{"tenant_id": "school", "model": "small-1", "calls": 7, "cost_usd": "1.25"}],
    },
}


def drawn(what: Any, columns: int = 120) -> str:
    screen = Console(width=columns, height=40, force_terminal=False)
    with screen.capture() as captured:
        screen.print(what)
    return captured.get()


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        None,
        HOSTILE,
        {"a": []},
        {"on": {"pod-7": 3, HOSTILE: [1, [2, {"x": None}], {}]}, "f": 1.5, "t": True},
        [{"a": 1, "b": [HOSTILE]}, "- x", "null", "1"],
    ],
)
def test_yaml_is_read_as_what_was_written(value: Any) -> None:
    text = yaml_of(value)
    assert yaml.safe_load(text) == value
    assert all(char.isprintable() or char == "\n" for char in text)


@pytest.mark.parametrize("output", [Output.table, Output.wide])
def test_a_hostile_text_moves_no_cursor_and_is_no_markup(output: Output) -> None:
    text = rendered({"jobs": [JOB], "nextPage": None}, admin_jobs.table_of_jobs, output)
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "[red]gotcha[/red]" in text
    assert len(text.splitlines()) == 2 or output is Output.wide


def test_a_duration_is_written_as_kubectl_takes_it() -> None:
    assert [seconds_of(text) for text in ("90s", "15m", "2h", "7d", None)] == [90, 900, 7200, 604_800, None]
    for wrong in ("", "h", "2", "2w", "-1h", "1.5h", "²h"):
        with pytest.raises(InvalidInput, match="invalid duration"):
            seconds_of(wrong)


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_no_terminal_is_too_narrow_for_an_id(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with kubectl, a long line is for the terminal to wrap; only the last column gives way."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    job = JOB | {"jobId": LONG_ID, "tenant_id": "northside-academy", "session_id": "lesson-2026-03-03-4711"}
    text = rendered({"jobs": [job], "nextPage": None}, admin_jobs.table_of_jobs, Output.table)
    for whole in (LONG_ID, "northside-academy", "lesson-2026-03-03-4711"):
        assert whole in text
    assert "…" in text


def test_the_age_of_a_job_is_written_as_kubectl_writes_it() -> None:
    ages = [
        ago((NOW - timedelta(seconds=passed)).isoformat(), NOW) for passed in (-5, 0, 119, 120, 7199, 7200, 200_000)
    ]
    assert ages == ["0s", "0s", "119s", "2m", "119m", "2h", "2d"]
    assert ago(None, NOW) == "-"
    assert ago("2026-03-03 15:59:00", NOW) == "60s", "of a moment without a zone it is UTC"


def test_json_and_yaml_print_the_whole_answer() -> None:
    answer = {"jobs": [JOB], "nextPage": None}
    assert json.loads(rendered(answer, admin_jobs.table_of_jobs, Output.json)) == answer
    assert yaml.safe_load(rendered(answer, admin_jobs.table_of_jobs, Output.yaml)) == answer


def test_the_live_screen_shows_queue_cause_workers_costs_and_what_runs() -> None:
    text = drawn(top.frame(SCREEN, NOW, 120))
    for words in (
        "queue reports: running",
        "waiting 12",
        "oldest waiting 61 s",
        "no_slots: All slots",
        "pod-1-00000001",
        "pod-9",
        "drained",
        "idle",
        "1.25 USD in 7 calls",
        "small-1",
        "report-1",
        "███░░░░░  40 %",
        "succeeded in all 4,711",
    ):
        assert words in text, text
    assert max(len(line) for line in text.splitlines()) <= 120
    assert all(char.isprintable() or char == "\n" for char in text)


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_the_live_screen_fits_every_terminal(columns: int) -> None:
    screen = SCREEN | {"jobs": [JOB | {"jobId": LONG_ID}]}
    text = drawn(top.frame(screen, NOW, columns), columns)
    assert max(len(line) for line in text.splitlines()) <= columns
    assert columns < 80 or LONG_ID in text


def test_the_live_screen_says_that_it_is_not_up_to_date() -> None:
    assert "not up to date: no answer" in drawn(top.frame(SCREEN | {"trouble": "no answer"}, NOW, 120))
