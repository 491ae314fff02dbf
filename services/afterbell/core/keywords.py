"""The things an English lesson kept coming back to, without a model.

Noun phrases are found by their neighbours (what follows "the" or "of" is a thing), counted over turns, and
weighed with TextRank over words (Mihalcea & Tarau 2004): words that keep the company of other frequent words
rank higher. The graph is capped, so the cost grows with the length of the text and not with its square.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate, chain, compress, count, pairwise
from math import log
from operator import itemgetter, mul, truediv
from typing import Final, TypeVar

from afterbell.core.english import BEFORE_NOUN, LESSON_WORDS, STOPWORDS

PHRASE_WORDS_MAX: Final = 3
PHRASE_CHARS_MAX: Final = 40
_TEXT_CHARS: Final = 2_000
_GRAPH_WORDS: Final = 120
_ROUNDS: Final = 12
_DAMPING: Final = 0.85
_LETTERS: Final = r"[^\W\d_]+(?:[-'][^\W\d_]+)*"
_TOKEN: Final = re.compile(rf"{_LETTERS}|\d[\d.,/]*|[^\w\s]")
_ASCII_TOKEN: Final = re.compile(r"[a-z]+(?:[-'][a-z]+)*|\d[\d.,/]*|[^\w\s]")
_WORD: Final = re.compile(_LETTERS)
# Capitals beyond these ranges are rare in English lessons; what is no capital within them is filtered.
_CAPITAL: Final = r"[A-Z\u00c0-\u00de\u0100-\u017f]" + _LETTERS.replace("+", "*", 1)
_CAPITAL_WORD: Final = re.compile(rf"\b{_CAPITAL}")
END: Final = "\n"
"""Stands after each text; no piece of a text has white space in it."""
_ENDS: Final = frozenset(".!?:\"'" + END)
_NOUN: Final = "+"
_TEXT_END: Final = "="
_JOINT: Final = "_"
"""Stands before each word of a run; no word has one in it."""
_DOING: Final = re.compile(r"\w+(ed|ing|ly|n't)$")

_NONE: Final[frozenset[str]] = frozenset()

Stems = tuple[str, ...]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class KeyPhrase:
    """A phrase of one to three words, lower case; ``turns`` are positions in the texts it was found in."""

    text: str
    stems: Stems
    turns: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Spoken:
    """Texts cut at white space, which nothing that is looked for here goes across: each piece is looked at once.

    pieces: of all texts as they were written, and END after each text.
    said: how often each piece was said.
    tokens: of each distinct piece, its words, numbers and punctuation marks, lower case.
    words: all tokens, once.
    """

    pieces: Sequence[str]
    said: Mapping[str, int]
    tokens: Mapping[str, Sequence[str]]
    words: Set[str]

    def each(self, told: Mapping[str, T]) -> tuple[T, ...]:
        """What is told of each piece, in the order they were said."""
        if len(self.pieces) < 2:
            return tuple(map(told.__getitem__, self.pieces))
        # Half the price of one look-up after the other.
        found: tuple[T, ...] = itemgetter(*self.pieces)(told)
        return found


@dataclass(slots=True)
class _Tally:
    turns: set[int] = field(default_factory=set)
    said: int = 0
    as_noun: int = 0
    forms: dict[str, int] = field(default_factory=dict)


def spoken(texts: Iterable[str]) -> Spoken:
    """The texts, cut."""
    pieces: list[str] = []
    known: dict[str, str] = {}
    for text in texts:
        # One object for each distinct piece: what follows looks every piece up several times.
        cut = text[:_TEXT_CHARS].split()
        pieces += map(known.setdefault, cut, cut)
        pieces.append(END)
    said = Counter(pieces)
    tokens = {piece: _tokens_of(piece) for piece in said}
    return Spoken(pieces, said, tokens, set(chain.from_iterable(tokens.values())))


def key_phrases(session: Spoken, *, avoid: frozenset[str], most: int) -> tuple[KeyPhrase, ...]:
    """The ``most`` weightiest phrases, best first, free of words in ``avoid`` (lower case) and of names."""
    skip = avoid | _proper_names(session)
    topical = {word: stem(word) for word in session.words if _carries(word, skip)}
    runs = _runs(session, topical)
    places = _places(runs)
    words = {run: run.split(_JOINT)[1:] for run in places}
    tallies: dict[Stems, _Tally] = defaultdict(_Tally)
    for run in _promising(places, words, topical):
        _count(tallies, words[run][-PHRASE_WORDS_MAX:], run[0] == _NOUN, places[run])
    ranks = _word_ranks(runs, words, {run: len(positions) for run, positions in places.items()}, topical)
    texts = session.said[END]
    weights = {stems: _weight(stems, tally, ranks, texts) for stems, tally in tallies.items()}
    ordered = sorted((stems for stems, weight in weights.items() if weight > 0), key=lambda s: (-weights[s], s))
    return tuple(
        KeyPhrase(_usual(tallies[stems].forms), stems, tuple(sorted(tallies[stems].turns)))
        for stems in _apart(ordered, most)
    )


def stems_of(text: str) -> frozenset[str]:
    """The stems of a text's topic words, for measuring how much two texts share."""
    return frozenset(filter(None, map(_topic_stem, set(_WORD.findall(text[:_TEXT_CHARS].lower())))))


