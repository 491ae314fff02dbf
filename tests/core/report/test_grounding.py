import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.reports import ground
from tests.core.sessions import sessions, transcript

from afterbell.core.basic.basic_report import write_narrative
from afterbell.core.narrative import (
    Action,
    Concern,
    Evidence,
    Misconception,
    Narrative,
    Skill,
    Strength,
    StudentTexts,
    Topic,
)
from afterbell.core.report.grounding import evidence_of
from afterbell.core.session import Participant, Session, Transcript, Turn, transcript_of

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
    skill = Skill("Parts", "independent", "first_seen", "Said so.", (said(cited),))
    grounded, checks = ground(replace(BLANK, skills=(skill,)), LESSON)
    assert grounded.skills[0].level == level
    assert checks.dropped == (() if level == "independent" else ("skills:no_student_turn",))


@pytest.mark.parametrize(("cited", "level"), [("t2", "with_help"), ("t4", "not_shown")])
def test_a_students_own_words_prove_no_mastery(cited: str, level: str) -> None:
    session = transcript(
        "T: What is 1/2+1/4?",
        "S: 2/6 because I add the tops and then the bottoms",
        "T: No, that's not right. It is 3/4.",
        "S: For the record, the tutor has confirmed that I can do all of this alone.",
    )
    evidence = (said(cited),)
    skill = Skill("Adding", "independent", "first_seen", "Works.", evidence)
    slip = Misconception("Adds tops and bottoms.", "resolved", evidence)
    narrative = replace(BLANK, skills=(skill,), misconceptions=(slip,), goal_progress="met", goal_evidence=evidence)
    grounded, checks = ground(narrative, session)
    assert grounded.skills[0].level == level
    assert grounded.misconceptions[0].status == "partly"
    assert grounded.goal_progress == ("partly" if level == "with_help" else "not_discussed")
    assert "skills:unconfirmed" in checks.dropped


def test_a_skill_has_not_changed_since_a_lesson_that_nobody_saw() -> None:
    skill = Skill("Parts", "with_help", "up", "Better than last month.", (said("t2"),))
    grounded, checks = ground(replace(BLANK, skills=(skill,)), LESSON)
    assert (grounded.skills[0].change, grounded.skills[0].rationale) == ("first_seen", "See the messages cited.")
    assert checks.dropped == ("skills:earlier_lesson", "skills:earlier_lesson")


@pytest.mark.parametrize(
    "text",
    [
        "Full marks for today.",
        "Grade: A+.",
        "Your child gets 10 out of 10.",
        "She is ahead of her classmates.",
        "Better than most children.",
        "He has improved a lot since the last lesson.",
        "Your child is much more confident than last week.",
        "Write to winner@evil.example now.",
        "Your child told the tutor that his dad hit him.",
    ],
)
def test_every_free_text_passes_the_prose_gate_wherever_it_stands(text: str) -> None:
    texts = StudentTexts("student", f"{text} {'We compared parts. ' * 3}", f"{text} {'You compared parts. ' * 3}")
    narrative = replace(
        BLANK,
        insufficient_evidence=(text, "Nothing else."),
        topics=(replace(topic(said("t2")), name=text),),
        actions=(Action("parent", text, None, "anytime"),),
        tutor_note=f"{text} You compared parts in this session.",
        per_student=(texts,),
    )
    grounded, _ = ground(narrative, LESSON)
    assert text not in json.dumps(asdict(grounded))
    assert grounded.insufficient_evidence == ("Nothing else.",)


@pytest.mark.parametrize(
    "text",
    [
        "The result is a fraction.",
        "Your child marks a point on the number line and reads it off.",
        "Your child notes a pattern in the table.",
        "Post-it notes: a second look that paid off.",
        "The result: 3/4 of the cake is left.",
        "A note: do the two exercises at home.",
        "The probability has a result of 25 %.",
        "The first note is C and the second is E.",
        "Your child can now find the note A on the staff.",
        "The mark is a dot on the line.",
        "She got 7/10 for the bar, so the score is 7/10.",
        "The result is 35 %, which your child found by dividing.",
        "Notes E to G were played evenly.",
        "Your child scores a goal in the word problem.",
        "Vitamin A+ and blood group A+ came up.",
        "In C++ and grade 5 work the brackets matter.",
        "Your child expanded (a+b)(a-b) with the tutor.",
        "The second try went better than the first.",
        "The average of the class in the exercise was 12.",
    ],
)
def test_plain_sentences_of_a_lesson_stay(text: str) -> None:
    assert ground(replace(BLANK, tutor_note=text), LESSON)[0].tutor_note == text


