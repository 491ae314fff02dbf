"""A report in the terminal: what a parent reads first, then what each claim rests on."""

from collections.abc import Iterable
from typing import Any, Final

from rich.console import Console, Group
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.text import Text

Line = tuple[str, str]  # what is said, and the turns it rests on

_LEVELS: Final = {"independent": "on their own", "with_help": "with help", "not_shown": "not certain yet"}


def show_report(out: Console, report: dict[str, Any]) -> None:
    """Print a report in its staff view."""
    label = "Basic report (no AI)" if report["basic"] else f"written by {report['provenance']['model']}"
    body: list[Any] = [Text(report["headline"], style="bold"), Text(""), Text(report["summary"])]
    for title, lines in _sections(report):
        body += [Text(""), Text(title, style="bold cyan"), *(_line(said, turns) for said, turns in lines)]
    body += [Text(""), Rule(style="dim"), Text(_footer(report), style="dim")]
    out.print(Panel(Group(*body), title=f"Report · session {report['session_id']}", subtitle=label, padding=(1, 2)))


def _sections(report: dict[str, Any]) -> Iterable[tuple[str, list[Line]]]:
    sections = (
        ("Worked on", _lines(report["topics"], lambda topic: f"{topic['name']} ({topic['coverage']})")),
        (
            "Can now do",
            _lines(report["skills"], lambda skill: f"{skill['name']}, {_LEVELS[skill['level']]}: {skill['rationale']}"),
        ),
        ("Went well", _lines(report["strengths"], lambda strength: strength["praise"])),
        (
            "Needs attention",
            _lines(
                report["misconceptions"],
                lambda misconception: f"{misconception['description']} ({misconception['status']})",
            ),
        ),
        ("Still open", _lines(report["open_questions"], lambda question: question["question"])),
        ("Next", [(f"{action['owner']}: {action['task']}", "") for action in report["actions"]]),
        (
            "For the staff only",
            _lines(report["concerns"], lambda concern: f"{concern['severity']}: {concern['reason']}"),
        ),
        ("Not enough was said about", [(gap, "") for gap in report["insufficient_evidence"]]),
    )
    return ((title, lines) for title, lines in sections if lines)


def _lines(claims: list[dict[str, Any]], say: Any) -> list[Line]:
    return [(say(claim), _turns(claim["evidence"])) for claim in claims]


def _turns(evidence: list[dict[str, Any]]) -> str:
    quotes = [f"“{citation['quote']}”" for citation in evidence if citation["quote"]]
    turns = ", ".join(turn for citation in evidence for turn in citation["turn_ids"])
    return " ".join((f"[{turns}]", *quotes[:1]))


def _line(said: str, turns: str) -> Padding:
    text = Text(f"• {said}")
    if turns:
        text.append(f"\n  {turns}", style="dim")
    return Padding(text, (0, 0, 0, 1))


def _footer(report: dict[str, Any]) -> str:
    numbers, checks = report["numbers"], report["checks"]
    usage = report["provenance"]["usage"]
    share = numbers["student_share"]
    return (
        f"{numbers['turns']} turns, student said {round(share * 100)} % of the words · "
        f"{checks['claims']} claims checked against their turns, {len(checks['dropped'])} dropped · "
        f"{usage['input_tokens']} tokens in, {usage['output_tokens']} out"
    )
