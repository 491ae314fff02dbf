"""What an English lesson's wording records: answers a tutor confirmed or corrected, work set, questions left open.

Nothing is concluded. An answer counts where the student's turn and the tutor's verdict are neighbours; a correction is
settled where the very next answer is confirmed. Of speech, which comes without punctuation, less is read.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from afterbell.core.english import CANCELS, POSTPONES, SETS_NONE, SETS_WORK, SMALL_TALK
from afterbell.core.report.statistics import count_words, questions_in, without_questions
from afterbell.core.report.wording import sentences, verdict
from afterbell.core.session import Turn

_STATEMENT_WORDS_MIN: Final = 3
_PLAN_TURNS: Final = 6
_PLAN_CHARS_MAX: Final = 200
_READ_CHARS: Final = 2_000
_UNMARKED_SHARE: Final = 0.5
_SPOKEN_WORDS_MIN: Final = 4
_END_MARK: Final = re.compile(r"[.!?…,;:=]")
_WORKING: Final = re.compile(r"\d|[=+*/^<>×÷√]")  # noqa: RUF001  signs of mathematics
_NUMBER: Final = re.compile(r"\d(?:[\d,]*\d)?(?:[./]\d+)?")
_NO_ANSWER: Final = re.compile(
    r"\W*(?:i (?:don'?t|do not|can'?t|cannot) (?:know|get|understand|remember|do)|no idea|not sure|idk|thank"
    r"|thanks|sorry|hello|hi\b"
    r"|bye|see you|can (?:we|i)\b|may i\b|do (?:we|i)\b|help\b|wait\b|because (?:i had|my)\b|no,? because"
    r"|i (?:forgot|lost|will|had|was)"
    r"|ok(?:ay)?\W*$)",
    re.IGNORECASE,
)
_READS_OUT: Final = re.compile(
    r"\W*(?:\w+\W+){0,8}?(?:question|problem|text|task) (?:says|states|reads|is)\b[^\"“”]{0,12}[\"“].{20,}[\"”.…]\W*",
    re.IGNORECASE | re.DOTALL,
)
_DENIED: Final = re.compile(
    r"\b(?:not|instead of|rather than)(?: (?:a|the|just|only))? [$€£]?(\d(?:[\d,]*\d)?(?:[./]\d+)?)"
)
_PLANS: Final = re.compile(
    r"\b(?:today|this (?:lesson|session)|this time)\b[^.!?]*\b(?:we|let'?s|you)\b"
    r"|\b(?:we|let'?s|you)\b[^.!?]*\b(?:today|this (?:lesson|session))\b",
    re.IGNORECASE,
)
_BEGINS_WITH: Final = re.compile(
    r"^(?:\w+,? ){0,3}let'?s (?:look at|work on|talk about|start with|begin with|read|practi[sc]e|compare"
    r"|learn|revise|go over) ",
    re.IGNORECASE,
)
# A step of the work at hand, or a word problem, is no plan of the lesson.
_NO_PLAN: Final = re.compile(r"^(?:if|when|suppose|imagine)\b|\b(?:how (?:many|much)|each|yesterday)\b", re.IGNORECASE)
_NO_BEGINNING: Final = re.compile(
    r"^(?:no|so|now|hm+)\b|\d|\b(?:again|once|only|one|your|it|that|this|what|where|how|question|problem|information|text"
    r"|answer|mistake|solution|calculation|equation|step|part)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class StudentAnswer:
    """A student's turn and the tutor's verdict on it, in the turn right after."""

    said: Turn
    reply: Turn


@dataclass(frozen=True, slots=True)
class Correction:
    """An answer that was corrected.

    ``status``: resolved where the next one was confirmed, partly where the tutor had named it before, open elsewhere;
    ``settled`` is the confirmed one.
    """

    answer: StudentAnswer
    status: Literal["resolved", "partly", "open"]
    settled: StudentAnswer | None = None


@dataclass(frozen=True, slots=True)
class Quoted:
    """A sentence as somebody put it, ``reply`` where a tutor put a question off."""

    turn: Turn
    text: str
    reply: Turn | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """What is on record of a session, each list in the order of the turns."""

    plan: Quoted | None
    confirmed: tuple[StudentAnswer, ...]
    corrected: tuple[Correction, ...]
    left_open: tuple[Quoted, ...]
    work_set: tuple[Quoted, ...]
    called_off: bool


def record_of(turns: Sequence[Turn], kept_back: Collection[str]) -> Record:
    """The record of turns that all have text; nothing is taken from turns that are ``kept_back`` from families."""
    spoken = _is_speech(turns)
    judged = list(_judged(turns, kept_back, spoken=spoken))
    confirmed = tuple(answer for answer, right in judged if right)
    plain = [turn for turn in turns if turn.id not in kept_back]
    return Record(
        plan=None if spoken else next(_plans(plain), None),
        confirmed=_each_once(confirmed),
        corrected=tuple(_corrections(judged, turns)),
        left_open=tuple(_left_open(turns, kept_back)),
        work_set=() if spoken else tuple(_work_set(plain)),
        called_off=any(CANCELS.search(turn.text[:_READ_CHARS]) for turn in plain) and not confirmed,
    )


def _is_speech(turns: Sequence[Turn]) -> bool:
    """Whether a machine listened and wrote: most of what tutors say at length has no punctuation then."""
    tutors = [turn.text for turn in turns if turn.speaker.role == "tutor"]
    longer = [text for text in tutors if count_words(text) >= _SPOKEN_WORDS_MIN]
    unmarked = sum(_END_MARK.search(text) is None for text in longer)
    return len(longer) >= 2 and unmarked >= _UNMARKED_SHARE * len(longer)


def _judged(turns: Sequence[Turn], kept_back: Collection[str], *, spoken: bool) -> Iterator[tuple[StudentAnswer, bool]]:
    for said, reply in pairwise(turns):
        if said.speaker.role != "student" or reply.speaker.role != "tutor" or {said.id, reply.id} & set(kept_back):
            continue
        right = verdict(reply.text, spoken=spoken) if _is_answer(said.text) else None
        if right is not None and not (right and _says_otherwise(said.text, reply.text)):
            yield StudentAnswer(said, reply), right


def _says_otherwise(said: str, reply: str) -> bool:
    """Whether a tutor's "Yes, …" goes on with a result that the answer has not, or denies one that it has.

    "Yes, 8 / 0.5 = 16" is said of "4", "Yes, so it is $204, not $2448" of "204, which makes 2448".
    """
    if set(_DENIED.findall(reply[:_READ_CHARS])) & set(_NUMBER.findall(said[:_READ_CHARS])):
        return True
    stated = sentences(without_questions(reply[:_READ_CHARS]))[:1]
    return bool(stated and set(_NUMBER.findall(stated[0])) - set(_NUMBER.findall(said[:_READ_CHARS])))


def _is_answer(text: str) -> bool:
    """Whether a turn states something: it has a number or a formula, or a few words that are no courtesy or excuse.

    To read the task out, as asked, is no answer to it.
    """
    text = text[:_READ_CHARS]
    if _NO_ANSWER.match(text) or _READS_OUT.fullmatch(text):
        return False
    return bool(_WORKING.search(text)) or count_words(without_questions(text)) >= _STATEMENT_WORDS_MIN


def _each_once(answers: Sequence[StudentAnswer]) -> tuple[StudentAnswer, ...]:
    return tuple({(answer.said.speaker.id, _bare(answer)): answer for answer in answers}.values())


def _corrections(judged: Sequence[tuple[StudentAnswer, bool]], turns: Sequence[Turn]) -> Iterator[Correction]:
    """Corrections in a row are one; an answer that was confirmed elsewhere in the same words is none."""
    confirmed = {_bare(answer) for answer, right in judged if right}
    place = {turn.id: number for number, turn in enumerate(turns)}
    waiting: StudentAnswer | None = None
    last_reply = -1
    for answer, right in judged:
        follows = waiting is not None and place[answer.said.id] == last_reply + 1 and _same_student(waiting, answer)
        if waiting is not None and not (follows and not right):
            yield _settled(waiting, answer if follows else None)
            waiting = None
        if not right and waiting is None and _bare(answer) not in confirmed:
            waiting = answer
        last_reply = place[answer.reply.id]
    if waiting is not None:
        yield Correction(waiting, "open")


def _settled(corrected: StudentAnswer, confirmed: StudentAnswer | None) -> Correction:
    if confirmed is None:
        return Correction(corrected, "open")
    named = set(_NUMBER.findall(corrected.reply.text))
    was_told = bool(named & set(_NUMBER.findall(confirmed.said.text)))
    return Correction(corrected, "partly" if was_told else "resolved", confirmed)


def _same_student(answer: StudentAnswer, other: StudentAnswer) -> bool:
    return answer.said.speaker.id == other.said.speaker.id


def _bare(answer: StudentAnswer) -> str:
    return "".join(char for char in answer.said.text.lower() if char.isalnum() or char in "+-*/=.")


def _plans(turns: Sequence[Turn]) -> Iterator[Quoted]:
    for turn in [turn for turn in turns if turn.speaker.role == "tutor"][:_PLAN_TURNS]:
        for sentence in sentences(turn.text[:_READ_CHARS]):
            if len(sentence) <= _PLAN_CHARS_MAX and not sentence.endswith("?") and _is_plan(sentence):
                yield Quoted(turn, sentence)


def _is_plan(sentence: str) -> bool:
    if _NO_PLAN.search(sentence):
        return False
    return bool(_PLANS.search(sentence) or (_BEGINS_WITH.match(sentence) and not _NO_BEGINNING.search(sentence)))


def _work_set(turns: Sequence[Turn]) -> Iterator[Quoted]:
    for turn in turns:
        if turn.speaker.role == "tutor":
            for sentence in sentences(turn.text[:_READ_CHARS]):
                if SETS_WORK.search(sentence) and not SETS_NONE.search(sentence):
                    yield Quoted(turn, sentence)


def _left_open(turns: Sequence[Turn], kept_back: Collection[str]) -> Iterator[Quoted]:
    """Questions of students that a tutor put off in the next turn, and one after which nobody else spoke."""
    for number, turn in enumerate(turns):
        reply = turns[number + 1] if number + 1 < len(turns) else None
        if turn.speaker.role != "student" or turn.id in kept_back or (reply is not None and reply.id in kept_back):
            continue
        put_off = reply is not None and reply.speaker.role == "tutor" and POSTPONES.search(reply.text[:_READ_CHARS])
        if put_off or all(later.speaker.id == turn.speaker.id for later in turns[max(number, len(turns) - 3) :]):
            for question in _real_questions(turn.text)[-1:]:
                yield Quoted(turn, question, reply if put_off else None)


def _real_questions(text: str) -> list[str]:
    return [
        question
        for question in questions_in(text[:_READ_CHARS])
        if count_words(question) >= _STATEMENT_WORDS_MIN and not SMALL_TALK.search(question)
    ]
