import json
import os
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from pydantic import TypeAdapter
from tests.core.reports import ground
from tests.core.sessions import lesson, sessions, transcript

from afterbell.core.basic.basic_report import write_narrative
from afterbell.core.narrative import Narrative
from afterbell.core.report.grounding import evidence_of
from afterbell.core.session import Message, Participant, Session, Transcript, transcript_of

NARRATIVES: TypeAdapter[Narrative] = TypeAdapter(Narrative)
SESSIONS: TypeAdapter[Session] = TypeAdapter(Session)
EXAMPLE = Path(__file__).parents[3] / "services/afterbell/examples/fractions-lesson.json"

SLIP = (
    "T: What do you get for the sum of the two fractions?",
    "S: I added the fractions top and bottom, so the sum is 2/6.",
    "T: Not quite. Compare your fractions with a half.",
)
RIGHT = ("S: Oh I see, I was adding the bottoms, so the fractions make 3/4.", "T: Exactly, well done.")


def check(session: Transcript) -> Narrative:
    """The narrative, once its bounds and every one of its citations were checked."""
    narrative = write_narrative(session)
    assert NARRATIVES.validate_json(NARRATIVES.dump_json(narrative)) == narrative
    turns = {turn.id: turn for turn in session.turns}
    for evidence in evidence_of(narrative):
        assert evidence.quote is not None
        assert any(evidence.quote in turns[turn_id].text for turn_id in evidence.turn_ids)
    grounded, checks = ground(narrative, session)
    assert replace(grounded, concerns=()) == narrative
    assert (checks.grounded_ratio, checks.dropped) == (1.0, ())
    return narrative


def answers(narrative: Narrative) -> list[str]:
    return [skill.name for skill in narrative.skills]


@given(sessions())
@settings(max_examples=100, deadline=None)
def test_any_session_gets_a_narrative_within_bounds_that_says_the_same_twice(session: Session) -> None:
    turns = transcript_of(session)
    narrative = write_narrative(turns)
    assert NARRATIVES.validate_json(NARRATIVES.dump_json(narrative)) == narrative
    assert write_narrative(turns) == narrative
    grounded, _ = ground(narrative, turns)
    assert ground(grounded, turns)[0] == grounded


def test_an_answer_counts_where_the_tutor_confirms_it_in_the_next_turn() -> None:
    narrative = check(transcript(*SLIP, *RIGHT))
    assert [evidence.turn_ids for evidence in narrative.skills[0].evidence] == [("t4",), ("t5",)]
    assert narrative.skills[0].level == "with_help"


@pytest.mark.parametrize(
    "reply",
    [
        "Is that right? Tell me more.",
        "No problem.",
        "Hm, go on.",
        "Great start.",
        "Great try! 3 times 6 is 18 though.",
        "That would be right if only 5 mattered. What about 3?",
        "Yes, but look at the denominator.",
        "Good question!",
        "Not good.",
    ],
)
def test_a_reply_that_neither_confirms_nor_corrects_is_no_verdict(reply: str) -> None:
    narrative = check(transcript("T: How?", "S: I put the 3 pieces side by side", f"T: {reply}", "S: and then I add 4"))
    assert (narrative.misconceptions, narrative.skills) == ((), ())


def test_a_yes_that_goes_on_with_another_result_confirms_nothing() -> None:
    lines = ("T: How long does it take?", "S: It takes 16/4 = 4 weeks.", "T: Yes, 8 pounds / 0.5 pounds = 16 weeks.")
    assert check(transcript(*lines, "S: ok so 16", "T: Fine.")).skills == ()


@pytest.mark.parametrize(
    "said",
    [
        "Let's look at the question again.",
        "Let's start with the information that we have from the text.",
        "ok lets look at ratios 2:1 is what we need to use",
        "So let's look at Jan.",
        "Let's look at one house only.",
        "If I practised 60 problems yesterday and today and you 20, who did more?",
        "If you do this today, we add 4.",
    ],
)
def test_a_step_of_the_work_is_no_plan_and_no_topic(said: str) -> None:
    narrative = check(transcript(f"T: {said}", *SLIP, *RIGHT))
    assert narrative.topics == ()
    assert "put the plan" not in narrative.parent_summary


