"""A finished report: the narrative, the computed numbers, the checks it passed and where it came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from afterbell.core.narrative import Narrative
from afterbell.core.report.statistics import SessionMetrics
from afterbell.core.usage import Usage

Engine = Literal["llm", "extractive", "prepared"]
"""Who wrote: a model, fixed rules, or people beforehand (for the example lesson, where no model is set)."""
Role = Literal["student", "tutor", "parent", "staff", "admin"]
STUB_MODEL: Final = "afterbell-stub"
"""What the bundled stub calls itself; a report it wrote is labelled extractive, not as a model's."""
PREPARED_MODEL: Final = "afterbell-stub-prepared"
"""What the stub calls itself where it plays back the prepared answer."""
ROLES: Final[tuple[Role, ...]] = ("student", "tutor", "parent", "staff", "admin")


def engine_of(model: str | None) -> Engine:
    """Who wrote a report that came from ``model``; None where no model was asked."""
    written: dict[str | None, Engine] = {None: "extractive", STUB_MODEL: "extractive", PREPARED_MODEL: "prepared"}
    return written.get(model, "llm")


@dataclass(frozen=True, slots=True)
class Checks:
    """What grounding found. ``grounded_ratio`` is claims kept / claims written, 1.0 where there are none.

    ``repaired``: the model was asked once more, with what was wrong. ``hostile_turns``: turns that speak to the
    report's writer and were withheld from the model. ``kept_from_families``: the ids of turns that nobody but the
    staff reads; ``partly_kept``: of those in which something does not belong in a lesson and the rest may be quoted.
    """

    claims: int
    dropped: tuple[str, ...]
    grounded_ratio: float
    coverage_thirds: tuple[bool, bool, bool]
    repaired: bool = False
    hostile_turns: int = 0
    kept_from_families: tuple[str, ...] = ()
    partly_kept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Provenance:
    """Which engine, model and prompt wrote the report, and from which input."""

    engine: Engine
    model: str | None
    prompt_version: str
    schema_version: str
    input_sha256: str
    request_id: str | None
    usage: Usage


@dataclass(frozen=True, slots=True)
class Report:
    """One version of a session's report, as stored. ``language`` is its own; its quotes are in ``lesson_language``.

    ``speakers``: by the id of each turn cited, the label of who said it: "tutor", "student", "student_2".
    """

    id: str
    session_id: str
    version: int
    language: str
    narrative: Narrative
    metrics: SessionMetrics
    checks: Checks
    provenance: Provenance
    created_at: datetime
    lesson_language: str | None = None
    speakers: Mapping[str, str] = field(default_factory=dict)
