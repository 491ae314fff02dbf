"""The load test as one page: no script, no network, charts drawn as SVG."""

from collections.abc import Mapping, Sequence
from html import escape

from benchmarks.harness import Figure
from benchmarks.queue_day import Day, arrivals
from benchmarks.report_page import bars, card, document, section, table

_LEAD = "Every process on one machine, the model a stub that writes at a provider's pace."
WIDTH, HEIGHT, LEFT, LOW = 740, 220, 60, 185


def page(
    figures: Sequence[Figure],
    posts_ms: Mapping[str, Sequence[float]],
    done_s: Sequence[float],
    acks_ms: Mapping[int, float],
    day: Day | None,
) -> str:
    """The whole page as HTML."""
    parts = [
        f"<h1>Does it hold on the worst day?</h1><p class=lead>{_LEAD}</p>",
        _cards(figures),
        *(
            section(
                f"{len(times)} report requests in one moment, over {how.replace('_', ' ')}",
                "How long each waited for its answer, in the last of the bursts; its report is committed by then.",
                steps(times, "ms", "answered"),
            )
            for how, times in posts_ms.items()
        ),
        section(
            f"{len(done_s)} reports at the same time",
            "Seconds after they were asked for, until each was ready.",
            steps(sorted(done_s), "s", "ready"),
        ),
        section(
            "Sockets in rooms of four",
            "The 99th percentile from sending a message to its stored acknowledgement.",
            bars({f"{count:,} sockets": value for count, value in acks_ms.items()}, unit=" ms"),
        ),
    ]
    if day is not None:
        parts += _day(day)
    parts.append(section("Every figure", "Bold where a target is set.", table(figures)))
    return document("Afterbell: load test", parts)


def steps(ordered: Sequence[float], unit: str, did: str) -> str:
    """How many had ``did`` what by when: a line that rises by one for each."""
    most, count = max(ordered), len(ordered)
    across, down = (WIDTH - LEFT - 40) / most, (LOW - 15) / count
    points = [f"{LEFT},{LOW}"]
    for nth, at in enumerate(ordered):
        x = LEFT + at * across
        points += [f"{x:.1f},{LOW - nth * down:.1f}", f"{x:.1f},{LOW - (nth + 1) * down:.1f}"]
    marks = "".join(
        f"<text x={LEFT + at * across:.0f} y={LOW + 22} text-anchor=middle>{at:,g} {unit}</text>" for at in ticks(most)
    )
    title = escape(f"{count} {did} within {most:,.4g} {unit}, half of them within {ordered[count // 2]:,.4g} {unit}")
    return (
        f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' width={WIDTH} style='max-width:100%' role=img aria-label='{title}'>"
        f"<line x1={LEFT} y1={LOW} x2={WIDTH - 40} y2={LOW} stroke='#9ca3af'/>"
        f"<text x={LEFT - 8} y=20 text-anchor=end>{count}</text><text x={LEFT - 8} y={LOW} text-anchor=end>0</text>"
        f"<polyline points='{' '.join(points)}' fill=none stroke='#2563eb' stroke-width=2 />{marks}</svg>"
    )


def ticks(most: float) -> list[float]:
    """Round numbers from 0 to ``most``: three to seven of them."""
    size = next(
        size for power in range(-6, 9) for size in (10.0**power, 2 * 10.0**power, 5 * 10.0**power) if most / size <= 6
    )
    return [float(f"{nth * size:.6g}") for nth in range(int(most / size) + 1)]


def _cards(figures: Sequence[Figure]) -> str:
    cards = [
        card(
            f"{_short(figure.value)} {figure.unit}",
            f"{figure.name.replace('_', ' ')} (target {figure.target:g})",
            good=bool(figure.met),
        )
        for figure in figures
        if figure.target is not None
    ]
    return f"<div class=cards>{''.join(cards)}</div>"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _day(day: Day) -> list[str]:
    hours = {f"{16 + hour}:00": 0.0 for hour in range(6)}
    for after_s in arrivals(day.reports):
        hours[f"{16 + min(int(after_s // 3600), 5)}:00"] += 1
    commands = {"evening": float(day.evening), "other hours": float(day.quiet)}
    by_purpose = {name: float(count) for name, count in sorted(day.by_purpose.items(), key=lambda item: -item[1])[:6]}
    ended = f"{16 + day.ends_s / 3600:.1f} h"
    return [
        section(
            f"A day of {day.reports:,} reports",
            f"When they are asked for; the last was ready at {ended}, ten a minute being allowed to start.",
            bars(hours),
        ),
        section(
            "What the day costs on a Redis that bills by command",
            "Commands, by the time of the day, and those of the workers by what they are for.",
            bars(commands | by_purpose),
        ),
    ]
