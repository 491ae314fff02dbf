"""Near its daily budget of Redis commands a worker sends less, and nothing else changes."""

import pytest

from afterbell.core.queue.command_budget import THRIFTY_FROM, pace_of


def test_without_a_budget_nothing_is_ever_stretched() -> None:
    assert pace_of(10**9, None) == pace_of(0, None)


@pytest.mark.parametrize(("spent", "thrifty"), [(0, False), (7_999, False), (8_000, True), (20_000, True)])
def test_from_four_fifths_of_the_budget_on_a_worker_is_thrifty(spent: int, thrifty: bool) -> None:
    assert THRIFTY_FROM == 0.8
    assert pace_of(spent, 10_000).thrifty is thrifty


def test_a_thrifty_worker_still_renews_before_its_lease_runs_out() -> None:
    assert pace_of(0, None).renew_after < pace_of(10_000, 10_000).renew_after < 1
