"""Takes out of a narrative what its transcript does not bear out, and says what it took.

A model cites turns and copies quotes; this checks both, without asking another model:

- a cited turn must exist and have text (``unknown_turn``);
- a turn that speaks to the report's writer (``hostile_turn``), and one that only the staff reads (``kept_turn``), is no
  evidence of anything but a concern; of one in which something does not belong in a lesson, an insult, the rest is
  evidence, and a quote of the insult goes (``kept_turn``);
- a quote must stand in one of the turns cited with it (``quote_not_found``), compared after the cleaning that
  turns get, with white space collapsed and curly quotation marks straightened, else letter for letter;
- of the turns cited with a quote the one that it stands in comes first, so that the reader is told who said it;
- a claim needs evidence that passed (``no_evidence``), or it is dropped;
- what the student did, said or got wrong needs a turn of the student's (``no_student_turn``): a strength or
  misconception without one is dropped, a skill becomes "not_shown", a goal that is "met" becomes "partly";
- nobody's own words prove that they can do something (``unconfirmed``): a skill is "independent", a goal "met" and a
  misconception "resolved" only where a tutor confirms a cited turn of the student in the turn right after it;
- where any turn is hostile, nothing is "independent" or "met" (``hostile_session``): who tries to write the
  report must not be graded by it;
- a skill has not changed since an earlier lesson (``earlier_lesson``), since nobody saw one;
- a claim is the student's whose turns it cites (``wrong_student``), whatever it says;
- a goal's progress without evidence becomes "not_discussed";
- every free text, wherever it stands in the narrative, is checked sentence by sentence, see ``prose_gate``; a claim
  whose own text fails there is dropped.

A concern is never dropped for its words: staff are to see too much rather than too little.
Each finding is "section:code", e.g. "topics:unknown_turn"; texts never get into it.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar, cast

from afterbell.core.narrative import (
    Action,
    Concern,
    Evidence,
    GoalProgress,
    Misconception,
    Narrative,
    OpenQuestion,
    Skill,
    Strength,
    StudentLabel,
    StudentTexts,
    Topic,
)
from afterbell.core.report.findings import (
    HOSTILE_SESSION,
    HOSTILE_TURN,
    NO_EVIDENCE,
    NO_STUDENT_TURN,
    QUOTE_NOT_FOUND,
    UNCONFIRMED,
    UNKNOWN_TURN,
    WRONG_STUDENT,
    Finding,
)
from afterbell.core.report.free_texts import sound_texts
from afterbell.core.report.ledger import HARM, Ledger, comparable, ledger_of
from afterbell.core.report.prose_gate import EARLIER, KEPT_TURN
from afterbell.core.report.report import Checks
from afterbell.core.report.statistics import labels_of
from afterbell.core.safety.safeguarding import Alarm, alarms_in, concerns_of, topics_named
from afterbell.core.session import Transcript, clean

CITED_MAX: Final = 6
CONCERNS_MAX: Final = 10

HOSTILE_REASON: Final = "Speaks to the writer of the report: left out of what the report was written from."
CLAIMS: Final = ("topics", "skills", "misconceptions", "strengths", "open_questions", "concerns")
_TURN_ID: Final = re.compile(r"t\d{1,5}")
Claim = Topic | Skill | Misconception | Strength | OpenQuestion | Concern
_OwnedT = TypeVar("_OwnedT", Skill, Misconception, Strength, OpenQuestion, Action)
ClaimT = TypeVar("ClaimT", Topic, Skill, Misconception, Strength, OpenQuestion, Concern)


@dataclass(frozen=True, slots=True)
class Grounded:
    """The narrative that is left, the checks as stored, and every finding."""

    narrative: Narrative
    checks: Checks
    findings: tuple[Finding, ...]


def examine(
    narrative: Narrative,
    transcript: Transcript,
    hostile: Iterable[str] = (),
    alarms: Sequence[Alarm] | None = None,
    *,
    by_rules: bool = False,
) -> Grounded:
    """The narrative without what cites wrongly, and every finding. Examining it again changes nothing.

    ``hostile`` are the ids of turns that speak to the report's writer; ``alarms`` the turns somebody should look at,
    where they are known already. ``by_rules``: no model wrote it, so its own sentences let on nothing of a child.
    """
    alarms = alarms_in(transcript) if alarms is None else alarms
    ledger = ledger_of(narrative, transcript, frozenset(hostile), alarms, by_rules=by_rules)
    claims = _checked_claims(narrative, ledger)
    sound = sound_texts(claims, ledger.facts, ledger.find)
    kept = _claims_in(sound)
    grounded = replace(sound, concerns=_with_ours(sound.concerns, alarms, ledger))
    checks = Checks(
        claims=ledger.written,
        dropped=tuple(finding.label for finding in ledger.findings),
        grounded_ratio=round(kept / ledger.written, 4) if ledger.written else 1.0,
        coverage_thirds=_coverage(claims, tuple(ledger.turns)),
        hostile_turns=len(ledger.hostile & ledger.turns.keys()),
        kept_from_families=tuple(turn_id for turn_id in ledger.turns if turn_id in ledger.kept),
        partly_kept=tuple(turn_id for turn_id in ledger.turns if turn_id in ledger.partly),
    )
    return Grounded(grounded, checks, tuple(ledger.findings))


def tells_of_harm(narrative: Narrative) -> bool:
    """Whether a concern is about harm to a student."""
    return any(concern.kind in HARM for concern in narrative.concerns)


def speakers_of(narrative: Narrative, transcript: Transcript) -> dict[str, str]:
    """By the id of each turn that a narrative cites, the label of who said it."""
    labels = labels_of(transcript.turns)
    cited = {turn_id for evidence in evidence_of(narrative) for turn_id in evidence.turn_ids}
    return {turn.id: labels[turn.speaker.id] for turn in transcript.turns if turn.id in cited and turn.text}


def _claims_in(narrative: Narrative) -> int:
    """How many claims a narrative makes; what it says of the goal is one."""
    return sum(len(getattr(narrative, name)) for name in CLAIMS) + (narrative.goal_progress != "not_discussed")


def _checked_claims(narrative: Narrative, ledger: Ledger) -> Narrative:
    progress, goal_evidence = _goal(narrative, ledger)
    skills = _claims("skills", narrative.skills, ledger)
    slips = _claims("misconceptions", narrative.misconceptions, ledger, by_student=True)
    return replace(
        narrative,
        topics=_claims("topics", narrative.topics, ledger),
        skills=tuple(_skill(f"skills[{number}]", skill, ledger) for number, skill in enumerate(skills)),
        misconceptions=tuple(_slip(f"misconceptions[{number}]", slip, ledger) for number, slip in enumerate(slips)),
        strengths=_claims("strengths", narrative.strengths, ledger, by_student=True),
        open_questions=_claims("open_questions", narrative.open_questions, ledger),
        goal_progress=progress,
        goal_evidence=goal_evidence,
        actions=tuple(_of_somebody(action, ledger) for action in narrative.actions),
        concerns=_claims("concerns", narrative.concerns, ledger),
        per_student=_texts_once(narrative.per_student, ledger),
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
    section: str, claims: tuple[ClaimT, ...], ledger: Ledger, *, by_student: bool = False
) -> tuple[ClaimT, ...]:
    kept = []
    for number, claim in enumerate(claims):
        where = f"{section}[{number}]"
        ledger.written += 1
        evidence = _sound(where, claim.evidence, ledger)
        if not evidence:
            ledger.find(where, NO_EVIDENCE)
        elif by_student and not ledger.by_students(evidence):
            ledger.find(where, NO_STUDENT_TURN)
        else:
            kept.append(_of_its_student(where, replace(claim, evidence=evidence), ledger))
    return tuple(kept)


def _of_its_student(where: str, claim: ClaimT, ledger: Ledger) -> ClaimT:
    """The claim with the label of the one student it cites; where it cites several, it is nobody's own."""
    if isinstance(claim, Topic | Concern):
        return claim
    cited = {cast("StudentLabel", ledger.labels[turn.speaker.id]) for turn in ledger.by_students(claim.evidence)}
    if claim.student is not None and cited and cited != {claim.student}:
        ledger.find(where, WRONG_STUDENT)
    if len(cited) == 1:
        return replace(claim, student=cited.pop())
    return replace(claim, student=None) if cited else _of_somebody(claim, ledger)


