"""What a careless model writes is taken out sentence by sentence; what belongs to a lesson stays."""

from dataclasses import replace

import pytest
from tests.core.sessions import transcript

from afterbell.core.basic.prose import TOO_THIN, blank
from afterbell.core.narrative import Concern, Evidence, Narrative, Skill
from afterbell.core.privacy.names import NameFinder
from afterbell.core.report.grounding import examine
from afterbell.core.report.hints import hints_at_harm
from afterbell.core.report.prose_gate import (
    COMPARISON,
    EARLIER,
    GRADE,
    OTHER_STUDENT,
    TRAIT,
    UNPROVEN,
    ProseFacts,
    sound_prose,
)
from afterbell.core.translation import wording

UNSOUND = [
    (GRADE, "Balancing equations: a solid B+"),
    (GRADE, "This would be worth an 8/10 in a test."),
    (GRADE, "She scored 3 out of 4 on the questions today."),
    (GRADE, "That is a strong pass."),
    (GRADE, "You would pass the test with this."),
    (GRADE, "Das war eine glatte Zwei."),
    (GRADE, "يستحق علامة كاملة."),
    (COMPARISON, "You are faster than your friends at this."),
    (COMPARISON, "Picks this up quicker than her older brother did."),
    (COMPARISON, "Few children manage this so soon."),
    (COMPARISON, "That is rare for pupils of her age."),
    (COMPARISON, "Not everyone gets this so quickly."),
    (COMPARISON, "The others in her class may still struggle with this."),
    (COMPARISON, "She is in the top 10% of my students."),
    (COMPARISON, "Above average."),
    (COMPARISON, "She is ahead of where we expect Year 8 pupils to be."),
    (COMPARISON, "This is the best essay I have ever read."),
    (TRAIT, "A brilliant young writer at work"),
    (TRAIT, "She has a real gift for language."),
    (TRAIT, "You're a superstar!"),
    (TRAIT, "She might have dyslexia."),
    (TRAIT, "It looks like ADHD."),
    (TRAIT, "He may be dyslexic."),
    (TRAIT, "Mina ist ein sehr begabtes Mädchen."),
    (TRAIT, "Du bist echt schlau."),
    (EARLIER, "Your child has come a long way."),
    (EARLIER, "She has made huge progress this term."),
    (EARLIER, "You used to mix these up."),
    (EARLIER, "You are getting better every week."),
    (EARLIER, "Her confidence keeps growing."),
    (EARLIER, "Much surer than she used to be."),
    (EARLIER, "Less hesitant than I remember from the autumn."),
    (UNPROVEN, "She can now solve linear equations without any support."),
    (UNPROVEN, "You found 20% by yourself."),
    (UNPROVEN, "Solved all equations alone."),
    (UNPROVEN, "She no longer needs help with this topic."),
    (UNPROVEN, "You don't need help with equations any more."),
    (UNPROVEN, "No further practice needed."),
    ("quote_not_found", "Her tutor called it 'the best playing I have heard this year'."),
    ("quote_not_found", "You said ‘I will practise every single day’."),  # noqa: RUF001
]
SOUND = [
    "The first chord was a strong A minor, the second a clear C.",
    "Tom has three more apples than his brother, which your child read off at once.",
    "The temperature was above average in three of the five weeks.",
    "Subtraction is used to find how much is left.",
    "Two pumps were compared: how long one takes, and how long both take together.",
    "The students' plans and the teachers' replies were put in order.",
    "The '+ c' and the 'dx' were left out at first, and then it wasn't clear what to do.",
    "Most students in the survey chose the bus, so the bar for it is the tallest.",
    "Your child talked about rivers and where they come from.",
    "Your friend in the story shares the cake with the family at home.",
    "Practise at home for ten minutes.",
    "Three of the four signs were right.",
    "The method you used to solve it was division; the spoons she used to taste the stew were still there.",
    "Try the next one by yourself.",
]


@pytest.mark.parametrize(("code", "sentence"), UNSOUND)
def test_what_a_careless_model_says_of_a_child_is_taken_out(code: str, sentence: str) -> None:
    assert sound_prose(sentence, ProseFacts(frozenset(), ()))[1] == (code,)


