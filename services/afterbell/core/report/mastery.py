"""What prose may say of mastery: as much as the claims that passed their checks bear out, and no more.

A claim that holds shows that one thing was done once. So "did it on her own" needs a skill that is independent, or a
goal that is met; "mastered" needs one that the sentence names; "fully mastered" and "everything on her own" need that
all that was shown was done alone and the goal met; and "the goal was met" needs just that.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from afterbell.core.english import LESSON_WORDS, STOPWORDS
from afterbell.core.narrative import Narrative
from afterbell.core.report.gate_phrases import ALONE, GOAL_MET, MASTERED, SUGGESTIONS, WHOLLY

_STEM_LETTERS: Final = 5
_NAME_LETTERS_MIN: Final = 3
_WORD: Final = re.compile(r"[^\W\d_]+")
_UNSPACED: Final = re.compile("[\u3040-\u30ff\u3400-\u9fff]+")
_OWN: Final = (
    r"(?:\bon (?:his|her|their|your) own\b|\b(?:all )?by (?:him|her|them|your)sel(?:f|ves)\b"
    r"|\bwithout (?:any |further |more )?(?:help|support|assistance|guidance)\b|\balone(?=[.,;!]|$))"
)
# Its own "not" is part of it, so that it is no suggestion.
_NEEDS_NONE: Final = re.compile(
    r"\b(?:no longer needs?|(?:does|do)(?: not|n['\u2019]t) need) (?:any |more |further |your |the )*(?:help|support"
    r"|hints?|assistance|guidance|practice)\b"
    r"|\bno (?:further|more) (?:practice|help|support) (?:is )?(?:needed|necessary|required)\b",
    re.IGNORECASE,
)
_ALONE: Final = re.compile(
    r"\b(?:can|could|did|does|has|have|is able to|was able to|solves?|solved|works?|worked|now|shows?|showed|shown"
    r"|came|comes|finds?|found|gets?|got|gives?|gave|explains?|writes?|wrote|reaches|\w{2,}ed)\b[^.!?]{0,60}?"
    rf"(?:\bindependently\b|{_OWN})"
    r"|\bis (?:fully )?independent\b",
    re.IGNORECASE,
)
_MASTERED: Final = re.compile(
    r"\b(?:mastered|masters|mastery|inside[- ]out|(?:an? )?expert (?:in|at|on))\b"
    r"|\b(?:fully|completely|perfectly|thoroughly|totally) (?:understands?|understood|grasps?|grasped|knows?)\b"
    r"|\b(?:full|complete|perfect|total) (?:understanding|command|grasp|control)\b",
    re.IGNORECASE,
)
_GOAL_MET: Final = re.compile(
    r"\b(?:(?:all|every|the) goals?\b[^.!?]{0,20}? (?:was|were|is|are|has been|have been)? ?(?:fully )?(?:met"
    r"|reached|achieved)|(?:has|have)? ?reached (?:the|every|all) goals?)\b",
    re.IGNORECASE,
)
_WHOLLY: Final = re.compile(
    r"\b(?:fully|completely|perfectly|thoroughly|totally|entirely|inside[- ]out|all|every|full|complete|perfect"
    r"|total)\b",
    re.IGNORECASE,
)
_EVERYTHING: Final = re.compile(r"\b(?:everything|it all|all of it)\b", re.IGNORECASE)
# "Try one on your own" asks for something; only what is said to be so needs proof.
_SUGGESTS: Final = re.compile(r"\b(?:try|next|let|ask|practi[sc]e|will|should|if|whether|not|n't)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Proven:
    """What claims bear out: whether anything was done alone, all of it, the goal met.

    ``named``: stems of the words that name what was done alone; None where a text says itself what it is about.
    """

    alone: bool
    wholly: bool
    goal: bool
    named: frozenset[str] | None


NOTHING_PROVEN: Final = Proven(alone=False, wholly=False, goal=False, named=frozenset())


def proven_by(narrative: Narrative, goals: Iterable[str]) -> Proven:
    """What the claims of a narrative bear out."""
    met = narrative.goal_progress == "met"
    alone = [skill.name for skill in narrative.skills if skill.level == "independent"]
    names = [*alone, *(goals if met else ())]
    return Proven(
        alone=bool(alone) or met,
        wholly=met and len(alone) == len(narrative.skills) > 0,
        goal=met,
        named=frozenset(stem for name in names for stem in _stems(name)),
    )


def is_unproven(sentence: str, proven: Proven) -> bool:
    """Whether a sentence says as a fact that something is mastered, done alone or met, and no claim bears it out."""
    if _says(sentence, _GOAL_MET, GOAL_MET):
        return not proven.goal
    mastered = _says(sentence, _MASTERED, MASTERED)
    if not mastered and not _says(sentence, _ALONE, ALONE) and not _NEEDS_NONE.search(sentence):
        return False
    if not proven.alone:
        return True
    if _EVERYTHING.search(sentence) or (mastered and (_WHOLLY.search(sentence) or WHOLLY.search(sentence))):
        return not proven.wholly
    return mastered and proven.named is not None and proven.named.isdisjoint(_stems(sentence))


def _says(sentence: str, english: re.Pattern[str], others: re.Pattern[str]) -> bool:
    if english.search(sentence):
        return not _SUGGESTS.search(sentence)
    return bool(others.search(sentence)) and not SUGGESTIONS.search(sentence)


def _stems(text: str) -> Iterator[str]:
    """What tells the matter of a text: beginnings of its words, pairs of letters where there are no spaces."""
    low = text.lower()
    for run in _UNSPACED.findall(low):
        yield from (first + second for first, second in pairwise(run))
    for word in _WORD.findall(_UNSPACED.sub(" ", low)):
        if len(word) >= _NAME_LETTERS_MIN and word not in STOPWORDS and word not in LESSON_WORDS:
            yield word[:_STEM_LETTERS]
