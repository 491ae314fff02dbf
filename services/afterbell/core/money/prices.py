"""What a model costs, exactly: Decimal from the price list to the ledger, rounded nowhere.

A model's name is matched as a shell pattern, in small letters; of several that match, the longest pattern counts, and
of the same pattern the newest that was valid on the day of the call. A gateway's name for a model is looked up whole,
then without what the gateway put before and after it: "openai/gpt-6-luna:nitro" is "gpt-6-luna".
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any, Final

from afterbell.core.errors import InvalidInput
from afterbell.core.usage import Usage

MILLION: Final = Decimal(1_000_000)
SHUTDOWN_NOTICE: Final = timedelta(days=60)
"""How long before a model's announced end every start of a worker warns of it."""

KNOWN_MAX: Final = 1_000
"""Look-ups that a list remembers: a model for a day."""
_RATES: Final = ("input", "cached_input", "cache_write", "output")


@dataclass(frozen=True, slots=True)
class Rates:
    """US dollars a million tokens, for inputs of more than ``above`` tokens."""

    input: Decimal
    cached_input: Decimal
    cache_write: Decimal
    output: Decimal
    above: int = 0

    def cost_usd(self, usage: Usage) -> Decimal:
        """Exactly what ``usage`` costs. Cached and written tokens are part of the input, reasoning of the output."""
        cached = min(usage.cached_tokens, usage.input_tokens)
        written = min(usage.cache_write_tokens, usage.input_tokens - cached)
        plain = usage.input_tokens - cached - written
        billed = plain * self.input + cached * self.cached_input + written * self.cache_write
        return (billed + usage.output_tokens * self.output) / MILLION


@dataclass(frozen=True, slots=True)
class Price:
    """What one model costs. ``rates`` by the length of the input, the shortest first: one applies to a whole call."""

    model: str
    rates: tuple[Rates, ...]
    valid_from: date

    def cost_usd(self, usage: Usage) -> Decimal:
        """Exactly what ``usage`` costs."""
        return self._rates(usage.input_tokens)[-1].cost_usd(usage)

    def bound_usd(self, input_tokens_max: int, output_tokens_max: int) -> Decimal:
        """The most a call can cost: nothing of its input was cached, and whatever is dearest happens to all of it."""
        within = self._rates(input_tokens_max)
        dearest = max(max(rates.input, rates.cached_input, rates.cache_write) for rates in within)
        return (input_tokens_max * dearest + output_tokens_max * max(rates.output for rates in within)) / MILLION

    def _rates(self, input_tokens: int) -> list[Rates]:
        return [rates for rates in self.rates if input_tokens > rates.above or not rates.above]


@dataclass(frozen=True, slots=True)
class PriceList:
    """Prices with the name under which the ledger keeps which of them it used.

    ``ends``: providers' announced ends, by pattern.
    """

    version: str
    prices: tuple[Price, ...]
    ends: tuple[tuple[str, date], ...] = ()
    _known: dict[tuple[str, date], Price | None] = field(default_factory=dict, repr=False, compare=False)

    def of(self, model: str, on: date) -> Price | None:
        """The price of ``model`` on a day; None where the list does not know it."""
        if (model, on) not in self._known:
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            priced = (self._of(name, on) for name in _names(model))
            self._known[model, on] = next((price for price in priced if price is not None), None)
        return self._known[model, on]

    def _of(self, name: str, on: date) -> Price | None:
        fitting = [price for price in self.prices if fnmatchcase(name, price.model) and price.valid_from <= on]
        return max(fitting, key=lambda price: (len(price.model), price.valid_from), default=None)

    def end_of(self, model: str) -> date | None:
        """When its provider shuts the model down; None: nothing is announced."""
        for name in _names(model):
            fitting = [(len(pattern), end) for pattern, end in self.ends if fnmatchcase(name, pattern)]
            if fitting:
                return max(fitting)[1]
        return None

    def ending(self, models: Iterable[str], on: date) -> list[tuple[str, date]]:
        """Those of ``models`` that end within SHUTDOWN_NOTICE of the day, or have ended, with the day they do."""
        ends = [(model, self.end_of(model)) for model in models]
        return [(model, end) for model, end in ends if end is not None and end - on <= SHUTDOWN_NOTICE]


def _names(model: str) -> Iterator[str]:
    """The names under which a list may know a model."""
    name = model.lower()
    yield name
    plain = name.split(":", 1)[0]
    yield from dict.fromkeys((plain, *(plain.split("/", parts)[-1] for parts in (1, -1))))


def parse(text: str, *, source: str) -> PriceList:
    """The price list in a JSON text. Raises InvalidInput that names ``source``, the entry and what is wrong with it."""
    try:
        # A price never becomes a float: 0.1 + 0.2 is not what a bill says.
        content = json.loads(text, parse_float=Decimal)
    except ValueError as error:
        raise InvalidInput(f"{source} is not JSON: {error}") from None
    if not isinstance(content, dict) or not isinstance(content.get("models"), list) or not content.get("version"):
        raise InvalidInput(f'{source} must be an object with "version" and a list "models"')
    prices = tuple(_price(entry, source) for entry in content["models"])
    return PriceList(str(content["version"]), prices, tuple(_ends(content, source)))


def _ends(content: dict[str, Any], source: str) -> Iterator[tuple[str, date]]:
    """Announced ends: "ends" of the whole list, and "shutdown" of an entry."""
    ends = content.get("ends", {})
    if not isinstance(ends, dict):
        raise InvalidInput(f'{source}: "ends" must be an object of model names and dates')
    of_entries = {entry["model"]: entry["shutdown"] for entry in content["models"] if entry.get("shutdown") is not None}
    for name, day in {**ends, **of_entries}.items():
        yield name.lower(), _day(day, name, source)


def _price(entry: Any, source: str) -> Price:
    if not isinstance(entry, dict) or not isinstance(entry.get("model"), str) or not entry["model"]:
        raise InvalidInput(f'{source}: every entry of "models" must be an object with a "model"')
    name, longer = entry["model"], entry.get("long", [])
    if not isinstance(longer, list) or not all(
        isinstance(part, dict) and _is_length(part.get("above")) for part in longer
    ):
        raise InvalidInput(f'{source}: "long" of {name} must be a list of rates with "above", a number of input tokens')
    tiers = [entry | {"above": 0}, *sorted(longer, key=lambda part: int(part["above"]))]
    rates = tuple(
        Rates(**{rate: _rate(part, rate, name, source) for rate in _RATES}, above=part["above"]) for part in tiers
    )
    return Price(name.lower(), rates, _day(entry.get("valid_from", "2000-01-01"), name, source))


def _is_length(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _rate(entry: dict[str, Any], rate: str, name: str, source: str) -> Decimal:
    # Where no discount or surcharge is stated, a token is billed as plain input.
    value = entry.get(rate, entry.get("input") if rate in {"cached_input", "cache_write"} else None)
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or value < 0:
        raise InvalidInput(f'{source}: "{rate}" of {name} must be US dollars per million tokens, 0 or more')
    return Decimal(value)


def _day(value: Any, name: str, source: str) -> date:
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise InvalidInput(f"{source}: the dates of {name} must be written YYYY-MM-DD") from None
