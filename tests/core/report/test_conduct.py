"""A turn with an insult and an answer: the answer counts like any other, and the insult is quoted to nobody."""

import json
from dataclasses import replace

import pytest
from tests.core.reports import report_of
from tests.core.sessions import lesson, transcript

from afterbell.core.basic.basic_report import write_narrative
from afterbell.core.narrative import Evidence, Strength
from afterbell.core.report.conduct import fit_part, unfit_parts
from afterbell.core.report.grounding import examine
from afterbell.core.report.views import view

RUDE = "You are so stupid! 3/4 of 12 is 9, so it is nine pens."
LINES = (
    "T: Today we look at fractions. What is 3/4 of 12?",
    f"S: {RUDE}",
    "T: Exactly, that is right. Please be kind.",
    "S: Half of 12 is 6.",
    "T: Correct.",
)


@pytest.mark.parametrize(
    ("text", "fit"),
    [
        ("3/4 of 12 is 9", "3/4 of 12 is 9"),
        (RUDE, "3/4 of 12 is 9, so it is nine pens."),
        ("It is 9, you idiot.", "It is 9"),
        ("this is bullshit, 1,000 + 5.5 is 1,005.5", "1,000 + 5.5 is 1,005.5"),
        ("you are stupid", ""),
        ("fuck 9", ""),
    ],
)
def test_the_fit_part_is_the_longest_stretch_without_such_words(text: str, fit: str) -> None:
    assert fit_part(text) == fit
    assert fit in text
    assert all(part in text for part in unfit_parts(text))


def test_an_answer_beside_an_insult_is_on_record_without_it() -> None:
    narrative = write_narrative(transcript(*LINES))
    assert [skill.evidence[0].quote for skill in narrative.skills] == [fit_part(RUDE), "Half of 12 is 6."]
    assert "stupid" not in json.dumps([str(narrative)])


def test_an_answer_within_an_insult_is_not_quoted() -> None:
    narrative = write_narrative(transcript(LINES[0], "S: fuck 9", *LINES[2:]))
    assert [skill.evidence[0].turn_ids for skill in narrative.skills] == [("t4",)]


def test_a_quote_of_the_insult_goes_and_the_claim_stays() -> None:
    session = transcript(*LINES)
    blank = replace(write_narrative(transcript("T: Hello")), student_note="You worked on fractions today, with pens.")
    claims = tuple(Strength("Gave a reason.", (Evidence(("t2",), quote),)) for quote in (RUDE, fit_part(RUDE)))
    note = "Your child said: you are so stupid to the tutor. Then came three quarters of twelve, with a reason."
    grounded = examine(replace(blank, strengths=claims, tutor_note=note), session)
    assert [claim.evidence[0].quote for claim in grounded.narrative.strengths] == [None, fit_part(RUDE)]
    assert grounded.narrative.tutor_note == "Then came three quarters of twelve, with a reason."
    assert grounded.checks.partly_kept == ("t2",)
    assert [concern.kind for concern in grounded.narrative.concerns] == ["conduct"]


def test_a_family_reads_the_answer_and_nobody_but_the_staff_the_insult() -> None:
    report = report_of(lesson(*LINES), concern=False)
    quotes = [skill["evidence"][0]["quote"] for skill in view(report, "parent")["skills"]]  # type: ignore[index, union-attr]
    assert quotes == [fit_part(RUDE), "Half of 12 is 6."]
    assert all("stupid" not in json.dumps(view(report, role)) for role in ("parent", "student", "tutor"))
    assert "stupid" in json.dumps(view(report, "staff")["concerns"])
