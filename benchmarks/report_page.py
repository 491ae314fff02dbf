"""The bench of the reports as one page a product owner can read: no script, no network, charts drawn as SVG."""

from collections.abc import Sequence
from html import escape
from typing import Final

from benchmarks.harness import Figure
from benchmarks.report_quality import Outcomes, Summary

_INK, _GOOD, _BAD, _SOFT, _NONE = "#1f2937", "#15803d", "#b91c1c", "#2563eb", "#6b7280"
STYLE: Final = f"""
:root {{ color-scheme: light; }}
body {{ font: 16px/1.5 system-ui, sans-serif; color: {_INK}; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.7rem; margin-bottom: .2rem; }} h2 {{ font-size: 1.15rem; margin: 2rem 0 .4rem; }}
p.lead, p.how {{ color: #4b5563; margin: .2rem 0 .8rem; }}
.cards {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(12rem, 1fr)); gap: .8rem; margin: 1.2rem 0; }}
.card {{ border: 1px solid #d1d5db; border-radius: .5rem; padding: .8rem 1rem; }}
.card b {{ display: block; font-size: 1.7rem; line-height: 1.2; }} .card span {{ color: #4b5563; font-size: .9rem; }}
.good b {{ color: {_GOOD}; }} .bad b {{ color: {_BAD}; }}
table {{ border-collapse: collapse; width: 100%; font-size: .92rem; }}
th, td {{ text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #e5e7eb; }}
td.n, th.n {{ text-align: right; font-variant-numeric: tabular-nums; }}
svg {{ display: block; max-width: 100%; height: auto; }}
svg text {{ font: 14px system-ui, sans-serif; fill: {_INK}; }} svg text.n {{ font-weight: 600; }}
.legend span {{ margin-right: 1.2rem; }}
.legend i {{ display: inline-block; width: .8em; height: .8em; margin-right: .4em; }}
"""
_SAID: Final = {"yes": "solved", "revealed": "solved, answer revealed", "no": "not solved"}


def page(summary: Summary, figures: Sequence[Figure], engine: str, *, real: bool) -> str:
    """The whole page as HTML."""
    source = "real tutoring sessions" if real else "lessons written for the bench (set AFTERBELL_DATA for real ones)"
    lead = f"{summary.reports} {source}, written by: {engine}."
    parts = (
        f"<h1>How good are the reports?</h1><p class=lead>{escape(lead)}</p>",
        _cards(summary),
        _agreement(summary.outcomes),
        section(
            "What a report holds",
            "Claims a report makes on average, each with the turns that show it.",
            bars({name.replace("_", " "): value for name, value in summary.sections.items()}, unit=""),
        ),
        section(
            "Is the whole session read?",
            "Share of reports that cite something of each third.",
            bars(dict(zip(("beginning", "middle", "end"), summary.coverage, strict=True)), share=True),
        ),
        section(
            "What was taken out",
            "Findings of the checks over all reports; nothing of it is ever shown.",
            bars(
                {label: float(n) for label, n in sorted(summary.dropped.items(), key=lambda item: -item[1])[:8]},
                unit="",
            )
            if summary.dropped
            else "<p>Nothing: every claim held.</p>",
        ),
        section("Every figure", "Bold where a target is set.", table(figures)),
    )
    return document("Afterbell: quality of the reports", parts)


def document(title: str, parts: Sequence[str]) -> str:
    """A page of these parts."""
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{escape(title)}</title><style>{STYLE}</style><body>{''.join(parts)}</body></html>\n"
    )


def _cards(summary: Summary) -> str:
    cards = [
        card(
            f"{summary.grounded_ratio:.1%}",
            "of claims are borne out by the turns they cite (target 98 %)",
            good=summary.grounded_ratio >= 0.98,
        ),
        card(
            f"{summary.bad_references:.2f}",
            "false citations a report, removed before anybody reads it",
            good=summary.bad_references < 0.1,
        ),
        card(f"{summary.covered:.0%}", "of reports cite beginning, middle and end"),
        card(
            f"${summary.usd * 1000:.2f}",
            "for 1,000 reports at the price given "
            f"({summary.input_tokens:,.0f} tokens in, {summary.output_tokens:,.0f} out each)",
        ),
    ]
    if summary.outcomes is not None:
        cards[2:2] = _outcome_cards(summary.outcomes)
    if summary.failed:
        cards.append(card(str(summary.failed), "reports could not be written", good=False))
    return f"<div class=cards>{''.join(cards)}</div>"


def _outcome_cards(outcomes: Outcomes) -> list[str]:
    right = outcomes.right / max(outcomes.claimed, 1)
    return [
        card(
            f"{right:.0%}",
            f"of what reports say of the goal agrees with the teacher"
            f" (always claiming the usual: {outcomes.usual:.0%})",
            good=right >= outcomes.usual,
        ),
        card(
            f"{outcomes.claimed / outcomes.labelled:.0%}",
            "of reports say whether the goal was reached; the others say that the session does not show it",
        ),
    ]


