"""Rules that begin at a word: "road" behind "12 Elm", "insta" before "mina.yil12".

A rule says which words it begins at and what must stand before and behind them. The words of a text are looked up, not
searched for, so many rules over many languages cost about as much as one.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from afterbell.core.english import words
from afterbell.core.privacy.alphabets import UNSPACED, words_in

_BEFORE_CHARS: Final = 64
_UNSPACED: Final = re.compile(f"[{UNSPACED}]")


@dataclass(frozen=True, slots=True)
class Rule:
    """Something found at a word.

    ``before`` ends at the cue and ``behind`` begins there; None demands nothing. What is found is the group ``it`` of
    one of them where there is one, else all of it: from the start of ``before``, or of its group ``start``, to the end
    of ``behind``. Both are compiled when a cue is first met: most texts have those of one language.
    """

    cues: frozenset[str]
    before: str | None = None
    behind: str | None = None
    any_case: bool = False

    def match(self, text: str, start: int, end: int) -> tuple[int, int] | None:
        """(start, end) of what is found around a cue, or None."""
        first, last = start, end
        if self.before is not None:
            before = _compiled(self.before, self.any_case).search(text, max(0, start - _BEFORE_CHARS), start)
            if before is None:
                return None
            if "it" in before.re.groupindex:
                return before.span("it")
            first = before.start("start" if "start" in before.re.groupindex else 0)
        if self.behind is not None:
            behind = _compiled(self.behind, self.any_case).match(text, end)
            if behind is None:
                return None
            if "it" in behind.re.groupindex:
                return behind.span("it")
            last = behind.end()
        return first, last


def rule(cues: str, behind: str | None = None, *, before: str | None = None, any_case: bool = False) -> Rule:
    """A rule from its cues, written as one text in small letters, and its patterns."""
    return Rule(words(cues), None if before is None else f"(?:{before})$", behind, any_case)


@cache
def _compiled(pattern: str, any_case: bool) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE if any_case else 0)


class Searched:
    """A text taken apart once for all rules: its words as written, and the text and its words in small letters."""

    __slots__ = ("low", "low_words", "text", "words")

    def __init__(self, text: str) -> None:
        self.text: Final = text
        self.low: Final = text.lower()
        self.words: Final = words_in(text)
        self.low_words: Final = frozenset(map(str.lower, self.words))


class Cues:
    """Rules by the words they begin at."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._spaced: defaultdict[str, list[Rule]] = defaultdict(list)
        self._unspaced: defaultdict[str, list[Rule]] = defaultdict(list)
        for rule in rules:
            for cue in rule.cues:
                (self._unspaced if _UNSPACED.search(cue) else self._spaced)[cue].append(rule)

    def matches(self, searched: Searched) -> list[tuple[int, int]]:
        """(start, end) of what each rule finds, in order; of those with one start the longest first."""
        return sorted(self._matches(searched), key=lambda span: (span[0], -span[1]))

    def _matches(self, searched: Searched) -> Iterator[tuple[int, int]]:
        for cue in self._spaced.keys() & searched.low_words:
            for start, end in _words(searched.low, cue):
                yield from self._at(self._spaced[cue], searched.text, start, end)
        for cue, rules in self._unspaced.items():
            for start, end in _places(searched.low, cue):
                yield from self._at(rules, searched.text, start, end)

    @staticmethod
    def _at(rules: Iterable[Rule], text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
        for rule in rules:
            if span := rule.match(text, start, end):
                yield span


def _words(low: str, cue: str) -> Iterator[tuple[int, int]]:
    for start, end in _places(low, cue):
        if not (low[start - 1 : start].isalnum() or low[end : end + 1].isalnum()):
            yield start, end


def _places(low: str, cue: str) -> Iterator[tuple[int, int]]:
    at = low.find(cue)
    while at >= 0:
        yield at, at + len(cue)
        at = low.find(cue, at + len(cue))
