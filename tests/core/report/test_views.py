import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from pydantic import TypeAdapter
from tests.core.basic.test_engine import two_students
from tests.core.reports import LESSON, report_of
from tests.core.sessions import sessions

from afterbell.core.narrative import Evidence, OpenQuestion
from afterbell.core.report.report import ROLES, Report, Role
from afterbell.core.report.views import view
from afterbell.core.session import Session

REPORT = report_of()
ABOUT = {
    "report_id",
    "session_id",
    "version",
    "language",
    "lesson_language",
    "created_at",
    "engine",
    "basic",
    "numbers",
    "headline",
}
CLAIMS = {"topics", "skills", "misconceptions", "strengths", "open_questions"}
SHARED = ABOUT | CLAIMS | {"goal", "actions", "insufficient_evidence", "speakers"}
OWN: dict[Role, set[str]] = {
    "parent": {"summary"},
    "student": {"note"},
    "tutor": {"summary", "note", "per_student", "metrics", "next_lesson"},
    "staff": {
        "summary",
        "student_note",
        "tutor_note",
        "per_student",
        "metrics",
        "concerns",
        "checks",
        "provenance",
    },
}


def keys_in(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys_in(inner)


@pytest.mark.parametrize("role", OWN)
def test_each_role_gets_the_documented_fields_and_no_other(role: Role) -> None:
    assert set(view(REPORT, role)) == SHARED | OWN[role]


def test_an_admin_sees_what_the_staff_sees() -> None:
    assert view(REPORT, "admin") == view(REPORT, "staff")


@pytest.mark.parametrize("role", ROLES)
def test_a_view_is_plain_json(role: Role) -> None:
    shown = view(REPORT, role)
    assert json.loads(json.dumps(shown)) == shown


@pytest.mark.parametrize("role", ["parent", "student"])
def test_a_family_never_sees_concerns_the_tutors_note_or_the_tutors_numbers(role: Role) -> None:
    shown = view(replace(REPORT, narrative=replace(REPORT.narrative, tutor_note="Tutor only: " + "w" * 20)), role)
    assert {"concerns", "tutor_note", "metrics", "per_speaker", "checks", "provenance"}.isdisjoint(keys_in(shown))
    assert "Zxqv" not in json.dumps(shown)
    assert "Tutor only" not in json.dumps(shown)


@pytest.mark.parametrize("role", ["parent", "student", "tutor"])
def test_a_turn_behind_a_concern_is_quoted_to_the_staff_alone(role: Role) -> None:
    quoted = Evidence(("t6",), "My brother hit me yesterday.")
    asked = OpenQuestion("Who hit whom?", (quoted,), "student")
    narrative = replace(REPORT.narrative, open_questions=(asked,), goal_evidence=(quoted,))
    report = replace(REPORT, narrative=narrative)
    assert "My brother hit me yesterday" in json.dumps(view(report, "staff"))
    assert "My brother hit me" not in json.dumps(view(report, role))
    assert "Who hit whom" not in json.dumps(view(report, role))


def test_a_student_gets_the_actions_of_the_student_only() -> None:
    owners = {action["owner"] for action in view(REPORT, "student")["actions"]}  # type: ignore[attr-defined]
    assert owners == {"student"}


def test_the_basic_report_says_that_it_is_one() -> None:
    assert view(REPORT, "parent")["basic"] is True
    assert view(report_of(engine="llm"), "parent")["basic"] is False


@given(sessions())
@settings(max_examples=50)
def test_every_report_survives_json(session: Session) -> None:
    adapter = TypeAdapter(Report)
    report = report_of(session)
    assert adapter.validate_json(adapter.dump_json(report)) == report
    for role in ROLES:
        json.dumps(view(report, role))


def test_a_report_survives_json_as_python_objects_too() -> None:
    adapter = TypeAdapter(Report)
    report = report_of(LESSON)
    assert adapter.validate_python(adapter.dump_python(report, mode="json")) == report


@pytest.mark.parametrize(("own", "others"), [("a", "2/6"), ("b", "7/8")])
@pytest.mark.parametrize("role", ["parent", "student"])
def test_a_family_reads_about_its_own_child_alone(role: Role, own: str, others: str) -> None:
    report = report_of(two_students(), concern=False)
    shown = view(report, role, {own})
    assert others not in json.dumps(shown)
    numbers: dict[str, object] = shown["numbers"]  # type: ignore[assignment]
    (mine,) = (speaker for speaker in report.metrics.per_speaker if speaker.participant_id == own)
    assert (numbers["student_share"], numbers["student_questions"]) == (mine.share, mine.questions)


def test_a_parent_of_both_reads_about_both_and_a_stranger_about_none() -> None:
    report = report_of(two_students(), concern=False)
    both, none = (json.dumps(view(report, "parent", own)) for own in ({"a", "b"}, set[str]()))
    assert "7/8" in both
    assert "2/6" in both
    assert not any(answer in none for answer in ("7/8", "2/6"))


def test_a_tutor_reads_by_student_what_to_come_back_to() -> None:
    report = report_of(two_students(), concern=False)
    (part,) = view(report, "tutor")["next_lesson"]  # type: ignore[misc, attr-defined]
    assert part["student"] == "student_2"
    assert [claim["evidence"][0]["quote"] for claim in part["revisit"]] == ["2/6 because 1+1 is 2"]


def test_a_tutor_prepares_the_question_that_stayed_open_and_nothing_that_was_cleared_up() -> None:
    quiet = (
        replace(message, text=message.text.replace("My brother hit me yesterday. ", "")) for message in LESSON.messages
    )
    parts: Any = view(report_of(replace(LESSON, messages=tuple(quiet)), concern=False), "tutor")["next_lesson"]
    assert [part["student"] for part in parts] == ["student", None]
    assert [item["question"] for item in parts[0]["open_questions"]] == ["How do I compare 5/6 and 7/8?"]
    assert [item["task"] for item in parts[1]["prepare"]] == ["Come back to the question that stayed open."]
    assert parts[0]["revisit"] == []
