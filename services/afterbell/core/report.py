"""A finished report: the narrative, the computed numbers, the checks it passed and where it came from."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from afterbell.core.metrics import SessionMetrics
from afterbell.core.narrative import Narrative

Engine = Literal["llm", "extractive"]
Role = Literal["student", "tutor", "parent", "staff", "admin"]
STUB_MODEL: Final = "afterbell-stub"
"""What the bundled stub calls itself; a report it wrote is labelled extractive, not as a model's."""
ROLES: Final[tuple[Role, ...]] = ("student", "tutor", "parent", "staff", "admin")


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens one model call was billed for. ``estimated`` where the provider did not say: the stream was cut, say."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Checks:
    """What grounding found. ``grounded_ratio`` is claims kept / claims written, 1.0 where there are none.

    ``repaired``: the model was asked once more, with what was wrong. ``hostile_turns``: turns that speak to the
    report's writer and were withheld from the model.
    """

    claims: int
    dropped: tuple[str, ...]
    grounded_ratio: float
    coverage_thirds: tuple[bool, bool, bool]
    repaired: bool = False
    hostile_turns: int = 0


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
    """One version of a session's report, as stored."""

    id: str
    session_id: str
    version: int
    language: str
    narrative: Narrative
    metrics: SessionMetrics
    checks: Checks
    provenance: Provenance
    created_at: datetime