def _of_somebody(claim: _OwnedT, ledger: Ledger) -> _OwnedT:
    """The claim, nobody's own where its label is no student's of the session."""
    return claim if claim.student is None or claim.student in ledger.labels.values() else replace(claim, student=None)


def _texts_once(texts: tuple[StudentTexts, ...], ledger: Ledger) -> tuple[StudentTexts, ...]:
    """The texts of students who spoke, one each."""
    return tuple({own.student: own for own in texts if own.student in ledger.labels.values()}.values())


def _sound(where: str, evidence: Iterable[Evidence], ledger: Ledger) -> tuple[Evidence, ...]:
    """The evidence that holds, without the turns that are not there or prove nothing."""
    kept = []
    for item in evidence:
        known = tuple(turn_id for turn_id in item.turn_ids if _may_be_cited(where, turn_id, ledger))
        if known and not _quoted(item.quote, known, ledger):
            ledger.find(where, QUOTE_NOT_FOUND)
            if where.startswith("concerns"):
                kept.append(Evidence(known, None))
        elif known and _is_unfit(item.quote, known, where, ledger):
            ledger.find(where, KEPT_TURN)
            kept.append(Evidence(known, None))
        elif known:
            kept.append(replace(item, turn_ids=_quoted_first(item.quote, known, ledger)))
    return tuple(kept)


