"""Why work waits, decided from facts alone."""

import pytest

from afterbell.core.queue.stats import QueueLoad
from afterbell.core.queue.why import Standing, WaitFacts, why


def load(*, waiting: int = 0, due: int = 0, paused: bool = False) -> QueueLoad:
    return QueueLoad(1, waiting, 0, due, 0, None, 5_000 if due else None, paused, 0, waiting + due)


def test_what_the_record_has_and_the_queue_has_not_was_not_put() -> None:
    assert why(WaitFacts(Standing(load()), {"queued": 3, "succeeded": 9})).cause == "not_enqueued"
    assert why(WaitFacts(Standing(load()), {"succeeded": 9, "failed": 2})).cause == "nothing_waits"


def test_what_the_queue_cannot_take_is_named_where_nothing_else_waits() -> None:
    answer = why(WaitFacts(Standing(load()), {"queued": 2}, parked=2))
    assert answer.cause == "parked"
    assert "2 jobs" in answer.sentence
    assert why(WaitFacts(Standing(load()), {"queued": 3}, parked=2)).cause == "not_enqueued"


def test_a_queue_that_is_away_is_named_with_what_waits_for_it() -> None:
    answer = why(WaitFacts(None, {"queued": 1, "deferred": 1}))
    assert answer.cause == "queue_away"
    assert "2 jobs" in answer.sentence


def test_a_spent_budget_is_named_where_nothing_else_holds_the_jobs() -> None:
    assert why(WaitFacts(Standing(load(due=4)), {"deferred": 4}, out_of_budget=4)).cause == "budget"
    assert why(WaitFacts(Standing(load(due=4, paused=True)), {"deferred": 4}, out_of_budget=4)).cause == "paused"


def test_of_several_causes_the_one_is_named_that_must_end_first() -> None:
    closed = Standing(load(waiting=1, paused=True), held_ms=9_000, starts_max=1, opens_in_ms=4_000)
    held = Standing(load(waiting=1), held_ms=9_000, starts_max=1, opens_in_ms=4_000)
    limited = Standing(load(waiting=1), starts_max=1, starts_in_window=1, opens_in_ms=4_000)
    causes = [why(WaitFacts(standing)).cause for standing in (closed, held, limited, Standing(load(waiting=1)))]
    assert causes == ["paused", "told_to_wait", "limiter", "scaling"]


@pytest.mark.parametrize(
    "facts", [Standing(load(waiting=2)), Standing(load(due=1)), Standing(load(waiting=1), held_ms=1)]
)
def test_an_answer_is_one_sentence(facts: Standing) -> None:
    sentence = why(WaitFacts(facts)).sentence
    assert sentence.endswith(".")
    assert ". " not in sentence
