import os
from pathlib import Path

import pytest
from benchmarks.report_lessons import lessons
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.sessions import transcript

from afterbell.core import dialogue, injection, metrics
from afterbell.core.glimpse import Sign
from afterbell.core.injection import hostile_in
from afterbell.core.session import transcript_of

SIGNS = {
    f"{module.__name__}.{name}": value
    for module in (dialogue, metrics)
    for name, value in vars(module).items()
    if isinstance(value, Sign)
}
DATA = os.environ.get("AFTERBELL_DATA")  # noqa: TID251


def finds_the_same(sign: Sign, low: str) -> bool:
    return bool(sign.search(low)) == bool(sign.pattern.search(low))


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


@given(st.from_regex(injection._SIGNS), st.booleans())
@settings(max_examples=500)
def test_a_glance_at_a_session_hides_no_text_that_speaks_to_the_writer(text: str, plain: bool) -> None:
    # Texts of other letters are always read.
    told = transcript(f"S: {text.encode('ascii', 'ignore').decode() if plain else text}")
    said = [turn for turn in told.turns if injection._SIGNS.search(injection._low(turn.text))]
    assert hostile_in(told).turn_ids >= tuple(turn.id for turn in said)
