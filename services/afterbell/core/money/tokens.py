"""How many tokens a text has, without a tokenizer: what to expect, and what it cannot exceed.

Quotas, bills and the cutting of long sessions use this estimate. Models read byte-pair encodings of UTF-8, so what a
character costs follows from how many bytes it has and how common its script is in what the encoding was made from:

- ASCII: a token for four characters, OpenAI's own rule of thumb for English
  (https://help.openai.com/en/articles/4936856);
- two bytes (accents, Greek, Cyrillic, Arabic, Hebrew): a token for two. OpenAI's table in its announcement of GPT-4o
  (https://openai.com/index/hello-gpt-4o/, "Language tokenization") has one Russian sentence of 76 characters at 39
  tokens, 57 with the encoding before;
- three bytes (Han, Kana, Hangul, the scripts of India, Thai): a token each. The table has 35 Chinese characters at 24
  and 34, Korean and Hindi between 0.4 and 1.1 a character, so this is the upper end, where a quota should be;
- four bytes (emoji, rare Han): two tokens.

Petrov et al., "Language Model Tokenizers Introduce Unfairness Between Languages" (NeurIPS 2023) measure the same spread
for seventeen encodings.
"""

from typing import Final

_TOKENS_BY_BYTES: Final = (
    (range(0x80), 0.25),
    (range(0xC2, 0xE0), 0.5),
    (range(0xE0, 0xF0), 1),
    (range(0xF0, 0xF5), 2),
)
_COUNTED: Final = tuple((bytes(set(range(256)).difference(first)), each) for first, each in _TOKENS_BY_BYTES)
"""All bytes but those a character of so many bytes begins with, and what such a character costs."""


def expected(text: str) -> int:
    """About so many, see above; 0 for no text."""
    encoded = text.encode(errors="replace")
    tokens = sum(each * len(encoded.translate(None, others)) for others, each in _COUNTED)
    return -int(-tokens // 1)


def bound(text: str) -> int:
    """Never more than this: a token of a byte-pair encoding stands for at least one byte."""
    return len(text.encode())
