"""Progress counts sections that are really finished."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.dev.stub.running import expected

from afterbell.adapters.models.narrative_codec import encode
from afterbell.adapters.models.section_counter import SECTIONS_TOTAL, SectionCounter

TEXT = encode(expected())


def ends_of_sections(fields: dict[str, object]) -> list[int]:
    """How many characters finish each field: the comma or brace after it included."""
    ends, length = [], 1
    for name, value in fields.items():
        length += len(f"{json.dumps(name)}:{json.dumps(value, separators=(',', ':'), ensure_ascii=False)},")
        ends.append(length)
    return ends


def test_a_section_counts_from_the_character_that_finishes_it() -> None:
    counter, ends = SectionCounter(), ends_of_sections(json.loads(TEXT))
    assert ends[-1] == len(TEXT)
    for length, char in enumerate(TEXT, start=1):
        assert counter.feed(char).sections_finished == sum(end <= length for end in ends)


@settings(max_examples=60)
@given(
    st.dictionaries(st.text(max_size=5), st.recursive(st.text() | st.integers(), st.lists, max_leaves=8), max_size=14),
    st.integers(1, 7),
)
def test_the_cuts_of_the_stream_do_not_matter(fields: dict[str, object], size: int) -> None:
    text = json.dumps(fields, ensure_ascii=len(fields) % 2 == 0)
    counter = SectionCounter()
    counts = [counter.feed(text[start : start + size]).sections_finished for start in range(0, len(text), size)]
    assert counts == sorted(counts)
    assert counts[-1] == (len(fields) or 1) or not fields


def test_an_answer_with_too_many_fields_is_never_more_than_complete() -> None:
    text = json.dumps({f"field {number}": number for number in range(99)})
    assert SectionCounter().feed(text).sections_finished == SECTIONS_TOTAL
