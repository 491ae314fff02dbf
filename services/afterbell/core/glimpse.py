"""A look for plain text before a search with a pattern: most texts show nothing, and seeing that costs a fraction."""

import re
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Final

GLIMPSES_MAX: Final = 200
_SPACE: Final = re.compile(r"\s")


@dataclass(frozen=True, slots=True)
class Sign:
    """A pattern, and pieces of lower-case text of which one stands wherever the pattern is found.

    ``at_start``: the pattern may also be found at the start of a text that holds none of them.
    """

    pattern: re.Pattern[str]
    glimpses: tuple[str, ...]
    at_start: bool = False

    def is_glimpsed_in(self, low: str) -> bool:
        """Whether one of the glimpses stands in a text in lower case."""
        return any(map(low.__contains__, self.glimpses))

    def search(self, low: str) -> re.Match[str] | None:
        """What the pattern finds in a text in lower case."""
        if self.is_glimpsed_in(low):
            return self.pattern.search(low)
        return self.pattern.match(low) if self.at_start else None


def sign(pattern: re.Pattern[str], glimpses: str, *, at_start: bool = False) -> Sign:
    """The sign of a pattern and its glimpses, with a "|" between them."""
    return Sign(pattern, tuple(glimpses.split("|")), at_start)


class Glance:
    """All texts of a session at once, in lower case: which of them hold what."""

    def __init__(self, texts: Sequence[str]) -> None:
        lows = [text.lower() for text in texts]
        self.low: Final = "".join(f"{low}\n" for low in lows)
        # Each piece between white space once, a tenth of the whole.
        self.vocabulary: Final = f" {' '.join(set(self.low.split()))} "
        self.unusual: Final = frozenset(number for number, text in enumerate(texts) if not text.isascii())
        self._ends = list(accumulate(len(low) + 1 for low in lows))

    def holding(self, glimpses: Collection[str]) -> set[int]:
        """The numbers of the texts that hold one of the glimpses: of all texts where they are too many to look for."""
        if len(glimpses) > GLIMPSES_MAX:
            return set(range(len(self._ends)))
        return {number for glimpse in glimpses if self._is_possible(glimpse) for number in self._with(glimpse)}

    def _is_possible(self, glimpse: str) -> bool:
        return all(map(self.vocabulary.__contains__, _pieces_of(glimpse)))

    def _with(self, glimpse: str) -> Iterator[int]:
        at = self.low.find(glimpse)
        while at >= 0:
            number = bisect_right(self._ends, at)
            yield number
            at = self.low.find(glimpse, self._ends[number])


@lru_cache(maxsize=1_024)
def _pieces_of(glimpse: str) -> list[str]:
    return _SPACE.sub(" \0 ", glimpse).split("\0")
