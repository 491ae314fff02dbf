"""Taking a person's name out of what others said about them."""

from collections.abc import Iterable
from typing import Final

from afterbell.core.privacy.names import NameFinder

ERASED_TEXT: Final = "[erased]"
ERASED_NAME: Final = "Erased student"


def finder_of(names: Iterable[str]) -> NameFinder:
    """What finds a person who went by these display names."""
    return NameFinder((name, name) for name in names)


def without(finder: NameFinder, text: str) -> str:
    """The text with ``ERASED_TEXT`` in the place of each name."""
    return finder.replace(text, lambda _: ERASED_TEXT)
