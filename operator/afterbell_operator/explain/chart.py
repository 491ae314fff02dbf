"""A simulated day as an SVG: pods, jobs that wait, and how long they waited."""

from collections.abc import Callable, Sequence
from typing import Final

from afterbell_operator.simulate import Course

WIDTH: Final = 960
_PANEL, _GAP, _LEFT, _TOP = 150, 46, 64, 80
_COLOURS: Final = ("#1f6f8b", "#c8553d", "#6a4c93")


def svg(course: Course, title: str) -> str:
    """Three panels over the same hours; each point is the largest value of its share of the time."""
    panels = (
        ("pods", [float(moment.pods) for moment in course.moments]),
        ("jobs waiting", [float(moment.waiting) for moment in course.moments]),
        ("seconds the oldest job has waited", [moment.oldest_s for moment in course.moments]),
    )
    hours = len(course.moments) / 3600
    height = _TOP + len(panels) * (_PANEL + _GAP) + 10
    drawn = "".join(_panel(*panel, hours, _TOP + n * (_PANEL + _GAP), _COLOURS[n]) for n, panel in enumerate(panels))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="sans-serif" font-size="13"><rect width="100%" height="100%" fill="white"/>'
        f"{_text(_LEFT, 24, title, size=17)}{_text(_LEFT, 45, facts(course))}{drawn}</svg>\n"
    )


def facts(course: Course) -> str:
    """The day in one line."""
    return (
        f"{len(course.waits_s)} jobs, wait p50 {course.wait_s(0.5):.1f} s, p95 {course.wait_s(0.95):.1f} s, "
        f"{course.pod_hours:.1f} pod-hours, {course.resizes} resizes, {course.interrupted} interrupted"
    )


def _panel(name: str, values: Sequence[float], hours: float, top: int, colour: str) -> str:
    most = max(*values, 1.0)
    right, bottom = WIDTH - 20, top + _PANEL

    def across(hour: float) -> float:
        return _LEFT + hour / hours * (right - _LEFT)

    bins = right - _LEFT
    size = max(len(values) / bins, 1)
    points = []
    for n in range(min(bins, len(values))):
        part = values[int(n * size) : int((n + 1) * size)] or [values[-1]]
        x, y = _LEFT + n * bins / min(bins, len(values)), bottom - max(part) / most * (_PANEL - 14)
        points.append(f"{x:.1f},{y:.1f}")
    area = f"{_LEFT},{bottom} {' '.join(points)} {right},{bottom}"
    return (
        f'<polygon points="{area}" fill="{colour}" fill-opacity="0.18"/>'
        f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        f'<line x1="{_LEFT}" y1="{bottom}" x2="{right}" y2="{bottom}" stroke="#888"/>'
        f"{_text(_LEFT, top - 4, name, colour=colour)}{_text(_LEFT - 8, bottom, '0', end=True)}"
        f"{_text(_LEFT - 8, top + 18, f'{most:.0f}', end=True)}{_hours(hours, across, bottom)}"
    )


def _hours(hours: float, across: Callable[[float], float], bottom: int) -> str:
    step = next(hour for hour in (0.25, 1, 3, 6, 24, 168) if hours / hour <= 12)
    ticks = [n * step for n in range(int(hours / step) + 1)]
    return "".join(_text(across(tick), bottom + 16, f"{tick:g} h") for tick in ticks if across(tick) < WIDTH - 30)


def _text(x: float, y: float, text: str, *, size: int = 13, colour: str = "#333", end: bool = False) -> str:
    anchor = ' text-anchor="end"' if end else ""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x:.0f}" y="{y}" font-size="{size}" fill="{colour}"{anchor}>{escaped}</text>'
