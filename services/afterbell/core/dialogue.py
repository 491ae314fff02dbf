"""What happened between a tutor and a student, read from the wording of English turns.

Only what is said out loud counts: a tutor confirms, corrects or puts off, a student explains, notices or
asks. Positions are indices into the turns given.
"""

import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import takewhile
from typing import Final, Literal

from afterbell.core import english
from afterbell.core.glimpse import sign
from afterbell.core.metrics import count_words, questions_in, without_questions
from afterbell.core.session import Turn

STATEMENT_WORDS_MIN: Final = 3
EXPLANATION_WORDS_MIN: Final = 12
UNJUDGED_MAX: Final = 2
"""A yes speaks for the end of a session while no more statements than these follow it without a word on them."""
_SCANNED_CHARS: Final = 2_000
_TAKEN_BACK_WITHIN: Final = 80
# They are searched for in lower-case text.
_CONFIRMS: Final = sign(
    english.lowered(english.CONFIRMS),
    "right|correct|answer|s it|got it|cracked it|solved it|there you go|well done|good job|good work",
    at_start=True,
)
_CORRECTS: Final = sign(
    english.lowered(english.CORRECTS),
    "not |re not|incorrect|isn|wrong|almost |nearly |forg|mis|mixed up|confused|overcomplicated|error|slip"
    "|where you |again|another ",
    at_start=True,
)
_GRASPS: Final = english.lowered(english.GRASPS)
_LOOKS_BACK: Final = sign(english.lowered(english.LOOKS_BACK), "wrong|mistake|error|slip")
_LOST: Final = english.lowered(english.LOST)
_NOTICES: Final = sign(
    english.lowered(english.NOTICES),
    "i forgot|i mi|i confused|i overlooked|i made|i see|my mistake|i should|i was|i did",
)
_POSTPONES: Final = sign(english.lowered(english.POSTPONES), "next |back to |another |leave |park ")
_REASONS: Final = english.lowered(english.REASONS)
_SETS_WORK: Final = sign(english.lowered(english.SETS_WORK), "home|next |try to |practi")
_SMALL_TALK: Final = english.lowered(english.SMALL_TALK)
_TAKES_BACK: Final = english.lowered(english.TAKES_BACK)
_DENIED: Final = re.compile(r"\bnot \S+")
_NUMBER: Final = re.compile(r"\d(?:[\d,]*\d)?(?:\.\d+)?")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?…])\s+|\n+")


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A student's turn and the tutor's that called it right."""

    student: int
    tutor: int


@dataclass(frozen=True, slots=True)
class Slip:
    """A student's turn that the tutor called not right yet; ``status`` is what became of it."""

    student: int
    tutor: int
    status: Literal["resolved", "partly", "open"]
    settled: Confirmed | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A question nobody answered; ``put_off`` is the turn that postponed it."""

    turn: int
    text: str
    put_off: int | None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a session was left: a student's turn, called ``right`` or not by the tutor's, where the tutor spoke of it."""

    right: bool
    student: int
    tutor: int | None


@dataclass(frozen=True, slots=True)
class Dialogue:
    """The signals of a session, each in the order of the turns; ``ending`` None where wording does not show one."""

    confirmed: tuple[Confirmed, ...]
    slips: tuple[Slip, ...]
    explained: tuple[int, ...]
    noticed: tuple[int, ...]
    student_asked: tuple[int, ...]
    unanswered: tuple[Asked, ...]
    work_set: tuple[tuple[int, str], ...]
    ending: Ending | None


def read(turns: Sequence[Turn]) -> Dialogue:
    """The signals of turns that all have text."""
    verdicts = tuple(_verdicts(turns))
    confirmed = tuple(Confirmed(claim, at) for claim, at, right in verdicts if right)
    return Dialogue(
        confirmed=confirmed,
        slips=tuple(_slips(turns, verdicts)),
        explained=_explained(turns, {yes.student for yes in confirmed}),
        noticed=tuple(i for i, turn in enumerate(turns) if _is_student(turn) and _NOTICES.search(_low(turn))),
        student_asked=tuple(i for i, turn in enumerate(turns) if _is_student(turn) and _real_questions(turn)),
        unanswered=(*_put_off(turns), *_left_at_end(turns)),
        work_set=tuple(_work_set(turns)),
        ending=_ending(turns, verdicts),
    )


def sentences(text: str) -> list[str]:
    """The sentences of a text, each a substring of it."""
    return [part for part in (piece.strip() for piece in _SENTENCE_END.split(text)) if part]


def _is_student(turn: Turn) -> bool:
    return turn.speaker.role == "student"


def _is_tutor(turn: Turn) -> bool:
    return turn.speaker.role == "tutor"


def _head(turn: Turn) -> str:
    return turn.text[:_SCANNED_CHARS]


def _low(turn: Turn) -> str:
    return turn.text[:_SCANNED_CHARS].lower()


def _verdicts(turns: Sequence[Turn]) -> Iterator[tuple[int, int, bool]]:
    """(student's position, tutor's position, right?) wherever a tutor judges what a student just stated."""
    claim: int | None = None
    for position, turn in enumerate(turns):
        if _is_student(turn):
            claim = position if _states(turn) else None
        elif _is_tutor(turn) and claim is not None:
            right = _verdict(_low(turn))
            if right is not None:
                yield claim, position, right


