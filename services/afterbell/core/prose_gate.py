"""Takes sentences out of a report's prose that its transcript does not bear out.

Prose has no citations of its own, so only what can be decided is decided. A sentence goes where it

- names a turn that does not exist (``unknown_turn``);
- puts four words or more between quotation marks that nobody said in one turn and no goal holds (``quote_not_found``);
- grades: "A+", "9/10 for effort", "full marks" (``grade``), since no grade comes from a model;
- says the student can do it alone where no skill is independent and no goal met after the checks (``unproven``);
- holds an e-mail address, a link, a phone number or the like (``contact``).

What is left of a text that lost sentences may be too short for its bound; then a plain sentence stands in for it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from afterbell.core.dialogue import sentences
from afterbell.core.redaction import holds_contact

CONTACT: Final = "contact"
GRADE: Final = "grade"
UNPROVEN: Final = "unproven"
QUOTED_WORDS_MIN: Final = 4
STAND_INS: Final = {
    "headline": "What this session worked on",
    "parent_summary": "The topics below show what this session worked on. Your child and the tutor can tell you more.",
    "student_note": "Have a look at the topics below and tell someone at home one of them.",
    "tutor_note": "See the claims and the turns they cite; a note of its own could not be written.",
}

_TURN_ID: Final = re.compile(r"\bt\d{1,5}\b")
_QUOTED: Final = re.compile(r"[“\"„«]([^“”\"„«»]{8,})[”\"“»]")
_WORD: Final = re.compile(r"\w+")
_GRADE: Final = re.compile(
    r"\b(?:grade|mark|score|rating|note|result)s?(?: of| is|:)? (?:an? )?(?:[A-F][+-]?(?!\w)|\d{1,3} ?(?:%|/ ?\d+))"
    r"|(?<!\w)A\+|\b\d{1,2} ?(?:/|out of) ?10 (?:for|points)|\bfull marks\b|\btop of the class\b|\bgenius\b",
    re.IGNORECASE,
)
_ALONE: Final = re.compile(
    r"\b(?:can|could|did|does|has|have|is able to|was able to|solves?|solved|works?|worked|now)\b[^.!?]{0,60}?"
    r"(?:\bindependently\b|\b(?:on|all by) (?:his|her|their|your)?(?: ?own|self|selves)\b|\bwithout (?:any )?help\b)"
    r"|\b(?:(?:has|have|is|are|fully|completely) mastered|mastered (?:it|all|every)|is (?:fully )?independent"
    r"|(?:all|every) goals? (?:was|were|is|are|has been|have been)? ?(?:fully )?(?:met|reached|achieved))\b",
    re.IGNORECASE,
)
# "Try one on your own" asks for something; only what is said to be so needs proof.
_SUGGESTS: Final = re.compile(r"\b(?:try|next|let|ask|practi[sc]e|will|should|if|whether|not|n't)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ProseFacts:
    """What prose may rest on: turn ids, the texts of turns and goals, and whether anything was done alone."""

    turn_ids: frozenset[str]
    texts: tuple[str, ...]
    alone: bool
    subject: str = ""


def sound_prose(text: str, facts: ProseFacts) -> tuple[str, tuple[str, ...]]:
    """The text without unsound sentences, and the code of each that went. An untouched text comes back as it is."""
    problems = [(sentence, next(_problems(sentence, facts), None)) for sentence in sentences(text)]
    found = tuple(problem for _, problem in problems if problem is not None)
    return (" ".join(sentence for sentence, problem in problems if problem is None) if found else text), found


def _problems(sentence: str, facts: ProseFacts) -> Iterator[str]:
    if any(turn_id not in facts.turn_ids for turn_id in _TURN_ID.findall(sentence)):
        yield "unknown_turn"
    if any(not _was_said(quoted, facts.texts) for quoted in _QUOTED.findall(sentence)):
        yield "quote_not_found"
    if _GRADE.search(sentence):
        yield GRADE
    if not facts.alone and _ALONE.search(sentence) and not _SUGGESTS.search(sentence):
        yield UNPROVEN
    # The subject is the platform's own word, whatever it looks like; reports name its beginning.
    if holds_contact(sentence) and not (facts.subject and facts.subject.lower() in sentence.lower()):
        yield CONTACT


def _was_said(quoted: str, texts: Sequence[str]) -> bool:
    words = _words_in(quoted) - {"the", "student"}  # which stand for a name that was said
    return len(words) < QUOTED_WORDS_MIN or any(words <= _words_in(text) for text in texts)


def _words_in(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower()))
