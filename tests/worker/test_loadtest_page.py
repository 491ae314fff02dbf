"""The page of the load test: every figure with its target, charts that say in words what they draw."""

from benchmarks.harness import Figure
from benchmarks.loadtest_page import page, steps
from benchmarks.queue_day import Day

FIGURES = [
    Figure("requests_at_once_slowest", "ms", target=1_000, runs=[214.2]),
    Figure("sockets_500_message_to_ack_p99", "ms", target=5, runs=[8.2]),
]


def test_the_page_has_each_figure_its_target_and_whether_it_was_met() -> None:
    text = page(
        FIGURES,
        {"open_connections": [198.0, 214.2]},
        [18.1, 18.5],
        {500: 8.2},
        Day(30, evening=90, quiet=10, ends_s=21_600),
    )
    for words in (
        "requests at once slowest",
        "≤ 1,000",
        "met",
        "missed",
        "22.0 h",
        "<b>214 ms</b>",
        "500 sockets",
        "A day of 30 reports",
    ):
        assert words in text
    assert text.count("<svg") == 5
    assert "<script" not in text
    assert "http" not in text


def test_a_line_of_steps_rises_once_for_each_and_says_so_in_words() -> None:
    chart = steps([10.0, 20.0, 40.0], "s", "ready")
    assert "aria-label='3 ready within 40 s, half of them within 20 s'" in chart
    points = chart.split("points='")[1].split("'")[0].split()
    assert len(points) == 7
    assert points[-1].split(",")[0] == "700.0"


def test_without_a_day_the_page_has_no_word_of_one() -> None:
    assert "A day of" not in page(FIGURES, {"open_connections": [1.0]}, [1.0], {500: 1.0}, None)