def test_short_answers_are_answers() -> None:
    lines = ("T: 3x+2x+7?", "S: 5x+7", "T: Brilliant! 2x-3=7?", "S: 2x=10", "T: Almost there, one more step.", "S: x=5")
    narrative = check(transcript(*lines, "T: That's right! 5x+2=3x+10?", "S: x=4", "T: Right on the money!"))
    assert answers(narrative) == ["“5x+7”", "“x=5”", "“x=4”"]
    assert [slip.status for slip in narrative.misconceptions] == ["resolved"]


def test_a_correction_that_no_confirmed_answer_follows_at_once_is_left_open() -> None:
    narrative = check(transcript(*SLIP, "S: ok so I see", "T: What is 1 + 1?", "S: It is 2.", "T: Correct."))
    assert [slip.status for slip in narrative.misconceptions] == ["open"]
    assert "right after it" in narrative.misconceptions[0].description


def test_an_answer_that_the_tutor_had_named_is_no_step_put_right() -> None:
    session = transcript(SLIP[0], SLIP[1], "T: No, that's not right. It is 3/4.", "S: ok so 3/4", "T: Correct.")
    assert [slip.status for slip in check(session).misconceptions] == ["partly"]


@pytest.mark.parametrize(
    "said",
    [
        "no because I had a football match and then my grandma came so I had no time at all",
        "I don't know, can we stop now please?",
        "thank you very much for the help",
        "can I go to the toilet now please?",
    ],
)
def test_excuses_and_courtesies_are_no_answers(said: str) -> None:
    narrative = check(transcript(*SLIP, f"S: {said}", "T: Exactly.", "S: ok"))
    assert narrative.skills == ()


def test_nothing_is_praised_or_judged_by_a_rule() -> None:
    narrative = check(transcript(*SLIP, *RIGHT * 3, goals=("Add two fractions",)))
    assert narrative.strengths == ()
    assert {skill.level for skill in narrative.skills} == {"with_help"}
    assert (narrative.goal_progress, narrative.goal_evidence) == ("not_discussed", ())
    assert any("goal was reached" in unknown for unknown in narrative.insufficient_evidence)


def test_a_topic_is_what_the_tutor_planned_in_their_own_words() -> None:
    narrative = check(
        transcript("T: Today we compare fractions. What is 1/2?", "S: It is 2/4", "T: Yes!", "S: 3/6 too")
    )
    assert [topic.name for topic in narrative.topics] == ["“Today we compare fractions”"]
    assert check(transcript(*SLIP, *RIGHT)).topics == ()


def test_no_answer_is_both_confirmed_and_corrected() -> None:
    session = transcript("T: 2+3?", "S: 5", "T: Correct. 4+3?", "S: 5", "T: No.", "S: 7", "T: Correct.")
    narrative = check(session)
    assert "“5”" in answers(narrative)
    assert not any("“5”" in slip.description for slip in narrative.misconceptions)


def test_a_result_that_the_tutor_denies_is_not_confirmed_by_the_yes_before_it() -> None:
    denied = (
        "T: 3 x 68?",
        "S: 3 x 68 = 204, so they cost $2448.",
        "T: Yes, 3 x 68 = 204. So she spent $204, not $2448.",
    )
    assert answers(check(transcript(*denied, "S: 204 then.", "T: Correct."))) == ["“204 then”"]


def test_a_task_read_out_is_no_answer() -> None:
    read = 'S: The question says: "There are 12 pens in 3 boxes. How many pens are in each of the boxes?"'
    session = transcript("T: Can you read it out for me?", read, "T: Brilliant.", "S: 4 in each.", "T: Correct.")
    assert answers(check(session)) == ["“4 in each”"]


def test_a_question_put_off_stays_open_and_an_answered_one_does_not() -> None:
    asked = "S: How do I add the fractions when there are three of them?"
    put_off = check(transcript(*SLIP, asked, "T: Let us come back to that next time.", *RIGHT))
    assert [question.evidence[0].turn_ids for question in put_off.open_questions] == [("t4",)]
    assert check(transcript(*SLIP, asked, "T: Two first, then the third.", *RIGHT)).open_questions == ()


