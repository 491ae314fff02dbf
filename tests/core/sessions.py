"""Sessions for the tests of a report: a lesson told line by line, and any session hypothesis thinks of."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from afterbell.core.session import Message, Participant, Session, Transcript, transcript_of

START = datetime(2026, 3, 3, 16, 0, tzinfo=UTC)
TUTOR = Participant("p-tutor", "tutor", "Okan")
STUDENT = Participant("p-student", "student", "Mina")

ROLES = st.sampled_from(["tutor", "student", "assistant", "observer"])
WORDS = st.sampled_from(
    (
        *(
            "yes",
            "no",
            "not",
            "quite",
            "the",
            "fraction",
            "fractions",
            "denominator",
            "because",
            "so",
            "I",
            "was",
        ),
        *(
            "why",
            "how",
            "?",
            ".",
            ",",
            "3/4",
            "12",
            "Mina",
            "next",
            "time",
            "homework",
            "well",
            "done",
            "correct",
        ),
        *("adding", "again", "é", "分数", "\u202e", "\n"),
    )
)
TEXTS = st.one_of(
    st.text(max_size=40),
    st.lists(WORDS, max_size=40).map(" ".join),
    st.sampled_from(["", " ", "?", "x" * 8_000, "Well done. " * 700, "why? " * 1_600]),
)


def lesson(*lines: str, goals: tuple[str, ...] = (), seconds_apart: int | None = 30) -> Session:
    """A session of "T: text" and "S: text" lines, evenly spaced or without times."""
    people = {"T": TUTOR, "S": STUDENT}
    messages = []
    for number, line in enumerate(lines):
        who, text = line.split(":", 1)
        at = None if seconds_apart is None else START + timedelta(seconds=number * seconds_apart)
        messages.append(Message(f"m{number + 1}", people[who].id, text.strip(), at))
    return Session("s-1", "Mathematics", (TUTOR, STUDENT), tuple(messages), "grade 5", "en", goals)


def transcript(*lines: str, goals: tuple[str, ...] = ()) -> Transcript:
    """The transcript of such a lesson."""
    return transcript_of(lesson(*lines, goals=goals))


@st.composite
def sessions(draw: st.DrawFn) -> Session:
    """Any session the API lets in, and some it does not: no messages, blanks, one letter, 8,000 letters."""
    names = st.text(max_size=12)
    roles = draw(st.lists(ROLES, min_size=1, max_size=5))
    people = tuple(Participant(f"p{i}", role, draw(names)) for i, role in enumerate(roles))
    times = st.none() | st.integers(0, 90_000).map(lambda s: START + timedelta(seconds=s))
    senders = st.sampled_from([person.id for person in people])
    lines = draw(st.lists(st.tuples(senders, TEXTS, times), max_size=25))
    messages = tuple(Message(f"m{i}", who, text, at) for i, (who, text, at) in enumerate(lines))
    return Session(
        id="s-1",
        subject=draw(st.text(max_size=80)),
        participants=people,
        messages=messages,
        level=draw(st.none() | st.text(max_size=20)),
        language=draw(st.sampled_from([None, "en", "en-GB", "de", "ja"])),
        goals=tuple(draw(st.lists(TEXTS, max_size=3))),
        started_at=draw(times),
        ended_at=draw(times),
    )
