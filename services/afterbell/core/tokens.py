"""How many tokens a text has, without a tokenizer: what to expect, and what it cannot exceed."""

from typing import Final

CHARS_PER_TOKEN: Final = 4


def expected(text: str) -> int:
    """About so many: four characters a token, as English has it on average."""
    return -(-len(text) // CHARS_PER_TOKEN)


def bound(text: str) -> int:
    """Never more than this: a token of a byte-pair encoding stands for at least one byte."""
    return len(text.encode())
