from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.sessions import sessions, transcript

from afterbell.core.extractive import write_narrative
from afterbell.core.grounding import evidence_of, ground
from afterbell.core.narrative import Concern, Evidence, Misconception, Narrative, Skill, Strength, Topic
from afterbell.core.session import Session, Transcript, transcript_of

LESSON = transcript(
    "T: What do the bottom numbers tell you?",
    "S: They say how many   equal parts, it\u2019s \u201cthe size\u201d.",
    "T: Exactly.",
    "S:",
    "S: So 1/2 is 2/4.",
)
BLANK = write_narrative(transcript("T: Hello"))
Turns = tuple[str, ...]


def said(*turn_ids: str, quote: str | None = None) -> Evidence:
    return Evidence(turn_ids, quote)


def topic(*evidence: Evidence) -> Topic:
    return Topic("Equal parts", "practised", evidence)


def test_a_claim_that_cites_a_missing_turn_is_dropped_and_counted() -> None:
    grounded, checks = ground(replace(BLANK, topics=(topic(said("t2")), topic(said("t99")))), LESSON)
    assert len(grounded.topics) == 1
    assert (checks.claims, checks.grounded_ratio) == (2, 0.5)
    assert checks.dropped == ("topics:unknown_turn", "topics:no_evidence")


def test_a_missing_turn_among_good_ones_is_taken_out_alone() -> None:
    grounded, checks = ground(replace(BLANK, topics=(topic(said("t2", "t99")),)), LESSON)
    assert grounded.topics[0].evidence == (said("t2"),)
    assert checks.grounded_ratio == 1.0
    assert checks.dropped == ("topics:unknown_turn",)


def test_a_turn_without_text_proves_nothing() -> None:
    assert ground(replace(BLANK, topics=(topic(said("t4")),)), LESSON)[0].topics == ()


@pytest.mark.parametrize(
    ("quote", "holds"),
    [
        ("how many equal parts", True),
        ("how many\n  equal parts", True),
        ('it\'s "the size"', True),
        ("How many equal parts", False),
        ("how many parts", False),
        ("how many equal parts…", False),
        ("Exactly", False),
        ("\u202e", False),
    ],
)
def test_a_quote_must_stand_letter_for_letter_in_a_cited_turn(quote: str, holds: bool) -> None:
    grounded, checks = ground(replace(BLANK, topics=(topic(said("t2", quote=quote)),)), LESSON)
    assert bool(grounded.topics) is holds
    assert ("topics:quote_not_found" in checks.dropped) is not holds


def test_a_finding_never_carries_text() -> None:
    secret = Strength("Praise", (said("t1", quote="something invented"),))
    _, checks = ground(replace(BLANK, strengths=(secret,)), LESSON)
    assert "invented" not in str(checks)


@pytest.mark.parametrize(("cited", "level"), [("t1", "not_shown"), ("t2", "independent")])
def test_independent_needs_a_turn_of_the_student(cited: str, level: str) -> None:
    skill = Skill("Parts", "independent", "up", "Said so.", (said(cited),))
    grounded, checks = ground(replace(BLANK, skills=(skill,)), LESSON)
    assert grounded.skills[0].level == level
    assert checks.dropped == (() if level == "independent" else ("skills:no_student_turn",))


@pytest.mark.parametrize(
    ("evidence", "progress", "found"),
    [
        ((said("t2"),), "met", ()),
        ((said("t3"),), "partly", ("goal_progress:no_student_turn",)),
        ((), "not_discussed", ("goal_progress:no_evidence",)),
    ],
)
def test_a_goal_is_met_only_by_a_student(evidence: tuple[Evidence, ...], progress: str, found: tuple[str, ...]) -> None:
    grounded, checks = ground(replace(BLANK, goal_progress="met", goal_evidence=evidence), LESSON)
    assert grounded.goal_progress == progress
    assert checks.dropped == found


def test_coverage_tells_which_thirds_of_the_session_are_cited() -> None:
    _, checks = ground(replace(BLANK, topics=(topic(said("t1")), topic(said("t5")))), LESSON)
    assert checks.coverage_thirds == (True, False, True)


IDS = st.sampled_from(["t1", "t2", "t3", "t7", "t25", "t99999", "m1", "é" * 6])
QUOTES = st.none() | st.text(min_size=1, max_size=20) | st.sampled_from(["the", "fraction", "x", " "])
EVIDENCE = st.builds(Evidence, st.lists(IDS, min_size=1, max_size=6).map(tuple), QUOTES)
PIECES = st.lists(EVIDENCE, min_size=1, max_size=2).map(tuple)


@st.composite
def narratives(draw: st.DrawFn) -> Narrative:
    return replace(
        BLANK,
        topics=tuple(draw(st.lists(st.builds(Topic, st.just("x"), st.just("practised"), PIECES), max_size=3))),
        skills=tuple(
            draw(
                st.lists(
                    st.builds(Skill, st.just("x"), st.just("independent"), st.just("up"), st.just("y"), PIECES),
                    max_size=3,
                )
            )
        ),
        misconceptions=tuple(
            draw(st.lists(st.builds(Misconception, st.just("x"), st.just("open"), PIECES), max_size=2))
        ),
        concerns=tuple(
            draw(st.lists(st.builds(Concern, st.just("conduct"), st.just("note"), st.just("x"), PIECES), max_size=2))
        ),
        goal_progress=draw(st.sampled_from(["met", "partly", "not_yet", "not_discussed"])),
        goal_evidence=tuple(draw(st.lists(EVIDENCE, max_size=3))),
    )


@given(narratives(), sessions())
@settings(max_examples=100)
def test_what_is_left_cites_turns_that_exist_and_grounding_again_changes_nothing(
    narrative: Narrative, session: Session
) -> None:
    told: Transcript = transcript_of(session)
    grounded, checks = ground(narrative, told)
    known = {turn.id for turn in told.turns if turn.text}
    assert all(set(evidence.turn_ids) <= known for evidence in evidence_of(grounded))
    assert 0.0 <= checks.grounded_ratio <= 1.0
    again, clean_checks = ground(grounded, told)
    assert again == grounded
    assert (clean_checks.dropped, clean_checks.grounded_ratio) == ((), 1.0)
