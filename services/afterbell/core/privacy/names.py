"""The only finder of people's names in a text. Redaction, erasure and the basic report use it.

A name is found in full and in parts, whatever the case, without its accents, in usual transliterations, in short forms
and with the endings of the languages in ``inflections``. A part that is a word as well ("Will", "May") counts where it
is written as a name. Particles ("van") and initials count beside the other parts of their name only. In scripts without
spaces a given name is found inside a text, a surname by itself only beside a title.

The time it takes grows with the length of the text: each distinct word is looked up once.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from afterbell.core.english import STOPWORDS
from afterbell.core.privacy.alphabets import UNSPACED, WORD, consonants, spellings, without_repeats
from afterbell.core.privacy.cues import Searched
from afterbell.core.privacy.given_names import MONTHS, TITLES
from afterbell.core.privacy.inflections import bases, languages_of, slavic_stem, slavic_stems
from afterbell.core.privacy.name_forms import Part, Spelling, forms_of, unspaced_patterns, words_of
from afterbell.core.privacy.text_spans import TextSpan, apart

WORD_CHARS_MAX: Final = 100
_CONTEXT_CHARS: Final = 30
_CONSONANTS_MIN: Final = 3
_SPELT_OUT_MIN: Final = 4
_GAP: Final = re.compile(r"[\s.'’·(\-]{0,3}")
_UNSPACED: Final = re.compile(f"[{UNSPACED}]")
_WITHOUT_VOWELS: Final = re.compile("[\u0590-\u06ff\u0900-\u0dff]")
_PIECES: Final = re.compile(r"[A-Z\u00c0-\u00de]?[^\W\dA-Z_\u00c0-\u00de]+|[A-Z\u00c0-\u00de]+|\d+")
# Begins behind its first letter: few places to try.
_SPELT_OUT: Final = re.compile(r"[ .·-](?<=[^\W\d_][ .·-])(?<!\w\w[ .·-])(?:[^\W\d_][ .·-]){2,}[^\W\d_](?!\w)")
_UNLEET: Final = str.maketrans("013457", "oieast")
_SENTENCE_START: Final = re.compile(r"(?:^|[.!?…:;\n\"“(>]\s*)$")
_FOLLOWS: Final = re.compile(
    r"\s+(?:you|i|we|he|she|it|they|the|a|an|this|that|these|those|my|your|our|his|her|its|their|there|me|us|them"
    r"|be|of|not"
    r"|do|have|all|each|every|any|some|one|two|both|how|what|which|where|when|why|on|out|up|down|off|as|to|for)\b",
    re.IGNORECASE,
)
"""What stands behind a word and not behind a name."""
_SYMBOL: Final = re.compile(r"\s*[=+*/^<>²³_×÷]|\s+[b-hj-z]\b(?!')|\s*\(", re.IGNORECASE)
_SPEAKS: Final = re.compile(
    r"\s*(?:[,!?.:;…'’\n)]|$)"
    r"|\s+(?:said|says|is|was|has|had|did|does|and|wrote|asked|thinks|thought|got|told|knows|knew|came|goes|went"
    r"|can|also"
    r"|likes|wants|needs|helped|explained|found|solved|tried|made|gave|took|then|here|please|thanks)\b",
    re.IGNORECASE,
)
"""What stands behind a name at the start of a sentence, where a word has its capital too."""
_LEADS: Final = re.compile(
    rf"\b(?:i ?am|i['’]m|im|name is|names|named|called|hi|hello|hey|dear|ask|tell|thanks|thx|tutor|teacher|friend"
    rf"|brother|sister|cousin|student|(?:{'|'.join(sorted(TITLES))})\.?)\s+$",
    re.IGNORECASE,
)
"""What stands before a name that is written small."""
_MONTH_BEFORE: Final = re.compile(
    r"\b(?:in|of|since|until|till|last|next|early|late|mid|this|every|by|\d{1,2}\.?)\s+$", re.I
)
_MONTH_AFTER: Final = re.compile(r"\s+\d")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a word stands that is a part of names, and whether it counts by itself."""

    start: int
    end: int
    parts: tuple[Part, ...]
    counts: bool


