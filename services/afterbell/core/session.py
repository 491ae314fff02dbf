"""A tutoring session: who took part, what was said, and the turns a report may cite."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from afterbell.core.translation import DEFAULT_LANGUAGE

ParticipantRole = Literal["tutor", "student", "assistant", "observer"]

PARTICIPANTS_MAX: Final = 12
MESSAGES_MAX: Final = 5_000
MESSAGE_CHARS_MAX: Final = 8_000
GOALS_MAX: Final = 10
GOAL_CHARS_MAX: Final = 1_000
ID_CHARS_MAX: Final = 64
NAME_CHARS_MAX: Final = 80
BODY_BYTES_MAX: Final = 2 * 1024 * 1024

# Control characters but tab and line break. Bidirectional overrides and isolates can make a quote read
# differently from what is stored (Unicode TR 36).
_UNPLAIN: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Participant:
    """One person in the session; ``id`` is the platform's own and unique in the session."""

    id: str
    role: ParticipantRole
    display_name: str


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message; ``sender`` is a participant's id, ``at`` is aware UTC or unknown."""

    id: str
    sender: str
    text: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A session as the platform sent it. Messages are in the order they were said.

    Without ``ai_processing_allowed`` nothing of it may reach a model: the basic report is written here. The report is
    written in ``report_language``, else in ``language``; ``time_zone`` (an IANA name) is where its day is counted.
    """

    id: str
    subject: str
    participants: tuple[Participant, ...]
    messages: tuple[Message, ...]
    level: str | None = None
    language: str | None = None
    goals: tuple[str, ...] = ()
    started_at: datetime | None = None
    ended_at: datetime | None = None
    ai_processing_allowed: bool = True
    report_language: str | None = None
    time_zone: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One message as a report cites it: ``t1``, ``t2``, … in order, with its text cleaned."""

    id: str
    speaker: Participant
    text: str
    at: datetime | None = None


def turns_of(session: Session) -> tuple[Turn, ...]:
    """The session's turns. Every message gets one, blank ones too, so turn n is message n.

    Somebody who wrote and takes part no more is an observer without a name: who they were is not known any more.
    """
    people = {person.id: person for person in session.participants}
    people |= {sender: Participant(sender, "observer", "") for sender in _senders(session) - people.keys()}
    return tuple(
        Turn(f"t{number}", people[message.sender], clean(message.text), message.at)
        for number, message in enumerate(session.messages, start=1)
    )


def _senders(session: Session) -> set[str]:
    return {message.sender for message in session.messages}


def clean(text: str) -> str:
    """NFC text without control and bidirectional characters; tabs and line breaks stay."""
    if text.isascii() and text.isprintable():
        return text.strip()
    return _UNPLAIN.sub("", unicodedata.normalize("NFC", text)).strip()


@dataclass(frozen=True, slots=True)
class Transcript:
    """What a report is written from: the turns and what the session was about."""

    subject: str
    level: str | None
    language: str | None
    goals: tuple[str, ...]
    turns: tuple[Turn, ...]
    report_language: str | None = None

    @property
    def written_in(self) -> str:
        """The language its report is written in."""
        return self.report_language or self.language or DEFAULT_LANGUAGE


def transcript_of(session: Session) -> Transcript:
    """The session as the engines read it."""
    return Transcript(
        session.subject, session.level, session.language, session.goals, turns_of(session), session.report_language
    )


def texts_of(transcript: Transcript) -> tuple[str, ...]:
    """The subject, the level, the goals and, last, what each turn says."""
    return (transcript.subject, transcript.level or "", *transcript.goals, *(turn.text for turn in transcript.turns))
