"""What every benchmark reports with: figures of several runs, JSON lines for programs, a table for people.

A figure is the median of its runs. The exit code is 1 where a target is missed by more than ``TOLERANCE``: shared
machines are noisy, and a benchmark that fails by chance is one nobody runs.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final, Literal

from rich.console import Console
from rich.table import Table

TOLERANCE: Final = 0.20
Better = Literal["lower", "higher"]


@dataclass(slots=True)
class Figure:
    """One figure: what each run measured, in ``unit``, and what another system (the peer) did in the same run."""

    name: str
    unit: str
    better: Better = "lower"
    target: float | None = None
    runs: list[float] = field(default_factory=list)
    peer_runs: list[float] = field(default_factory=list)

    @property
    def value(self) -> float:
        """The median of the runs."""
        return median(self.runs)

    @property
    def peer(self) -> float | None:
        """The median of the peer's runs, where there is a peer."""
        return median(self.peer_runs) if self.peer_runs else None

    @property
    def ratio(self) -> float | None:
        """Value over peer."""
        return self.value / self.peer if self.peer else None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        return None if self.target is None else self._within(self.target)

    @property
    def fails(self) -> bool:
        """Whether the target is missed by more than the tolerance."""
        if self.target is None:
            return False
        slack = 1 - TOLERANCE if self.better == "higher" else 1 + TOLERANCE
        return not self._within(self.target * slack)

    def _within(self, bound: float) -> bool:
        return self.value >= bound if self.better == "higher" else self.value <= bound


def against_peer(figure: Figure, target: float) -> Figure | None:
    """The ratio of ``figure`` to its peer as a figure of its own, with a target; None without a peer."""
    if figure.ratio is None:
        return None
    return Figure(f"{figure.name}_to_peer", "ratio", figure.better, target, [figure.ratio])


def report(bench: str, figures: Sequence[Figure]) -> int:
    """Print the figures: JSON lines on standard output, a table on standard error. The exit code."""
    for figure in figures:
        print(json.dumps(_line(bench, figure)), flush=True)
    # In a file no name of a figure is cut.
    Console(stderr=True, width=None if sys.stderr.isatty() else 160).print(_table(bench, figures))
    return 1 if any(figure.fails for figure in figures) else 0


def note(message: str) -> None:
    """Tell people, on standard error, what is being done or left out."""
    print(message, file=sys.stderr, flush=True)


def _line(bench: str, figure: Figure) -> dict[str, Any]:
    return {
        "bench": bench,
        "figure": figure.name,
        "value": _rounded(figure.value),
        "unit": figure.unit,
        "target": figure.target,
        "better": figure.better,
        "met": figure.met,
        "peer": _rounded(figure.peer),
        "ratio": _rounded(figure.ratio),
    }


def _table(bench: str, figures: Sequence[Figure]) -> Table:
    table = Table(title=f"bench-{bench}", title_justify="left")
    for heading in ("figure", "unit"):
        table.add_column(heading)
    for heading in ("min", "median", "max", "target", "met", "peer", "ratio"):
        table.add_column(heading, justify="right")
    for figure in figures:
        bound = "" if figure.target is None else f"{'≥' if figure.better == 'higher' else '≤'} {figure.target:g}"
        met = {None: "", True: "[green]yes[/green]", False: "[red]no[/red]"}[figure.met]
        spread = (min(figure.runs), figure.value, max(figure.runs))
        table.add_row(
            figure.name, figure.unit, *map(_shown, spread), bound, met, _shown(figure.peer), _shown(figure.ratio)
        )
    return table


def _shown(value: float | None) -> str:
    return "" if value is None else f"{_rounded(value):,}"


def _rounded(value: float | None) -> float | None:
    """Three digits that mean something; whole above a hundred."""
    if value is None:
        return None
    return round(value) if abs(value) >= 100 else float(f"{value:.3g}")
