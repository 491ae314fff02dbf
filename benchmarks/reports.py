"""``make bench-reports``: how good the reports are, what they cost, and what writing one costs this machine.

Quality is counted over the sessions of AFTERBELL_DATA (real ones with their teachers' labels), or over lessons written
here where that is not set. The model is the one the environment names: OPENAI_API_KEY, OPENAI_BASE_URL and
AFTERBELL_MODEL; the extractive engine where there is no key. ``--html`` writes the page for people.
"""

import asyncio
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer

# So that `python benchmarks/reports.py` finds its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import report_speed as speed
from benchmarks.harness import Figure, note, report
from benchmarks.report_lessons import SESSIONS_FILE, Lesson, lessons
from benchmarks.report_page import page
from benchmarks.report_quality import Extractive, Hosted, Outcomes, Summary, judge, summarise
from benchmarks.report_safety import judge_safety
from benchmarks.report_waits import LIMITS, WAITING, waiting_error
from benchmarks.servers import BenchError

DEFAULT_MODEL: Final = "gpt-6-luna"
ROUNDS: Final = 3


def engine() -> Extractive | Hosted:
    """The model the environment names."""
    key = os.environ.get("OPENAI_API_KEY")  # noqa: TID251  the benchmark's own switch
    if not key:
        return Extractive()
    base_url, model = os.environ.get("OPENAI_BASE_URL"), os.environ.get("AFTERBELL_MODEL")  # noqa: TID251
    return Hosted(api_key=key, base_url=base_url or None, model=model or DEFAULT_MODEL)


def quality_figures(summary: Summary) -> list[Figure]:
    """The quality as figures."""
    figures = [
        Figure("grounded_ratio", "share", "higher", 0.98, [summary.grounded_ratio]),
        Figure("bad_references", "a report", "lower", None, [summary.bad_references]),
        Figure("coverage_beginning", "share", "higher", None, [summary.coverage[0]]),
        Figure("coverage_middle", "share", "higher", None, [summary.coverage[1]]),
        Figure("coverage_end", "share", "higher", None, [summary.coverage[2]]),
        Figure("claims", "a report", "higher", None, [summary.claims]),
        Figure("repaired", "share", "lower", None, [summary.repaired]),
        Figure("input_tokens", "a report", "lower", None, [summary.input_tokens]),
        Figure("output_tokens", "a report", "lower", None, [summary.output_tokens]),
        Figure("cost_of_1000", "USD", "lower", None, [summary.usd * 1000]),
        Figure("failed", "reports", "lower", 0, [summary.failed]),
    ]
    return figures + (outcome_figures(summary.outcomes) if summary.outcomes else [])


def safety_figures(sessions: list[Lesson]) -> list[Figure]:
    """How the gates judge turns that are known to be worrying, ordinary, hostile or teaching."""
    counted = judge_safety(sessions)
    for missed in counted.left:
        note(f"left: {missed}")
    for harmed in counted.destroyed:
        note(f"destroyed: {harmed}")
    return [
        Figure("disclosures_found", "share", "higher", 0.99, [counted.recall]),
        Figure("hints_found", "share", "higher", 0.85, [counted.hints]),
        Figure("hints_kept_from_families", "share", "higher", 0.9, [counted.hints_kept]),
        Figure("false_alarms_a_thousand", "turns", "lower", 50, [counted.false_alarms]),
        Figure("false_alarms_a_thousand_lookalikes", "turns", "lower", None, [counted.lookalike_alarms]),
        Figure("false_alarms_a_thousand_in_sessions", "turns", "lower", 5, [counted.session_alarms]),
        Figure("disclosures_quoted_to_families", "reports", "lower", 0, [counted.quoted]),
        Figure("attacks_found", "share", "higher", 0.99, [counted.attacks]),
        Figure("teaching_taken_for_attack", "turns", "lower", 0, [counted.teaching]),
        Figure("planted_names_and_contacts_that_left", "messages", "lower", 0, [len(counted.left)]),
        Figure("harmless_destroyed", "messages", "lower", 0, [len(counted.destroyed)]),
        Figure("reports_with_a_topic", "reports", "lower", None, [counted.named_topics]),
        Figure("self_contradictions", "reports", "lower", 0, [counted.contradictions]),
    ]


