"""The bench of the reports counts what it says it counts."""

import asyncio
from dataclasses import replace

import pytest
from benchmarks.report_lessons import Lesson, hour_long, lessons
from benchmarks.report_page import page
from benchmarks.report_quality import Extractive, Judged, judge, summarise
from benchmarks.reports import quality_figures

ENGINE = Extractive()


def judged(number: int = 4, solved: str | None = None) -> list[Judged]:
    found = [Lesson(lesson.session, solved) for lesson in lessons(None)[:number]]
    return asyncio.run(judge(found, ENGINE))


def test_every_claim_of_the_extractive_engine_holds_and_tokens_have_a_price() -> None:
    found = summarise(judged(), (0.10, 0.50))
    assert (found.reports, found.failed, found.grounded_ratio, found.bad_references) == (4, 0, 1.0, 0)
    assert found.usd == pytest.approx((found.input_tokens * 0.10 + found.output_tokens * 0.50) / 1e6)
    assert found.agreement is None


def test_agreement_is_with_the_teachers_label() -> None:
    reached = {one.draft.narrative.goal_progress for one in judged() if one.draft} <= {"met", "partly"}
    assert reached
    assert summarise(judged(solved="yes"), (0, 0)).agreement == 1.0
    assert summarise(judged(solved="no"), (0, 0)).agreement == 0.0


def test_a_failed_report_is_counted_and_not_averaged() -> None:
    first, *rest = judged()
    found = summarise([replace(first, draft=None, error="model_refused"), *rest], (0, 0))
    assert (found.reports, found.failed) == (3, 1)


def test_the_page_is_whole_and_calls_nobody() -> None:
    found = summarise(judged(solved="revealed"), (0.10, 0.50))
    html = page(found, quality_figures(found), "<b>model</b>", real=False)
    assert html.count("<svg") == html.count("</svg>") >= 2
    assert "&lt;b&gt;model" in html
    assert "<script" not in html
    assert "http" not in html


def test_an_hour_has_the_turns_asked_for() -> None:
    assert len(hour_long(lessons(None), 1_000).messages) == 1_000