@pytest.mark.parametrize("sentence", SOUND)
def test_what_belongs_to_a_lesson_is_left(sentence: str) -> None:
    assert sound_prose(sentence, ProseFacts(frozenset(), ())) == (sentence, ())


BLANK = blank("Maths", TOO_THIN, wording("en"))
HINTS = [
    "She seemed upset at the start.",
    "There was something that happened at home with her father.",
    "Went on working after sharing something painful.",
    "Went on although the evening before had been hard.",
    "Rounding, and a difficult evening",
    "He was not himself at first and told me why.",
    "We talked about home before we began.",
    "She trusts her tutor.",
    "A call from the school may follow.",
    "Someone will help you.",
    "What you told us stays safe.",
    "You reacted well.",
    "Please follow up.",
    "Deine Lehrerin weiß jetzt, was mit deinem Vater ist.",
    "Fue valiente y confió en su tutora.",
    "Il était triste au début.",
    "No início estava triste e chorou.",
    "Dersin başında üzgündü.",  # noqa: RUF001
    "वह शुरू में दुखी थी।",
    "她一开始很难过。",
    "كانت حزينة في البداية.",
]


@pytest.mark.parametrize("sentence", HINTS)
def test_that_a_child_told_of_harm_is_not_hinted_at_to_families(sentence: str) -> None:
    assert hints_at_harm(sentence)
    session = transcript(
        "T: How are you?", "S: my dad hit me again", "T: I am sorry.", "S: ok", "T: What is 348?", "S: 300"
    )
    kept = "Your child rounded 348 to the nearest hundred, and 3.67 to one decimal."
    grounded = examine(_with_notes(f"{kept} {sentence}"), session)
    assert grounded.narrative.parent_summary == kept
    assert grounded.narrative.tutor_note == kept
    assert "parent_summary:kept_turn" in grounded.checks.dropped


def test_staff_are_told_all_and_a_lesson_without_harm_keeps_its_words() -> None:
    hint = "She seemed upset at the start because of her father."
    lesson = transcript("T: What is 348 to the nearest hundred?", "S: 300", "T: Right.")
    assert examine(_with_notes(hint), lesson).narrative.parent_summary == hint
    concern = Concern("wellbeing", "review", hint, (Evidence(("t2",), None),))
    grounded = examine(replace(_with_notes(f"{hint} The answer was 300."), concerns=(concern,)), lesson).narrative
    assert grounded.concerns == (concern,)
    assert hint not in grounded.parent_summary


def test_an_insult_is_not_told_to_families_in_other_words() -> None:
    session = transcript("T: What is half of 3/4?", "S: you are a stupid idiot. it is 3/8", "T: Right.")
    insult, kept = (
        "She called the tutor a stupid idiot.",
        "Half of 3/4 came out as 3/8, and a drawing of three quarters showed why.",
    )
    assert examine(_with_notes(f"{kept} {insult}"), session).narrative.parent_summary == kept
    quiet = transcript("T: Who is the fool in the play?", "S: the king calls him one", "T: Right.")
    note = "She saw that the king calls him a stupid idiot."
    assert examine(_with_notes(note), quiet).narrative.parent_summary == note


@pytest.mark.parametrize(
    "sentence",
    [
        "Her partner first said 15 and needed a hint.",
        "The other student was slower to see it.",
        "The boy next to you needed more help.",
    ],
)
def test_another_student_of_the_lesson_is_not_told_of_without_a_name_either(sentence: str) -> None:
    facts = ProseFacts(frozenset(), (), students={"student": NameFinder([("student", "Ada")])}, about="student")
    assert sound_prose(sentence, facts)[1] == (OTHER_STUDENT,)
    assert sound_prose(sentence, replace(facts, about=None))[1] == ()


def test_a_skill_with_help_that_says_alone_loses_its_reason() -> None:
    lesson = transcript("T: Solve it.", "S: x is 5", "T: Correct.")
    skill = Skill("Solve", "with_help", "first_seen", "Solved all equations alone.", (Evidence(("t2",), None),))
    (grounded,) = examine(replace(BLANK, skills=(skill,)), lesson).narrative.skills
    assert grounded.rationale == "See the messages cited."


def _with_notes(text: str) -> Narrative:
    return replace(BLANK, parent_summary=text, tutor_note=text)
