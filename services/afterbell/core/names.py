"""Taking a person's name out of what others said about them."""

import re
from collections.abc import Iterable
from typing import Final

ERASED_TEXT: Final = "[erased]"
ERASED_NAME: Final = "Erased student"
# Shorter parts of a name are words of their own: "Al", "de".
PART_CHARS_MIN: Final = 3


def name_pattern(names: Iterable[str]) -> re.Pattern[str] | None:
    """Matches each full name and each of its parts as whole words, however capitalised; None for no name."""
    words = {name for name in (one.strip() for one in names) if name}
    words |= {part for name in words for part in re.split(r"[\s-]+", name) if len(part) >= PART_CHARS_MIN}
    if not words:
        return None
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, longest_first)) + r")(?!\w)", re.IGNORECASE)


def without(pattern: re.Pattern[str] | None, text: str) -> str:
    """The text with ``ERASED_TEXT`` where the pattern matched."""
    return text if pattern is None else pattern.sub(ERASED_TEXT, text)