@pytest.mark.parametrize(
    "said",
    [
        "For next time please finish page 41.",
        "For homework, add @property to your Circle class before next week.",
        "Homework: page 12.",
        "Please do exercise 4 on page 62 for Thursday.",
        "Practise the scale every day until Friday.",
        "Please do the quiz at realpython.com/quizzes/property for next week.",
    ],
)
def test_homework_is_quoted_as_the_tutor_put_it_links_and_all(said: str) -> None:
    narrative, checks = ground(
        write_narrative(transcript(*SLIP, *RIGHT, f"T: {said}")), transcript(*SLIP, *RIGHT, f"T: {said}")
    )
    tasks = [action.task for action in narrative.actions if action.owner == "student"]
    assert tasks == [f"As the tutor put it: “{said.rstrip('.')}”"]
    assert not any(finding.startswith("actions") for finding in checks.dropped)


@pytest.mark.parametrize(
    "said",
    [
        "Did you do the homework?",
        "No homework again? We said next time you would bring it.",
        "I do not give homework at home on holidays, so next week there is none.",
        "You did your homework really well.",
        "She must read 40 pages by Friday.",
    ],
)
def test_talk_of_homework_sets_none(said: str) -> None:
    assert check(transcript(*SLIP, *RIGHT, f"T: {said}")).actions == ()


def test_speech_without_punctuation_gets_less_said() -> None:
    lines = (
        "T: okay so today we are going to look at slope and uh can you tell me what slope means",
        "S: um its like how steep the line is like rise over run",
        "T: yeah so if it goes up four and over two what is the slope",
        "S: um two no wait half",
        "T: no so which one is it think about rise first",
        "S: two because rise is four and run is two",
        "T: yeah that is right good job so for homework do page twelve",
    )
    narrative = check(transcript(*lines))
    assert [skill.evidence[0].turn_ids for skill in narrative.skills] == [("t6",)]
    assert (narrative.topics, narrative.misconceptions, narrative.actions) == ((), (), ())


@pytest.mark.parametrize(
    ("session", "said"),
    [
        (lesson("T: Hello", "S: Hi"), "too little"),
        (lesson(), "too little"),
        (replace(lesson(*SLIP, *RIGHT), language="de", report_language="en"), "english"),
        (
            lesson("T: Hello, are you there?", "T: I will wait five more minutes.", "T: Homework: page 12."),
            "not have been",
        ),
        (
            lesson("S: hello is anyone here?", "S: I tried 1/2 plus 1/3", "S: is that right?", "S: hello??"),
            "not have been",
        ),
        (
            lesson("T: Hi!", "S: sorry I am sick can we cancel today", "T: Of course, get well.", "S: thanks"),
            "called off",
        ),
    ],
)
def test_what_cannot_be_told_is_said_to_be_so(session: Session, said: str) -> None:
    narrative = check(transcript_of(session))
    assert said in narrative.parent_summary.lower()
    assert narrative.insufficient_evidence
    assert (narrative.topics, narrative.skills, narrative.actions) == ((), (), ())


def test_a_disclosure_is_neither_quoted_nor_praised_and_the_staff_is_told() -> None:
    session = transcript(
        "T: How did the homework go?",
        "S: I couldn't do it because my dad hit me again so I hid in my room and then I could not sleep",
        "T: Exactly, thank you for telling me. You did the right thing.",
        "S: he uses a stick because then it leaves no traces on me",
        "T: That's right to tell me.",
    )
    narrative, _ = ground(write_narrative(session), session)
    assert narrative.concerns[0].evidence[0].quote in session.turns[1].text  # type: ignore[operator]
    shown = json.dumps(NARRATIVES.dump_python(replace(narrative, concerns=()), mode="json"))
    assert not any(words in shown for words in ("dad", "hid in", "stick", "telling me"))


def two_students() -> Session:
    people = (
        Participant("t", "tutor", "Rivera"),
        Participant("a", "student", "Ada"),
        Participant("b", "student", "Ben"),
    )
    lines = (
        ("t", "Ada, what is 3/4 plus 1/8?"),
        ("a", "6/8 plus 1/8 is 7/8"),
        ("t", "Exactly, well done. Ben: 1/2 plus 1/4?"),
        ("b", "2/6 because 1+1 is 2"),
        ("t", "No, that's not right."),
        ("b", "whatever then"),
    )
    said = tuple(Message(f"m{n}", who, text) for n, (who, text) in enumerate(lines))
    return Session("s", "Mathematics", people, said, language="en")