class NameFinder:
    """Finds the names of people, given as (label, display name); of equal parts the first person's label counts."""

    def __init__(self, people: Iterable[tuple[str, str]]) -> None:
        self._labels: list[str] = []
        self._lengths: list[int] = []
        self._forms: dict[str, list[Part]] = {}
        self._stems: dict[str, list[Part]] = {}
        self._skeletons: dict[str, list[Part]] = {}
        unspaced: dict[str, tuple[str, str]] = {}
        for name, (label, display_name) in enumerate(people):
            self._labels.append(label)
            self._add(display_name, name)
            for form, pattern in unspaced_patterns(display_name):
                unspaced.setdefault(pattern, (form, label))
        ordered = sorted(unspaced, key=lambda pattern: (-len(unspaced[pattern][0]), pattern))
        self._unspaced = re.compile("|".join(ordered)) if ordered else None
        self._unspaced_labels = dict(reversed(unspaced.values()))
        self._known: dict[tuple[str, str], tuple[tuple[int, int, tuple[Part, ...]], ...]] = {}

    def spans(self, searched: Searched) -> list[TextSpan]:
        """The names in a text, in order, none over another; the kind of each is its person's label."""
        text = searched.text
        languages = languages_of(text)
        held = [word for word in searched.words if self._look_up(word, languages)]
        spans = list(self._runs(text, languages)) if held else []
        spans += self._spelt_out(text)
        if self._unspaced is not None:
            spans += (
                TextSpan(*match.span(), self._unspaced_labels[match[0]]) for match in self._unspaced.finditer(text)
            )
        return apart(spans, text)

    def replace(self, text: str, written: Callable[[TextSpan], str]) -> str:
        """The text with something else written in the place of each name."""
        pieces, after = [], 0
        for span in self.spans(Searched(text)):
            pieces += [text[after : span.start], written(span)]
            after = span.end
        return "".join((*pieces, text[after:]))

    def _add(self, display_name: str, name: int) -> None:
        own = words_of(display_name)
        self._lengths.append(len(own))
        for form in forms_of(display_name, name):
            self._forms.setdefault(form.spelling, []).append(form.part)
            if form.part.written is Spelling.ANYHOW and len(form.spelling) > 2:
                self._stems.setdefault(slavic_stem(form.spelling), []).append(form.part)
        for position, word in enumerate(own):
            for spelling in spellings(word) if _WITHOUT_VOWELS.search(word) else ():
                skeleton = consonants(spelling)
                if len(skeleton) >= _CONSONANTS_MIN:
                    self._skeletons.setdefault(skeleton, []).append(Part(name, position, Spelling.CAPITAL))

    def _look_up(self, word: str, languages: str) -> tuple[tuple[int, int, tuple[Part, ...]], ...]:
        """(start, end, parts) of what in a word is a part of names: all of it, or pieces of "MinaKing99"."""
        key = (word, languages)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = tuple(self._looked_up(word, languages))
        return known

    def _looked_up(self, word: str, languages: str) -> Iterator[tuple[int, int, tuple[Part, ...]]]:
        if len(word) > WORD_CHARS_MAX or not (word.isascii() or _UNSPACED.search(word) is None):
            return
        if parts := self._parts(word, languages):
            yield 0, len(word), parts
            return
        pieces = [] if word.isalpha() and word.islower() else list(_PIECES.finditer(word))
        for piece in pieces if len(pieces) > 1 else ():
            anyhow = tuple(part for part in self._parts(piece[0], "") if part.written is not Spelling.AS_NAME)
            if anyhow:
                yield *piece.span(), anyhow

    def _parts(self, word: str, languages: str) -> tuple[Part, ...]:
        for spelling in spellings(word):
            if parts := self._forms.get(spelling) or self._forms.get(without_repeats(spelling)):
                return tuple(parts)
        return tuple(self._parts_of_variants(word, languages))

    def _parts_of_variants(self, word: str, languages: str) -> list[Part]:
        """Of a word that is no part as it stands: with an ending, with digits for letters, written without vowels."""
        candidates = [*bases(word, languages)]
        if not word.isalpha() and not word.isdigit():
            candidates.append(word.lower().translate(_UNLEET))
        parts = [part for base in candidates for part in self._forms.get(base, ()) if part.written is Spelling.ANYHOW]
        for stem in slavic_stems(word, languages):
            parts += self._stems.get(stem, ())
        if self._skeletons and word.isascii() and word.lower() not in STOPWORDS:
            parts += self._skeletons.get(consonants(word.lower()), ())
        return parts

    def _runs(self, text: str, languages: str) -> Iterator[TextSpan]:
        """Neighbouring parts of one name as one span."""
        run: list[_Place] = []
        owners: set[Part] = set()
        for place in self._places(text, languages):
            joined = _joined(run[-1], owners, place, text) if run else set()
            if not joined and run:
                yield from self._closed(run, owners, text)
                run = []
            run.append(place)
            owners = joined or set(place.parts)
        if run:
            yield from self._closed(run, owners, text)

    def _places(self, text: str, languages: str) -> Iterator[_Place]:
        for word in WORD.finditer(text):
            for start, end, parts in self._look_up(word[0], languages):
                begin, stop = word.start() + start, word.start() + end
                counts = any(_counts(part.written, text, begin, stop) for part in parts)
                yield _Place(begin, stop, parts, counts)

    def _closed(self, run: list[_Place], owners: set[Part], text: str) -> Iterator[TextSpan]:
        counting = [number for number, place in enumerate(run) if place.counts]
        owner = min(owners, key=lambda part: part.name)
        if counting:
            yield TextSpan(run[0].start, run[counting[-1]].end, self._labels[owner.name])
        elif 1 < len(run) == self._lengths[owner.name] and text[run[0].start].isupper() and _names_somebody(run):
            yield TextSpan(run[0].start, run[-1].end, self._labels[owner.name])

    def _spelt_out(self, text: str) -> Iterator[TextSpan]:
        for match in _SPELT_OUT.finditer(text):
            start, end = match.start() - 1, match.end()
            letters = "".join(WORD.findall(text[start:end]))
            parts = self._parts(letters, "") if len(letters) >= _SPELT_OUT_MIN else ()
            if parts:
                yield TextSpan(start, end, self._labels[parts[0].name])


