"""A report in the terminal: what a parent reads first, then what each claim rests on."""

from collections.abc import Iterable
from typing import Any, Final

from rich.console import Console, Group
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.text import Text

Line = tuple[str, str]  # what is said, and the turns it rests on

_LABELS: Final = {"extractive": "Basic report (no AI)", "prepared": "Prepared answer (no model was asked)"}
_LEVELS: Final = {"independent": ", on their own", "with_help": ", with help", "not_shown": ""}


def show_report(out: Console, report: dict[str, Any]) -> None:
    """Print a report in its staff view."""
    label = _LABELS.get(report["engine"]) or f"written by {report['provenance']['model']}"
    body: list[Any] = [Text(report["headline"], style="bold"), Text(""), Text(report["summary"])]
    for title, lines in _sections(report):
        body += [Text(""), Text(title, style="bold cyan"), *(_line(said, turns) for said, turns in lines)]
    body += [Text(""), Rule(style="dim"), Text(_footer(report), style="dim")]
    out.print(Panel(Group(*body), title=f"Report · session {report['session_id']}", subtitle=label, padding=(1, 2)))


def _sections(report: dict[str, Any]) -> Iterable[tuple[str, list[Line]]]:
    skills, slips = report["skills"], report["misconceptions"]
    sections = (
        # Fixed rules don't judge: what they list is the plan, what the tutor confirmed, and what was corrected.
        *(
            [
                ("Planned", _lines(report["topics"], lambda topic: topic["name"])),
                ("Answers the tutor confirmed", _lines(skills, lambda skill: skill["name"])),
                ("Corrected", _lines(slips, lambda slip: slip["description"])),
            ]
            if report["basic"]
            else [
                ("Worked on", _lines(report["topics"], lambda topic: f"{topic['name']} ({topic['coverage']})")),
                ("Can now do", _skills(skill for skill in skills if skill["level"] != "not_shown")),
                ("Put right", _slips(slip for slip in slips if slip["status"] == "resolved")),
                ("Needs attention", _slips(slip for slip in slips if slip["status"] != "resolved")),
                ("Not shown yet", _skills(skill for skill in skills if skill["level"] == "not_shown")),
            ]
        ),
        ("Went well", _lines(report["strengths"], lambda strength: strength["praise"])),
        ("Still open", _lines(report["open_questions"], lambda question: question["question"])),
        ("Next", [(f"{action['owner']}: {action['task']}", "") for action in report["actions"]]),
        (
            "For the staff only",
            _lines(report["concerns"], lambda concern: f"{concern['severity']}: {concern['reason']}"),
        ),
        ("Not known from this lesson", [(gap, "") for gap in report["insufficient_evidence"]]),
    )
    return ((title, lines) for title, lines in sections if lines)


def _skills(skills: Iterable[dict[str, Any]]) -> list[Line]:
    return _lines(skills, lambda skill: f"{skill['name']}{_LEVELS[skill['level']]}: {skill['rationale']}")


def _slips(slips: Iterable[dict[str, Any]]) -> list[Line]:
    return _lines(slips, lambda slip: f"{slip['description']}{', in part' if slip['status'] == 'partly' else ''}")


def _lines(claims: Iterable[dict[str, Any]], say: Any) -> list[Line]:
    return [(say(claim), _turns(claim["evidence"])) for claim in claims]


def _turns(evidence: list[dict[str, Any]]) -> str:
    quotes = [f"“{citation['quote']}”" for citation in evidence if citation["quote"]]
    cited = [turn for citation in evidence for turn in citation["turn_ids"]]
    turns = ", ".join(sorted(dict.fromkeys(cited), key=lambda turn: (len(turn), turn)))
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
