"""A look for plain text before a search with a pattern: most texts show nothing, and seeing that costs a fraction."""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, chain
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

    def search(self, low: str, *, glimpsed: bool | None = None) -> re.Match[str] | None:
        """What the pattern finds in a text in lower case; ``glimpsed``: whether it ``is_glimpsed_in``, if known."""
        if self.is_glimpsed_in(low) if glimpsed is None else glimpsed:
            return self.pattern.search(low)
        return self.pattern.match(low) if self.at_start else None


def sign(pattern: re.Pattern[str], glimpses: str, *, at_start: bool = False) -> Sign:
    """The sign of a pattern and its glimpses, with a "|" between them."""
    return Sign(pattern, tuple(glimpses.split("|")), at_start)


class Lows:
    """Texts in lower case, one behind the other: which of them hold what."""

    def __init__(self, lows: Sequence[str]) -> None:
        self.low: Final = "\n".join((*lows, ""))
        self._ends = list(accumulate(len(low) + 1 for low in lows))

    def holding(self, glimpses: Iterable[str]) -> set[int]:
        """The numbers of the texts that hold one of the glimpses."""
        return {number for glimpse in glimpses for number in self._with(glimpse)}

    def counted(self, pattern: re.Pattern[str]) -> Counter[int]:
        """By the number of each text how often a pattern, which nothing across a line is, is found in it."""
        return Counter([bisect_right(self._ends, found.start()) for found in pattern.finditer(self.low)])

    def _with(self, glimpse: str) -> Iterator[int]:
        at = self.low.find(glimpse)
        while at >= 0:
            number = bisect_right(self._ends, at)
            yield number
            at = self.low.find(glimpse, self._ends[number])


class Glance(Lows):
    """All texts of a session at once, for so many glimpses that most are nowhere in it."""

    def __init__(self, texts: Sequence[str]) -> None:
        lows = [text.lower() for text in texts]
        super().__init__(lows)
        # Each piece between white space once, a tenth of the whole; cut text by text, so few are there at a time.
        self.pieces: Final = set(chain.from_iterable(map(str.split, lows)))
        self.vocabulary: Final = f" {' '.join(self.pieces)} "
        self.unusual: Final = frozenset(number for number, text in enumerate(texts) if not text.isascii())

    def holding(self, glimpses: Iterable[str]) -> set[int]:
        """The numbers of the texts that hold one of the glimpses: of all texts where they are too many to look for."""
        looked_for = list(glimpses)
        if len(looked_for) > GLIMPSES_MAX:
            return set(range(len(self._ends)))
        return super().holding(filter(self._is_possible, looked_for))

    def _is_possible(self, glimpse: str) -> bool:
        return all(map(self.vocabulary.__contains__, _pieces_of(glimpse)))


@lru_cache(maxsize=1_024)
def _pieces_of(glimpse: str) -> list[str]:
    return _SPACE.sub(" \0 ", glimpse).split("\0")
