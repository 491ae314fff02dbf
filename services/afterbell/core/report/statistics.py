"""The numbers of a report. They are counted here and never asked of a model.

Words are runs of characters between white space with a letter or digit in them; in scripts written without
spaces (Han, Kana) each character counts as a word. A question is a run of question marks, whatever the
script.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import Final
from zoneinfo import ZoneInfo

from afterbell.core.english import OPEN_QUESTION, is_english
from afterbell.core.session import Participant, ParticipantRole, Session, Transcript, Turn, turns_of

THIN_TURNS: Final = 4
THIN_EXCHANGES: Final = 2
"""Below either a session is too thin to say anything of: short answers are answers, a long monologue is none."""

_MARKS: Final = "?？؟՞"  # noqa: RUF001  the question marks of other scripts
_MARK: Final = re.compile(f"[{_MARKS}]")
# What each sign means is looked up behind it: a pattern that begins with one set of signs is found ten times as fast.
_BREAK: Final = re.compile(
    rf"[{_MARKS}.!…。！\n](?:(?<=[{_MARKS}])[{_MARKS}!]*|(?<=[.!…])(?=\s|$)|(?<=[。！\n]))"  # noqa: RUF001
)
_SPACED: Final = re.compile(r"[^\W_]\S*")
_ASCII: Final = bytes(range(128)).decode()
_ASCII_SHAPES: Final = "".join(" " if char.isspace() else "a" for char in _ASCII).encode().ljust(256)
_ASCII_MARKS: Final = "".join(char for char in _ASCII if not (char.isalnum() or char.isspace())).encode()
# What keeps a talk going and says nothing of the matter.
_COURTESY: Final = re.compile(
    r"\W*(?:(?:ok(?:ay)?|k|yes|yeah|yep|no|nope|hi|hey|hello|bye|thanks?(?: you)?|thx|sure|lol|sorry|see you"
    r"|good (?:morning|evening"
    r"|afternoon)|i(?:'m| am) (?:here|ready|back)|fine|cool|hm+|uh|um)\W*){1,6}",
    re.IGNORECASE,
)
_UNSPACED: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


@dataclass(frozen=True, slots=True)
class SpeakerMetrics:
    """One participant's part. ``share`` is 0..1 of all words said, 0 where nothing was said.

    ``label`` is what the narrative calls a student ("student", "student_2"); "" for somebody who said nothing.
    ``late_s`` is from the stated start to the first dated message, 0 for one before it; None where either is unknown.
    """

    participant_id: str
    role: ParticipantRole
    words: int
    share: float
    questions: int
    longest_turn_words: int
    label: str = ""
    late_s: float | None = None


@dataclass(frozen=True, slots=True)
class SessionMetrics:
    """The session in numbers; None where the session does not tell.

    duration_s: from start to end as stated, else from the first to the last dated message.
    turns: messages with text.
    student_share: words of all students / words of all, 0 where nothing was said.
    tutor_open_question_ratio: tutors' questions that ask for reasoning / tutors' questions (English only).
    median_wait_s: from a tutor's question to the student's message right after it. In a chat this holds the
    typing.
    tutor_words_after_last_question: what tutors still said after their last question; None without a
    question.
    held_at: when the session began, as stated or by its first dated message; in the session's time zone, else in UTC.
    exchanges: how often a student said something of the matter right after a tutor or an assistant.
    """

    duration_s: float | None
    turns: int
    per_speaker: tuple[SpeakerMetrics, ...]
    student_share: float
    tutor_questions: int
    tutor_open_question_ratio: float | None
    median_wait_s: float | None
    tutor_words_after_last_question: int | None
    held_at: datetime | None = None
    exchanges: int = 0


@dataclass(slots=True)
class _Said:
    """What someone said, where it is not blank: its words and its questions."""

    speaker: Participant
    at: datetime | None
    text: str
    words: int
    questions: tuple[str, ...]

    @property
    def role(self) -> ParticipantRole:
        return self.speaker.role


def measure(session: Session, transcript: Transcript | None = None) -> SessionMetrics:
    """The numbers of a session; participants who said nothing are in it with zeros.

    ``transcript`` is the session's own, where there is one already: its texts are not cleaned again.
    """
    turns = turns_of(session) if transcript is None else transcript.turns
    metrics = _measure(turns, session.participants, session.language, (session.started_at, session.ended_at))
    if session.time_zone is None or metrics.held_at is None:
        return metrics
    return replace(metrics, held_at=metrics.held_at.astimezone(ZoneInfo(session.time_zone)))


def too_thin(metrics: SessionMetrics) -> bool:
    """Whether too little was exchanged to write a report from."""
    return metrics.turns < THIN_TURNS or metrics.exchanges < THIN_EXCHANGES


def exchanges_in(turns: Iterable[Turn]) -> int:
    """How often a student answers: says something of the matter right after a tutor or an assistant."""
    spoken = [turn for turn in turns if turn.text]
    return sum(
        asking.speaker.role in ("tutor", "assistant")
        and reply.speaker.role == "student"
        and _COURTESY.fullmatch(reply.text[:200]) is None
        for asking, reply in pairwise(spoken)
    )


def labels_of(turns: Iterable[Turn]) -> dict[str, str]:
    """The label of everybody who speaks, by participant id: the role, numbered from the second of it on."""
    labels: dict[str, str] = {}
    of_role: dict[str, int] = {}
    for turn in turns:
        if turn.text and turn.speaker.id not in labels:
            role = turn.speaker.role
            of_role[role] = number = of_role.get(role, 0) + 1
            labels[turn.speaker.id] = role if number == 1 else f"{role}_{number}"
    return labels


def count_words(text: str) -> int:
    """Words of a text, see the module."""
    if text.isascii():
        # White space as " ", letters and digits as "a" and the rest left out: a word begins where "a" follows " ".
        return (b" " + text.encode().translate(_ASCII_SHAPES, _ASCII_MARKS)).count(b" a")
    if _UNSPACED.search(text):
        return sum(_words_in(token) for token in text.split())
    return len(_SPACED.findall(text))


def questions_in(text: str) -> tuple[str, ...]:
    """The questions of a text, each from the start of its sentence to its question mark."""
    spans = _question_spans(text)
    return tuple([text[start:end].strip() for start, end in spans]) if spans else ()


def without_questions(text: str) -> str:
    """What a text states: the text without its questions."""
    kept, after = [], 0
    if not (spans := _question_spans(text)):
        return text.strip()
    for start, end in spans:
        kept.append(text[after:start])
        after = end
    return " ".join((*kept, text[after:])).strip()


def _question_spans(text: str) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    if "?" not in text and (text.isascii() or not _MARK.search(text)):
        return spans
    start = 0
    for stop in _BREAK.finditer(text):
        if stop[0][0] in _MARKS:
            spans.append((start, stop.end()))
        start = stop.end()
    return spans


def _words_in(token: str) -> int:
    unspaced = len(_UNSPACED.findall(token))
    return unspaced or int(any(char.isalnum() for char in token))


def _measure(
    turns: Sequence[Turn],
    people: Sequence[Participant],
    language: str | None,
    stated: tuple[datetime | None, datetime | None],
) -> SessionMetrics:
    said = [
        _Said(turn.speaker, turn.at, text, count_words(text), questions_in(text))
        for turn in turns
        if (text := turn.text)
    ]
    speakers = _per_speaker(said, people, labels_of(turns), stated[0])
    words = sum(speaker.words for speaker in speakers)
    students = sum(speaker.words for speaker in speakers if speaker.role == "student")
    asked = [question for turn in said if turn.role == "tutor" for question in turn.questions]
    return SessionMetrics(
        duration_s=_duration_s(said, stated),
        turns=len(said),
        per_speaker=speakers,
        student_share=_share(students, words),
        tutor_questions=len(asked),
        tutor_open_question_ratio=_open_ratio(asked, language, said),
        median_wait_s=median(waits) if (waits := list(_waits_s(said))) else None,
        tutor_words_after_last_question=_words_after_last_question(said),
        held_at=stated[0] or min((turn.at for turn in said if turn.at is not None), default=None),
        exchanges=exchanges_in(turns),
    )


def _per_speaker(
    said: Sequence[_Said], people: Iterable[Participant], labels: Mapping[str, str], begun: datetime | None
) -> tuple[SpeakerMetrics, ...]:
    lengths: dict[str, list[int]] = defaultdict(list)
    questions: dict[str, int] = defaultdict(int)
    for turn in said:
        lengths[turn.speaker.id].append(turn.words)
        questions[turn.speaker.id] += len(turn.questions)
    words = sum(sum(counts) for counts in lengths.values())
    return tuple(
        SpeakerMetrics(
            participant_id=person.id,
            role=person.role,
            words=sum(lengths[person.id]),
            share=_share(sum(lengths[person.id]), words),
            questions=questions[person.id],
            longest_turn_words=max(lengths[person.id], default=0),
            label=labels.get(person.id, ""),
            late_s=_late_s(person, said, begun),
        )
        for person in people
    )


def _late_s(person: Participant, said: Sequence[_Said], begun: datetime | None) -> float | None:
    dated = [turn.at for turn in said if turn.at is not None and turn.speaker.id == person.id]
    return max(0.0, (min(dated) - begun).total_seconds()) if dated and begun is not None else None


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _duration_s(said: Sequence[_Said], stated: tuple[datetime | None, datetime | None]) -> float | None:
    begun, ended = stated
    if begun is None or ended is None:
        dated = [turn.at for turn in said if turn.at is not None]
        if len(dated) < 2:
            return None
        begun, ended = min(dated), max(dated)
    seconds = (ended - begun).total_seconds()
    return seconds if seconds >= 0 else None


def _open_ratio(asked: Sequence[str], language: str | None, said: Sequence[_Said]) -> float | None:
    if not asked or not is_english(language, " ".join(turn.text for turn in said[:40])):
        return None
    return _share(sum(OPEN_QUESTION.search(question) is not None for question in asked), len(asked))


def _waits_s(said: Sequence[_Said]) -> Iterator[float]:
    for asking, reply in pairwise(said):
        if asking.role != "tutor" or reply.role != "student" or not asking.questions:
            continue
        asked_at, replied_at = asking.at, reply.at
        if asked_at is not None and replied_at is not None and replied_at >= asked_at:
            yield (replied_at - asked_at).total_seconds()


def _words_after_last_question(said: Sequence[_Said]) -> int | None:
    words = 0
    for turn in reversed(said):
        if turn.role != "tutor":
            continue
        if turn.questions:
            return words
        words += turn.words
    return None