def card(number: str, text: str, *, good: bool | None = None) -> str:
    """A number and what it means."""
    kind = {None: "", True: " good", False: " bad"}[good]
    return f"<div class='card{kind}'><b>{escape(number)}</b><span>{escape(text)}</span></div>"


def section(title: str, how: str, body: str) -> str:
    """A heading, how to read what follows, and what follows."""
    return f"<h2>{escape(title)}</h2><p class=how>{escape(how)}</p>{body}"


def _agreement(outcomes: Outcomes | None) -> str:
    if outcomes is None:
        return ""
    how = (
        "What the report says of the lesson's goal, beside what the teacher said after it. Numbers are lessons. "
        "Where the session does not show how it ended, the report says so and makes no claim. Counted are the "
        f"{outcomes.labelled} lessons that were put aside when the rules of the extractive engine were made."
    )
    return section("Does it agree with the teacher?", how, f"{_legend()}{stacks(_rows(outcomes))}")


def _rows(outcomes: Outcomes) -> list[tuple[str, list[tuple[int, str]]]]:
    """A row for each thing teachers say: lessons the report is right on, wrong on, says nothing on."""
    rows = []
    for label, said in _SAID.items():
        reached, denied, silent = (outcomes.counts[label, claim] for claim in ("reached", "not reached", "nothing"))
        right, wrong = (denied, reached) if label == "no" else (reached, denied)
        rows.append((f"Teacher: {said}", [(right, _GOOD), (wrong, _BAD), (silent, _NONE)]))
    return rows


def _legend() -> str:
    words = (("report agrees", _GOOD), ("report is wrong", _BAD), ("report makes no claim", _NONE))
    return f"<p class=legend>{''.join(f'<span><i style=background:{ink}></i>{word}</span>' for word, ink in words)}</p>"


def stacks(rows: Sequence[tuple[str, list[tuple[int, str]]]]) -> str:
    """Horizontal bars of coloured parts, each with its number; all bars on one scale."""
    most = max(sum(n for n, _ in parts) for _, parts in rows) or 1
    drawn, descriptions = [], []
    for nth, (label, parts) in enumerate(rows):
        x, y = 255.0, nth * 36
        drawn.append(f"<text x=245 y={y + 22} text-anchor=end>{escape(label)}</text>")
        descriptions.append(f"{label}: {', '.join(str(n) for n, _ in parts)}")
        for n, ink in parts:
            width = 380 * n / most
            drawn.append(f"<rect x={x:.1f} y={y + 5} width={width:.1f} height=25 fill='{ink}'/>")
            x += width
        numbers = (f"<tspan dx=9 fill='{ink}'>{n}</tspan>" for n, ink in parts)
        drawn.append(f"<text class=n x={x:.1f} y={y + 22}>{''.join(numbers)}</text>")
    return _drawing("".join(drawn), 36 * len(rows), "; ".join(descriptions))


def bars(values: dict[str, float], *, share: bool = False, unit: str = "") -> str:
    """Horizontal bars with their numbers; a share is drawn on a scale of 100 %."""
    most = 1.0 if share else max(max(values.values(), default=0.0), 1e-9)
    rows = []
    for nth, (label, value) in enumerate(values.items()):
        y, width = nth * 30, 430 * value / most
        shown = f"{value:.0%}" if share else f"{value:,.2f}".removesuffix(".00") + unit
        rows.append(
            f"<text x=225 y={y + 19} text-anchor=end>{escape(label)}</text>"
            f"<rect x=235 y={y + 5} width={max(width, 1):.1f} height=19 rx=3 fill='{_SOFT}'/>"
            f"<text x={243 + width:.1f} y={y + 19}>{escape(shown)}</text>"
        )
    return _drawing("".join(rows), 30 * len(values), ", ".join(f"{name} {value:.2f}" for name, value in values.items()))


def _drawing(inside: str, height: int, description: str) -> str:
    """An SVG of the page's width; ``told`` is what it shows, for who cannot see it."""
    return f"<svg viewBox='0 0 740 {height}' width=740 role=img aria-label='{escape(description)}'>{inside}</svg>"


def _number(value: float, share: bool) -> str:
    return f"{100 * value:.3g} %" if share else f"{value:,.4g}"


def table(figures: Sequence[Figure]) -> str:
    """Every figure beside its target."""
    rows = []
    for figure in figures:
        name = escape(figure.name.replace("_", " "))
        shares = figure.unit == "share"
        sign = "≥" if figure.better == "higher" else "≤"
        target = "" if figure.target is None else f"{sign} {_number(figure.target, shares)}"
        met = {None: "", True: "met", False: "missed"}[figure.met]
        shown, unit = f"<b>{name}</b>" if target else name, "" if shares else escape(figure.unit)
        rows.append(f"<tr><td>{shown}<td class=n>{_number(figure.value, shares)}<td>{unit}<td>{target}<td>{met}")
    head = "<tr><th>Figure<th class=n>Value<th>Unit<th>Target<th>"
    return f"<table>{head}{''.join(rows)}</table>"
