import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.reports import ground
from tests.core.sessions import lesson, sessions

from afterbell.core.basic.basic_report import write_narrative
from afterbell.core.narrative import Evidence, Narrative, Topic
from afterbell.core.privacy.redaction import Redacted, redact, restore
from afterbell.core.report.grounding import evidence_of
from afterbell.core.session import Message, Participant, Session, Transcript, transcript_of

BLANK = write_narrative(transcript_of(lesson("T: Hello")))


def outgoing(
    *texts: str, names: tuple[str, ...] = ("Mina",), goals: tuple[str, ...] = ()
) -> tuple[Transcript, Redacted]:
    """What leaves the house of texts a student wrote."""
    people = tuple(Participant(f"p{i}", "student", name) for i, name in enumerate(names))
    said = tuple(Message(f"m{i}", "p0", text) for i, text in enumerate(texts))
    session = Session("s", "Mathematics", people, said, goals=goals)
    return redact(transcript_of(session), session.participants)


def left(text: str, *names: str) -> str:
    return outgoing(text, names=names or ("Mina",))[0].turns[0].text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Mina", "Hi Mina!"),
        ("Mina", "mina, MINA and Mina's book"),
        ("Mina Okan", "Mina, this is for Ms Okan, or Mina\n Okan"),
        ("Anne-Marie", "Anne or Marie or anne-marie"),
        ("José Álvarez", "Jose Alvarez, José Álvarez, jose"),
        ("Alexandra", "Alex, Sasha, Alexa, Lexi"),
        ("Benjamin", "Ben and Benny and Benjam"),
        ("王小明", "王小明同学,你好"),
        ("O'Brien", "o'brien"),
        ("Strauß", "STRAUSS? No: Strauß."),
        ("J.R.", "Hi J.R.!"),
        ("Jo", "jo is here"),
    ],
)
def test_no_form_of_a_name_leaves(name: str, text: str) -> None:
    words = [word for word in re.findall(r"\w+", left(text, name)) if not word.startswith("STUDENT_1")]
    assert set(words) <= {
        "Hi",
        "and",
        "s",
        "book",
        "this",
        "is",
        "for",
        "Ms",
        "or",
        "同学",
        "你好",
        "No",
        "here",
        "STRAUSS",
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Will", "I will mark it"),
        ("Mark", "what mark did I get"),
        ("May", "it may be so"),
        ("Ana", "a banana"),
        ("Maria de la Cruz", "la respuesta de la pregunta"),
        ("Catherine", "a cat and a kate"),
        ("Teacher", "my teacher said"),
    ],
)
def test_words_that_are_no_name_stay(name: str, text: str) -> None:
    assert left(text, name) == text


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("write to okan.a@mail.example.org please", "write to [EMAIL_1] please"),
        ("see https://example.org/a?b=c.", "see [LINK_1]."),
        ("it is on www.example.net", "it is on [LINK_1]"),
        ("look at kids-math.com/quiz", "look at [LINK_1]"),
        ("call +49 171 2345678", "call [PHONE_1]"),
        ("call (555) 123-4567", "call [PHONE_1]"),
        ("555-123-4567", "[PHONE_1]"),
        ("030/12345678", "[PHONE_1]"),
        ("I am @mina_03 there", "I am [HANDLE_1] there"),
        ("4111 1111 1111 1111", "[NUMBER_1]"),
        ("at 12 Elm Street", "at [ADDRESS_1]"),
        ("in der Hauptstraße 12", "in der [ADDRESS_1]"),
        ("my name is Tarek and my brother Sam", "my name is [PERSON_1] and my brother [PERSON_2]"),
    ],
)
def test_contact_data_stays_at_home(text: str, kept: str) -> None:
    assert left(text, "Zoe") == kept


@pytest.mark.parametrize(
    "text",
    [
        "3,650 x 10/100 x 5 = $1825 and 0.05 * 40 = 2",
        "(12 + 7) * 3 = 57, 100 - 20 - 30 - 40 = 10",
        "1000000 / 250 = 4000 e.g. 0.333333333333",
        "f(x) = 2x + 3, so f(5) = 13; x^2 + y^2 = 25",
        "2.5 kg, i.e. 2500 g. So 2500 / 10.",
        "[3, 4] and a[1]",
        "On 12 March 2026 at 10:30",
        "1234567890123456",
    ],
)
def test_the_numbers_of_an_exercise_stay(text: str) -> None:
    assert left(text) == text


def test_goals_and_subject_are_redacted_too() -> None:
    transcript, _ = outgoing("Hi", goals=("Mina adds fractions",))
    assert transcript.goals == ("[STUDENT_1] adds fractions",)


def test_placeholders_follow_the_labels_of_the_prompt() -> None:
    people = (Participant("a", "student", "Zoe"), Participant("b", "student", "Tarek"))
    session = Session("s", "x", people, (Message("1", "b", "Zoe?"), Message("2", "a", "Tarek!")))
    assert [turn.text for turn in redact(transcript_of(session), people)[0].turns] == ["[STUDENT_2]?", "[STUDENT_1]!"]


