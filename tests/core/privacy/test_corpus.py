"""Of every planted case exactly what is marked is withheld, in the prompt as built."""

import re

import pytest
from tests.core.privacy.corpus import CASES, Case

from afterbell.core.privacy.redaction import redact
from afterbell.core.session import Message, Participant, Session, transcript_of

SCRIPTS = {"Latin", "Cyrillic", "Greek", "Arabic", "Hebrew", "Devanagari", "Han", "Kana", "Hangul", "Thai"}


def session_of(case: Case) -> Session:
    people = (Participant("s", "student", case.student), Participant("t", "tutor", case.tutor))
    return Session("s", "Mathematics", people, (Message("m0", "t", "?"), Message("m1", "s", case.text)))


def withheld_from(text: str) -> str:
    """The text with "{}" in the place of each run of placeholders."""
    return re.sub(r"(?:\[[A-Z]+(?:_\d+)+\])+", "{}", text)


def test_the_corpus_has_three_hundred_cases_in_ten_scripts() -> None:
    assert len(CASES) >= 300
    assert {case.script for case in CASES} == SCRIPTS


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.script}: {case.marked}")
def test_what_is_marked_is_withheld_and_nothing_else(case: Case) -> None:
    session = session_of(case)
    outgoing, redacted = redact(transcript_of(session), session.participants)
    assert withheld_from(outgoing.turns[1].text) == re.sub(r"\{[^}]*\}", "{}", case.marked)
    assert redacted.text(outgoing.turns[1].text) == case.text
