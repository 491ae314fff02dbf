"""The bench of the reports counts what it says it counts."""

import asyncio
from dataclasses import replace

import pytest
from benchmarks.report_lessons import Lesson, hour_long, lessons
from benchmarks.report_page import page
from benchmarks.report_quality import Extractive, Judged, judge, outcomes_of, summarise
from benchmarks.reports import outcome_figures, quality_figures

from afterbell.core.narrative import GoalProgress

ENGINE = Extractive()


def judged(number: int = 4, solved: str | None = None) -> list[Judged]:
    taught = [Lesson(lesson.session, solved) for lesson in lessons(None)[:number]]
    return asyncio.run(judge(taught, ENGINE))


def test_every_claim_of_the_extractive_engine_holds_and_tokens_have_a_price() -> None:
    summary = summarise(judged(), (0.10, 0.50))
    assert (summary.reports, summary.failed, summary.grounded_ratio, summary.bad_references) == (4, 0, 1.0, 0)
    assert summary.usd == pytest.approx((summary.input_tokens * 0.10 + summary.output_tokens * 0.50) / 1e6)
    assert summary.outcomes is None


def claiming(label: str | None, progress: GoalProgress, *, used_for_rules: bool = False) -> Judged:
    first = judged(1, label)[0]
    assert first.draft is not None
    draft = replace(first.draft, narrative=replace(first.draft.narrative, goal_progress=progress))
    return replace(first, draft=draft, lesson=replace(first.lesson, used_for_rules=used_for_rules))


def test_a_claim_is_right_or_wrong_by_the_teachers_label_and_no_claim_is_neither() -> None:
    claims = [
        claiming("yes", "partly"),
        claiming("revealed", "met"),
        claiming("no", "not_yet"),
        claiming("yes", "not_yet"),
        claiming("no", "partly"),
        claiming("yes", "not_discussed"),
    ]
    unlabelled = [claiming(None, "met"), claiming("yes", "not_yet", used_for_rules=True)]
    outcomes = outcomes_of([*claims, *unlabelled])
    assert outcomes is not None
    assert (outcomes.labelled, outcomes.claimed, outcomes.right, outcomes.denied) == (6, 5, 3, 1)
    assert outcomes.usual == pytest.approx(4 / 6)
    shares = {figure.name: figure.value for figure in outcome_figures(outcomes)}
    parts = ("claimed_right", "claimed_wrong", "not_claimed")
    assert [shares[f"outcome_{part}"] for part in parts] == pytest.approx([3 / 6, 2 / 6, 1 / 6])
    assert shares["outcome_right_of_claimed"] == pytest.approx(3 / 5)


def test_a_failed_report_is_counted_and_not_averaged() -> None:
    first, *rest = judged()
    summary = summarise([replace(first, draft=None, error="model_refused"), *rest], (0, 0))
    assert (summary.reports, summary.failed) == (3, 1)


def test_the_page_is_whole_and_calls_nobody() -> None:
    summary = summarise(judged(solved="revealed"), (0.10, 0.50))
    html = page(summary, quality_figures(summary), "<b>model</b>", real=False)
    assert html.count("<svg") == html.count("</svg>") >= 2
    assert "&lt;b&gt;model" in html
    assert "<script" not in html
    assert "http" not in html


def test_an_hour_has_the_turns_asked_for() -> None:
    assert len(hour_long(lessons(None), 1_000).messages) == 1_000
