"""Takes out of a narrative what its transcript does not bear out, and says what it took.

A model cites turns and copies quotes; this checks both, without asking another model:

- a cited turn must exist and have text (``unknown_turn``);
- a turn that speaks to the report's writer is no evidence of anything but a concern (``hostile_turn``);
- a quote must stand in one of the turns cited with it (``quote_not_found``), compared after the cleaning that
  turns get, with white space collapsed and curly quotation marks straightened, else letter for letter;
- a claim needs evidence that passed (``no_evidence``), or it is dropped;
- what the student did, said or got wrong needs a turn of the student's (``no_student_turn``): a strength or
  misconception without one is dropped, a skill becomes "not_shown", a goal that is "met" becomes "partly";
- where any turn is hostile, nothing is "independent" or "met" (``hostile_session``): who tries to write the
  report must not be graded by it;
- a goal's progress without evidence becomes "not_discussed";
- prose is checked sentence by sentence, see ``prose_gate``; a claim whose own text fails there is dropped.

Each finding is "section:code", e.g. "topics:unknown_turn"; texts never get into it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

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
from afterbell.core.prose_gate import CONTACT, GRADE, STAND_INS, UNPROVEN, ProseFacts, sound_prose
from afterbell.core.report import Checks
from afterbell.core.session import Transcript, Turn, clean

UNKNOWN_TURN: Final = "unknown_turn"
QUOTE_NOT_FOUND: Final = "quote_not_found"
NO_EVIDENCE: Final = "no_evidence"
NO_STUDENT_TURN: Final = "no_student_turn"
HOSTILE_TURN: Final = "hostile_turn"
HOSTILE_SESSION: Final = "hostile_session"
CITED_MAX: Final = 6

HOSTILE_REASON: Final = "Speaks to the writer of the report: left out of what the report was written from."
_TEXT_OF: Final = {"topics": "name", "skills": "name", "misconceptions": "description", "strengths": "praise",
                   "open_questions": "question", "concerns": "reason"}  # fmt: skip
_NO_RATIONALE: Final = "See the turns cited."
_TURN_ID: Final = re.compile(r"t\d{1,5}")
_STRAIGHT: Final = str.maketrans("‘’‚‛“”„‟′″", "''''\"\"\"\"'\"")  # noqa: RUF001  that is the point


Claim = Topic | Skill | Misconception | Strength | OpenQuestion | Concern
ClaimT = TypeVar("ClaimT", Topic, Skill, Misconception, Strength, OpenQuestion, Concern)


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
    GRADE: "a sentence gives a grade; grades come from nobody",
    UNPROVEN: "a sentence says something was done alone or met, which no claim bears out",
    CONTACT: "a sentence holds contact data or a link",
}


@dataclass(frozen=True, slots=True)
class Grounded:
    """The narrative that is left, the checks as stored, and every finding."""

    narrative: Narrative
    checks: Checks
    findings: tuple[Finding, ...]


@dataclass(slots=True)
class _Ledger:
    """The check in progress: what may be cited, and what was counted so far."""

    turns: dict[str, Turn]
    hostile: frozenset[str]
    facts: ProseFacts
    texts: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    written: int = 0
    kept: int = 0

    def text_of(self, turn_id: str) -> str:
        if turn_id not in self.texts:
            self.texts[turn_id] = _comparable(self.turns[turn_id].text)
        return self.texts[turn_id]

    def by_student(self, evidence: Iterable[Evidence]) -> bool:
        return any(self.turns[turn_id].speaker.role == "student" for one in evidence for turn_id in one.turn_ids)

    def find(self, where: str, code: str, detail: str = "") -> None:
        self.findings.append(Finding(where, code, detail))


def ground(narrative: Narrative, transcript: Transcript) -> tuple[Narrative, Checks]:
    """The narrative without what cites wrongly, and what was found. Grounding again changes nothing."""
    grounded = examine(narrative, transcript)
    return grounded.narrative, grounded.checks


def examine(narrative: Narrative, transcript: Transcript, hostile: Iterable[str] = ()) -> Grounded:
    """``ground`` with every finding; ``hostile`` are the ids of turns that speak to the report's writer."""
    turns = {turn.id: turn for turn in transcript.turns if turn.text}
    said = (*(turn.text for turn in turns.values()), *transcript.goals)
    subject = " ".join(transcript.subject.split())[:20]
    ledger = _Ledger(turns, frozenset(hostile), ProseFacts(frozenset(turns), said, alone=True, subject=subject))
    claims = _checked_claims(narrative, ledger)
    grounded = replace(claims, **_prose(claims, ledger))
    grounded = replace(grounded, concerns=_with_hostile_turns(grounded.concerns, ledger))
    ratio = ledger.kept / ledger.written if ledger.written else 1.0
    checks = Checks(
        claims=ledger.written,
        dropped=tuple(finding.label for finding in ledger.findings),
        grounded_ratio=round(ratio, 4),
        coverage_thirds=_coverage(claims, tuple(ledger.turns)),
        hostile_turns=len(ledger.hostile & ledger.turns.keys()),
    )
    return Grounded(grounded, checks, tuple(ledger.findings))