def test_two_students_are_two_people() -> None:
    narrative = check(transcript_of(two_students()))
    assert [skill.student for skill in narrative.skills] == ["student"]
    assert [slip.student for slip in narrative.misconceptions] == ["student_2"]
    ada, ben = narrative.per_student
    assert "7/8" in ada.parent_summary
    assert "7/8" not in ben.parent_summary
    assert "your child" not in narrative.parent_summary.lower()
    assert not any(word in narrative.parent_summary + narrative.student_note for word in ("7/8", "2/6"))


def test_a_question_left_open_is_a_task_about_the_student_who_asked_it() -> None:
    both = two_students()
    asked = (
        Message("q1", "b", "What if the bottoms are not the same?"),
        Message("q2", "t", "We will come back to that next time."),
    )
    narrative = check(transcript_of(replace(both, messages=(*both.messages, *asked))))
    assert [action.student for action in narrative.actions if action.owner == "tutor"] == ["student_2"]


def test_a_long_answer_is_told_by_a_sentence_and_quoted_in_whole_ones() -> None:
    working = "I took the 90 dollars and thought about what each of them costs. " * 4
    session = transcript(*SLIP, f"S: {working}She can invite 2 extra friends. 2", f"T: Correct. {working}And so on.")
    (skill,) = check(session).skills
    assert skill.name == "“She can invite 2 extra friends”"
    answer, reply = (item.quote or "" for item in skill.evidence)
    assert answer == "She can invite 2 extra friends."
    assert reply.startswith("Correct.")
    assert reply.endswith("costs.")


def test_a_student_is_sent_back_only_to_what_was_not_put_right() -> None:
    note = check(transcript(*SLIP, "S: so 3/4 of it", "T: Exactly.")).student_note
    assert "very next answer got a yes" in note
    assert "have another look" not in note
    assert "have another look" in check(transcript(*SLIP, "S: hmm why?", "T: Look at it.")).student_note


def test_the_example_lesson_gets_a_record_worth_reading() -> None:
    session = SESSIONS.validate_json(EXAMPLE.read_bytes())
    narrative = check(transcript_of(session))
    assert narrative.headline == "Mathematics: Add fractions with different denominators"
    assert narrative.skills
    assert len(narrative.open_questions) == 1
    assert any(action.owner == "student" for action in narrative.actions)


def test_twice_the_turns_are_no_more_than_twice_the_calls() -> None:
    few, many = (calls_of(transcript(*(*SLIP, *RIGHT) * times)) for times in (100, 200))
    assert many < 2.2 * few


def calls_of(session: Transcript) -> int:
    """Python functions called to write about it: unlike time, the same on every machine."""
    write_narrative(session)
    counted = Counter[str]()
    sys.setprofile(lambda _frame, event, _what: counted.update([event]))
    try:
        write_narrative(session)
    finally:
        sys.setprofile(None)
    return counted["call"] + counted["c_call"]


def real_sessions() -> list[dict[str, Any]]:
    folder = os.environ.get("AFTERBELL_DATA")  # noqa: TID251  a test decides by it whether it can run
    path = Path(folder or "") / "mathdial-sessions.jsonl"
    if folder is None or not path.is_file():
        pytest.skip("AFTERBELL_DATA names no folder with mathdial-sessions.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_no_real_session_is_told_in_contradictions() -> None:
    for session in map(SESSIONS.validate_python, real_sessions()):
        narrative = check(transcript_of(session))
        if "Too little" in narrative.parent_summary:
            continue
        confirmed = {skill.evidence[0].turn_ids for skill in narrative.skills}
        assert confirmed.isdisjoint(slip.evidence[0].turn_ids for slip in narrative.misconceptions)
        assert bool(narrative.skills) != ("does not show which answers" in narrative.parent_summary)


def test_a_particle_of_a_name_is_a_word_of_the_lesson() -> None:
    session = lesson(
        "T: Today we look at speed. A van travels 120 km in 2 hours: how fast is the van?",
        "S: I divide, so 120 / 2 is 60 km per hour because a van keeps its speed",
        "T: Exactly, well done! For next time, find out how long a van takes for 300 km.",
        "S: Ok. How do I know when a van is slower than a long train?",
        goals=("Find the speed of a van on a long journey",),
    )
    names = {"tutor": "Tom Long", "student": "Anna van Dijk"}
    people = tuple(replace(person, display_name=names[person.role]) for person in session.participants)
    narrative = check(transcript_of(replace(session, participants=people)))
    assert "the speed of a van on a long journey" in narrative.parent_summary
    assert narrative.open_questions[0].question == "How do I know when a van is slower than a long train?"
