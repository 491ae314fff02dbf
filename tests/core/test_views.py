import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from pydantic import TypeAdapter
from tests.core.reports import LESSON, report_of
from tests.core.sessions import sessions

from afterbell.core.narrative import Evidence
from afterbell.core.report import ROLES, Report, Role
from afterbell.core.session import Session
from afterbell.core.views import view

REPORT = report_of()
ABOUT = {
    "report_id",
    "session_id",
    "version",
    "language",
    "created_at",
    "engine",
    "basic",
    "numbers",
    "headline",
}
CLAIMS = {"topics", "skills", "misconceptions", "strengths", "open_questions"}
SHARED = ABOUT | CLAIMS | {"goal", "actions", "insufficient_evidence"}
OWN: dict[Role, set[str]] = {
    "parent": {"summary"},
    "student": {"note"},
    "tutor": {"summary", "note", "metrics"},
    "staff": {"summary", "student_note", "tutor_note", "metrics", "concerns", "checks", "provenance"},
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
    asked = replace(REPORT.narrative.open_questions[0], evidence=(quoted,))
    told = replace(REPORT.narrative, open_questions=(asked,), goal_evidence=(quoted,))
    report = replace(REPORT, narrative=told)
    assert "My brother hit me yesterday" in json.dumps(view(report, "staff"))
    assert "My brother hit me" not in json.dumps(view(report, role))


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