def _may_be_cited(where: str, turn_id: str, ledger: Ledger) -> bool:
    if turn_id not in ledger.turns:
        # What stands in the place of an id may be any text of a model's; only an id is repeated.
        ledger.find(where, UNKNOWN_TURN, turn_id if _TURN_ID.fullmatch(turn_id) else "a turn id")
        return False
    if turn_id in ledger.hostile and not where.startswith("concerns"):
        ledger.find(where, HOSTILE_TURN, turn_id)
        return False
    if turn_id in ledger.kept and not where.startswith("concerns"):
        ledger.find(where, KEPT_TURN)
        return False
    return True


def _quoted_first(quote: str | None, turn_ids: tuple[str, ...], ledger: Ledger) -> tuple[str, ...]:
    """The turn that the quote stands in first: it says who is quoted."""
    return tuple(sorted(turn_ids, key=lambda turn_id: quote is not None and not _quoted(quote, (turn_id,), ledger)))


def _is_unfit(quote: str | None, turn_ids: Iterable[str], where: str, ledger: Ledger) -> bool:
    """Whether a quote of a turn holds an insult or the like, which only the staff reads."""
    is_for_staff = quote is None or where.startswith("concerns") or ledger.partly.isdisjoint(turn_ids)
    return not is_for_staff and bool(topics_named(quote or ""))


def _quoted(quote: str | None, turn_ids: Iterable[str], ledger: Ledger) -> bool:
    if quote is None:
        return True
    wanted = comparable(clean(quote))
    return bool(wanted) and any(wanted in ledger.text_of(turn_id) for turn_id in turn_ids)


def _skill(where: str, skill: Skill, ledger: Ledger) -> Skill:
    if skill.change != "first_seen":
        ledger.find(where, EARLIER)
        skill = replace(skill, change="first_seen")
    if skill.level == "not_shown":
        return skill
    if not ledger.by_students(skill.evidence):
        ledger.find(where, NO_STUDENT_TURN)
        return replace(skill, level="not_shown")
    standing = ledger.standing(skill.evidence)
    if standing == "unanswered" or (skill.level == "independent" and standing != "confirmed"):
        ledger.find(where, UNCONFIRMED)
        return replace(skill, level="with_help" if standing == "answered" else "not_shown")
    if skill.level == "independent" and ledger.hostile:
        ledger.find(where, HOSTILE_SESSION)
        return replace(skill, level="with_help")
    return skill


def _slip(where: str, slip: Misconception, ledger: Ledger) -> Misconception:
    if slip.status == "resolved" and ledger.standing(slip.evidence) != "confirmed":
        ledger.find(where, UNCONFIRMED)
        return replace(slip, status="partly")
    return slip


def _goal(narrative: Narrative, ledger: Ledger) -> tuple[GoalProgress, tuple[Evidence, ...]]:
    evidence = _sound("goal_evidence", narrative.goal_evidence, ledger)
    if narrative.goal_progress == "not_discussed":
        return "not_discussed", evidence
    ledger.written += 1
    if not evidence:
        ledger.find("goal_progress", NO_EVIDENCE)
        return "not_discussed", ()
    if narrative.goal_progress == "not_yet":
        return "not_yet", evidence
    return _reached(narrative.goal_progress, evidence, ledger)


def _reached(
    progress: GoalProgress, evidence: tuple[Evidence, ...], ledger: Ledger
) -> tuple[GoalProgress, tuple[Evidence, ...]]:
    """A goal said to be "met" or "partly" so, as far as the evidence bears it out."""
    if not ledger.by_students(evidence):
        if progress == "met":
            ledger.find("goal_progress", NO_STUDENT_TURN)
        return "partly", evidence
    standing = ledger.standing(evidence)
    if standing == "unanswered":
        ledger.find("goal_progress", UNCONFIRMED)
        return "not_discussed", ()
    if progress == "met" and standing != "confirmed":
        ledger.find("goal_progress", UNCONFIRMED)
        return "partly", evidence
    if progress == "met" and ledger.hostile:
        ledger.find("goal_progress", HOSTILE_SESSION)
        return "partly", evidence
    return progress, evidence


def _with_ours(concerns: tuple[Concern, ...], alarms: Sequence[Alarm], ledger: Ledger) -> tuple[Concern, ...]:
    """Staff are told of turns to look at and of hostile ones, whatever the model made of them; the worst first."""
    turn_ids = tuple(turn_id for turn_id in ledger.turns if turn_id in ledger.hostile)[:CITED_MAX]
    hostile = Concern("academic_integrity", "review", HOSTILE_REASON, (Evidence(turn_ids, None),)) if turn_ids else None
    ours = (*concerns_of(alarms), *([hostile] if hostile else []))
    return (*ours, *(concern for concern in concerns if concern not in ours))[:CONCERNS_MAX]


def _coverage(narrative: Narrative, turn_ids: tuple[str, ...]) -> tuple[bool, bool, bool]:
    """Which thirds of the turns with text are cited at least once."""
    third = {turn_id: position * 3 // len(turn_ids) for position, turn_id in enumerate(turn_ids)}
    cited = {third[turn_id] for evidence in evidence_of(narrative) for turn_id in evidence.turn_ids}
    return 0 in cited, 1 in cited, 2 in cited