def test_someone_who_said_nothing_is_redacted_too() -> None:
    people = (Participant("a", "student", "Zoe"), Participant("b", "observer", "Tarek"))
    session = Session("s", "x", people, (Message("1", "a", "Is Tarek here?"),))
    assert redact(transcript_of(session), people)[0].turns[0].text == "Is [OBSERVER_1] here?"


def test_nobody_can_write_a_placeholder() -> None:
    transcript, redacted = outgoing("I am [TUTOR_1] and [student_1]")
    assert transcript.turns[0].text == "I am [TEXT_1] and [TEXT_2]"
    assert redacted.text(transcript.turns[0].text) == "I am [TUTOR_1] and [student_1]"


PIECES = (
    *("Mina", "mina", "MINA", "Okan", "[STUDENT_1]", "[EMAIL_2]", "a@b.org", "+49 171 2345678", "www.x.com", "\u017f"),
    *("call me", "Tarek", " ", "\n", "x", "12 Elm Street", "\u0130", "\u0131", "@mina", "[", "]", "4111111111111111"),
)
TEXTS = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=20).map("".join))


@given(st.lists(TEXTS, min_size=1, max_size=4), st.lists(st.text(max_size=12), min_size=1, max_size=3))
@settings(max_examples=150)
def test_putting_back_gives_the_text_letter_for_letter(texts: list[str], names: list[str]) -> None:
    transcript, redacted = outgoing(*texts, names=("Mina Okan", *names))
    original = transcript_of(
        Session("s", "x", (Participant("p0", "student", "Mina"),), tuple(Message("m", "p0", t) for t in texts))
    )
    assert [redacted.text(turn.text) for turn in transcript.turns] == [turn.text for turn in original.turns]
    assert not any(re.search(r"(?<!\w)mina(?!\w)", turn.text, re.IGNORECASE) for turn in transcript.turns)


@given(sessions())
@settings(max_examples=60)
def test_a_report_on_the_redacted_session_is_grounded_in_the_real_one(session: Session) -> None:
    original = transcript_of(session)
    transcript, redacted = redact(original, session.participants)
    narrative = restore(write_narrative(transcript), redacted)
    _, checks = ground(narrative, original)
    assert checks.dropped == ()


def cites(quote: str) -> Narrative:
    return replace(BLANK, topics=(Topic("[STUDENT_1] adds", "practised", (Evidence(("t1",), quote),)),))


def test_a_quote_comes_back_as_it_was_said_and_prose_with_the_name_as_displayed() -> None:
    transcript, redacted = outgoing("mina says hi to Mina", names=("Mina Okan",))
    topic = restore(cites(transcript.turns[0].text), redacted).topics[0]
    assert (topic.name, topic.evidence[0].quote) == ("Mina Okan adds", "mina says hi to Mina")


def test_a_quote_within_prose_has_the_names_that_were_said_and_the_prose_around_it_has_not() -> None:
    transcript, redacted = outgoing("My friend Leyla has 12 pens, so mina has 4")
    said = transcript.turns[0].text
    assert "Leyla" not in said
    summary = f"The tutor confirmed “{said}”. [PERSON_1] was the example, and “[EMAIL_1]” came up."
    assert redacted.prose(summary) == (
        "The tutor confirmed “My friend Leyla has 12 pens, so mina has 4”."
        " someone was the example, and “an e-mail address” came up."
    )


@pytest.mark.parametrize("quote", ["mail [EMAIL_1]", "[REMOVED_1]", "[EMAIL_9]"])
def test_contact_data_never_gets_into_a_quote(quote: str) -> None:
    _, redacted = outgoing("mail a@b.org")
    assert restore(cites(quote), redacted).topics[0].evidence == (Evidence(("t1",), None),)


def test_prose_has_words_in_the_place_of_what_was_withheld() -> None:
    _, redacted = outgoing("mail a@b.org")
    narrative = replace(BLANK, tutor_note="[Student_1] gave [EMAIL_1] to [STUDENT_7], see [LINK_3].")
    assert restore(narrative, redacted).tutor_note == "Mina gave an e-mail address to the student, see a link."


def test_a_long_name_does_not_break_a_bound() -> None:
    _, redacted = outgoing("Hi", names=("M" * 79,))
    narrative = replace(BLANK, headline="[STUDENT_1] and [STUDENT_1] and so on, " + "x" * 60)
    assert len(restore(narrative, redacted).headline) <= 120
    assert list(evidence_of(restore(narrative, redacted))) == []


def test_a_hostile_text_takes_no_longer() -> None:
    for text in ("a-" * 4_000, "1" * 8_000, "0" * 8_000, "a." * 4_000, "@" * 8_000, "+1 " * 2_600, "[A_1" * 2_000):
        outgoing(text)


def test_however_many_people_are_introduced_all_are_withheld() -> None:
    names = [f"{first}{second}{last}" for first in "BCDFGHJKLM" for second in "aeiou" for last in "kmnr"]
    transcript, redacted = outgoing(*(f"my friend {name}o said so, and {name}o knows" for name in names))
    assert list(redacted.withheld.values()) == [f"{name}o" for name in names]
    assert not any(name in turn.text for name, turn in zip(names, transcript.turns, strict=True))
