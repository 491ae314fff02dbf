"""One estimate of tokens, honest about every script."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.sessions import transcript

from afterbell.adapters.models.exchange import Attempt
from afterbell.core.money import tokens
from afterbell.core.report.chunks import fits, groups_of
from afterbell.core.report.prompt import Prompt

# What a turn costs beside its text: its id, its speaker, brackets.
LINE_TOKENS_MAX: Final = 10


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("", 0, 0),
        ("Yes.", 1, 1),
        ("The bigger the bottom number the smaller the piece. " * 40, 500, 600),
        # As counted by o200k_base and cl100k_base: OpenAI's table of one sentence in twenty languages.
        ("Hello, my name is GPT-4o. I'm a new type of language model, it's nice to meet you!", 20, 27),
        ("Привет, меня зовут GPT-4o. Я новая языковая модель, приятно познакомиться!", 30, 57),
        ("你好,我的名字是GPT-4o。我是一种新型的语言模型,很高兴见到你!", 24, 36),
        ("안녕하세요, 제 이름은 GPT-4o입니다. 저는 새로운 유형의 언어 모델입니다, 만나서 반갑습니다!", 27, 50),
        ("分母越大,每一份就越小。" * 100, 1_000, 1_300),
        ("Чем больше знаменатель, тем меньше доля. " * 50, 900, 1_300),
        ("🙂" * 10, 10, 30),
    ],
)
def test_a_text_is_expected_to_have_about_as_many_tokens_as_tokenizers_count(text: str, least: int, most: int) -> None:
    assert least <= tokens.expected(text) <= most


@given(st.text(max_size=200), st.text(max_size=200))
def test_the_estimate_never_passes_the_bound_and_adds_up(head: str, tail: str) -> None:
    head, tail = head.encode(errors="replace").decode(), tail.encode(errors="replace").decode()
    assert tokens.expected(head) <= tokens.bound(head)
    assert 0 <= tokens.expected(head) + tokens.expected(tail) - tokens.expected(head + tail) <= 1


@given(st.text(st.sampled_from("an end,分母越大знаменателя🙂하"), min_size=1, max_size=400).filter(str.strip))
def test_splitting_a_session_and_its_bill_count_alike(said: str) -> None:
    session = transcript(f"S: {said}")
    text = session.turns[0].text
    count = tokens.expected(text)
    assert fits(session, count + LINE_TOKENS_MAX)
    assert not fits(session, count - 1)
    assert len(groups_of([text] * 3, 3 * count)) == 1
    assert len(groups_of([text] * 3, 3 * count - 1)) == 2
    billed = Attempt(pieces=[text]).estimate(Prompt("v", text, text, "en"))
    assert (billed.input_tokens, billed.output_tokens) == (2 * count, count)
