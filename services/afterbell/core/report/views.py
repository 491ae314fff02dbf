"""What each reader of a report gets: one JSON-ready dict per role, built by naming what goes in.

Every view holds

    report_id, session_id, version, language, lesson_language, created_at (ISO 8601),
    engine ("llm" | "extractive" | "prepared"), basic, headline,
    topics, skills, misconceptions, strengths, open_questions, goal {progress, evidence}, actions,
    insufficient_evidence, speakers {turn id: "tutor" | "student" | "student_2" …},
    numbers {held_at, duration_s, turns, student_share, student_questions, students [{participant_id, label, share,
    questions}]}

where a claim's ``evidence`` is a list of {turn_ids, quote} and ``student`` the label of the student it is about, or
None. ``speakers`` says by turn id who said what is cited; a quote stands in the first of its turns. On top of that

    parent         summary; all actions
    student        note; the student's own actions
    tutor          summary, note (the tutor's), per_student, metrics (all of SessionMetrics), next_lesson
    staff, admin   summary, student_note, tutor_note, per_student, metrics, concerns, checks, provenance

where ``next_lesson`` has an entry a student, and one of nobody's own: {student, revisit (misconceptions not resolved),
practise (skills not shown), open_questions, prepare (the tutor's actions)}, each but the first a list as above.

Where several students spoke, a student and a parent read what is about their own: claims, texts and numbers of another
student are not in their view, nor is anything that does not say whose it is.

Concerns are for the staff. What cites a turn that a concern cites, or that follows one about harm, is shown to nobody
else, in any section.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from afterbell.core.narrative import Action, Evidence, Narrative
from afterbell.core.report.report import Report, Role
from afterbell.core.report.stand_ins import stand_in
from afterbell.core.report.statistics import SpeakerMetrics

_STAFF: Final[frozenset[Role]] = frozenset({"staff", "admin"})
_CLAIMS: Final = ("topics", "skills", "misconceptions", "strengths", "open_questions")


@dataclass(frozen=True, slots=True)
class _Reader:
    """Who reads: what is hidden, and, where only their own students' part may be shown, who these are."""

    role: Role
    language: str
    hidden: frozenset[str]
    students: tuple[SpeakerMetrics, ...]
    own_only: bool

    def may_see(self, label: str | None) -> bool:
        """Whether something about this student is the reader's; what says nobody's name may be about anybody."""
        return not self.own_only or label in {student.label for student in self.students}


def view(report: Report, role: Role, students: Iterable[str] = ()) -> dict[str, object]:
    """The report as ``role`` may see it; see the module for the fields.

    ``students`` are the participant ids that a student or a parent reads as: their own, their children's.
    """
    reader = _reader(report, role, frozenset(students))
    content = _content(report, reader)
    shown = _about(report) | content | {"numbers": _numbers(report, reader)} | _of_role(report, reader)
    return shown | {"next_lesson": _next_lesson(content, reader)} if role == "tutor" else shown


def _reader(report: Report, role: Role, own: frozenset[str]) -> _Reader:
    speaking = tuple(speaker for speaker in report.metrics.per_speaker if speaker.role == "student" and speaker.words)
    own_only = role in ("parent", "student") and len(speaking) > 1
    hidden = frozenset[str]() if role in _STAFF else _concerning(report)
    mine = tuple(speaker for speaker in speaking if speaker.participant_id in own) if own_only else speaking
    return _Reader(role, report.language, hidden, mine, own_only)


def _of_role(report: Report, reader: _Reader) -> dict[str, object]:
    narrative = report.narrative
    summary: dict[str, object] = {"summary": _own_text(narrative, "parent_summary", reader)}
    if reader.role == "parent":
        return summary
    if reader.role == "student":
        own = [action for action in _actions(narrative, reader) if action.owner == "student"]
        note = _own_text(narrative, "student_note", reader)
        return {"note": note, "actions": _plain([asdict(action) for action in own])}
    each: dict[str, object] = {"per_student": _plain([asdict(texts) for texts in narrative.per_student])}
    if reader.role == "tutor":
        return summary | each | {"note": narrative.tutor_note, "metrics": _plain(asdict(report.metrics))}
    return {
        **summary,
        **each,
        "student_note": narrative.student_note,
        "tutor_note": narrative.tutor_note,
        "metrics": _plain(asdict(report.metrics)),
        "concerns": _plain([asdict(concern) for concern in narrative.concerns]),
        "checks": _plain(asdict(report.checks)),
        "provenance": _plain(asdict(report.provenance)),
    }


def _own_text(narrative: Narrative, name: str, reader: _Reader) -> str:
    """The text for the reader; one paragraph a student where the reader has several of them."""
    if not reader.own_only:
        return str(getattr(narrative, name))
    texts = [getattr(own, name) for own in narrative.per_student if reader.may_see(own.student)]
    return "\n\n".join(texts) or stand_in(name, reader.language)


