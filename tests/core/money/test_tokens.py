"""One estimate of tokens, honest about every script."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterbell.core.money import tokens


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
def test_the_estimate_never_passes_the_bound_and_adds_up(one: str, other: str) -> None:
    one, other = one.encode(errors="replace").decode(), other.encode(errors="replace").decode()
    assert tokens.expected(one) <= tokens.bound(one)
    assert 0 <= tokens.expected(one) + tokens.expected(other) - tokens.expected(one + other) <= 1
