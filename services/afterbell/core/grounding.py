"""Takes out of a narrative what its transcript does not bear out, and says what it took.

A model cites turns and copies quotes; this checks both, without asking another model:

- a cited turn must exist and have text (``unknown_turn``);
- a quote must stand in one of the turns cited with it (``quote_not_found``), compared after the cleaning that
  turns get, with white space collapsed and curly quotation marks straightened, else letter for letter;
- a claim needs evidence that passed (``no_evidence``), or it is dropped;
- "independent" and "met" need a student's turn among the evidence, else they become "with_help" and "partly"
  (``no_student_turn``);
- a goal's progress without evidence becomes "not_discussed".

Each finding is "section:code", e.g. "topics:unknown_turn"; texts never get into it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from afterbell.core.narrative import (
    Concern,
    Evidence,
    GoalProgress,
    Misconception,
    Narrative,
    OpenQuestion,
    Skill,
    Strength,
    Topic,
)
from afterbell.core.report import Checks
from afterbell.core.session import Transcript, Turn, clean

UNKNOWN_TURN: Final = "unknown_turn"
QUOTE_NOT_FOUND: Final = "quote_not_found"
NO_EVIDENCE: Final = "no_evidence"
NO_STUDENT_TURN: Final = "no_student_turn"

_STRAIGHT: Final = str.maketrans("‘’‚‛“”„‟′″", "''''\"\"\"\"'\"")  # noqa: RUF001  that is the point


Claim = Topic | Skill | Misconception | Strength | OpenQuestion | Concern
ClaimT = TypeVar("ClaimT", Topic, Skill, Misconception, Strength, OpenQuestion, Concern)


@dataclass(slots=True)
class _Ledger:
    """The check in progress: what may be cited, and what was counted so far."""

    turns: dict[str, Turn]
    texts: dict[str, str] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    written: int = 0
    kept: int = 0

    def text_of(self, turn_id: str) -> str:
        if turn_id not in self.texts:
            self.texts[turn_id] = _comparable(self.turns[turn_id].text)
        return self.texts[turn_id]

    def by_student(self, evidence: Iterable[Evidence]) -> bool:
        return any(self.turns[turn_id].speaker.role == "student" for one in evidence for turn_id in one.turn_ids)


def ground(narrative: Narrative, transcript: Transcript) -> tuple[Narrative, Checks]:
    """The narrative without what cites wrongly, and what was found. Grounding again changes nothing."""
    ledger = _Ledger({turn.id: turn for turn in transcript.turns if turn.text})
    progress, goal_evidence = _goal(narrative, ledger)
    grounded = replace(
        narrative,
        topics=_claims("topics", narrative.topics, ledger),
        skills=tuple(_skill(skill, ledger) for skill in _claims("skills", narrative.skills, ledger)),
        misconceptions=_claims("misconceptions", narrative.misconceptions, ledger),
        strengths=_claims("strengths", narrative.strengths, ledger),
        open_questions=_claims("open_questions", narrative.open_questions, ledger),
        goal_progress=progress,
        goal_evidence=goal_evidence,
        concerns=_claims("concerns", narrative.concerns, ledger),
    )
    ratio = ledger.kept / ledger.written if ledger.written else 1.0
    return grounded, Checks(
        claims=ledger.written,
        dropped=tuple(ledger.dropped),
        grounded_ratio=round(ratio, 4),
        coverage_thirds=_coverage(grounded, tuple(ledger.turns)),
    )


def evidence_of(narrative: Narrative) -> Iterator[Evidence]:
    """Every piece of evidence in a narrative."""
    claims: tuple[Claim, ...] = (
        *narrative.topics,
        *narrative.skills,
        *narrative.misconceptions,
        *narrative.strengths,
        *narrative.open_questions,
        *narrative.concerns,
    )
    for claim in claims:
        yield from claim.evidence
    yield from narrative.goal_evidence


def _claims(section: str, claims: tuple[ClaimT, ...], ledger: _Ledger) -> tuple[ClaimT, ...]:
    kept = []
    for claim in claims:
        ledger.written += 1
        evidence = _sound(section, claim.evidence, ledger)
        if evidence:
            ledger.kept += 1
            kept.append(replace(claim, evidence=evidence))
        else:
            ledger.dropped.append(f"{section}:{NO_EVIDENCE}")
    return tuple(kept)


def _sound(section: str, evidence: Iterable[Evidence], ledger: _Ledger) -> tuple[Evidence, ...]:
    """The evidence that holds, without the turns that are not there."""
    kept = []
    for one in evidence:
        known = tuple(turn_id for turn_id in one.turn_ids if turn_id in ledger.turns)
        if len(known) < len(one.turn_ids):
            ledger.dropped.append(f"{section}:{UNKNOWN_TURN}")
        if known and not _quoted(one.quote, known, ledger):
            ledger.dropped.append(f"{section}:{QUOTE_NOT_FOUND}")
        elif known:
            kept.append(replace(one, turn_ids=known))
    return tuple(kept)


def _quoted(quote: str | None, turn_ids: Iterable[str], ledger: _Ledger) -> bool:
    if quote is None:
        return True
    wanted = _comparable(clean(quote))
    return bool(wanted) and any(wanted in ledger.text_of(turn_id) for turn_id in turn_ids)


def _comparable(text: str) -> str:
    return " ".join(text.translate(_STRAIGHT).split())


def _skill(skill: Skill, ledger: _Ledger) -> Skill:
    if skill.level != "independent" or ledger.by_student(skill.evidence):
        return skill
    ledger.dropped.append(f"skills:{NO_STUDENT_TURN}")
    return replace(skill, level="with_help")


def _goal(narrative: Narrative, ledger: _Ledger) -> tuple[GoalProgress, tuple[Evidence, ...]]:
    evidence = _sound("goal_evidence", narrative.goal_evidence, ledger)
    if narrative.goal_progress == "not_discussed":
        return "not_discussed", evidence
    ledger.written += 1
    if not evidence:
        ledger.dropped.append(f"goal_progress:{NO_EVIDENCE}")
        return "not_discussed", ()
    ledger.kept += 1
    if narrative.goal_progress == "met" and not ledger.by_student(evidence):
        ledger.dropped.append(f"goal_progress:{NO_STUDENT_TURN}")
        return "partly", evidence
    return narrative.goal_progress, evidence


def _coverage(narrative: Narrative, turn_ids: tuple[str, ...]) -> tuple[bool, bool, bool]:
    """Which thirds of the turns with text are cited at least once."""
    third = {turn_id: position * 3 // len(turn_ids) for position, turn_id in enumerate(turn_ids)}
    cited = {third[turn_id] for evidence in evidence_of(narrative) for turn_id in evidence.turn_ids}
    return 0 in cited, 1 in cited, 2 in cited
