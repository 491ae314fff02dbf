"""How much a text sounds like a child telling of harm in a roundabout way, which no list of phrases can cover.

"I sleep in my clothes so I can leave" names nothing. Its words still weigh: each word, and each kind of words that
stands there (fear, hiding, somebody coming home, secrecy …: ``lexicons/cues_en.txt``), has a weight learned from turns
written for it, and the sum is the logarithm of the odds. The weights are a file, ``lexicons/disclosure_weights.txt``,
made by ``tools/fit_disclosures.py``; how often it is right is measured by ``make bench-reports``.

A long message is judged sentence by sentence, so that the rest of it cannot outweigh one.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from importlib.resources import files
from itertools import chain, pairwise, repeat
from typing import Final

from afterbell.core.safety.lexicon import folded, lexicon

CUES: Final = "cues_en"
WEIGHTS: Final = "disclosure_weights"
INTERCEPT: Final = "(intercept)"
NUMBER: Final = "#"
PASSAGE_WORDS_MAX: Final = 30
SCANNED_CHARS: Final = 8_000
NOTHING: Final = float("-inf")
CONCERN_SCORE: Final = -0.5
"""From here on the staff are told: of two turns in a thousand of mathematics, of more where families are the talk."""
DOUBT_SCORE: Final = -1.0
"""From here on no family is shown a turn. It costs a quote that nobody misses, so it takes less."""
HOPELESS_SCORE: Final = -6.5
"""No cues bring a passage with such words back into doubt; most of a lesson is of this kind, and costs less."""
_STEM_LETTERS: Final = 5
_SENTENCE_END: Final = re.compile("[.!?;\n\u3002\uff01\uff1f\u061f\u0964]+")
_FIRST_UNSPACED: Final = "\u3040"


def disclosure_score(text: str) -> float:
    """The logarithm of the odds of the likeliest passage; ``NOTHING`` for a text without words."""
    weights = _weights()
    return max((_score(passage, weights) for passage in passages_of(text[:SCANNED_CHARS])), default=NOTHING)


def signs_in(passage: str) -> frozenset[str]:
    """What of a ``folded`` passage is weighed: words, stems, pairs of unspaced letters, and "[kind]" for a cue."""
    return _words_in(passage) | _cues_in(passage)


def _cues_in(passage: str) -> frozenset[str]:
    return frozenset(f"[{kind}]" for kind in lexicon(CUES).headings_in(passage))


def _words_in(passage: str) -> frozenset[str]:
    words = passage.split()
    signs = frozenset(chain.from_iterable(map(_signs_of, words)))
    if passage.isascii():
        return signs
    letters = (NUMBER if word.isdigit() else word for word in words)
    return signs.union(
        first + second
        for first, second in pairwise(letters)
        if len(first) == len(second) == 1 and first >= _FIRST_UNSPACED
    )


@lru_cache(maxsize=20_000)
def _signs_of(word: str) -> tuple[str, ...]:
    """What a word is weighed as: itself or that it is a number, and its stem where it is long."""
    sign = NUMBER if word.isdigit() else word
    return (sign, f"{sign[:_STEM_LETTERS]}~") if len(sign) > _STEM_LETTERS else (sign,)


def _score(passage: str, weights: Mapping[str, float]) -> float:
    score = weights[INTERCEPT] + sum(map(weights.get, _words_in(passage), repeat(0.0)))
    if score < HOPELESS_SCORE:
        return score
    return score + sum(weights.get(cue, 0.0) for cue in _cues_in(passage))


def passages_of(text: str) -> Iterator[str]:
    """A short text as a whole, a longer one by sentences; ``folded``, of ``PASSAGE_WORDS_MAX`` words at most."""
    whole = folded(text)
    if len(whole.split()) <= PASSAGE_WORDS_MAX:
        if whole.strip():
            yield whole
        return
    for part in _SENTENCE_END.split(text):
        words = folded(part).split()
        for start in range(0, len(words), PASSAGE_WORDS_MAX):
            yield f" {' '.join(words[start : start + PASSAGE_WORDS_MAX])} "


@cache
def _weights() -> dict[str, float]:
    lines = (files(__package__) / "lexicons" / f"{WEIGHTS}.txt").read_text("utf-8").splitlines()
    pairs = (line.split(" ", 1) for line in lines if not line.startswith("# "))
    return {sign: float(weight) for weight, sign in pairs}
