"""What the model writes: prose about a session in which every claim cites turns.

Numbers are not in here: they are computed (see ``statistics``). The bounds are stated once, as annotations;
``adapters.models.narrative_codec`` derives both the validator and the bound-free wire schema from them.

A claim about one student carries whose it is, by the label that the prompt gives each speaker: "student" is the first
student who speaks, "student_2" the second. None is about everybody, or about nobody in particular.
"""

from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Final, Literal

from annotated_types import Ge, Le, Len

TurnId = Annotated[str, Len(2, 6)]
TurnIds = Annotated[tuple[TurnId, ...], Len(1, 6)]

Coverage = Literal["introduced", "practised", "reviewed"]
SkillLevel = Literal["not_shown", "with_help", "independent"]
SkillChange = Literal["up", "same", "down", "first_seen"]
MisconceptionStatus = Literal["resolved", "partly", "open"]
ActionOwner = Literal["student", "parent", "tutor"]
ActionDue = Literal["before_next_session", "this_week", "anytime"]
ConcernKind = Literal["wellbeing", "safeguarding", "conduct", "academic_integrity", "personal_data"]
ConcernSeverity = Literal["note", "review", "urgent"]
GoalProgress = Literal["met", "partly", "not_yet", "not_discussed"]

StudentLabel = Literal[
    "student",
    "student_2",
    "student_3",
    "student_4",
    "student_5",
    "student_6",
    "student_7",
    "student_8",
    "student_9",
    "student_10",
    "student_11",
    "student_12",
]

# Read by pydantic at the edge; a plain mapping, so that core needs no pydantic.
_CLOSED: Final[dict[str, Any]] = {"extra": "forbid", "str_strip_whitespace": True}


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where a claim comes from; a quote must be a substring of one of the cited turns."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CLOSED
    turn_ids: TurnIds
    quote: Annotated[str, Len(1, 240)] | None


@dataclass(frozen=True, slots=True)
class Topic:
    """Something the session worked on."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CLOSED
    name: Annotated[str, Len(1, 80)]
    coverage: Coverage
    evidence: Annotated[tuple[Evidence, ...], Len(1, 3)]


@dataclass(frozen=True, slots=True)
class Skill:
    """What the student showed; ``independent`` needs a turn of the student's."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CLOSED
    name: Annotated[str, Len(1, 80)]
    level: SkillLevel
    change: SkillChange
    rationale: Annotated[str, Len(1, 300)]
    evidence: Annotated[tuple[Evidence, ...], Len(1, 4)]
    student: StudentLabel | None = None


@dataclass(frozen=True, slots=True)
class Misconception:
    """A wrong idea that surfaced, and what became of it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CLOSED
    description: Annotated[str, Len(1, 240)]
    status: MisconceptionStatus
    evidence: Annotated[tuple[Evidence, ...], Len(1, 3)]
    student: StudentLabel | None = None


@dataclass(frozen=True, slots=True)
class Strength:
    """Praise for something done, never for a trait."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CLOSED
    praise: Annotated[str, Len(1, 200)]
    evidence: Annotated[tuple[Evidence, ...], Len(1, 2)]
    student: StudentLabel | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do next, by one person."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CLOSED
    owner: ActionOwner
    task: Annotated[str, Len(1, 200)]
    effort_minutes: Annotated[int, Ge(1), Le(120)] | None
    due: ActionDue
    student: StudentLabel | None = None


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """A question that was asked and never answered."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CLOSED
    question: Annotated[str, Len(1, 240)]
    evidence: Annotated[tuple[Evidence, ...], Len(1, 2)]
    student: StudentLabel | None = None


@dataclass(frozen=True, slots=True)
class Concern:
    """Something the staff should look at; shown to nobody else."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CLOSED
    kind: ConcernKind
    severity: ConcernSeverity
    reason: Annotated[str, Len(1, 240)]
    evidence: Annotated[tuple[Evidence, ...], Len(1, 3)]


@dataclass(frozen=True, slots=True)
class StudentTexts:
    """What is written for one of several students, and for that student's parents."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CLOSED
    student: StudentLabel
    parent_summary: Annotated[str, Len(20, 700)]
    student_note: Annotated[str, Len(10, 500)]


@dataclass(frozen=True, slots=True)
class Narrative:
    """The whole prose of a report. Field order is the order in which the model streams its sections.

    ``per_student`` has an entry for each student where a session has several, and is empty where it has one.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CLOSED
    headline: Annotated[str, Len(4, 120)]
    topics: Annotated[tuple[Topic, ...], Len(0, 6)]
    skills: Annotated[tuple[Skill, ...], Len(0, 8)]
    misconceptions: Annotated[tuple[Misconception, ...], Len(0, 5)]
    strengths: Annotated[tuple[Strength, ...], Len(0, 4)]
    open_questions: Annotated[tuple[OpenQuestion, ...], Len(0, 5)]
    goal_progress: GoalProgress
    goal_evidence: Annotated[tuple[Evidence, ...], Len(0, 3)]
    actions: Annotated[tuple[Action, ...], Len(0, 6)]
    concerns: Annotated[tuple[Concern, ...], Len(0, 10)]
    parent_summary: Annotated[str, Len(20, 700)]
    student_note: Annotated[str, Len(10, 500)]
    tutor_note: Annotated[str, Len(10, 900)]
    insufficient_evidence: Annotated[tuple[Annotated[str, Len(1, 120)], ...], Len(0, 8)]
    per_student: Annotated[tuple[StudentTexts, ...], Len(0, 12)] = ()


SECTIONS: Final[tuple[str, ...]] = tuple(field.name for field in fields(Narrative))
"""The top-level fields, in streaming order: progress counts those that are finished."""
