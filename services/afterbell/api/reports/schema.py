"""The finished report on the wire, for OpenAPI: what ``core.views`` gives each role. A test holds the two together."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from afterbell.core.narrative import (
    Action,
    Concern,
    Evidence,
    GoalProgress,
    Misconception,
    OpenQuestion,
    Skill,
    Strength,
    StudentLabel,
    StudentTexts,
    Topic,
)
from afterbell.core.report.report import Checks, Engine, Provenance
from afterbell.core.report.statistics import SessionMetrics


class GoalOut(BaseModel):
    """What became of the session's goals."""

    progress: GoalProgress
    evidence: list[Evidence]


class StudentNumbersOut(BaseModel):
    """One student's part; ``label`` is what the claims call this student."""

    participant_id: str
    label: str
    share: float
    questions: int


class NumbersOut(BaseModel):
    """Figures about the session, computed and never written by a model. ``student_share`` is 0 to 1 of the words.

    ``held_at`` is when the lesson began. ``students`` are those the reader reads about.
    """

    held_at: datetime | None
    duration_s: float | None
    turns: int
    student_share: float
    student_questions: int
    students: list[StudentNumbersOut]


class NextLessonOut(BaseModel):
    """What a tutor comes back to with one student, or with nobody in particular (None), and prepares."""

    student: StudentLabel | None
    revisit: list[Misconception]
    practise: list[Skill]
    open_questions: list[OpenQuestion]
    prepare: list[Action]


class ReportView(BaseModel):
    """A report as its reader sees it; which of the last fields are there depends on the reader's role.

    ``speakers``: by the id of each turn cited, the label of who said it; a quote stands in the first of its turns.
    """

    model_config = ConfigDict(extra="forbid")

    report_id: str
    session_id: str
    version: int
    language: str
    lesson_language: str | None
    created_at: datetime
    engine: Engine
    basic: bool
    headline: str
    topics: list[Topic]
    skills: list[Skill]
    misconceptions: list[Misconception]
    strengths: list[Strength]
    open_questions: list[OpenQuestion]
    goal: GoalOut
    actions: list[Action]
    insufficient_evidence: list[str]
    speakers: dict[str, str]
    numbers: NumbersOut
    summary: str | None = None
    note: str | None = None
    student_note: str | None = None
    tutor_note: str | None = None
    per_student: list[StudentTexts] | None = None
    metrics: SessionMetrics | None = None
    next_lesson: list[NextLessonOut] | None = None
    concerns: list[Concern] | None = None
    checks: Checks | None = None
    provenance: Provenance | None = None


class ReportOut(BaseModel):
    """A finished report."""

    success: Literal[True] = True
    report: ReportView
