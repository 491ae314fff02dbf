"""What each reader of a report gets: one JSON-ready dict per role, built by naming what goes in.

Every view holds

    report_id, session_id, version, language, created_at (ISO 8601), engine ("llm" | "extractive"), basic,
    headline, topics, skills, misconceptions, strengths, open_questions, goal {progress, evidence}, actions,
    insufficient_evidence, numbers {duration_s, turns, student_share, student_questions}

where a claim's ``evidence`` is a list of {turn_ids, quote}. On top of that

    parent         summary; all actions
    student        note; the student's own actions
    tutor          summary, note (the tutor's), metrics (all of SessionMetrics)
    staff, admin   summary, student_note, tutor_note, metrics, concerns, checks, provenance

Concerns are for the staff. A turn that a concern cites is never quoted to anybody else, in any section.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from afterbell.core.narrative import Evidence, Narrative
from afterbell.core.report import Report, Role

_STAFF: Final[frozenset[Role]] = frozenset({"staff", "admin"})
_CLAIMS: Final = ("topics", "skills", "misconceptions", "strengths", "open_questions")


def view(report: Report, role: Role) -> dict[str, object]:
    """The report as ``role`` may see it; see the module for the fields."""
    hidden = frozenset[str]() if role in _STAFF else _concerning(report.narrative)
    shown = _about(report) | _content(report.narrative, hidden) | {"numbers": _numbers(report)}
    return shown | _of_role(report, role)


def _of_role(report: Report, role: Role) -> dict[str, object]:
    narrative = report.narrative
    summary: dict[str, object] = {"summary": narrative.parent_summary}
    if role == "parent":
        return summary
    if role == "student":
        own = [action for action in narrative.actions if action.owner == "student"]
        return {"note": narrative.student_note, "actions": _plain([asdict(action) for action in own])}
    if role == "tutor":
        return summary | {"note": narrative.tutor_note, "metrics": _plain(asdict(report.metrics))}
    return summary | {
        "student_note": narrative.student_note,
        "tutor_note": narrative.tutor_note,
        "metrics": _plain(asdict(report.metrics)),
        "concerns": _plain([asdict(concern) for concern in narrative.concerns]),
        "checks": _plain(asdict(report.checks)),
        "provenance": _plain(asdict(report.provenance)),
    }


def _about(report: Report) -> dict[str, object]:
    return {
        "report_id": report.id,
        "session_id": report.session_id,
        "version": report.version,
        "language": report.language,
        "created_at": report.created_at.isoformat(),
        "engine": report.provenance.engine,
        "basic": report.provenance.engine == "extractive",
    }


def _content(narrative: Narrative, hidden: frozenset[str]) -> dict[str, object]:
    content: dict[str, object] = {"headline": narrative.headline}
    for section in _CLAIMS:
        claims = getattr(narrative, section)
        content[section] = [_claim(_plain(asdict(claim)), claim.evidence, hidden) for claim in claims]
    content["goal"] = {
        "progress": narrative.goal_progress,
        "evidence": [_evidence(one, hidden) for one in narrative.goal_evidence],
    }
    content["actions"] = _plain([asdict(action) for action in narrative.actions])
    content["insufficient_evidence"] = list(narrative.insufficient_evidence)
    return content


def _numbers(report: Report) -> dict[str, object]:
    metrics = report.metrics
    asked = sum(speaker.questions for speaker in metrics.per_speaker if speaker.role == "student")
    return {
        "duration_s": metrics.duration_s,
        "turns": metrics.turns,
        "student_share": metrics.student_share,
        "student_questions": asked,
    }


def _concerning(narrative: Narrative) -> frozenset[str]:
    evidence = [one for concern in narrative.concerns for one in concern.evidence]
    return frozenset(turn_id for one in evidence for turn_id in one.turn_ids)


def _claim(claim: dict[str, Any], evidence: tuple[Evidence, ...], hidden: frozenset[str]) -> dict[str, object]:
    return claim | {"evidence": [_evidence(one, hidden) for one in evidence]}


def _evidence(evidence: Evidence, hidden: frozenset[str]) -> dict[str, object]:
    quote = evidence.quote if hidden.isdisjoint(evidence.turn_ids) else None
    return {"turn_ids": list(evidence.turn_ids), "quote": quote}


def _plain(value: Any) -> Any:
    """Tuples as lists: what JSON has."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
