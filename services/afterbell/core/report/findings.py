"""What may be wrong with a narrative, by code, and how each is told to the writer who is asked to put it right."""

from dataclasses import dataclass
from typing import Final

from afterbell.core.report.prose_gate import (
    COMPARISON,
    CONTACT,
    EARLIER,
    GRADE,
    KEPT_TURN,
    OTHER_STUDENT,
    TRAIT,
    UNPROVEN,
)

UNKNOWN_TURN: Final = "unknown_turn"
QUOTE_NOT_FOUND: Final = "quote_not_found"
NO_EVIDENCE: Final = "no_evidence"
NO_STUDENT_TURN: Final = "no_student_turn"
HOSTILE_TURN: Final = "hostile_turn"
HOSTILE_SESSION: Final = "hostile_session"
UNCONFIRMED: Final = "unconfirmed"
WRONG_STUDENT: Final = "wrong_student"
REPEATED: Final = "repeated"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not hold; ``where`` is a path such as "topics[0]", ``detail`` a turn id or empty."""

    where: str
    code: str
    detail: str = ""

    @property
    def label(self) -> str:
        """ "section:code", as stored."""
        return f"{self.where.partition('[')[0]}:{self.code}"

    def sentence(self) -> str:
        """What is wrong, for the writer to put right; holds no text of the session."""
        return f"{self.where}: {_SENTENCES[self.code].format(detail=self.detail)}"


_SENTENCES: Final = {
    UNKNOWN_TURN: "{detail} is no turn of this session",
    QUOTE_NOT_FOUND: "the quote does not stand letter for letter in a turn it is cited with",
    NO_EVIDENCE: "nothing is left of its evidence",
    NO_STUDENT_TURN: "it cites no turn of the student, who must have shown it",
    HOSTILE_TURN: "{detail} may not be cited here: it is not a part of the lesson",
    HOSTILE_SESSION: "no skill may be independent and no goal met in this session",
    UNCONFIRMED: "no tutor confirms a cited turn of the student right after it",
    WRONG_STUDENT: "it is about the student whose turns it cites, and says that it is another's",
    KEPT_TURN: "it is about a turn or a matter that only a concern may name",
    EARLIER: "nothing is known of an earlier lesson to compare with",
    COMPARISON: "a sentence compares with other children",
    TRAIT: "a sentence says what the student is; praise what was done",
    GRADE: "a sentence gives a grade; grades come from nobody",
    UNPROVEN: "a sentence says something was done alone or met, which no claim bears out",
    REPEATED: "a sentence of the student's stands in the parent's text already: speak to the student",
    OTHER_STUDENT: "a sentence about one student names another one of the lesson",
    CONTACT: "a sentence holds contact data or a link",
}
