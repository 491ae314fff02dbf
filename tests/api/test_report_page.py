from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from tests.core.reports import report_of
from tests.core.sessions import sessions

from afterbell.api.report_page import render
from afterbell.core.report import ROLES, Role
from afterbell.core.session import Session

REPORT = report_of()
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """Checks nesting while it collects the tags, the attributes and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(role: Role = "parent", title: str = "Mathematics with Okan") -> Page:
    return Page(render(REPORT, role, session_title=title))


def test_a_parent_reads_the_sections_in_order() -> None:
    text = page_of().text
    sections = [
        "What was worked on",
        "What went well",
        "What your child can now do",
        "What still needs attention",
        "What happens next",
    ]
    places = [text.index(section) for section in (REPORT.narrative.parent_summary, *sections)]
    assert places == sorted(places)


def test_the_basic_report_is_labelled_and_the_models_is_not() -> None:
    assert "Basic report (no AI)" in page_of().text
    written = Page(render(report_of(engine="llm"), "parent", session_title="x")).text
    assert "Basic report" not in written
    assert "Written by an AI model" in written


@pytest.mark.parametrize("role", ROLES)
def test_a_page_fetches_nothing_runs_nothing_and_links_nowhere(role: Role) -> None:
    html = render(REPORT, role, session_title="https://example.org/x")
    page = Page(html)
    assert {"script", "a", "img", "link", "iframe", "form", "object"}.isdisjoint(page.tags)
    assert {"href", "src", "srcset", "action"}.isdisjoint(page.attributes)
    assert not any(name.startswith("on") for name in page.attributes)
    assert "url(" not in html
    assert "@import" not in html
    assert page.open == []


@pytest.mark.parametrize("role", ROLES)
def test_text_stays_text(role: Role) -> None:
    attack = '<script>alert(1)</script>"><img src=x onerror=y> {{ 7 * 7 }} https://example.org'
    hostile = replace(REPORT.narrative, headline=attack, parent_summary=attack, student_note=attack, tutor_note=attack)
    page = Page(render(replace(REPORT, narrative=hostile, language='en" onload="x'), role, session_title=attack))
    assert {"script", "img"}.isdisjoint(page.tags)
    assert "onload" not in page.attributes
    assert attack in page.text


@pytest.mark.parametrize("role", ["parent", "student", "tutor"])
def test_concerns_stand_on_the_staffs_page_alone(role: Role) -> None:
    assert "Zxqv" in page_of("staff").text
    text = page_of(role).text
    assert "Zxqv" not in text
    assert "My brother hit me" not in text


def test_the_tutors_note_is_not_for_the_family() -> None:
    note = REPORT.narrative.tutor_note
    assert note in page_of("tutor").text
    assert note not in page_of("parent").text
    assert note not in page_of("student").text


def test_a_student_is_spoken_to() -> None:
    text = page_of("student").text
    assert REPORT.narrative.student_note in text
    assert "What you can now do" in text
    assert "your child" not in text.lower()


def test_an_empty_session_makes_a_page_without_empty_sections() -> None:
    empty = Session("s-0", "Mathematics", (), ())
    page = Page(render(report_of(empty, concern=False), "parent", session_title="Mathematics"))
    assert page.tags.count("h2") == 1
    assert "What happens next" in page.text


@given(sessions())
@settings(max_examples=50)
def test_any_report_makes_a_well_formed_page_for_anyone(session: Session) -> None:
    report = report_of(session, concern=False)
    for role in ROLES:
        assert Page(render(report, role, session_title=session.subject)).open == []
