"""Money is exact, the list says what it does not know, and a model's end is announced in time."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any, Final, get_args

import pytest
from openai.types.shared import AllModels

from afterbell.adapters.models import price_file
from afterbell.core.errors import InvalidInput
from afterbell.core.money.budgets import EVERYBODY, BudgetState, marks_passed
from afterbell.core.money.prices import PriceList, parse
from afterbell.core.usage import Usage
from afterbell.settings import ModelSettings

TODAY = date(2026, 11, 30)
# Announced, and without a public price on that day. Where a budget is set, a worker refuses to start with them.
NOT_PRICED_YET: Final = {
    "gpt-6.2-astra",
    "gpt-6.2-astra-law",
    "gpt-6.2-sol",
    "gpt-daybreak-blue-latest",
    "gpt-daybreak-red-latest",
}


def listed(*entries: str) -> PriceList:
    return parse('{"version": "v", "models": [' + ", ".join(entries) + "]}", source="prices.json")


def test_a_report_of_the_measured_session_costs_what_was_measured() -> None:
    usage = Usage(input_tokens=7_000, output_tokens=1_200)
    costs = {model: price_file.packaged().of(model, TODAY) for model in ("gpt-6-luna", "gpt-4o-mini", "gpt-6-sol")}
    charged = {model: price.cost_usd(usage) for model, price in costs.items() if price}
    assert charged == {
        "gpt-6-luna": Decimal("0.0013"),
        "gpt-4o-mini": Decimal("0.00177"),
        "gpt-6-sol": Decimal("0.026"),
    }


def test_cached_and_written_tokens_have_their_own_rate_and_no_digit_is_lost() -> None:
    price = listed('{"model": "m", "input": 0.1, "cached_input": 0.01, "cache_write": 0.125, "output": 0.5}').of(
        "m", TODAY
    )
    assert price is not None
    usage = Usage(input_tokens=10, cached_tokens=3, cache_write_tokens=2, output_tokens=1)
    assert price.cost_usd(usage) == Decimal("0.00000128")  # (5 * 0.1 + 3 * 0.01 + 2 * 0.125 + 0.5) / 1e6
    assert price.cost_usd(Usage(input_tokens=1, cached_tokens=9)) == Decimal("0.00000001"), "no more than the input"


def test_no_call_within_its_bounds_costs_more_than_was_reserved_for_it() -> None:
    for price in price_file.packaged().prices:
        for cached, written in ((0, 0), (100, 0), (0, 100)):
            usage = Usage(100, cached, 50, cache_write_tokens=written)
            assert price.cost_usd(usage) <= price.bound_usd(100, 50)


def test_the_longest_pattern_counts_and_of_the_same_the_newest_valid_one() -> None:
    prices = listed(
        '{"model": "a*", "input": 1, "output": 1}',
        '{"model": "a-mini*", "input": 2, "output": 2}',
        '{"model": "a-mini*", "input": 3, "output": 3, "valid_from": "2026-11-01"}',
        '{"model": "a-mini*", "input": 4, "output": 4, "valid_from": "2026-12-01"}',
    )
    matched = [prices.of(model, TODAY) for model in ("a-2026", "a-mini-2026-10-01", "b")]
    assert [price and price.rates[0].input for price in matched] == [1, 3, None]


def test_the_default_model_is_priced_and_goes_on_while_gpt_4o_mini_is_priced_and_announced_to_end() -> None:
    default = ModelSettings.model_fields["model"].default
    prices = price_file.packaged()
    assert prices.of(default, TODAY) is not None
    assert prices.ending([default, "gpt-4o-mini"], TODAY) == [("gpt-4o-mini", date(2027, 1, 14))]


@pytest.mark.parametrize("model", ["gpt-4o-mini", "gpt-4o", "gpt-4.1", "gpt-4.1-mini", "gpt-5", "gpt-5-mini"])
def test_every_model_announced_to_end_within_60_days_is_warned_of_on_25_november_2026(model: str) -> None:
    ends = date(2026, 12, 11) if model.startswith("gpt-5") else date(2027, 1, 14)
    assert price_file.packaged().ending([model], date(2026, 11, 25)) == [(model, ends)]


def test_the_default_model_has_no_announced_end() -> None:
    assert price_file.packaged().end_of(ModelSettings.model_fields["model"].default) is None


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("openai/gpt-6-luna-2026-09-01", "gpt-6-luna"),
        ("openrouter/openai/gpt-4o", "gpt-4o"),
        ("GPT-4o", "gpt-4o"),
        ("gpt-5-mini:free", "gpt-5-mini"),
        ("anthropic/claude-haiku-4-5", "claude-haiku-4-5"),
    ],
)
def test_a_gateways_name_for_a_model_costs_what_the_model_costs(name: str, plain: str) -> None:
    prices, usage = price_file.packaged(), Usage(input_tokens=1_000, output_tokens=100)
    aliased, direct = prices.of(name, TODAY), prices.of(plain, TODAY)
    assert aliased is not None
    assert direct is not None
    assert aliased.cost_usd(usage) == direct.cost_usd(usage) > 0


def test_of_all_models_that_the_sdk_names_only_the_newest_have_no_price_yet() -> None:
    unpriced = {name for name in names_in(AllModels) if price_file.packaged().of(name, TODAY) is None}
    assert unpriced <= NOT_PRICED_YET, "run `make prices`, or name them here"


def names_in(alias: Any) -> Iterator[str]:
    for part in get_args(alias):
        yield from (part,) if isinstance(part, str) else names_in(part)


def test_a_long_input_costs_more_a_token_all_of_it() -> None:
    price = listed('{"model": "m", "input": 1, "output": 2, "long": [{"above": 100, "input": 2, "output": 3}]}').of(
        "m", TODAY
    )
    assert price is not None
    costs = [price.cost_usd(Usage(input_tokens=tokens, output_tokens=10)) for tokens in (100, 101)]
    assert costs == [Decimal("0.00012"), Decimal("0.000232")]
    assert price.bound_usd(100, 10) == costs[0]
    assert price.bound_usd(101, 10) == costs[1]


@pytest.mark.parametrize(("day", "warned"), [("2026-11-14", False), ("2026-11-15", True), ("2027-02-01", True)])
def test_a_models_end_is_told_from_60_days_before_it_on(day: str, warned: bool) -> None:
    assert bool(price_file.packaged().ending(["gpt-4o-mini"], date.fromisoformat(day))) is warned


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("[]", "version"),
        ('{"version": "1", "models": [1]}', 'a "model"'),
        ('{"version": "1", "models": [{"model": "m", "input": 1}]}', '"output" of m'),
        ('{"version": "1", "models": [{"model": "m", "input": -1, "output": 1}]}', '"input" of m'),
        ('{"version": "1", "models": [{"model": "m", "input": "1", "output": 1}]}', '"input" of m'),
        ('{"version": "1", "models": [{"model": "m", "input": 1, "output": 1, "shutdown": "soon"}]}', "YYYY-MM-DD"),
        (
            '{"version": "1", "models": [{"model": "m", "input": 1, "output": 1, "long": [{"above": 0}]}]}',
            '"long" of m',
        ),
        ('{"version": "1", "ends": 1, "models": []}', '"ends"'),
    ],
)
def test_a_list_that_cannot_be_used_says_where_and_why(text: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as caught:
        parse(text, source="own.json")
    assert str(caught.value).startswith("own.json")


@pytest.mark.parametrize(
    ("spent", "cost", "marks"),
    [(4, 1, ()), (5, 1, (50,)), (8, 1, (80,)), (9, 1, ()), (10, 1, (100,)), (10, 10, (50, 80, 100)), (12, 1, ())],
)
def test_each_mark_of_a_budget_is_passed_once(spent: int, cost: int, marks: tuple[int, ...]) -> None:
    standing = BudgetState(EVERYBODY, "day", TODAY, Decimal(spent), Decimal(0), Decimal(10))
    assert marks_passed(standing, Decimal(cost)) == marks


def test_without_a_limit_no_mark_is_ever_passed() -> None:
    assert marks_passed(BudgetState("t", "day", TODAY, Decimal(9), Decimal(0), None), Decimal(9)) == ()