def shared_stems(session: Spoken, stems: Set[str]) -> tuple[Set[str], ...]:
    """For each text those of the stems that it holds."""
    known = {word: part for word in session.words if (part := _topic_stem(word)) in stems}
    held: dict[str, Iterable[str]] = {
        piece: () if known.keys().isdisjoint(tokens) else [known[word] for word in tokens if word in known]
        for piece, tokens in session.tokens.items()
    }
    held[END] = END
    shared: list[set[str]] = [set()]
    for found in filter(None, session.each(held)):
        if found is END:
            shared.append(set())
        else:
            shared[-1].update(found)
    return tuple(shared[:-1])


@lru_cache(maxsize=4_096)
def stem(word: str) -> str:
    """Lower case without a plural ending: enough to count "spoon" and "spoons" as one."""
    word = word.lower()
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


@lru_cache(maxsize=4_096)
def _topic_stem(word: str) -> str:
    """The stem of a topic word, empty for another."""
    return stem(word) if _carries(word, _NONE) else ""


@lru_cache(maxsize=4_096)
def _is_doing(word: str) -> bool:
    return _DOING.match(word) is not None


def _carries(word: str, skip: frozenset[str]) -> bool:
    return len(word) > 2 and word[0].isalpha() and word not in STOPWORDS and word not in skip


def _tokens_of(piece: str) -> list[str]:
    low = piece.lower()
    if low.isascii():
        if low.isalpha():
            return [low]
        # A word and the mark behind it.
        if low[:-1].isalpha() and low[-1] != "_":
            return [low[:-1], low[-1]]
    return (_ASCII_TOKEN if low.isascii() else _TOKEN).findall(low)


def _proper_names(session: Spoken) -> frozenset[str]:
    """Words that are mostly written with a capital inside a sentence: people and places of the exercise."""
    unusual = (piece for piece in session.said if piece.lower() != piece or not piece.isascii())
    capitals = {piece: found for piece in unusual if (found := _CAPITAL_WORD.findall(piece))}
    opening = {piece: found[0] for piece, found in capitals.items() if piece.startswith(found[0])}
    inside = Counter(word.lower() for word in _inside(session, opening) if word[0].isupper())
    small = dict.fromkeys(inside, 0)
    for piece, tokens in session.tokens.items():
        if not small.keys().isdisjoint(tokens):
            for word in filter(small.__contains__, tokens):
                small[word] += session.said[piece]
    for piece, words in capitals.items():
        for word in words:
            if word[0].isupper() and word.lower() in small:
                small[word.lower()] -= session.said[piece]
    return frozenset(word for word, times in inside.items() if times > small[word])


def _inside(session: Spoken, opening: Mapping[str, str]) -> Iterator[str]:
    """Words with a capital amid a sentence; of two in a row the first, as one name."""
    pieces = session.pieces
    taken = -1
    opens = dict.fromkeys(session.said, False) | dict.fromkeys(opening, True)
    for at in compress(count(), session.each(opens)):
        if at and at - 1 != taken and pieces[at - 1][-1] not in _ENDS:
            word = opening[pieces[at]]
            taken = at if word == pieces[at] else -1
            yield word


def _runs(session: Spoken, topical: Container[str]) -> list[str]:
    """Neighbouring topic words, each run as text after a mark where what stands before announces a noun.

    A _TEXT_END closes each text.
    """
    marks = {word: f"{_JOINT}{word}" if word in topical else f" {_mark(word)}" for word in session.words}
    marked = {
        piece: marks[tokens[0]] if len(tokens) == 1 else "".join(map(marks.__getitem__, tokens))
        for piece, tokens in session.tokens.items()
    }
    marked[END] = f" {_TEXT_END} "
    # What announces a noun and stands before none goes, and so do the gaps: no run holds white space.
    return "".join(session.each(marked)).replace(f"{_NOUN} ", " ").split()


def _mark(word: str) -> str:
    return _NOUN if word in BEFORE_NOUN or word[:1].isdigit() else ""


def _places(runs: Iterable[str]) -> dict[str, list[int]]:
    """The positions of the texts that hold each run."""
    places: dict[str, list[int]] = defaultdict(list)
    position = 0
    for run in runs:
        if run == _TEXT_END:
            position += 1
        else:
            places[run].append(position)
    return places


