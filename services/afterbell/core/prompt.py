"""The versioned prompt of a report, and the reading of its transcript back (which the stub model does)."""

from dataclasses import dataclass
from typing import Final

PROMPT_VERSION: Final = "report-1"
SCHEMA_VERSION: Final = "narrative-1"


@dataclass(frozen=True, slots=True)
class Prompt:
    """One model call's text. ``instructions`` is the static part (cacheable), ``transcript`` the session."""

    version: str
    instructions: str
    transcript: str
    language: str
