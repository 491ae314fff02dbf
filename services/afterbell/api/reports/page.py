"""A report as a page: one HTML document to read and print, without scripts, links or anything to fetch.

What a reader may see is decided by ``core.report.views``; this module only words it, in the reader's language, and lays
it out. All text is escaped, and nothing in it becomes a link.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from afterbell.core.report.report import Report, Role
from afterbell.core.report.stand_ins import stand_in
from afterbell.core.report.views import view
from afterbell.core.translation import Wording, direction_of, gettext_noop, language_of, wording

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

LATE_AFTER_S: Final = 60
QUESTIONS_MIN: Final = 5
"""Fewer questions of a tutor's make no share worth a word."""
_AUDIENCE: Final[dict[Role, str]] = {
    "parent": gettext_noop("Report for parents"),
    "student": gettext_noop("Your report"),
    "tutor": gettext_noop("Report for the tutor"),
    "staff": gettext_noop("Report for staff: confidential"),
    "admin": gettext_noop("Report for staff: confidential"),
}
_LABELS: Final[dict[str, dict[str, str]]] = {
    "coverage": {
        "introduced": gettext_noop("introduced"),
        "practised": gettext_noop("practised"),
        "reviewed": gettext_noop("looked at again"),
    },
    "level": {
        "not_shown": gettext_noop("not certain yet"),
        "with_help": gettext_noop("with help"),
        "independent": gettext_noop("without help"),
    },
    "progress": {
        "met": gettext_noop("The goal of the lesson was reached."),
        "partly": gettext_noop("The goal of the lesson was reached in part or with help."),
        "not_yet": gettext_noop("The goal of the lesson was not reached yet."),
    },
    "due": {
        "before_next_session": gettext_noop("before the next lesson"),
        "this_week": gettext_noop("this week"),
        "anytime": gettext_noop("any time"),
    },
    "severity": {
        "note": gettext_noop("For your information"),
        "review": gettext_noop("To review"),
        "urgent": gettext_noop("Urgent"),
    },
    "kind": {
        "wellbeing": gettext_noop("Wellbeing"),
        "safeguarding": gettext_noop("Child protection"),
        "conduct": gettext_noop("Conduct"),
        "academic_integrity": gettext_noop("Academic honesty"),
        "personal_data": gettext_noop("Personal data"),
    },
    "person": {
        "student": gettext_noop("Student"),
        "parent": gettext_noop("Parents"),
        "tutor": gettext_noop("Tutor"),
        "assistant": gettext_noop("Assistant"),
        "observer": gettext_noop("Observer"),
    },
}
# What somebody said stands between quotation marks, also within a sentence about it.
_QUOTED: Final = re.compile("([“„«]\u00a0?)([^“”„«»]+?)(\u00a0?[”“»])")
_TURN: Final = re.compile(r"\bt([1-9]\d{0,4})\b")


@dataclass(frozen=True, slots=True)
class _Student:
    """A student the reader reads about; ``share`` is 0 to 1 of the words."""

    label: str
    name: str
    share: float


def render(
    report: Report,
    role: Role,
    students: Iterable[str] = (),
    *,
    session_title: str,
    names: Mapping[str, str] | None = None,
    language: str | None = None,
) -> str:
    """The page of a report as ``role`` may see it, who reads as ``students``.

    ``session_title`` is the subject; ``names`` are display names by participant id. The labels are in ``language``, a
    tag such as "pt-BR"; without one in the report's own.
    """
    shown: dict[str, Any] = view(report, role, students)
    words = wording(language or report.language)
    known = names or {}
    own = [
        _Student(student["label"], known.get(student["participant_id"], student["participant_id"]), student["share"])
        for student in shown["numbers"]["students"]
    ]
    return (
        _environment()
        .get_template("report.html")
        .render(
            _=words.gettext,
            ngettext=words.ngettext,
            words=words,
            labels=_LABELS,
            report=shown,
            role=role,
            audience=_AUDIENCE[role],
            facts=_facts(report, session_title, own, known, words),
            students=own,
            named={student.label: student.name for student in own} if len(own) > 1 else {},
            known=known,
            speakers=_speakers(report, role, own, known, words),
            is_foreign=language_of(report.language) != words.language,
            direction_of_text=direction_of(report.language),
            kept=_kept(shown),
            no_reason=stand_in("rationale", report.language),
        )
    )


