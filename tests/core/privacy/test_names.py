"""There is one answer to what is a name in a text, and redaction, erasure and the gate of a report all give it."""

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.privacy.corpus import CASES, Case

from afterbell.core.privacy.alphabets import WORD, plain_signs, words_in
from afterbell.core.privacy.cues import Searched
from afterbell.core.privacy.erasure import ERASED_TEXT, finder_of, without
from afterbell.core.privacy.names import NameFinder
from afterbell.core.privacy.redaction import redact
from afterbell.core.report.prose_gate import OTHER_STUDENT, ProseFacts, sound_prose
from afterbell.core.report.wording import sentences
from afterbell.core.session import Message, Participant, Session, clean, transcript_of

PEOPLE = (
    ("José Álvarez", "Alexandra Berg"),
    ("Jo Park", "Li Wei"),
    ("Will Hart", "王小明"),
    ("Maria de la Cruz", "Mark O'Brien"),
    ("Anna van Dijk", "Strauß"),
    ("Ayşe Demir", "Петров Пётр"),
    ("김민준", "محمد علي"),
)
PIECES = (
    *(
        "José",
        "jose",
        "Alex",
        "Sasha",
        "Jo",
        "jo",
        "Li",
        "li",
        "Wei",
        "Will",
        "I will mark it",
        "王小明",
        "小明",
        "de la",
    ),
    *("Cruz", "la", "O'Brien", "obrien", "Mark", "van", "van Dijk", "STRAUSS", "Ayşe'nin", "Петрову", "민준아", "محمد"),
    *(" ", " ", " ", ", ", ". ", "! ", "\n", "said", "the answer", "M i n a", "a", "-", "'s", "?"),
)


def redacted(student: str, tutor: str, text: str) -> str:
    people = (Participant("s", "student", student), Participant("t", "tutor", tutor))
    session = Session("s", "x", people, (Message("m", "s", text),))
    outgoing = redact(transcript_of(session), people)[0].turns[0].text
    return re.sub(r"\[(?:STUDENT|TUTOR)_[\d_]+\]", "\0", outgoing)


@pytest.mark.parametrize("people", PEOPLE)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=12))
@settings(max_examples=60)
def test_redaction_and_erasure_take_the_same_names_out(people: tuple[str, str], pieces: list[str]) -> None:
    text = clean("".join(pieces))
    assert redacted(*people, text) == without(finder_of(people), text).replace(ERASED_TEXT, "\0")


@pytest.mark.parametrize("people", PEOPLE)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=12))
@settings(max_examples=60)
def test_a_report_about_one_student_loses_the_sentences_that_an_erasure_of_the_other_would_change(
    people: tuple[str, str], pieces: list[str]
) -> None:
    other, own = people
    labelled = [("own", own), ("other", other)]
    facts = ProseFacts(frozenset(), (), for_staff=True, students={"own": NameFinder(labelled)}, about="own")
    for sentence in sentences(clean("".join(pieces))):
        is_erased = without(finder_of([other]), sentence) != sentence
        assert (OTHER_STUDENT in sound_prose(sentence, facts)[1]) == is_erased


@pytest.mark.parametrize("case", [case for case in CASES if "{" not in case.marked], ids=lambda case: case.marked)
def test_words_that_are_no_name_stay_after_an_erasure(case: Case) -> None:
    people = (case.student, case.tutor)
    assert without(finder_of(people), case.text) == case.text


@given(st.text(max_size=80), st.text(max_size=20))
@settings(max_examples=200)
def test_spans_are_in_order_and_apart_whatever_the_text_and_the_name(text: str, name: str) -> None:
    spans = finder_of([name, "Mina Okan"]).spans(Searched(text))
    assert all(span.end <= following.start for span, following in pairwise(spans))
    assert all(0 <= span.start < span.end <= len(text) for span in spans)


@given(st.text(max_size=120))
def test_the_words_of_a_text_are_those_the_pattern_finds(text: str) -> None:
    assert words_in(text) == frozenset(WORD.findall(text))


@given(st.text(max_size=120))
def test_plain_signs_leave_every_character_in_its_place(text: str) -> None:
    assert len(plain_signs(text)) == len(text)
    assert len(plain_signs(text).lower()) == len(text)


def test_of_siblings_the_given_name_says_who_is_meant() -> None:
    finder = NameFinder([("S1", "Anna Berg"), ("S2", "Tom Berg")])
    assert [span.kind for span in finder.spans(Searched("Tom Berg and Anna Berg and Berg"))] == ["S2", "S1", "S1"]
