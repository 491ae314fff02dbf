"""A report as a page: one HTML document to read and print, without scripts, links or anything to fetch.

What a reader may see is decided by ``core.views``; this module only words and lays it out. All text is
escaped, and nothing in it becomes a link.
"""

from base64 import b64encode
from datetime import datetime
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from afterbell.core.report import Report, Role
from afterbell.core.views import view

if TYPE_CHECKING:
    from jinja2 import Template

_WHO: Final[dict[Role, str]] = {"parent": "your child", "student": "you"}
_STUDENT: Final = "the student"
_FOR: Final[dict[Role, str]] = {
    "parent": "For parents",
    "student": "For you",
    "tutor": "For the tutor",
    "staff": "For staff: holds concerns, do not pass on",
    "admin": "For staff: holds concerns, do not pass on",
}
_WORDS: Final[dict[str, dict[str, str]]] = {
    "coverage": {"introduced": "introduced", "practised": "practised", "reviewed": "looked at again"},
    "level": {"not_shown": "not shown yet", "with_help": "with help", "independent": "without help"},
    "change": {
        "up": "better than before",
        "same": "as before",
        "down": "harder than before",
        "first_seen": "",
    },
    "progress": {
        "met": "reached",
        "partly": "reached in part or with help",
        "not_yet": "not reached yet",
        "not_discussed": "",
    },
    "due": {
        "before_next_session": "before the next session",
        "this_week": "this week",
        "anytime": "any time",
    },
    "severity": {"note": "Note", "review": "To review", "urgent": "Urgent"},
}


def render(report: Report, role: Role, *, session_title: str) -> str:
    """The page of a report as ``role`` may see it; ``session_title`` is shown above the headline."""
    shown: dict[str, Any] = view(report, role)
    slips = shown["misconceptions"]
    return _template().render(
        report=shown,
        title=session_title,
        role=role,
        who=_WHO.get(role, _STUDENT),
        audience=_FOR[role],
        words=_WORDS,
        day=_day(report.created_at),
        figures=_figures(shown["numbers"], _WHO.get(role, _STUDENT)),
        student_percent=round(report.metrics.student_share * 100),
        settled=[one for one in slips if one["status"] == "resolved"],
        unsettled=[one for one in slips if one["status"] != "resolved"],
    )


@cache
def style_source() -> str:
    """The page's only style, as a Content-Security-Policy names it: for pages that show a report within themselves."""
    text = (files("afterbell.api") / "templates" / "report.html").read_text("utf-8")
    style = text.partition("<style>")[2].partition("</style>")[0]
    return f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'"


@cache
def _template() -> "Template":
    from jinja2 import Environment, PackageLoader, StrictUndefined  # 2 MB of a process in which nobody reads a page

    environment = Environment(
        loader=PackageLoader("afterbell.api", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["turns"] = _turns
    environment.filters["sentence"] = _sentence
    return environment.get_template("report.html")


def _turns(turn_ids: list[str]) -> str:
    """["t4", "t5"] as "turns 4, 5"."""
    numbers = ", ".join(turn_id.removeprefix("t") for turn_id in turn_ids)
    return f"turn {numbers}" if len(turn_ids) == 1 else f"turns {numbers}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y}"


def _figures(numbers: dict[str, Any], who: str) -> list[tuple[str, str]]:
    """(value, label) of the small numbers under the summary."""
    asked = numbers["student_questions"]
    figures = [
        (str(numbers["turns"]), "messages"),
        (str(asked), f"{'question' if asked == 1 else 'questions'} from {who}"),
    ]
    if numbers["duration_s"] is not None:
        minutes = max(1, round(numbers["duration_s"] / 60))
        figures.insert(0, (str(minutes), "minute" if minutes == 1 else "minutes"))
    return figures
