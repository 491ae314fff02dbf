"""What happened between a tutor and a student, read from the wording of English turns.

Only what is said out loud counts: a tutor confirms, corrects or puts off, a student explains, notices or
asks. Positions are indices into the turns given.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import takewhile
from typing import Final, Literal

from afterbell.core import english
from afterbell.core.glimpse import Lows, Sign, sign
from afterbell.core.metrics import count_words, questions_in, without_questions
from afterbell.core.session import ParticipantRole, Turn

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
_REASONS: Final = english.each_lowered(english.JOINTS)
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


@dataclass(frozen=True, slots=True)
class _Voice:
    """The turns of one role by position, and what they say in lower case, one behind the other."""

    turns: Sequence[int]
    said: Lows

    def glimpsed(self, sign: Sign) -> Set[int]:
        """The turns in which the sign is glimpsed."""
        return {self.turns[number] for number in self.said.holding(sign.glimpses)}


@dataclass(frozen=True, slots=True)
class _Heard:
    """What is searched: the turns, what each says in lower case, and who says what."""

    turns: Sequence[Turn]
    lows: Sequence[str]
    students: _Voice
    tutors: _Voice

    def finding(self, sign: Sign, voice: _Voice) -> list[int]:
        """The turns of a voice in which the sign, which nothing at a start is, is found."""
        return [position for position in sorted(voice.glimpsed(sign)) if sign.pattern.search(self.lows[position])]


def read(turns: Sequence[Turn]) -> Dialogue:
    """The signals of turns that all have text."""
    heard = _heard(turns)
    verdicts = tuple(_verdicts(heard))
    confirmed = tuple(Confirmed(claim, at) for claim, at, right in verdicts if right)
    return Dialogue(
        confirmed=confirmed,
        slips=tuple(_slips(heard, verdicts)),
        explained=_explained(heard, {yes.student for yes in confirmed}),
        noticed=tuple(heard.finding(_NOTICES, heard.students)),
        student_asked=tuple(position for position in heard.students.turns if _real_questions(turns[position])),
        unanswered=(*_put_off(heard), *_left_at_end(turns)),
        work_set=tuple(_work_set(heard)),
        ending=_ending(heard, verdicts),
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


def _heard(turns: Sequence[Turn]) -> _Heard:
    lows = [_head(turn).lower() for turn in turns]
    return _Heard(turns, lows, _voice(turns, lows, "student"), _voice(turns, lows, "tutor"))


def _voice(turns: Sequence[Turn], lows: Sequence[str], role: ParticipantRole) -> _Voice:
    spoken = [position for position, turn in enumerate(turns) if turn.speaker.role == role]
    return _Voice(spoken, Lows([lows[position] for position in spoken]))


def _verdicts(heard: _Heard) -> Iterator[tuple[int, int, bool]]:
    """(student's position, tutor's position, right?) wherever a tutor judges what a student just stated."""
    looks_back, corrects, confirms = map(heard.tutors.glimpsed, (_LOOKS_BACK, _CORRECTS, _CONFIRMS))
    claim: int | None = None
    for position, turn in enumerate(heard.turns):
        if _is_student(turn):
            claim = position if _states(turn) else None
        elif _is_tutor(turn) and claim is not None:
            if position in looks_back:
                right = _verdict(_LOOKS_BACK.pattern.sub("", heard.lows[position]).strip())
            else:
                right = _verdict(heard.lows[position], position in corrects, position in confirms)
            if right is not None:
                yield claim, position, right


def _states(turn: Turn) -> bool:
    rest = without_questions(_head(turn))
    return count_words(rest) >= STATEMENT_WORDS_MIN or any(char.isdigit() for char in rest)


def _verdict(text: str, corrects: bool | None = None, confirms: bool | None = None) -> bool | None:
    """Right, wrong, or neither, in lower case and without what looks back: "so that was not right" is about earlier.

    ``corrects`` and ``confirms``: whether the sign is glimpsed in the text, where that is known.
    """
    stated = without_questions(text)
    if _CORRECTS.search(text, glimpsed=corrects):
        return None if _CONFIRMS.pattern.match(stated) else False
    # What is glimpsed without the questions is glimpsed with them.
    if _CONFIRMS.search(stated, glimpsed=confirms) and not _TAKES_BACK.search(stated[:_TAKEN_BACK_WITHIN]):
        return True
    return None


def _ending(heard: _Heard, verdicts: Sequence[tuple[int, int, bool]]) -> Ending | None:
    """A yes that little follows; or a no that stood: nothing came after it, or the same again, or "I don't get it".

    A new answer that nobody judged is neither: it may well have been right.
    """
    spoken = heard.students.turns
    claim, tutor, right = verdicts[-1] if verdicts else (-1, len(heard.turns), False)
    after = [position for position in spoken if position > tutor]
    stated = [position for position in after if _states(heard.turns[position])]
    if spoken and (after or not verdicts) and _LOST.search(heard.lows[spoken[-1]]):
        return Ending(False, spoken[-1], None)
    if right:
        return Ending(True, claim, tutor) if len(stated) <= UNJUDGED_MAX else None
    if verdicts and not after:
        return Ending(False, claim, tutor)
    if stated and _repeats(heard, stated[-1], verdicts):
        return Ending(False, stated[-1], tutor)
    return None


def _repeats(heard: _Heard, last: int, verdicts: Sequence[tuple[int, int, bool]]) -> bool:
    """Whether a statement comes to what was called wrong just before, unless the tutor named that very result."""
    run = list(takewhile(lambda verdict: not verdict[2], reversed(verdicts)))
    result = _result(heard.lows[last])
    named = _NUMBER.findall(_DENIED.sub("", heard.lows[run[0][1]]))
    return result not in named and any(result == _result(heard.lows[claim]) for claim, _, _ in run)


def _result(low: str) -> str:
    """What a statement comes to: its last number, its last sentence where it has none."""
    text = without_questions(low)
    return next(reversed(_NUMBER.findall(text)), (sentences(text) or [""])[-1].strip(" .!"))


def _slips(heard: _Heard, verdicts: Sequence[tuple[int, int, bool]]) -> Iterator[Slip]:
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
        later = (position for position in heard.students.turns if position > begun[1])
        grasped = any(_GRASPS.search(heard.lows[position]) for position in later)
        yield Slip(*begun, "partly" if grasped else "open", None)


def _explained(heard: _Heard, confirmed: Set[int]) -> tuple[int, ...]:
    """Students' turns that give reasons: what was confirmed first, then the richest."""
    said: Counter[int] = sum(map(heard.students.said.counted, _REASONS), Counter())
    joints = {heard.students.turns[number]: times for number, times in said.items() if times > 1}
    rich = [p for p in joints if count_words(_head(heard.turns[p])) >= EXPLANATION_WORDS_MIN]
    return tuple(sorted(rich, key=lambda p: (p not in confirmed, -joints[p], p)))