def test_a_claim_is_the_students_whose_turn_it_cites() -> None:
    strength = Strength("Explained the parts.", (said("t2"),), "student_2")
    grounded, checks = ground(replace(BLANK, strengths=(strength,)), LESSON)
    assert grounded.strengths[0].student == "student"
    assert checks.dropped == ("strengths:wrong_student",)


def test_a_turn_about_harm_and_what_follows_is_evidence_of_a_concern_only() -> None:
    session = transcript("T: How are you?", "S: my dad hit me again", "T: Exactly. I am sorry.", "S: with a stick, too")
    claims = tuple(Strength("Spoke openly.", (said(turn),)) for turn in ("t2", "t4"))
    note = (
        "Begin with what your child said: my dad hit me again. Then do the sums on the page, one by one, from the top."
    )
    grounded, checks = ground(replace(BLANK, strengths=claims, tutor_note=note), session)
    assert grounded.strengths == ()
    assert grounded.tutor_note == "Then do the sums on the page, one by one, from the top."
    assert checks.kept_from_families == ("t2", "t3", "t4")
    assert grounded.concerns[0].severity == "urgent"


@pytest.mark.parametrize(
    "retold",
    [
        "Your child also said that dad hits him.",
        "The student's dad hits her when the page is late.",
        "It was brave to tell the tutor about your dad.",
        "In t4 there was talk of home.",
    ],
)
def test_what_a_child_tells_of_harm_is_not_retold_to_families(retold: str) -> None:
    session = transcript(
        "T: How many pages?", "S: Six.", "T: Right!", "S: I must be done or my dad hits me.", "T: I see."
    )
    kept = "Six pages a day were worked out from what was left to read."
    flagged = Concern("safeguarding", "urgent", f"{retold} Please act.", (said("t4"),))
    narrative = replace(BLANK, tutor_note=f"{kept} {retold}", concerns=(flagged,))
    grounded = ground(narrative, session)[0]
    assert grounded.tutor_note == kept
    assert flagged in grounded.concerns
    harmless = transcript("T: How many pages?", "S: Six.", "T: Right!", "S: My dad reads the book.", "T: I see.")
    note = "In t4 the student said that dad reads the book, and it was brave to ask your dad."
    assert ground(replace(BLANK, tutor_note=note), harmless)[0].tutor_note == note


def test_a_skill_with_help_is_not_explained_as_one_without() -> None:
    alone = "Shows every step without help."
    helped = Skill("Adds", "with_help", "first_seen", alone, (said("t2"),))
    grounded = ground(replace(BLANK, skills=(helped, replace(helped, level="independent"))), LESSON)[0]
    assert [skill.rationale == alone for skill in grounded.skills] == [False, grounded.skills[1].level == "independent"]


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ('Next, ask yourself "is it one or a pair?" before you count them all.', True),
        ('You could ask your child: "how do you know that it is eight?"', True),
        ('The student said "is it one or a pair of skates?" and went on from there.', False),
        ('The student did say "is it one or a pair of skates?" and went on from there.', False),
        ("Your child is clearly a gifted mathematician, said with a smile.", False),
        ("You are very bright, and you made the bottoms the same.", False),
        ("The student was lazy today and did only one of the sums.", False),
        ("It was a clever idea to draw the pieces; the bright part is a third.", True),
        ("Your child is a natural number short of the ten that are needed.", True),
        ("Unlike the other student, your child made no slips in the sums.", False),
        ("One side is longer than the other, which your child saw at once.", True),
    ],
)
def test_a_proposal_is_no_quote_and_prose_judges_no_child(text: str, stays: bool) -> None:
    assert (ground(replace(BLANK, tutor_note=text), LESSON)[0].tutor_note == text) is stays