def _promising(
    places: Mapping[str, Sequence[int]], words: Mapping[str, Sequence[str]], topical: Mapping[str, str]
) -> list[str]:
    """The runs whose last word is said twice and once as a noun: all phrases of another weigh nothing."""
    last = {run: topical[parts[-1]] for run, parts in words.items()}
    nouns = {part for run, part in last.items() if run[0] == _NOUN}
    said: dict[str, int] = defaultdict(int)
    for run, part in last.items():
        said[part] += len(places[run])
    return [run for run, part in last.items() if part in nouns and said[part] > 1]


def _count(tallies: dict[Stems, _Tally], run: Sequence[str], is_noun: bool, positions: Sequence[int]) -> None:
    for start in range(len(run)):
        words = run[start:]
        phrase = " ".join(words)
        if (
            "per" in (words[0], words[-1])
            or len(phrase) > PHRASE_CHARS_MAX
            or (_is_doing(words[0]) and not (is_noun and len(words) > 1))
        ):
            continue
        if LESSON_WORDS.issuperset(words) or _is_doing(words[-1]):
            continue
        tally = tallies[tuple(map(stem, words))]
        tally.turns.update(positions)
        tally.said += len(positions)
        tally.as_noun += len(positions) * is_noun
        tally.forms[phrase] = tally.forms.get(phrase, 0) + len(positions)


def _weight(stems: Stems, tally: _Tally, ranks: dict[str, float], texts: int) -> float:
    """0 for what is said once, is no noun or repeats a word, else TF-IDF by its words' mean rank; longer is heavier."""
    share = 0.5 if len(stems) == 1 else 0.25
    if tally.said < 2 or tally.as_noun < max(1, share * tally.said) or len(set(stems)) < len(stems):
        return 0.0
    rank = sum(ranks.get(part, 0.0) for part in stems) / len(stems)
    rarity = log(1 + texts / len(tally.turns))
    return len(tally.turns) * rarity * (0.2 + rank) * (1 + 0.6 * (len(stems) - 1))


def _word_ranks(
    runs: Iterable[str], words: Mapping[str, Sequence[str]], said: Mapping[str, int], topical: Mapping[str, str]
) -> dict[str, float]:
    """TextRank of the most frequent stems, scaled so that the highest is 1."""
    counted: Counter[str] = Counter()
    for run, parts in words.items():
        for word in parts:
            counted[topical[word]] += said[run]
    frequent = [word for word, _ in counted.most_common(_GRAPH_WORDS)]
    ties = _ties(runs, words, topical, frequent)
    strength = [sum(tied.values()) for tied in ties]
    others = [other for tied in ties for other in tied]
    times = [n for tied in ties for n in tied.values()]
    of = [strength[other] for other in others]
    ends = [0, *accumulate(map(len, ties))]
    ranks = [1.0] * len(ties)
    for _ in range(_ROUNDS):
        given = list(map(truediv, map(mul, map(ranks.__getitem__, others), times), of))
        ranks = [1 - _DAMPING + _DAMPING * sum(given[start:end]) for start, end in pairwise(ends)]
    highest = max(ranks, default=1.0)
    return {word: rank / highest for word, rank in zip(frequent, ranks, strict=True)}


def _ties(
    runs: Iterable[str], words: Mapping[str, Sequence[str]], topical: Mapping[str, str], frequent: Sequence[str]
) -> list[dict[int, int]]:
    """How often each of the ``frequent`` stems stands beside each other one, as numbers, in the same text."""
    numbers = {word: number for number, word in enumerate(frequent)}
    number_of = {word: numbers[part] for word, part in topical.items() if part in numbers}
    of_run = {run: [number_of[word] for word in parts if word in number_of] for run, parts in words.items()}
    end = len(frequent)
    of_run[_TEXT_END] = [end]
    near = pairwise(chain.from_iterable(map(of_run.__getitem__, runs)))
    ties: list[dict[int, int]] = [defaultdict(int) for _ in (*frequent, END)]
    # One number a pair is counted at half the price of two.
    for pair, times in Counter([one * (end + 1) + other for one, other in near]).items():
        one, other = divmod(pair, end + 1)
        if one != other:
            ties[one][other] += times
            ties[other][one] += times
    return [{other: n for other, n in tied.items() if other != end} for tied in ties[:end]]


def _apart(ordered: Sequence[Stems], most: int) -> list[Stems]:
    """The first ``most`` phrases that share no word with an earlier one."""
    kept: list[Stems] = []
    used: set[str] = set()
    for stems in ordered:
        if len(kept) == most:
            break
        if used.isdisjoint(stems):
            kept.append(stems)
            used.update(stems)
    return kept


def _usual(forms: Mapping[str, int]) -> str:
    """The plural where it was said ("questions about fractions" reads well), else the most frequent form."""
    return min(forms, key=lambda form: (not form.endswith("s"), -forms[form], form))
