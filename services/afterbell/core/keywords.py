"""The things an English lesson kept coming back to, without a model.

Noun phrases are found by their neighbours (what follows "the" or "of" is a thing), counted over turns, and
weighed with TextRank over words (Mihalcea & Tarau 2004): words that keep the company of other frequent words
rank higher. The graph is capped, so the cost grows with the length of the text and not with its square.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, pairwise
from math import log
from typing import Final

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
_CAPITAL_INSIDE: Final = re.compile(rf"[^\s.!?:\"']\s+({_CAPITAL})")
_DOING: Final = re.compile(r"\w+(ed|ing|ly|n't)$")

_NONE: Final[frozenset[str]] = frozenset()

Stems = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeyPhrase:
    """A phrase of one to three words, lower case; ``turns`` are positions in the texts it was found in."""

    text: str
    stems: Stems
    turns: tuple[int, ...]


@dataclass(slots=True)
class _Tally:
    turns: set[int] = field(default_factory=set)
    said: int = 0
    as_noun: int = 0
    forms: Counter[str] = field(default_factory=Counter)


def tokens_of(text: str) -> list[str]:
    """A text's words, numbers and punctuation marks, lower case."""
    low = text[:_TEXT_CHARS].lower()
    return (_ASCII_TOKEN if low.isascii() else _TOKEN).findall(low)


def key_phrases(
    texts: Sequence[str], lines: Sequence[Sequence[str]], *, avoid: frozenset[str], most: int
) -> tuple[KeyPhrase, ...]:
    """The ``most`` weightiest phrases, best first, free of words in ``avoid`` (lower case) and of names.

    ``lines`` are the ``tokens_of`` each text.
    """
    words = Counter(chain.from_iterable(lines))
    skip = avoid | _proper_names([text[:_TEXT_CHARS] for text in texts], words)
    topical = {word: stem(word) for word in words if _carries(word, skip)}
    places: dict[tuple[tuple[str, ...], bool], list[int]] = defaultdict(list)
    for position, line in enumerate(lines):
        for found in _runs(line, topical):
            places[found].append(position)
    tallies: dict[Stems, _Tally] = defaultdict(_Tally)
    for (run, is_noun), positions in places.items():
        _count(tallies, run, is_noun, positions)
    ranks = _word_ranks([[topical[word] for word in line if word in topical] for line in lines])
    weights = {stems: _weight(stems, tally, ranks, len(texts)) for stems, tally in tallies.items()}
    ordered = sorted((stems for stems, weight in weights.items() if weight > 0), key=lambda s: (-weights[s], s))
    return tuple(
        KeyPhrase(_usual(tallies[stems].forms), stems, tuple(sorted(tallies[stems].turns)))
        for stems in _apart(ordered, most)
    )


def stems_of(text: str) -> frozenset[str]:
    """The stems of a text's topic words, for measuring how much two texts share."""
    return frozenset(filter(None, map(_topic_stem, set(_WORD.findall(text[:_TEXT_CHARS].lower())))))


def shared_stems(lines: Sequence[Sequence[str]], stems: Set[str]) -> tuple[frozenset[str], ...]:
    """For each text, cut into ``tokens_of``, those of the stems that it holds."""
    known = {word: part for word in set(chain.from_iterable(lines)) if (part := _topic_stem(word)) in stems}
    return tuple(frozenset(map(known.__getitem__, known.keys() & line)) for line in map(set, lines))


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


def _carries(word: str, skip: frozenset[str]) -> bool:
    return len(word) > 2 and word[0].isalpha() and word not in STOPWORDS and word not in skip


def _proper_names(texts: Sequence[str], words: Mapping[str, int]) -> frozenset[str]:
    """Words that are mostly written with a capital inside a sentence: people and places of the exercise."""
    inside = Counter(word.lower() for text in texts for word in _CAPITAL_INSIDE.findall(text) if word[0].isupper())
    capital = Counter(word.lower() for text in texts for word in _CAPITAL_WORD.findall(text) if word[0].isupper())
    return frozenset(word for word, times in inside.items() if times > words[word] - capital[word])


def _runs(line: Sequence[str], topical: Container[str]) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Neighbouring topic words of a line, and whether what stands before them announces a noun."""
    run: list[str] = []
    before = ""
    for word in (*line, "."):
        if word in topical:
            run.append(word)
            continue
        if run:
            yield tuple(run[-PHRASE_WORDS_MAX:]), before in BEFORE_NOUN or before[:1].isdigit()
            run = []
        before = word


def _count(tallies: dict[Stems, _Tally], run: Sequence[str], is_noun: bool, positions: Sequence[int]) -> None:
    for start in range(len(run)):
        words = run[start:]
        phrase = " ".join(words)
        if (
            "per" in (words[0], words[-1])
            or len(phrase) > PHRASE_CHARS_MAX
            or (_DOING.match(words[0]) and not (is_noun and len(words) > 1))
        ):
            continue
        if all(word in LESSON_WORDS for word in words) or _DOING.match(words[-1]):
            continue
        tally = tallies[tuple(stem(word) for word in words)]
        tally.turns.update(positions)
        tally.said += len(positions)
        tally.as_noun += len(positions) * is_noun
        tally.forms[phrase] += len(positions)


def _weight(stems: Stems, tally: _Tally, ranks: dict[str, float], texts: int) -> float:
    """0 for what is said once or is no noun, else TF-IDF by the mean rank of its words; longer is heavier."""
    share = 0.5 if len(stems) == 1 else 0.25
    if tally.said < 2 or tally.as_noun < max(1, share * tally.said):
        return 0.0
    rank = sum(ranks.get(part, 0.0) for part in stems) / len(stems)
    rarity = log(1 + texts / len(tally.turns))
    return len(tally.turns) * rarity * (0.2 + rank) * (1 + 0.6 * (len(stems) - 1))


def _word_ranks(lines: Sequence[Sequence[str]]) -> dict[str, float]:
    """TextRank of the most frequent stems, scaled so that the highest is 1."""
    frequent = {word for word, _ in Counter(w for line in lines for w in line).most_common(_GRAPH_WORDS)}
    ties: dict[str, Counter[str]] = {word: Counter() for word in frequent}
    for line in lines:
        for one, other in pairwise(word for word in line if word in frequent):
            if one != other:
                ties[one][other] += 1
                ties[other][one] += 1
    strength = {word: sum(tied.values()) for word, tied in ties.items()}
    ranks = dict.fromkeys(frequent, 1.0)
    for _ in range(_ROUNDS):
        ranks = {
            word: 1 - _DAMPING + _DAMPING * sum(ranks[other] * n / strength[other] for other, n in tied.items())
            for word, tied in ties.items()
        }
    highest = max(ranks.values(), default=1.0)
    return {word: rank / highest for word, rank in ranks.items()}


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


def _usual(forms: Counter[str]) -> str:
    """The plural where it was said ("questions about fractions" reads well), else the most frequent form."""
    return min(forms, key=lambda form: (not form.endswith("s"), -forms[form], form))