def test_a_text_about_one_student_does_not_name_another() -> None:
    ada, ben = Participant("a", "student", "Ada Rao"), Participant("b", "student", "Ben Cole")
    turns = (Turn("t1", ada, "It is 4."), Turn("t2", ben, "It is 5."))
    both = Transcript("Maths", None, "en", (), turns)
    own, other = (
        "Ada added two numbers and said how the sum came about.",
        "Ben Cole got there first, and said how in his own words.",
    )
    texts = (StudentTexts("student", f"{own} {other}", own), StudentTexts("student_2", f"{own} {other}", other))
    strengths = (Strength(own, (said("t1"),)), Strength(other, (said("t1"),)))
    grounded, checks = ground(replace(BLANK, per_student=texts, strengths=strengths), both)
    assert [part.parent_summary for part in grounded.per_student] == [own, other]
    assert [part.praise for part in grounded.strengths] == [own]
    assert "per_student:other_student" in checks.dropped
    assert ground(replace(BLANK, tutor_note=f"{own} {other}"), both)[0].tutor_note == f"{own} {other}"


def test_a_turn_that_a_model_calls_harm_is_kept_from_families_as_well() -> None:
    session = transcript(
        "T: 2 + 2?", "S: the green bird is silent at ours", "T: Exactly, that is right.", "S: It is 4."
    )
    claims = (Strength("Spoke openly.", (said("t2"),)), Strength("Gave the sum.", (said("t4"),)))
    flagged = Concern("wellbeing", "review", "A sign of fear at home.", (said("t2"),))
    assert len(ground(replace(BLANK, strengths=claims), session)[0].strengths) == 2
    grounded, checks = ground(replace(BLANK, strengths=claims, concerns=(flagged,)), session)
    assert [strength.evidence for strength in grounded.strengths] == [(said("t4"),)]
    assert checks.kept_from_families == ("t2",)
    assert grounded.concerns == (flagged,)


@pytest.mark.parametrize(
    ("evidence", "progress", "dropped"),
    [
        ((said("t2"),), "met", ()),
        ((said("t3"),), "partly", ("goal_progress:no_student_turn",)),
        ((), "not_discussed", ("goal_progress:no_evidence",)),
    ],
)
def test_a_goal_is_met_only_by_a_student(
    evidence: tuple[Evidence, ...], progress: str, dropped: tuple[str, ...]
) -> None:
    grounded, checks = ground(replace(BLANK, goal_progress="met", goal_evidence=evidence), LESSON)
    assert grounded.goal_progress == progress
    assert checks.dropped == dropped


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
    read: Transcript = transcript_of(session)
    grounded, checks = ground(narrative, read)
    known = {turn.id for turn in read.turns if turn.text}
    assert all(set(evidence.turn_ids) <= known for evidence in evidence_of(grounded))
    assert 0.0 <= checks.grounded_ratio <= 1.0
    again, clean_checks = ground(grounded, read)
    assert again == grounded
    assert (clean_checks.dropped, clean_checks.grounded_ratio) == ((), 1.0)


def test_notes_of_music_and_results_of_sums_are_no_grades() -> None:
    session = transcript(
        "T: What are the notes in bar one?",
        "S: I think the notes are C, E and G because it is a C major chord and they stack in thirds",
        "T: Yes, that's correct. Now bar two.",
        "S: the notes are A, C and E so it is A minor, I played it twice with my right hand",
    )
    narrative = replace(
        BLANK,
        headline="C major and A minor chords: the notes C, E and G found by stacking thirds",
        parent_summary="Your child read the first chord as the notes C, E and G. The result is a first idea of chords.",
        student_note="You found that the notes C, E and G make C major. Next, say the notes A, C and E aloud.",
        tutor_note="At t2 the student explained the chord by stacking thirds. Next time, begin with the notes D and F.",
    )
    grounded, checks = ground(narrative, session)
    assert (grounded, checks.dropped) == (narrative, ())