def _names_somebody(run: list[_Place]) -> bool:
    """Whether a whole name has more to it than a role and a number."""
    return not any(
        place.end - place.start > 3 and all(p.written is Spelling.WITHIN for p in place.parts) for place in run
    )


def _joined(last: _Place, owners: set[Part], place: _Place, text: str) -> set[Part]:
    """The parts of a place that go on with a name that stands just before it."""
    if not _GAP.fullmatch(text, last.end, place.start):
        return set()
    return {
        part
        for part in place.parts
        for owner in owners
        if part.name == owner.name and (part.position == owner.position + 1 or (last.counts and place.counts))
    }


def _counts(written: Spelling, text: str, start: int, end: int) -> bool:
    if written is Spelling.ANYHOW:
        return True
    if written is Spelling.CAPITAL:
        return not text[start].islower()
    return written is Spelling.AS_NAME and _is_written_as_name(text, start, end)


def _is_written_as_name(text: str, start: int, end: int) -> bool:
    word, before, after = (
        text[start:end],
        text[max(0, start - _CONTEXT_CHARS) : start],
        text[end : end + _CONTEXT_CHARS],
    )
    if word[0].islower():
        return bool(_LEADS.search(before)) and not _FOLLOWS.match(after) and not _SYMBOL.match(after)
    low = word.lower()
    if _SYMBOL.match(after) or (low in MONTHS and (_MONTH_BEFORE.search(before) or _MONTH_AFTER.match(after))):
        return False
    if start == 0 or _SENTENCE_START.search(before):
        return bool(_SPEAKS.match(after)) if low in STOPWORDS else not _FOLLOWS.match(after)
    return not (word.isupper() and _FOLLOWS.match(after))
