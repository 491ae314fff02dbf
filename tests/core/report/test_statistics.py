from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.sessions import START, lesson, sessions

from afterbell.core.report.statistics import (
    count_words,
    measure,
    questions_in,
    too_thin,
    without_questions,
)
from afterbell.core.session import Session, transcript_of


def test_what_somebody_wrote_who_takes_part_no_more_is_an_observers() -> None:
    session = lesson("T: Why is that so?", "S: Because six is two threes.")
    tutor = next(person for person in session.participants if person.role == "tutor")
    turns = transcript_of(replace(session, participants=(tutor,))).turns
    assert [turn.speaker.role for turn in turns] == ["tutor", "observer"]
    assert turns[1].speaker.display_name == ""
    assert measure(replace(session, participants=(tutor,))).turns == 2


def test_numbers_of_a_small_lesson() -> None:
    metrics = measure(
        lesson(
            "T: Why is that so?",
            "S: Because six is two threes.",
            "T: Yes. What is 3.5 + 1?",
            "S: 4.5",
            "T: Good.",
        )
    )
    tutor, student = metrics.per_speaker
    assert (tutor.words, tutor.questions, tutor.longest_turn_words) == (10, 2, 5)
    assert (student.words, student.questions, student.share) == (6, 0, 0.375)
    assert (metrics.turns, metrics.student_share, metrics.tutor_questions) == (5, 0.375, 2)
    assert metrics.tutor_open_question_ratio == 0.5
    assert metrics.median_wait_s == 30.0
    assert metrics.duration_s == 120.0
    assert metrics.tutor_words_after_last_question == 1


def test_a_session_without_times_has_no_durations() -> None:
    metrics = measure(lesson("T: Why?", "S: Because.", seconds_apart=None))
    assert (metrics.duration_s, metrics.median_wait_s) == (None, None)


def test_an_empty_session_has_zeros_and_nones() -> None:
    metrics = measure(lesson())
    assert (metrics.turns, metrics.student_share, metrics.tutor_questions) == (0, 0.0, 0)
    assert [speaker.words for speaker in metrics.per_speaker] == [0, 0]
    assert metrics.tutor_open_question_ratio is None
    assert metrics.tutor_words_after_last_question is None


def test_one_speaker_has_it_all() -> None:
    metrics = measure(lesson("S: anyone there?", "S: hello?"))
    assert metrics.student_share == 1.0
    assert metrics.median_wait_s is None


def test_stated_times_win_and_reversed_ones_do_not_count() -> None:
    session = lesson("T: a", "S: b")
    hour = Session(
        session.id, "x", session.participants, session.messages, started_at=START, ended_at=START + timedelta(hours=1)
    )
    assert measure(hour).duration_s == 3600.0
    back = Session(
        session.id, "x", session.participants, session.messages, started_at=START, ended_at=START - timedelta(hours=1)
    )
    assert measure(back).duration_s is None


def test_open_questions_are_judged_in_english_only() -> None:
    session = lesson("T: Warum?", "S: Weil.")
    german = Session(session.id, "x", session.participants, session.messages, language="de")
    assert measure(german).tutor_questions == 1
    assert measure(german).tutor_open_question_ratio is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("?!", 0),
        ("3 + 4 = 7", 3),
        ("don't stop", 2),
        ("_ _a", 1),
        ("分数を比べる", 6),
        ("हिन्दी में", 2),
    ],
)
def test_words_are_counted_in_any_script(text: str, words: int) -> None:
    assert count_words(text) == words


@given(st.text(st.characters(codec="ascii")))
def test_a_word_is_what_stands_between_white_space_with_a_letter_or_digit_in_it(text: str) -> None:
    assert count_words(text) == sum(any(map(str.isalnum, piece)) for piece in text.split())


def test_a_question_reaches_from_its_sentence_to_its_mark() -> None:
    text = "Good. What is 3.5 times 2? Really?! 本当\uff1f Yes."
    assert questions_in(text) == ("What is 3.5 times 2?", "Really?!", "本当\uff1f")
    assert without_questions(text).split() == ["Good.", "Yes."]


def test_a_chat_of_eight_short_turns_is_not_too_thin() -> None:
    lines = ["T: And now?", "S: I think it is six because of the threes"] * 4
    assert not too_thin(measure(lesson(*lines)))


@pytest.mark.parametrize("lines", [[], ["T: Hi", "S: " + "word " * 50], ["T: word word", "S: yes"] * 6])
def test_few_turns_or_few_words_of_the_student_are_too_thin(lines: list[str]) -> None:
    assert too_thin(measure(lesson(*lines)))


@given(sessions())
@settings(max_examples=100)
def test_numbers_of_any_session_make_sense(session: Session) -> None:
    metrics = measure(session)
    shares = sum(speaker.share for speaker in metrics.per_speaker)
    assert shares == pytest.approx(1.0 if any(s.words for s in metrics.per_speaker) else 0.0, abs=1e-3)
    assert 0.0 <= metrics.student_share <= 1.0
    assert metrics.turns <= len(session.messages)
    assert metrics.duration_s is None or metrics.duration_s >= 0
    assert metrics.median_wait_s is None or metrics.median_wait_s >= 0
    assert metrics.tutor_open_question_ratio is None or 0.0 <= metrics.tutor_open_question_ratio <= 1.0
    assert measure(session, transcript_of(session)) == metrics


def test_who_came_late_is_told_where_the_start_is_stated() -> None:
    begun = START - timedelta(minutes=5)
    session = replace(lesson("T: Hello", "S: Hi"), started_at=begun)
    assert [speaker.late_s for speaker in measure(session).per_speaker] == [300.0, 330.0]
    assert [speaker.late_s for speaker in measure(lesson("T: Hello", "S: Hi")).per_speaker] == [None, None]
    assert [speaker.late_s for speaker in measure(replace(session, started_at=START)).per_speaker] == [0.0, 30.0]
    assert measure(replace(lesson("T: Hello"), started_at=begun)).per_speaker[1].late_s is None


def test_the_day_of_a_lesson_is_counted_where_it_was_held() -> None:
    evening = replace(
        lesson("T: Hello"), started_at=datetime(2026, 3, 3, 2, tzinfo=UTC), time_zone="America/Los_Angeles"
    )
    held = measure(evening).held_at
    assert held is not None
    assert (held.isoformat(), held) == ("2026-03-02T18:00:00-08:00", evening.started_at)