@cache
def style_source() -> str:
    """The page's only style, as a Content-Security-Policy names it: for pages that show a report within themselves."""
    text = (files("afterbell.api.reports") / "templates" / "report.html").read_text("utf-8")
    style = text.partition("<style>")[2].partition("</style>")[0]
    return f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'"


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined  # 2 MB of a process in which nobody reads a page

    environment = Environment(
        loader=PackageLoader("afterbell.api.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "isolated": _isolated,
        "messages": _messages,
        "minutes": _minutes,
        "numbered": _numbered,
        "numbers": _numbers,
        "prose": _prose,
        "thirds": _thirds,
        "turn_ids": _turn_ids,
        "unsaid": _unsaid,
    }
    environment.globals |= {"LATE_AFTER_S": LATE_AFTER_S, "QUESTIONS_MIN": QUESTIONS_MIN}
    return environment


def _facts(
    report: Report, subject: str, students: Sequence[_Student], names: Mapping[str, str], words: Wording
) -> list[tuple[str, str]]:
    """(label, value) of what stands under the headline: when, what, who, how long."""
    say, metrics = words.gettext, report.metrics
    held = metrics.held_at
    facts = [
        (say("Date of the lesson"), words.day(held)) if held else (say("Written on"), words.day(report.created_at))
    ]
    facts.append((say("Subject"), subject))
    if names and students:
        label = say("Student") if len(students) == 1 else say("Students")
        facts.append((label, words.listed([student.name for student in students])))
    tutors = [
        names[speaker.participant_id]
        for speaker in metrics.per_speaker
        if speaker.role == "tutor" and speaker.participant_id in names
    ]
    if tutors:
        facts.append((say("Tutor") if len(tutors) == 1 else say("Tutors"), words.listed(tutors)))
    if metrics.duration_s is not None:
        facts.append(
            (say("Length"), words.ngettext("%(count)s minute", "%(count)s minutes", _minutes(metrics.duration_s)))
        )
    return facts


def _speakers(
    report: Report, role: Role, students: Sequence[_Student], names: Mapping[str, str], words: Wording
) -> dict[str, str]:
    """Who is quoted, by label: by name where the reader is told of them, a student who reads as "You", else by role."""
    own = {student.label: student.name for student in students}
    speaking = [speaker for speaker in report.metrics.per_speaker if speaker.label]
    named = {speaker.label: names.get(speaker.participant_id) for speaker in speaking if speaker.role != "student"}
    if names:
        named |= own
    if role == "student" and len(own) == 1:
        named |= dict.fromkeys(own, words.gettext("You"))
    by_role = {speaker.label: words.gettext(_LABELS["person"][speaker.role]) for speaker in speaking}
    return by_role | {label: name for label, name in named.items() if name}


def _kept(shown: Mapping[str, Any]) -> frozenset[str]:
    """The ids of turns whose words stand on no page, not the staff's either: it may lie on a desk."""
    checks = shown.get("checks", {"kept_from_families": (), "partly_kept": ()})
    cited = (evidence for concern in shown.get("concerns", ()) for evidence in concern["evidence"])
    named = frozenset(turn_id for evidence in cited for turn_id in evidence["turn_ids"])
    return named - frozenset(checks["partly_kept"]) | frozenset(checks["kept_from_families"])


def _minutes(seconds: float) -> int:
    return max(1, round(seconds / 60))


def _numbers(turn_ids: Iterable[str]) -> str:
    """["t5", "t4"] as "4, 5", in the lesson's order: turn n is message n."""
    in_order = sorted(turn_ids, key=lambda turn_id: (len(turn_id), turn_id))
    return ", ".join(turn_id.removeprefix("t") for turn_id in in_order)


def _numbered(text: str) -> str:
    """A text that names turns, "t4", with "#4" for each."""
    return _TURN.sub(r"#\1", text)


def _messages(text: str, evidence: Iterable[dict[str, Any]], words: Wording, role: Role) -> str:
    """A claim's text that names turns it cites: "t4" as "message 4" for a family, as "#4" for those who read more."""
    cited = _turn_ids(evidence)

    def named(turn: re.Match[str]) -> str:
        if turn[0] not in cited:
            return turn[0]
        if role not in ("parent", "student"):
            return f"#{turn[1]}"
        return words.ngettext("message %(numbers)s", "messages %(numbers)s", 1, numbers=turn[1])

    return _TURN.sub(named, text)


def _thirds(cited: Sequence[bool], words: Wording) -> str:
    """Which parts of a lesson a report cites, in words."""
    names = (words.gettext("beginning"), words.gettext("middle"), words.gettext("end"))
    return words.listed([name for name, is_cited in zip(names, cited, strict=True) if is_cited]) or words.gettext(
        "none"
    )


def _turn_ids(evidence: Iterable[dict[str, Any]]) -> list[str]:
    """The ids of all turns that evidence cites, each once and in the lesson's order."""
    cited = {turn_id for item in evidence for turn_id in item["turn_ids"]}
    return sorted(cited, key=lambda turn_id: (len(turn_id), turn_id))


def _unsaid(evidence: Iterable[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """The evidence whose quote a text does not begin to repeat itself."""
    said = {quote[2].rstrip("…") for quote in _QUOTED.finditer(text)}
    return [
        item
        for item in evidence
        if item["quote"] and not any(words in " ".join(item["quote"].split()) for words in said)
    ]


def _isolated(name: str, words: Wording) -> str:
    """A name that keeps its own direction within a line that runs from right to left (Unicode TR 9)."""
    return f"\u2068{name}\u2069" if words.direction == "rtl" else name


def _prose(text: str, lesson_language: str | None) -> "Markup":
    """The text with each quote in it set apart: its language and its direction are the lesson's."""
    from markupsafe import Markup, escape

    of = Markup(' lang="{}"').format(lesson_language) if lesson_language else Markup()
    return Markup(_QUOTED.sub(lambda said: f"{said[1]}<bdi{of}>{said[2]}</bdi>{said[3]}", str(escape(text))))  # noqa: S704  escaped