def _real_questions(turn: Turn) -> list[str]:
    return [
        question
        for question in questions_in(_head(turn))
        if count_words(question) >= STATEMENT_WORDS_MIN and not _SMALL_TALK.search(question.lower())
    ]


def _put_off(heard: _Heard) -> Iterator[Asked]:
    for reply in heard.finding(_POSTPONES, heard.tutors):
        position = reply - 1
        if reply and _is_student(heard.turns[position]):
            for question in _real_questions(heard.turns[position])[-1:]:
                yield Asked(position, question, reply)


def _left_at_end(turns: Sequence[Turn]) -> Iterator[Asked]:
    """A question after which nobody else spoke."""
    for position in range(len(turns) - 1, -1, -1):
        if turns[position].speaker.id != turns[-1].speaker.id:
            return
        questions = _real_questions(turns[position])
        if questions and (_is_student(turns[position]) or _is_tutor(turns[position])):
            yield Asked(position, questions[-1], None)
            return


def _work_set(heard: _Heard) -> Iterator[tuple[int, str]]:
    for position in heard.finding(_SETS_WORK, heard.tutors):
        for sentence in sentences(_head(heard.turns[position])):
            if _SETS_WORK.search(sentence.lower()) and not sentence.endswith("?"):
                yield position, sentence
                break
