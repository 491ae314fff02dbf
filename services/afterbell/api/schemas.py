"""What clients send and get, as JSON. The bounds are the session's own, from core."""

from datetime import UTC, datetime
from typing import Annotated, Literal, Self
from uuid import uuid4
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from afterbell.core import session as core
from afterbell.core.queue.outcomes import JobState
from afterbell.core.translation import LANGUAGES, language_of

Id = Annotated[
    str, StringConstraints(min_length=1, max_length=core.ID_CHARS_MAX, pattern=r"^[A-Za-z0-9_:@-][A-Za-z0-9._:@-]*$")
]
Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=core.NAME_CHARS_MAX, pattern=r"^[^\x00]*$")
]
# PostgreSQL stores no NUL; everything else a chat may hold is kept as it was sent.
Said = Annotated[str, StringConstraints(max_length=core.MESSAGE_CHARS_MAX, pattern=r"^[^\x00]*$")]
Goal = Annotated[str, StringConstraints(min_length=1, max_length=core.GOAL_CHARS_MAX, pattern=r"^[^\x00]*$")]
Language = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35)]


def _unusable(message: str) -> PydanticCustomError:
    return PydanticCustomError("unusable", "{message}", {"message": message})


def _supported(tag: str) -> str:
    if language_of(tag) is None:
        known = ", ".join(f"{code} ({name})" for code, name in LANGUAGES.items())
        raise _unusable(f"reports cannot be written in {tag!r}: use one of {known}, with or without a region (pt-BR)")
    return tag


ReportLanguage = Annotated[Language, AfterValidator(_supported)]


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _unusable(f"{name!r} is not an IANA time zone: use one such as Europe/Berlin") from None
    return name


TimeZone = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_time_zone)]


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be within the years 1 to 9999 in UTC") from None


def _broken(field: str, message: str) -> PydanticCustomError:
    return PydanticCustomError("inconsistent", "{message}", {"field": field, "message": message})


Moment = Annotated[AwareDatetime, AfterValidator(_utc)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ParticipantIn(_Body):
    """Someone in the session."""

    id: Id
    role: core.ParticipantRole
    display_name: Name


class MessageIn(_Body):
    """One message of an imported session."""

    id: Id
    sender: Id
    text: Said
    at: Moment | None = None


class SessionIn(_Body):
    """A session to store. Without ``messages`` the stored ones stay; a list, also an empty one, replaces them."""

    id: Id | None = None
    subject: Name
    level: Name | None = None
    language: Annotated[Language | None, Field(description="what the lesson is held in")] = None
    report_language: Annotated[
        ReportLanguage | None, Field(description="what the report is written in; omitted: the lesson's language")
    ] = None
    time_zone: Annotated[
        TimeZone | None, Field(description="IANA name: where the day of the lesson is counted; omitted: UTC")
    ] = None
    goals: Annotated[tuple[Goal, ...], Field(max_length=core.GOALS_MAX)] = ()
    started_at: Moment | None = None
    ended_at: Moment | None = None
    participants: Annotated[tuple[ParticipantIn, ...], Field(min_length=1, max_length=core.PARTICIPANTS_MAX)]
    messages: Annotated[tuple[MessageIn, ...], Field(max_length=core.MESSAGES_MAX)] | None = None
    ai_processing_allowed: Annotated[
        bool | None,
        Field(description="false: no model reads the session, a basic report is written locally; omitted: unchanged"),
    ] = None

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        people = [person.id for person in self.participants]
        if len(set(people)) != len(people):
            raise _broken("participants", "two participants have the same id")
        ids: set[str] = set()
        for number, message in enumerate(self.messages or ()):
            if message.sender not in people:
                raise _broken(f"messages.{number}.sender", f"{message.sender!r} is not a participant of this session")
            if message.id in ids:
                raise _broken(f"messages.{number}.id", f"{message.id!r} is used by another message of this session")
            ids.add(message.id)
        if self.started_at and self.ended_at and self.ended_at < self.started_at:
            raise _broken("ended_at", "must not be before started_at")
        return self

    def to_core(self, session_id: str) -> core.Session:
        """The session as core knows it."""
        return core.Session(
            id=session_id,
            subject=self.subject,
            participants=tuple(
                core.Participant(person.id, person.role, person.display_name) for person in self.participants
            ),
            messages=tuple(
                core.Message(message.id, message.sender, message.text, message.at) for message in self.messages or ()
            ),
            level=self.level,
            language=self.language,
            goals=self.goals,
            started_at=self.started_at,
            ended_at=self.ended_at,
            ai_processing_allowed=self.ai_processing_allowed is not False,
            report_language=self.report_language,
            time_zone=self.time_zone,
        )


class SessionStored(BaseModel):
    """The answer to an import."""

    success: Literal[True] = True
    sessionId: str  # noqa: N815  # the wire's name
    changed: bool
    messages: Annotated[int, Field(description="number of messages in the session now")]


class MessageSend(_Body):
    """One message to append; ``id`` makes sending again harmless. ``sender`` defaults to the caller."""

    id: Id = Field(default_factory=lambda: str(uuid4()))
    sender: Id | None = None
    text: Annotated[Said, StringConstraints(min_length=1)]
    at: Moment | None = None


class MessageOut(BaseModel):
    """A committed message; ``seq`` counts 1, 2, 3, … in its session."""

    seq: int
    id: str
    sender: str
    text: str
    at: datetime | None


class MessagePage(BaseModel):
    """Messages after a sequence number, in order."""

    success: Literal[True] = True
    edition: int
    messages: list[MessageOut]
    nextAfter: int | None  # noqa: N815  # the wire's name


class ReportRequested(BaseModel):
    """The answer to a report request."""

    success: Literal[True] = True
    status: str
    jobId: str  # noqa: N815  # the wire's name
    message: str
    statusUrl: str  # noqa: N815  # the wire's name


class ReportStatusOut(BaseModel):
    """Where a report is. ``position`` and ``eta_seconds`` only while it waits, ``error`` after a failed try."""

    success: Literal[True] = True
    status: JobState
    progress: int
    jobId: str  # noqa: N815  # the wire's name
    stage: str
    attempt: int
    position: int | None = None
    eta_seconds: int | None = None
    error: str | None = None


class FieldProblem(BaseModel):
    """One field of a body, path or query that cannot be used."""

    field: str
    message: str


class ProblemOut(BaseModel):
    """RFC 9457 problem details. ``code`` is stable; some codes bring members of their own."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
    success: Literal[False] = False
    requestId: str  # noqa: N815  # the wire's name
    field: str | None = None
    errors: list[FieldProblem] | None = None


Why = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]*[^\x00\s][^\x00]*$")]


class ReasonIn(BaseModel):
    """Why something is done; the audit log keeps it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: Why
