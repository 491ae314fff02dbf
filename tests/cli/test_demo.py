"""``afterbell demo`` on real stores: from sessions to reports, and the reason where there is none."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from tests.support.api import lesson_json
from tests.support.command import SECRET, refused, run

pytestmark = pytest.mark.engines

STRANGER = [{"id": "m1", "sender": "nobody", "text": "hello"}]


def demo(redis_url: str, database_url: str, *arguments: str, stdin: str = "", cwd: Path | None = None) -> Any:
    variables = {
        "REDIS_URL": redis_url,
        "DATABASE_URL": database_url,
        "AFTERBELL_QUEUE": f"t{uuid.uuid4().hex}",
        "AFTERBELL_STARTS_PER_WINDOW": "0",
        "AFTERBELL_JWT_SECRET": SECRET,
    }
    return run("demo", "--pace", "none", *arguments, stdin=stdin.encode(), cwd=cwd, **variables)


def lines(*sessions: dict[str, Any]) -> str:
    return "\n".join(json.dumps(session) for session in sessions)


def test_three_sessions_are_three_reports_as_json_lines_and_nothing_else(redis_url: str, database_url: str) -> None:
    names = ["first", "empty", "third"]
    sessions = [lesson_json(id=name, **({"messages": []} if name == "empty" else {})) for name in names]
    done = demo(redis_url, database_url, "--json", "-", stdin=lines(*sessions))
    assert done.returncode == 0, done.stderr
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(report["session_id"] for report in reports) == sorted(names)
    assert all(report["headline"] and "concerns" in report for report in reports)
    assert "3 reports, 0 failed" in done.stderr
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stdout + done.stderr


def test_a_session_that_is_refused_is_told_and_the_others_get_their_reports(redis_url: str, database_url: str) -> None:
    bad = [lesson_json(id="bad", messages=STRANGER), lesson_json(id="[/red]"), lesson_json(id="a", subject="\ud800")]
    bad.append({"subject": "no id"})
    done = demo(redis_url, database_url, "--json", "-", stdin=lines(*bad, lesson_json(id="good")))
    assert done.returncode == 1
    (report,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert report["session_id"] == "good"
    assert "1 report, 4 failed" in done.stderr
    for said in ("failed bad: ", "messages.0.sender", "failed [/red]: ", "failed a: ", "the session has no id"):
        assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_example_is_shown_to_be_read(redis_url: str, database_url: str, tmp_path: Path) -> None:
    done = demo(redis_url, database_url, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for title in ("Report · session", "Prepared answer (no model was asked)", "Can now do", "Still open", "Next"):
        assert title in done.stdout
    assert "1 report, 0 failed" in done.stderr
    assert list(tmp_path.iterdir()) == []  # with both URLs set nothing is started here


def test_a_lesson_without_a_model_is_shown_as_a_record(redis_url: str, database_url: str, tmp_path: Path) -> None:
    done = demo(redis_url, database_url, "-", stdin=lines(lesson_json(id="a-lesson")), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Basic report (no AI)" in done.stdout
    assert "Can now do" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (("none.json",), "", "none.json: cannot be read (No such file or directory)"),
        (("-",), '{"id": ', "-: invalid JSON (Expecting value at character 8)"),
    ],
)
def test_what_is_no_session_is_refused_before_anything_is_started(
    tmp_path: Path, arguments: tuple[str, ...], stdin: str, said: str
) -> None:
    refused(demo("unix:///nowhere", "postgresql:///nowhere", *arguments, stdin=stdin, cwd=tmp_path), said)
