import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from tests.core.basic.test_engine import two_students
from tests.core.reports import LESSON, report_of
from tests.core.sessions import START, sessions
from tools import catalogues

from afterbell.api.reports.page import render
from afterbell.core.narrative import Evidence, Misconception, Skill, Strength
from afterbell.core.report.report import ROLES, Role
from afterbell.core.report.stand_ins import stand_in
from afterbell.core.report.views import view
from afterbell.core.session import Session
from afterbell.core.translation import LANGUAGES

REPORT = report_of()
NAMES = {"a": "Ada Rao", "b": "Ben Cole", "t": "Ms Rivera"}
QUIET = replace(
    LESSON,
    messages=tuple(
        replace(message, text=message.text.replace("My brother hit me yesterday. ", "")) for message in LESSON.messages
    ),
)
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """Checks nesting while it collects the tags, the attributes and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.open: list[str] = []
        self.facts: dict[str, str] = {}
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
        if "dl" in self.open and "section" not in self.open and data.strip():
            term = next(reversed(self.facts), "")
            self.facts |= {data: ""} if self.open[-1] == "dt" else {term: data}


def page_of(role: Role = "parent", title: str = "Mathematics with Okan") -> Page:
    return Page(render(REPORT, role, session_title=title))


def test_a_parent_reads_the_sections_in_order() -> None:
    text = page_of().text
    sections = [
        "Answers the tutor confirmed",
        "What was corrected or left open",
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
    shown = note.replace("t4", "#4").replace("t2", "#2")
    assert shown != note
    assert shown in page_of("tutor").text
    assert shown not in page_of("parent").text
    assert shown not in page_of("student").text


def test_a_student_is_spoken_to() -> None:
    text = page_of("student").text
    assert REPORT.narrative.student_note in text
    assert "Answers the tutor confirmed" in text
    assert "your child" not in text.lower()


def test_an_empty_session_makes_a_page_without_empty_sections() -> None:
    empty = Session("s-0", "Mathematics", (), ())
    page = Page(render(report_of(empty, concern=False), "parent", session_title="Mathematics"))
    assert "h2" not in page.tags


def test_a_page_names_the_day_of_the_lesson_and_who_was_there() -> None:
    session = replace(two_students(), started_at=datetime(2026, 3, 2, 16, tzinfo=UTC))
    report = report_of(session, concern=False)
    of_ada = Page(render(report, "parent", {"a"}, session_title="Mathematics", names=NAMES)).facts
    assert of_ada == {
        "Date of the lesson": "Monday, 2 March 2026",
        "Subject": "Mathematics",
        "Student": "Ada Rao",
        "Tutor": "Ms Rivera",
    }
    asking = tuple(replace(speaker, questions=1) for speaker in report.metrics.per_speaker)
    report = replace(report, metrics=replace(report.metrics, per_speaker=asking))
    of_both = Page(render(report, "parent", {"a", "b"}, session_title="Mathematics", names=NAMES))
    assert of_both.facts["Students"] == "Ada Rao and Ben Cole"
    assert "Ben Cole: " in of_both.text
    assert "Questions from students" in of_both.text


def test_a_lesson_without_times_has_the_day_its_report_was_written() -> None:
    facts = Page(render(report_of(two_students(), concern=False), "tutor", session_title="Art", names=NAMES)).facts
    assert facts["Written on"] == "Tuesday, 3 March 2026"
    assert "Date of the lesson" not in facts


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("role", ROLES)
def test_a_page_is_labelled_in_its_language_and_quotes_stay_in_the_lessons(role: Role, language: str) -> None:
    html = render(report_of(replace(QUIET, report_language=language), concern=False), role, session_title="Mathematics")
    direction = "rtl" if language == "ar" else "ltr"
    assert f'<html lang="{language}" dir="{direction}">' in html
    assert '<span lang="en" dir="auto">' in html
    assert '<bdi lang="en">' in html
    labels = {
        str(message.id) for message in catalogues.messages() if isinstance(message.id, str) and " " in str(message.id)
    }
    left = {label for label in labels if f">{label}<" in html}
    assert bool(left) == (language == "en")
    assert Page(html).open == []


def test_labels_in_another_language_mark_the_text_as_what_it_is() -> None:
    arabic = report_of(replace(QUIET, report_language="ar"), concern=False)
    html = render(arabic, "parent", session_title="Mathematics", language="de")
    assert '<html lang="de" dir="ltr">' in html
    assert '<p class="summary" lang="ar" dir="rtl">' in html
    same = render(arabic, "parent", session_title="Mathematics")
    assert '<p class="summary">' in same


def test_a_name_keeps_its_direction_in_a_line_that_runs_the_other_way() -> None:
    arabic = report_of(replace(QUIET, report_language="ar"), concern=False)
    assert "\u2068Mina\u2069: " in render(arabic, "parent", session_title="x", names={"p-student": "Mina"})


def test_the_style_knows_no_left_and_no_right() -> None:
    style = render(REPORT, "parent", session_title="x").partition("<style>")[2].partition("</style>")[0]
    assert not re.search(r"[-: ](?:left|right)\b", style)


def test_a_tutor_reads_the_next_lesson_first_and_by_student() -> None:
    report = report_of(two_students(), concern=False)
    text = Page(render(report, "tutor", session_title="Mathematics", names=NAMES)).text
    order = ["For the next lesson", "Ben Cole", "2/6 because", "Answers you confirmed", "7/8", "Who spoke"]
    assert [text.index(part, text.index(order[0])) for part in order] == sorted(
        text.index(part, text.index(order[0])) for part in order
    )


def test_a_staffs_page_counts_the_concerns_and_leaves_the_words_where_they_are() -> None:
    page = page_of("staff")
    assert "1 concern" in page.text
    assert "Urgent · Child protection" in page.text
    assert "#6" in page.text
    assert "My brother hit me" not in page.text
    assert "/api/sessions/s-1/messages" in page.text
    assert "No concerns" in Page(render(report_of(QUIET, concern=False), "staff", session_title="x")).text


def test_a_staffs_page_tells_who_was_late_and_what_the_report_rests_on() -> None:
    session = replace(LESSON, started_at=START - timedelta(minutes=7))
    text = " ".join(
        Page(render(report_of(session), "staff", session_title="x", names={"p-tutor": "Okan"})).text.split()
    )
    assert "OkanTutor 7 minutes late" in text
    assert "Statements that hold100% (of 2)" in text
    assert "Parts of the lesson citedbeginning and middle" in text
    assert "Not judged: why an answer was wrong" in text


def test_what_the_student_has_not_shown_is_not_among_what_they_can_do() -> None:
    skill = replace(REPORT.narrative.skills[0], name="Adds fractions", level="not_shown")
    report = report_of(engine="llm")
    text = Page(
        render(replace(report, narrative=replace(report.narrative, skills=(skill,))), "parent", session_title="x")
    ).text
    assert text.index("What still needs attention") < text.index("Adds fractions")


def read(role: Role, **changes: object) -> str:
    """The text of a model's report on the lesson, with some of its narrative's fields changed."""
    report = report_of(QUIET, engine="llm", concern=False)
    narrative = replace(report.narrative, **changes)  # type: ignore[arg-type]
    return " ".join(Page(render(replace(report, narrative=narrative), role, session_title="x")).text.split())


@pytest.mark.parametrize("role", ROLES)
def test_a_slip_that_was_cleared_up_is_nothing_that_somebody_can_do(role: Role) -> None:
    proof = (Evidence(("t2",), "1/8 is the bigger fraction"), Evidence(("t4",), "the pieces get smaller"))
    cleared = Misconception("Took more pieces for more", "resolved", proof)
    text = read(role, misconceptions=(cleared, replace(cleared, description="Mixed up the parts", status="partly")))
    assert text.index("What was cleared up") < text.index("Took more pieces for more")
    assert "Took more pieces for more thought at first" in text
    assert "Mixed up the parts partly cleared up" in text
    can = {"parent": "What your child can do", "student": "What you can do"}.get(role, "What was shown")
    assert can not in read(role, skills=(), misconceptions=(cleared,))
    if role in ("parent", "student"):
        settled = text[text.index("What was cleared up") :]
        assert settled.index("the pieces get smaller") < settled.index("1/8 is the bigger fraction")


def test_a_claim_without_a_quote_says_which_messages_it_comes_from() -> None:
    shown = (Strength("Explained the pieces.", (Evidence(("t10", "t4"), None), Evidence(("t2",), None))),)
    assert "Explained the pieces. messages 2, 4, 10" in read("parent", strengths=shown)


def test_a_reason_that_may_not_be_shown_leaves_no_line_of_its_own() -> None:
    evidence = (Evidence(("t4",), "the pieces get smaller"),)
    skill = Skill("Compares fractions", "with_help", "first_seen", stand_in("rationale", "en"), evidence)
    text = read("parent", skills=(skill,))
    assert "Compares fractions with help Student the pieces get smaller message 4" in text


def test_a_reason_names_the_messages_it_cites_and_leaves_other_signs() -> None:
    skill = Skill("Compares", "with_help", "first_seen", "Does so in t4 with t1 = 3 s.", (Evidence(("t4",), None),))
    assert "Does so in message 4 with t1 = 3 s." in read("student", skills=(skill,))
    assert "Does so in #4 with t1 = 3 s." in read("tutor", skills=(skill,))


def test_a_page_counts_no_questions_that_were_not_asked() -> None:
    assert "Questions your child asked1" in page_of().text.replace("\n", "")
    session = replace(QUIET, messages=QUIET.messages[:4])
    assert "Questions your child asked" not in Page(render(report_of(session), "parent", session_title="x")).text


def test_a_tutor_reads_what_each_students_parents_read() -> None:
    report = report_of(two_students(), concern=False)
    text = Page(render(report, "tutor", session_title="x", names=NAMES)).text
    section = text[text.index("What the parents read") :]
    assert all(texts.parent_summary in section for texts in report.narrative.per_student)
    assert len(report.narrative.per_student) == 2


@given(sessions())
@settings(max_examples=50)
def test_any_report_makes_a_well_formed_page_for_anyone(session: Session) -> None:
    report = report_of(session, concern=False)
    for role in ROLES:
        assert Page(render(report, role, session_title=session.subject)).open == []


def test_a_quote_says_who_is_quoted() -> None:
    person = {who.role: who.id for who in QUIET.participants}
    report = report_of(QUIET, engine="llm", concern=False)
    quotes = (Evidence(("t4",), "the pieces get smaller"), Evidence(("t5",), "Exactly, well done."))
    claims = tuple(Strength("Gave a reason.", (quote,)) for quote in quotes)
    report = replace(report, narrative=replace(report.narrative, strengths=claims))
    names = {person["student"]: "Mina Rao", person["tutor"]: "Ms Rivera"}

    def shown(role: Role, known: dict[str, str] | None = None) -> str:
        page = Page(render(report, role, {person["student"]}, session_title="x", names=known))
        return " ".join(page.text.split())

    assert "Mina Rao the pieces get smaller message 4" in shown("parent", names)
    assert "Ms Rivera Exactly, well done. message 5" in shown("parent", names)
    assert "You the pieces get smaller message 4" in shown("student", names)
    assert "Mina Rao the pieces get smaller #4" in shown("tutor", names)
    assert "Student the pieces get smaller message 4" in shown("parent")
    assert "Tutor Exactly, well done. message 5" in shown("parent")
    speakers = view(report, "parent")["speakers"]
    assert isinstance(speakers, dict)
    assert (speakers["t4"], speakers["t5"]) == ("student", "tutor")