def _states(turn: Turn) -> bool:
    rest = without_questions(_head(turn))
    return count_words(rest) >= STATEMENT_WORDS_MIN or any(char.isdigit() for char in rest)


def _verdict(text: str) -> bool | None:
    """Right, wrong, or neither, in lower case: "exactly, so that was not quite right" is about something earlier."""
    if _LOOKS_BACK.is_glimpsed_in(text):
        text = _LOOKS_BACK.pattern.sub("", text).strip()
    stated = without_questions(text)
    if _CORRECTS.search(text):
        return None if _CONFIRMS.pattern.match(stated) else False
    if _CONFIRMS.search(stated) and not _TAKES_BACK.search(stated[:_TAKEN_BACK_WITHIN]):
        return True
    return None


def _ending(turns: Sequence[Turn], verdicts: Sequence[tuple[int, int, bool]]) -> Ending | None:
    """A yes that little follows; or a no that stood: nothing came after it, or the same again, or "I don't get it".

    A new answer that nobody judged is neither: it may well have been right.
    """
    spoken = [position for position, turn in enumerate(turns) if _is_student(turn)]
    claim, tutor, right = verdicts[-1] if verdicts else (-1, len(turns), False)
    after = [position for position in spoken if position > tutor]
    stated = [position for position in after if _states(turns[position])]
    if spoken and (after or not verdicts) and _LOST.search(_low(turns[spoken[-1]])):
        return Ending(False, spoken[-1], None)
    if right:
        return Ending(True, claim, tutor) if len(stated) <= UNJUDGED_MAX else None
    if verdicts and not after:
        return Ending(False, claim, tutor)
    if stated and _repeats(turns, stated[-1], verdicts):
        return Ending(False, stated[-1], tutor)
    return None


def _repeats(turns: Sequence[Turn], last: int, verdicts: Sequence[tuple[int, int, bool]]) -> bool:
    """Whether a statement comes to what was called wrong just before, unless the tutor named that very result."""
    run = list(takewhile(lambda verdict: not verdict[2], reversed(verdicts)))
    result = _result(turns[last])
    named = _NUMBER.findall(_DENIED.sub("", _low(turns[run[0][1]])))
    return result not in named and any(result == _result(turns[claim]) for claim, _, _ in run)


def _result(turn: Turn) -> str:
    """What a statement comes to: its last number, its last sentence where it has none."""
    text = without_questions(_low(turn))
    return next(reversed(_NUMBER.findall(text)), (sentences(text) or [""])[-1].strip(" .!"))


def _slips(turns: Sequence[Turn], verdicts: Sequence[tuple[int, int, bool]]) -> Iterator[Slip]:
    """Corrections in a row are one slip; a yes ends it, and the session's last word decides how well."""
    ends_well = bool(verdicts) and verdicts[-1][2]
    begun: tuple[int, int] | None = None
    for claim, position, right in verdicts:
        if not right:
            begun = begun or (claim, position)
        elif begun is not None and claim > begun[1]:
            yield Slip(*begun, "resolved" if ends_well else "partly", Confirmed(claim, position))
            begun = None
    if begun is not None:
        later = turns[begun[1] + 1 :]
        grasped = any(_is_student(turn) and _GRASPS.search(_low(turn)) for turn in later)
        yield Slip(*begun, "partly" if grasped else "open", None)


def _explained(turns: Sequence[Turn], confirmed: Set[int]) -> tuple[int, ...]:
    """Students' turns that give reasons: what was confirmed first, then the richest."""
    joints = {
        position: len(_REASONS.findall(_low(turn)))
        for position, turn in enumerate(turns)
        if _is_student(turn) and count_words(_head(turn)) >= EXPLANATION_WORDS_MIN
    }
    return tuple(
        sorted(
            (p for p, count in joints.items() if count >= 2),
            key=lambda p: (p not in confirmed, -joints[p], p),
        )
    )


def _real_questions(turn: Turn) -> list[str]:
    return [
        question
        for question in questions_in(_head(turn))
        if count_words(question) >= STATEMENT_WORDS_MIN and not _SMALL_TALK.search(question.lower())
    ]


def _put_off(turns: Sequence[Turn]) -> Iterator[Asked]:
    for position, turn in enumerate(turns[:-1]):
        reply = turns[position + 1]
        if not _is_student(turn) or not _is_tutor(reply) or not _POSTPONES.search(_low(reply)):
            continue
        for question in _real_questions(turn)[-1:]:
            yield Asked(position, question, position + 1)


def _left_at_end(turns: Sequence[Turn]) -> Iterator[Asked]:
    """A question after which nobody else spoke."""
    for position in range(len(turns) - 1, -1, -1):
        if turns[position].speaker.id != turns[-1].speaker.id:
            return
        questions = _real_questions(turns[position])
        if questions and (_is_student(turns[position]) or _is_tutor(turns[position])):
            yield Asked(position, questions[-1], None)
            return


def _work_set(turns: Sequence[Turn]) -> Iterator[tuple[int, str]]:
    for position, turn in enumerate(turns):
        if not _is_tutor(turn) or not _SETS_WORK.search(_low(turn)):
            continue
        for sentence in sentences(_head(turn)):
            if _SETS_WORK.search(sentence.lower()) and not sentence.endswith("?"):
                yield position, sentence
                break
