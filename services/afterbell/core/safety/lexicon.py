"""Lexicons as text files, and the one pattern that each becomes.

A line of a file is one phrase, word by word:

    PERSON = mom|dad|step_father     a list of words that lines below may name; "_" joins words of one entry
    [violence urgent]                the heading that the lines below belong to
    my PERSON … HURT~ me             "a|b" are alternatives, "…" up to four words, "~" any ending, "?" may be missing
    & PERSON & SELF & HARM           not a phrase: a word of each list, the last with the others within twelve words
    # a remark

Text is compared as ``folded`` leaves it: lower case, without accents and apostrophes, one space before each word; each
letter of a script without spaces is a word. Phrases are looked up by their first word and every gap is bounded, so that
a search takes time in proportion to the text, whatever is in it.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import chain, repeat
from typing import Final

GAP_WORDS_MAX: Final = 4
NEAR_WORDS: Final = 12
WORDS_KNOWN_MAX: Final = 20_000

_COMBINING: Final = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff\u0300-\u036f\u064b-\u065f\u0640]")
# Told apart by some writers only: ß, dotless i, ё, alef maksura, ta marbuta.
_ONE_FORM: Final = str.maketrans({"ß": "ss", "\u0131": "i", "\u0451": "\u0435", "\u0649": "\u064a", "\u0629": "\u0647"})
_APOSTROPHES: Final = re.compile("['\u2018\u2019\u02bc`\u00b4]")
_UNSPACED: Final = re.compile(r"([\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])")
# Vowel signs of Indian scripts are no letters to \w.
_BETWEEN: Final = re.compile(r"[^\w\u0900-\u0963\u0966-\u0dff]+")
_ASCII_FORMS: Final = {
    code: None if chr(code) in "'`" else chr(code).lower() if chr(code).isalnum() or chr(code) == "_" else " "
    for code in range(128)
}
_DEFINITION: Final = re.compile(r"([A-Z]+) = (.+)")
_HEADING: Final = re.compile(r"\[([a-z_ ]+)\]")
_TOGETHER: Final = "&"
_GAP: Final = rf"(?: \S+){{0,{GAP_WORDS_MAX}}}?"

_HEAD_LETTERS: Final = (3, 4, 5, 6, 7)
"""How many letters a first word that may end anyhow has at least and at most where it is looked up."""

# Phrases by their words; "" stands for an end.
_Tree = dict[str, "_Tree"]


def folded(text: str) -> str:
    """The text as phrases are compared with it: " my dad hit me "."""
    if text.isascii():
        return f" {' '.join(text.translate(_ASCII_FORMS).split())} "
    low = _COMBINING.sub("", unicodedata.normalize("NFKD", text.lower()).translate(_ONE_FORM))
    low = _UNSPACED.sub(r" \1 ", unicodedata.normalize("NFC", _APOSTROPHES.sub("", low)))
    return f" {_BETWEEN.sub(' ', low).strip()} "


@dataclass(frozen=True, slots=True)
class _Word:
    """One word of a line: what may stand for it, and the pattern of all of that together."""

    entries: tuple[str, ...]
    pattern: str
    optional: bool = False


class Lexicon:
    """The phrases of one or more files, by heading, looked up by their first word."""

    def __init__(self, names: Iterable[str]) -> None:
        self._trees: dict[str, dict[str, _Tree]] = {}
        self._patterns: dict[str, tuple[tuple[str, re.Pattern[str]], ...]] = {}
        self._heads_of: dict[str, tuple[str, ...]] = {}
        self._companies: dict[str, list[tuple[str, tuple[frozenset[str], ...]]]] = {}
        for name in names:
            for heading, words in _lines((files(__package__) / "lexicons" / f"{name}.txt").read_text("utf-8")):
                if words[0].entries == (_TOGETHER,):
                    self._seat(heading, words)
                else:
                    self._plant(heading, words)

    def headings_in(self, text: str) -> frozenset[str]:
        """The headings of which a phrase stands in a ``folded`` text."""
        return frozenset(heading for heading, _ in self.phrases_in(text))

    def phrases_in(self, text: str) -> Iterator[tuple[str, str]]:
        """(heading, what stands there) of each place where a phrase of a heading begins in a ``folded`` text."""
        start, words = 0, text.split()
        for place, word in enumerate(words):
            heads = self._heads_of.get(word)
            for head in self._heads(word) if heads is None else heads:
                for heading, pattern in self._patterns.get(head) or self._compile(head):
                    if phrase := pattern.match(text, start):
                        yield heading, phrase[0]
                for heading, others in self._companies.get(head, ()):
                    near = words[max(0, place - NEAR_WORDS) : place + NEAR_WORDS + 1]
                    if not any(map(frozenset.isdisjoint, others, repeat(near))):
                        yield heading, word
            start += len(word) + 1

    def _heads(self, word: str) -> tuple[str, ...]:
        """What phrases that may begin with the word are looked up by; lessons use the same words again and again."""
        if len(self._heads_of) >= WORDS_KNOWN_MAX:
            self._heads_of.clear()
        prefixes = (word[:letters] + "~" for letters in _HEAD_LETTERS)
        self._heads_of[word] = heads = tuple(head for head in (word, *prefixes) if head in self._trees)
        return heads

    def _seat(self, heading: str, words: tuple[_Word, ...]) -> None:
        *others, last = (word.entries for word in words if word.entries != (_TOGETHER,))
        for entry in last:
            self._trees.setdefault(entry, {})
            self._companies.setdefault(entry, []).append((heading, tuple(map(frozenset, others))))

    def _plant(self, heading: str, words: tuple[_Word, ...]) -> None:
        first, *rest = words
        if first.optional:
            self._plant(heading, tuple(rest))
        for entry in first.entries:
            word = entry.split()[0]
            head = word[: _HEAD_LETTERS[-1]].rstrip("~") + "~" if word.endswith("~") else word
            tree = self._trees.setdefault(head, {}).setdefault(heading, {})
            for pattern in (_pattern_of(entry), *(word.pattern for word in rest)):
                tree = tree.setdefault(pattern, {})
            tree[""] = {}

    def _compile(self, head: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
        """The patterns of a first word, made when it is first met: most never are."""
        self._patterns[head] = patterns = tuple(
            (heading, re.compile(_pattern(tree))) for heading, tree in self._trees[head].items()
        )
        return patterns


@cache
def lexicon(*names: str) -> Lexicon:
    """The lexicon of the named files of ``lexicons/``."""
    return Lexicon(names)


def _lines(text: str) -> Iterator[tuple[str, tuple[_Word, ...]]]:
    lists: dict[str, str] = {}
    heading = ""
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("#"):
            continue
        if heading_line := _HEADING.fullmatch(line):
            heading = heading_line[1]
        elif definition := _DEFINITION.fullmatch(line):
            entries = definition[2].replace(" ", "").split("|")
            lists[definition[1]] = "|".join(lists.get(entry, entry) for entry in entries)
        else:
            assert heading, f"the line stands under no heading: {line}"
            yield heading, tuple(_word(word, lists) for word in line.split())


def _word(written: str, lists: Mapping[str, str]) -> _Word:
    if written == "…":
        return _Word((), pattern=_GAP)
    if written == _TOGETHER:
        return _Word((_TOGETHER,), pattern="")
    optional = written.endswith("?")
    spelt = chain.from_iterable(lists.get(entry, entry).split("|") for entry in written.removesuffix("?").split("|"))
    entries = tuple(sorted({_folded_entry(entry) for entry in spelt}))
    alternatives = f"(?:{'|'.join(map(_pattern_of, entries))})"
    return _Word(entries, f"{alternatives}?" if optional else alternatives, optional)


def _folded_entry(entry: str) -> str:
    """ "step_dad" as "step dad", "slap~" as it is."""
    return folded(entry.removesuffix("~").replace("_", " ")).strip() + ("~" if entry.endswith("~") else "")


def _pattern_of(entry: str) -> str:
    words = " " + re.escape(entry.removesuffix("~")).replace("\\ ", " ")
    return words + (r"\S*" if entry.endswith("~") else r"(?= )")


def _pattern(tree: _Tree) -> str:
    if "" in tree:
        return ""
    return f"(?:{'|'.join(word + _pattern(rest) for word, rest in tree.items())})"
