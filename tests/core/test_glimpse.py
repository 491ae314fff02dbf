import os
from pathlib import Path

import pytest
from benchmarks.report_lessons import lessons
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.core.sessions import TEXTS, transcript

from afterbell.core import dialogue, english, injection, metrics
from afterbell.core.english import JOINTS, REASONS
from afterbell.core.glimpse import Glance, Lows, Sign
from afterbell.core.injection import hostile_in
from afterbell.core.session import transcript_of

SIGNS = {
    f"{module.__name__}.{name}": value
    for module in (dialogue, metrics)
    for name, value in vars(module).items()
    if isinstance(value, Sign)
} | {f"injection._SIGNS[{number}]": value for number, value in enumerate(injection._SIGNS)}
HOSTILE = st.one_of([st.from_regex(sign.pattern) for sign in injection._SIGNS])
DATA = os.environ.get("AFTERBELL_DATA")  # noqa: TID251


def finds_the_same(sign: Sign, low: str) -> bool:
    return bool(sign.search(low)) == bool(sign.pattern.search(low))


def speaks_to_writer(low: str) -> bool:
    return any(sign.pattern.search(low) for sign in injection._SIGNS)


@pytest.mark.parametrize("name", SIGNS)
@given(st.data())
@settings(max_examples=150)
def test_a_glimpse_never_hides_what_the_pattern_finds(name: str, data: st.DataObject) -> None:
    assert finds_the_same(SIGNS[name], data.draw(st.from_regex(SIGNS[name].pattern)).lower())


@pytest.mark.parametrize("name", SIGNS)
def test_nor_does_it_in_a_lesson(name: str) -> None:
    for lesson in lessons(Path(DATA) if DATA else None):
        for turn in transcript_of(lesson.session).turns:
            assert finds_the_same(SIGNS[name], turn.text.lower()), turn.text


@given(text=HOSTILE, plain=st.booleans())
@example(text="ignore the rule", plain=True)
@settings(max_examples=500)
def test_a_glance_at_a_session_hides_no_text_that_speaks_to_the_writer(text: str, plain: bool) -> None:
    # Texts of other letters are always read.
    told = transcript(f"S: {text.encode('ascii', 'ignore').decode() if plain else text}")
    said = [turn for turn in told.turns if speaks_to_writer(injection._low(turn.text))]
    assert hostile_in(told).turn_ids >= tuple(turn.id for turn in said)


@given(st.lists(TEXTS, min_size=1, max_size=8), st.lists(st.sampled_from(["why", " ", "o", "well done", "é", "分"])))
def test_texts_in_a_row_are_glimpsed_as_each_by_itself(texts: list[str], glimpses: list[str]) -> None:
    lows = [text.lower() for text in texts]
    by_itself = {number for number, low in enumerate(lows) if any(glimpse in low for glimpse in glimpses)}
    assert Lows(lows).holding(glimpses) == Glance(texts).holding(glimpses) == by_itself


@given(
    st.lists(st.lists(st.sampled_from([*JOINTS.split("|"), "o", "é", "_", " ", "-", "\n"])).map("".join), min_size=1)
)
def test_words_are_counted_each_by_itself_as_by_the_list(lows: list[str]) -> None:
    counted = [Lows(lows).counted(pattern) for pattern in english.each_lowered(JOINTS)]
    by_list = [len(REASONS.findall(low)) for low in lows]
    assert [sum(one[number] for one in counted) for number in range(len(lows))] == by_list


WORDING = st.one_of(
    st.from_regex(dialogue._CONFIRMS.pattern),
    st.from_regex(dialogue._CORRECTS.pattern),
    st.sampled_from(["? ", "why?", ". ", "! ", "\n", "that'", "s it", "got", " it", "right", "not ", "but ", "？"]),  # noqa: RUF001
)


@given(st.lists(WORDING, max_size=6).map("".join))
@settings(max_examples=300)
def test_a_verdict_is_the_same_where_it_is_known_what_is_glimpsed(text: str) -> None:
    low = text.lower()
    known = dialogue._CORRECTS.is_glimpsed_in(low), dialogue._CONFIRMS.is_glimpsed_in(low)
    assert dialogue._verdict(low, *known) == dialogue._verdict(low)