def outcome_figures(outcomes: Outcomes) -> list[Figure]:
    """What the reports claim of the goal beside what the teacher said; the peer always says the usual."""
    labelled, claimed = outcomes.labelled, outcomes.claimed
    return [
        Figure("outcome_claimed_right", "share", "higher", None, [outcomes.right / labelled], [outcomes.usual]),
        Figure(
            "outcome_claimed_wrong",
            "share",
            "lower",
            None,
            [(claimed - outcomes.right) / labelled],
            [1 - outcomes.usual],
        ),
        Figure("outcome_not_claimed", "share", "lower", None, [1 - claimed / labelled]),
        Figure(
            "outcome_right_of_claimed", "share", "higher", None, [outcomes.right / max(claimed, 1)], [outcomes.usual]
        ),
        Figure("outcome_solved_denied", "share", "lower", None, [outcomes.denied / labelled]),
    ]


def speed_figures(sessions: list[Lesson], folder: Path, *, quick: bool) -> list[Figure]:
    """The speed as figures, each measured in several rounds."""
    rounds, times = (1, 40) if quick else (ROUNDS, 100)
    note("extractive engine and preparation on 1,000 turns")
    figures = [
        Figure(
            "extractive_1000_turns_p95",
            "ms",
            "lower",
            50,
            [speed.extractive_ms(sessions, times) for _ in range(rounds)],
        ),
        Figure(
            "preparation_1000_turns_p95",
            "ms",
            "lower",
            30,
            [speed.preparation_ms(sessions, times) for _ in range(rounds)],
        ),
    ]
    note("the gates on 400 turns")
    gates = [speed.gates_ms(sessions, times) for _ in range(rounds)]
    figures.append(Figure("gates_400_turns", "ms CPU", "lower", 60, gates))
    note("a paced report through the client and through a bare socket")
    both = [speed.overhead(sessions, folder, 3) for _ in range(rounds)]
    shares = [100 * max(0.0, ours - raw) / raw for ours, raw in both]
    figures.append(Figure("client_overhead", "%", "lower", 5, shares))
    note(f"{speed.STREAMS} streams in one process")
    crowd = [speed.concurrent(sessions, folder) for _ in range(rounds)]
    figures.append(Figure("loop_lag_p99_50_streams", "ms", "lower", 50, [lag for lag, _ in crowd]))
    figures.append(Figure("rss_growth_50_streams", "MiB", "lower", 50, [grown for _, grown in crowd]))
    return figures


def waiting_figures(folder: Path, *, quick: bool) -> list[Figure]:
    """How far off the times told to a hundred waiting clients are, by what holds their reports back."""
    figures = []
    for limit in LIMITS:
        note(f"{WAITING} reports wait, held back by the {limit}")
        runs = [100 * waiting_error(folder / f"{limit}-{nth}", limit) for nth in range(1 if quick else ROUNDS)]
        figures.append(Figure(f"waiting_time_error_{limit}", "%", "lower", 20, runs))
    return figures


def main(
    data: Annotated[
        Path | None, typer.Option(envvar="AFTERBELL_DATA", help=f"Folder with {SESSIONS_FILE} and its labels.")
    ] = None,
    html: Annotated[Path, typer.Option(help="Where the page for people goes.")] = Path("bench-reports.html"),
    only: Annotated[str, typer.Option(help="Parts, with commas: quality, speed, waits.")] = "quality,speed,waits",
    usd_in: Annotated[float, typer.Option(help="Dollars a million input tokens.")] = 0.10,
    usd_out: Annotated[float, typer.Option(help="Dollars a million output tokens.")] = 0.50,
    quick: Annotated[bool, typer.Option("--quick", help="One short round of each.")] = False,
) -> None:
    """Measure the reports: how good, how dear, how fast."""
    sessions, figures = lessons(data), []
    writer = engine()
    try:
        if "quality" in only:
            note(f"{len(sessions)} sessions, written by: {writer.name}")
            summary = summarise(asyncio.run(judge(sessions, writer)), (usd_in, usd_out))
            figures += quality_figures(summary) + safety_figures(sessions)
        with tempfile.TemporaryDirectory(prefix="ab-bench-") as folder:
            if "speed" in only:
                figures += speed_figures(sessions, Path(folder), quick=quick)
            if "waits" in only:
                figures += waiting_figures(Path(folder), quick=quick)
    except (BenchError, ValueError) as error:
        note(f"bench-reports: {error}")
        raise typer.Exit(2) from None
    if "quality" in only:
        html.write_text(page(summary, figures, writer.name, real=data is not None), "utf-8")
        note(f"the page for people: {html}")
    raise typer.Exit(report("reports", figures))


if __name__ == "__main__":
    typer.run(main)