def _checked_claims(narrative: Narrative, ledger: _Ledger) -> Narrative:
    progress, goal_evidence = _goal(narrative, ledger)
    skills = _claims("skills", narrative.skills, ledger)
    return replace(
        narrative,
        topics=_claims("topics", narrative.topics, ledger),
        skills=tuple(_skill(f"skills[{number}]", skill, ledger) for number, skill in enumerate(skills)),
        misconceptions=_claims("misconceptions", narrative.misconceptions, ledger, by_student=True),
        strengths=_claims("strengths", narrative.strengths, ledger, by_student=True),
        open_questions=_claims("open_questions", narrative.open_questions, ledger),
        goal_progress=progress,
        goal_evidence=goal_evidence,
        concerns=_claims("concerns", narrative.concerns, ledger),
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


def _claims(
    section: str, claims: tuple[ClaimT, ...], ledger: _Ledger, *, by_student: bool = False
) -> tuple[ClaimT, ...]:
    kept = []
    for number, claim in enumerate(claims):
        where = f"{section}[{number}]"
        ledger.written += 1
        evidence = _sound(where, claim.evidence, ledger)
        if not evidence:
            ledger.find(where, NO_EVIDENCE)
        elif by_student and not ledger.by_student(evidence):
            ledger.find(where, NO_STUDENT_TURN)
        elif _is_sound(where, getattr(claim, _TEXT_OF[section]), ledger):
            ledger.kept += 1
            kept.append(replace(claim, evidence=evidence))
    return tuple(kept)


def _sound(where: str, evidence: Iterable[Evidence], ledger: _Ledger) -> tuple[Evidence, ...]:
    """The evidence that holds, without the turns that are not there or prove nothing."""
    kept = []
    for one in evidence:
        known = tuple(turn_id for turn_id in one.turn_ids if _may_be_cited(where, turn_id, ledger))
        if known and not _quoted(one.quote, known, ledger):
            ledger.find(where, QUOTE_NOT_FOUND)
        elif known:
            kept.append(replace(one, turn_ids=known))
    return tuple(kept)


def _may_be_cited(where: str, turn_id: str, ledger: _Ledger) -> bool:
    if turn_id not in ledger.turns:
        # What stands in the place of an id may be any text of a model's; only an id is repeated.
        ledger.find(where, UNKNOWN_TURN, turn_id if _TURN_ID.fullmatch(turn_id) else "a turn id")
        return False
    if turn_id in ledger.hostile and not where.startswith("concerns"):
        ledger.find(where, HOSTILE_TURN, turn_id)
        return False
    return True


def _quoted(quote: str | None, turn_ids: Iterable[str], ledger: _Ledger) -> bool:
    if quote is None:
        return True
    wanted = _comparable(clean(quote))
    return bool(wanted) and any(wanted in ledger.text_of(turn_id) for turn_id in turn_ids)


def _comparable(text: str) -> str:
    return " ".join(text.translate(_STRAIGHT).split())


def _skill(where: str, skill: Skill, ledger: _Ledger) -> Skill:
    if skill.level != "not_shown" and not ledger.by_student(skill.evidence):
        ledger.find(where, NO_STUDENT_TURN)
        return replace(skill, level="not_shown")
    if skill.level == "independent" and ledger.hostile:
        ledger.find(where, HOSTILE_SESSION)
        return replace(skill, level="with_help")
    return skill


def _goal(narrative: Narrative, ledger: _Ledger) -> tuple[GoalProgress, tuple[Evidence, ...]]:
    evidence = _sound("goal_evidence", narrative.goal_evidence, ledger)
    if narrative.goal_progress == "not_discussed":
        return "not_discussed", evidence
    ledger.written += 1
    if not evidence:
        ledger.find("goal_progress", NO_EVIDENCE)
        return "not_discussed", ()
    ledger.kept += 1
    if narrative.goal_progress == "met" and not ledger.by_student(evidence):
        ledger.find("goal_progress", NO_STUDENT_TURN)
        return "partly", evidence
    if narrative.goal_progress == "met" and ledger.hostile:
        ledger.find("goal_progress", HOSTILE_SESSION)
        return "partly", evidence
    return narrative.goal_progress, evidence


def _prose(narrative: Narrative, ledger: _Ledger) -> dict[str, Any]:
    """The free texts without unsound sentences; a list loses an entry that has one."""
    alone = narrative.goal_progress == "met" or any(skill.level == "independent" for skill in narrative.skills)
    facts = replace(ledger.facts, alone=alone)
    texts = {name: _sound_text(name, getattr(narrative, name), facts, ledger) for name in STAND_INS}
    actions = [one for n, one in enumerate(narrative.actions) if _is_sound(f"actions[{n}]", one.task, ledger)]
    skills = [replace(skill, rationale=_sound_text("skills", skill.rationale, facts, ledger) or _NO_RATIONALE)
              for skill in narrative.skills]  # fmt: skip
    return {**texts, "actions": tuple(actions), "skills": tuple(skills)}


def _sound_text(name: str, text: str, facts: ProseFacts, ledger: _Ledger) -> str:
    kept, problems = sound_prose(text, facts)
    for problem in problems:
        ledger.find(name, problem)
    stand_in = STAND_INS.get(name, "")
    return kept if not problems or len(kept) >= len(stand_in) // 2 else stand_in


def _is_sound(where: str, text: str, ledger: _Ledger) -> bool:
    """Whether a short text may be shown; what was done alone is not asked of it, its level or status says so."""
    _, problems = sound_prose(text, ledger.facts)
    for problem in problems:
        ledger.find(where, problem)
    return not problems


def _with_hostile_turns(concerns: tuple[Concern, ...], ledger: _Ledger) -> tuple[Concern, ...]:
    """Staff are told of hostile turns, whatever the model made of them."""
    turn_ids = tuple(turn_id for turn_id in ledger.turns if turn_id in ledger.hostile)[:CITED_MAX]
    ours = Concern("academic_integrity", "review", HOSTILE_REASON, (Evidence(turn_ids, None),)) if turn_ids else None
    if ours is None or ours in concerns:
        return concerns
    return (ours, *concerns)[:5]


def _coverage(narrative: Narrative, turn_ids: tuple[str, ...]) -> tuple[bool, bool, bool]:
    """Which thirds of the turns with text are cited at least once."""
    third = {turn_id: position * 3 // len(turn_ids) for position, turn_id in enumerate(turn_ids)}
    cited = {third[turn_id] for evidence in evidence_of(narrative) for turn_id in evidence.turn_ids}
    return 0 in cited, 1 in cited, 2 in cited
