"""A record of an English lesson in every language that reports are written in."""

from dataclasses import replace

import pytest
from pydantic import TypeAdapter
from tests.core.basic.test_engine import RIGHT, SLIP, two_students
from tests.core.reports import ground
from tests.core.sessions import lesson
from tools import catalogues

from afterbell.core.basic.basic_report import write_narrative
from afterbell.core.narrative import Narrative
from afterbell.core.session import Session, transcript_of
from afterbell.core.translation import LANGUAGES

NARRATIVES: TypeAdapter[Narrative] = TypeAdapter(Narrative)
ASKED = ("S: How do I add the fractions when there are three of them, with all denominators different and odd?",)
LONG = "S: I added the fractions top and bottom because that is how it works with whole numbers, so the sum is 2/6."
SESSIONS: dict[str, Session] = {
    "whole": lesson(
        "T: Today we compare fractions with different denominators, first with a half and then with each other.",
        *SLIP,
        *RIGHT,
        *ASKED,
        "T: Let us come back to that next time. For homework do questions 4 to 6 on page 12 of the green book.",
        goals=("Add fractions", "x"),
    ),
    "long": lesson(
        "T: Add 1/2 and 1/4, please.",
        LONG,
        "T: Not quite, it is 3/4.",
        "S: Oh I see now, when I make the bottoms the same the fractions make 3/4 and nothing else at all.",
        "T: Exactly.",
        *(line for n in range(12, 18) for line in (f"S: It is {n}.", "T: Correct.", f"S: {LONG[3:-1]}{n}.", "T: No.")),
        goals=("A baker has three quarters of a cake and sells a half of it; how much is left? " * 2,),
    ),
    "thin": lesson("T: Hello", "S: Hi"),
    "no student": lesson("T: Hello, are you there?", "T: I will wait.", "T: Homework: page 12."),
    "no tutor": lesson("S: hello?", "S: I tried 1/2 plus 1/3", "S: is that right?"),
    "called off": lesson("T: Hi!", "S: sorry I am sick can we cancel today", "T: Of course.", "S: thanks"),
    "german": replace(lesson(*SLIP, *RIGHT), language="de"),
    "group": two_students(),
    "nothing confirmed": lesson(
        "T: How?", "S: I put 3 pieces together", "T: Hm.", "S: and 4 more of them", "T: Go on."
    ),
}


def written(name: str, language: str) -> Narrative:
    return write_narrative(transcript_of(replace(SESSIONS[name], report_language=language)))


@pytest.mark.parametrize("name", SESSIONS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_record_keeps_its_bounds_and_passes_every_gate(language: str, name: str) -> None:
    narrative = written(name, language)
    assert NARRATIVES.validate_json(NARRATIVES.dump_json(narrative)) == narrative
    session = transcript_of(replace(SESSIONS[name], report_language=language))
    grounded, checks = ground(narrative, session)
    assert (grounded, checks.dropped) == (narrative, ())


@pytest.mark.parametrize("language", sorted(LANGUAGES.keys() - {"en"}))
def test_no_english_sentence_is_left_in_it(language: str) -> None:
    english = [
        str(message.id) for message in catalogues.messages() if isinstance(message.id, str) and len(message.id) > 20
    ]
    for name in SESSIONS:
        text = NARRATIVES.dump_json(written(name, language)).decode()
        assert not [
            sentence
            for sentence in english
            if sentence.partition("%")[0].strip() in text and len(sentence.partition("%")[0]) > 20
        ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_was_said_stays_as_it_was_said(language: str) -> None:
    narrative = written("whole", language)
    assert "questions 4 to 6 on page 12 of the green book" in narrative.parent_summary
    assert narrative.misconceptions[0].evidence[0].quote in SESSIONS["whole"].messages[2].text  # type: ignore[operator]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["whole", "long", "nothing confirmed"])
def test_a_students_note_does_not_say_the_parents_text_over(language: str, name: str) -> None:
    narrative = written(name, language)
    words = [narrative.parent_summary.split(mark) for mark in (". ", "。", "। ")]
    theirs = {part.strip(" .。।") for parts in words if len(parts) > 1 for part in parts}
    assert not [part for part in theirs if len(part) > 12 and part in narrative.student_note and "“" not in part]


def test_a_language_without_a_catalogue_gets_english() -> None:
    assert written("thin", "ja").parent_summary == written("thin", "en").parent_summary