def _about(report: Report) -> dict[str, object]:
    return {
        "report_id": report.id,
        "session_id": report.session_id,
        "version": report.version,
        "language": report.language,
        "lesson_language": report.lesson_language,
        "created_at": report.created_at.isoformat(),
        "engine": report.provenance.engine,
        "basic": report.provenance.engine == "extractive",
    }


def _content(report: Report, reader: _Reader) -> dict[str, object]:
    narrative, own_only = report.narrative, reader.own_only
    # What a model says of a group in prose may be about any one of it; fixed rules say nothing of the kind there.
    is_open = not own_only or report.provenance.engine == "extractive"
    content: dict[str, Any] = {"headline": narrative.headline if is_open else stand_in("headline", reader.language)}
    for section in _CLAIMS:
        claims = [_claim(claim, section, reader) for claim in getattr(narrative, section)]
        content[section] = [claim for claim in claims if claim is not None]
    content["goal"] = {
        "progress": "not_discussed" if own_only else narrative.goal_progress,
        "evidence": [] if own_only else _shown(narrative.goal_evidence, reader),
    }
    cited = [item for section in _CLAIMS for claim in content[section] for item in claim["evidence"]]
    content["speakers"] = _speakers(report, [*cited, *content["goal"]["evidence"]])
    content["actions"] = _plain([asdict(action) for action in _actions(narrative, reader)])
    content["insufficient_evidence"] = list(narrative.insufficient_evidence) if is_open else []
    return content


def _speakers(report: Report, evidence: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Who said what the reader is shown as evidence; of reports made before it was stored, nobody."""
    cited = dict.fromkeys(turn_id for item in evidence for turn_id in item["turn_ids"])
    return {turn_id: report.speakers[turn_id] for turn_id in cited if turn_id in report.speakers}


def _next_lesson(content: Mapping[str, Any], reader: _Reader) -> list[dict[str, object]]:
    """What to come back to and what to prepare, by student; last what is nobody's own."""

    def of(label: str | None) -> dict[str, list[Any]]:
        own = {
            name: [claim for claim in content[name] if claim["student"] == label] for name in (*_CLAIMS[1:], "actions")
        }
        return {
            "revisit": [claim for claim in own["misconceptions"] if claim["status"] != "resolved"],
            "practise": [claim for claim in own["skills"] if claim["level"] == "not_shown"],
            "open_questions": own["open_questions"],
            "prepare": [claim for claim in own["actions"] if claim["owner"] == "tutor"],
        }

    parts = ((label, of(label)) for label in (*(student.label for student in reader.students), None))
    return [{"student": label, **part} for label, part in parts if any(part.values())]


def _actions(narrative: Narrative, reader: _Reader) -> list[Action]:
    return [action for action in narrative.actions if action.student is None or reader.may_see(action.student)]


def _numbers(report: Report, reader: _Reader) -> dict[str, object]:
    metrics = report.metrics
    return {
        "held_at": _plain(metrics.held_at),
        "duration_s": metrics.duration_s,
        "turns": metrics.turns,
        "student_share": round(sum(student.share for student in reader.students), 4),
        "student_questions": sum(student.questions for student in reader.students),
        "students": [
            {name: getattr(student, name) for name in ("participant_id", "label", "share", "questions")}
            for student in reader.students
        ],
    }


def _concerning(report: Report) -> frozenset[str]:
    """The turns that only the staff reads; where a concern is about conduct alone the rest of a turn may be quoted."""
    cited = [
        (concern.kind, turn_id)
        for concern in report.narrative.concerns
        for item in concern.evidence
        for turn_id in item.turn_ids
    ]
    partly = {*report.checks.partly_kept} - {turn_id for kind, turn_id in cited if kind != "conduct"}
    return frozenset(turn_id for _, turn_id in cited) - partly | {*report.checks.kept_from_families}


def _claim(claim: Any, section: str, reader: _Reader) -> dict[str, object] | None:
    """The claim as the reader sees it; None where it is another's, or nothing of its evidence may be seen."""
    evidence = _shown(claim.evidence, reader)
    if not evidence or (section != "topics" and not reader.may_see(claim.student)):
        return None
    if section == "topics" and reader.own_only:
        evidence = [item | {"quote": None} for item in evidence]
    shown: dict[str, object] = _plain(asdict(claim))
    return shown | {"evidence": evidence}


def _shown(evidence: Iterable[Evidence], reader: _Reader) -> list[dict[str, object]]:
    shown = [item for item in evidence if reader.hidden.isdisjoint(item.turn_ids)]
    return [{"turn_ids": list(item.turn_ids), "quote": item.quote} for item in shown]


def _plain(value: Any) -> Any:
    """Tuples as lists, times as text: what JSON has."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
