"""What a model costs, exactly: Decimal from the price list to the ledger, rounded nowhere.

A model's name is matched as a shell pattern; of several that match, the longest pattern counts, and of the same
pattern the newest that was valid on the day of the call.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any, Final

from afterbell.core.errors import InvalidInput
from afterbell.core.report import Usage

MILLION: Final = Decimal(1_000_000)
SHUTDOWN_NOTICE: Final = timedelta(days=60)
"""How long before a model's announced end every start of a worker warns of it."""

_RATES: Final = ("input", "cached_input", "cache_write", "output")


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars a million tokens of one model. ``shutdown`` is the provider's announced end, if there is one."""

    model: str
    input: Decimal
    cached_input: Decimal
    cache_write: Decimal
    output: Decimal
    valid_from: date
    shutdown: date | None = None

    def cost_usd(self, usage: Usage) -> Decimal:
        """Exactly what ``usage`` costs. Cached and written tokens are part of the input, reasoning of the output."""
        cached = min(usage.cached_tokens, usage.input_tokens)
        written = min(usage.cache_write_tokens, usage.input_tokens - cached)
        plain = usage.input_tokens - cached - written
        billed = plain * self.input + cached * self.cached_input + written * self.cache_write
        return (billed + usage.output_tokens * self.output) / MILLION

    def bound_usd(self, input_tokens_max: int, output_tokens_max: int) -> Decimal:
        """The most a call can cost: nothing of its input was cached, and whatever is dearest happens to all of it."""
        dearest = max(self.input, self.cached_input, self.cache_write)
        return (input_tokens_max * dearest + output_tokens_max * self.output) / MILLION


@dataclass(frozen=True, slots=True)
class PriceList:
    """Prices with the name under which the ledger keeps which of them it used."""

    version: str
    prices: tuple[Price, ...]

    def of(self, model: str, on: date) -> Price | None:
        """The price of ``model`` on a day; None where the list does not know it."""
        fitting = [one for one in self.prices if fnmatchcase(model, one.model) and one.valid_from <= on]
        return max(fitting, key=lambda one: (len(one.model), one.valid_from), default=None)

    def ending(self, models: Iterable[str], on: date) -> list[tuple[str, date]]:
        """Those of ``models`` that end within SHUTDOWN_NOTICE of the day, or have ended, with the day they do."""
        known = [(model, self.of(model, on)) for model in models]
        return [
            (model, price.shutdown)
            for model, price in known
            if price is not None and price.shutdown is not None and price.shutdown - on <= SHUTDOWN_NOTICE
        ]


def parse(text: str, *, source: str) -> PriceList:
    """The price list in a JSON text. Raises InvalidInput that names ``source``, the entry and what is wrong with it."""
    try:
        # A price never becomes a float: 0.1 + 0.2 is not what a bill says.
        found = json.loads(text, parse_float=Decimal)
    except ValueError as error:
        raise InvalidInput(f"{source} is not JSON: {error}") from None
    if not isinstance(found, dict) or not isinstance(found.get("models"), list) or not found.get("version"):
        raise InvalidInput(f'{source} must be an object with "version" and a list "models"')
    return PriceList(str(found["version"]), tuple(_price(entry, source) for entry in found["models"]))


def _price(entry: Any, source: str) -> Price:
    if not isinstance(entry, dict) or not isinstance(entry.get("model"), str) or not entry["model"]:
        raise InvalidInput(f'{source}: every entry of "models" is an object with a "model"')
    name = entry["model"]
    rates = {rate: _rate(entry, rate, name, source) for rate in _RATES}
    end = entry.get("shutdown")
    return Price(
        model=name,
        **rates,
        valid_from=_day(entry.get("valid_from", "2000-01-01"), name, source),
        shutdown=None if end is None else _day(end, name, source),
    )


def _rate(entry: dict[str, Any], rate: str, name: str, source: str) -> Decimal:
    # Where no discount or surcharge is stated, a token is billed as plain input.
    value = entry.get(rate, entry.get("input") if rate in {"cached_input", "cache_write"} else None)
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or value < 0:
        raise InvalidInput(f'{source}: "{rate}" of {name} must be a number of dollars a million tokens, 0 or more')
    return Decimal(value)


def _day(value: Any, name: str, source: str) -> date:
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise InvalidInput(f"{source}: a date of {name} is not written YYYY-MM-DD") from None
