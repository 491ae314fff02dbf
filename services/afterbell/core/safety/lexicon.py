"""Lexicons as text files, and the one automaton that each becomes.

A line of a file is one phrase, word by word:

    PERSON = mom|dad|step_father     a list of words that lines below may name; "_" joins words of one entry
    [violence urgent]                the heading that the lines below belong to
    my PERSON … HURT~ me             "a|b" are alternatives, "…" up to four words, "~" any ending, "?" may be missing
    & PERSON & SELF & HARM           not a phrase: a word of each list, the last with the others within twelve words
    # a remark

Text is compared as ``folded`` leaves it: lower case, without accents and apostrophes, one space before each word; each
letter of a script without spaces is a word.

A text is read word by word. Where in its phrases a lexicon has got to is a state, and what a word leads to from there
is worked out when it is first met: the rules are never spelt out as a whole, so a lexicon is there as soon as its files
are read, and lessons, which use the same words again and again, cost a look-up a word. Every gap is bounded, so a
search takes time in proportion to the text, whatever is in it.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from itertools import chain, repeat
from typing import Final

GAP_WORDS_MAX: Final = 4
NEAR_WORDS: Final = 12

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
WORDS_KNOWN_MAX: Final = 20_000
STATES_KNOWN_MAX: Final = 20_000
"""How many words and states a lexicon remembers; of more it forgets all and begins anew."""

_UNKNOWN: Final = " "


def folded(text: str) -> str:
    """The text as phrases are compared with it: " my dad hit me "."""
    if text.isascii():
        return f" {' '.join(text.translate(_ASCII_FORMS).split())} "
    low = _COMBINING.sub("", unicodedata.normalize("NFKD", text.lower()).translate(_ONE_FORM))
    low = _UNSPACED.sub(r" \1 ", unicodedata.normalize("NFC", _APOSTROPHES.sub("", low)))
    return f" {_BETWEEN.sub(' ', low).strip()} "


@dataclass(frozen=True, slots=True)
class _Word:
    """A word of a line: what may stand for it, up to how many words of any kind, and whether it may be missing."""

    entries: tuple[str, ...] = ()
    any_words: int = 0
    optional: bool = False


@dataclass(slots=True, eq=False)
class _Node:
    """A place in the phrases that begin alike: the headings that end here, and what may come next."""

    headings: set[str] = field(default_factory=set)
    edges: dict[_Word, "_Node"] = field(default_factory=dict)
    within: list[tuple[str, "_Node"]] = field(default_factory=list)
    """The first words of entries that have several, each with the place in the entry that it leads to."""

    def after(self, word: _Word) -> "_Node":
        """The place behind a word of a line."""
        if word not in self.edges:
            self.edges[word] = behind = _Node()
            for entry in word.entries:
                self._lead_within(entry.split(), behind)
        return self.edges[word]

    def ways(self) -> Iterator[tuple[str, "_Node"]]:
        """Each entry of one word that may come next, with where it leads."""
        for word, behind in self.edges.items():
            yield from ((entry, behind) for entry in word.entries if " " not in entry)
        yield from self.within

    def _lead_within(self, words: Sequence[str], behind: "_Node") -> None:
        """Lets an entry of several words be read word by word."""
        first, *rest = words
        if len(rest) == 1:
            inner = _Node(edges={_Word((rest[0],)): behind})
        elif rest:
            inner = _Node()
            inner._lead_within(rest, behind)
        else:
            return
        self.within.append((first, inner))


# A place in the phrases, and how many words of any kind may still stand before what comes next.
_Item = tuple[_Node, int]


class _State(dict[str, "_State | None"]):
    """Places in phrases that have been reached together.

    As a mapping it says where a word leads, by its kind: to a state, or to None where no phrase goes on with it. That
    is worked out when it is first asked for.
    """

    def __init__(self, items: frozenset[_Item], states: "_States") -> None:
        super().__init__()
        self._items, self._states = items, states
        self._ways: dict[str, list[_Node]] | None = None
        self.headings: Final = frozenset(chain.from_iterable(node.headings for node, _ in items))

    def __missing__(self, kind: str) -> "_State | None":
        """The state that a word of a kind leads to; all words that no phrase goes on with are alike."""
        if self._ways is None:
            self._ways = {}
            for node in {node for node, _ in self._items}:
                for entry, behind in node.ways():
                    self._ways.setdefault(entry, []).append(behind)
        nodes = [node for entry in kind.split() for node in self._ways.get(entry, ())]
        if nodes or kind == _UNKNOWN:
            passed = ((node, left - 1) for node, left in self._items if left)
            items = frozenset(chain(passed, chain.from_iterable(map(_reachable, nodes))))
            self[kind] = reached = self._states.of(items) if items else None
        else:
            self[kind] = reached = self[_UNKNOWN]
        return reached


class _States:
    """Each state once, up to ``STATES_KNOWN_MAX``; then all are forgotten, and made anew as they are reached."""

    def __init__(self) -> None:
        self._known: dict[frozenset[_Item], _State] = {}

    def of(self, items: frozenset[_Item]) -> _State:
        """The state of these items."""
        state = self._known.get(items)
        if state is None:
            if len(self._known) >= STATES_KNOWN_MAX:
                for known in self._known.values():
                    known.clear()
                self._known.clear()
            self._known[items] = state = _State(items, self)
        return state


def _reachable(node: _Node) -> Iterator[_Item]:
    """A place and those that it leads to without a word."""
    yield node, 0
    for word, behind in node.edges.items():
        if word.any_words or word.optional:
            yield from ((place, left + word.any_words) for place, left in _reachable(behind))


class Lexicon:
    """The phrases of one or more files, by heading."""

    def __init__(self, names: Iterable[str]) -> None:
        root = _Node()
        self._companies: dict[str, list[tuple[str, tuple[frozenset[str], ...]]]] = {}
        entries: set[str] = set()
        for name in names:
            for heading, words in _lines((files(__package__) / "lexicons" / f"{name}.txt").read_text("utf-8")):
                entries.update(chain.from_iterable(word.entries for word in words))
                if words[0].entries == (_TOGETHER,):
                    self._seat(heading, words)
                else:
                    node = root
                    for word in words:
                        node = node.after(word)
                    node.headings.add(heading)
        parts = [part for entry in entries for part in entry.split()]
        self._entries: Final = frozenset(parts)
        self._beginnings: Final = tuple(sorted({len(part) - 1 for part in parts if part.endswith("~")}))
        self._start: Final = _States().of(frozenset(_reachable(root)))
        self._kinds: Final[dict[str, str]] = {}
        self._in_company: Final[set[str]] = set()

    def headings_in(self, text: str) -> frozenset[str]:
        """The headings of which a phrase stands in a ``folded`` text."""
        words = text.split()
        kinds = [self._kinds.get(word) or self._kind_of(word) for word in words]
        start, last = self._start, len(kinds) - 1
        headings: set[str] = set()
        for place, kind in enumerate(kinds):
            state, at = start[kind], place
            while state is not None:
                headings |= state.headings
                if at == last:
                    break
                at += 1
                state = state[kinds[at]]
            if kind in self._in_company:
                headings.update(self._companies_at(place, kind, words))
        return frozenset(headings)

    def _kind_of(self, word: str) -> str:
        """The entries that a word may stand for, as one text: words of one kind lead the same way everywhere."""
        if len(self._kinds) >= WORDS_KNOWN_MAX:
            self._kinds.clear()
        beginnings = (word[:letters] + "~" for letters in self._beginnings if letters <= len(word))
        entries = [entry for entry in (word, *beginnings) if entry in self._entries]
        self._kinds[word] = kind = " ".join(entries) or _UNKNOWN
        if not self._companies.keys().isdisjoint(entries):
            self._in_company.add(kind)
        return kind

    def _companies_at(self, place: int, kind: str, words: list[str]) -> Iterator[str]:
        near = words[max(0, place - NEAR_WORDS) : place + NEAR_WORDS + 1]
        for entry in kind.split():
            for heading, others in self._companies.get(entry, ()):
                if not any(map(frozenset.isdisjoint, others, repeat(near))):
                    yield heading

    def _seat(self, heading: str, words: tuple[_Word, ...]) -> None:
        *others, last = (word.entries for word in words if word.entries != (_TOGETHER,))
        for entry in last:
            self._companies.setdefault(entry, []).append((heading, tuple(map(frozenset, others))))


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
        return _Word(any_words=GAP_WORDS_MAX)
    if written == _TOGETHER:
        return _Word((_TOGETHER,))
    optional = written.endswith("?")
    spelt = chain.from_iterable(lists.get(entry, entry).split("|") for entry in written.removesuffix("?").split("|"))
    return _Word(tuple(sorted({_folded_entry(entry) for entry in spelt})), optional=optional)


def _folded_entry(entry: str) -> str:
    """ "step_dad" as "step dad", "slap~" as it is."""
    return folded(entry.removesuffix("~").replace("_", " ")).strip() + ("~" if entry.endswith("~") else "")
