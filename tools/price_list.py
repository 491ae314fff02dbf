#!/usr/bin/env python3
"""The bundled price list, written anew from genai-prices: `make prices`.

genai-prices (MIT) is kept up to date by many for all providers. Its data become ours when we release, and not while a
worker runs: what a call cost is booked by the list of this version, which anybody can read. What genai-prices does not
know, the announced ends of models, is kept in ``ends`` of the list.
"""

import argparse
import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from genai_prices.data import providers
from genai_prices.types import (
    ClauseContains,
    ClauseEndsWith,
    ClauseEquals,
    ClauseOr,
    ClauseStartsWith,
    ModelPrice,
    StartDateConstraint,
    TieredPrices,
)

from afterbell.core.report.report import PREPARED_MODEL, STUB_MODEL

FILE: Final = Path(__file__).parents[1] / "services/afterbell/adapters/models/prices.json"
# The first that has a name decides: makers before those who serve others' models, gateways last.
PROVIDERS: Final = (
    "openai",
    "anthropic",
    "google",
    "mistral",
    "deepseek",
    "x-ai",
    "moonshotai",
    "cohere",
    "groq",
    "together",
)
RATES: Final = {
    "input": "input_mtok",
    "cached_input": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "output": "output_mtok",
}


def written(today: date) -> str:
    """The list as JSON, an entry a line. The announced ends of models are taken over from the list there is."""
    before = json.loads(FILE.read_text("utf-8"))
    entries: dict[tuple[str, str], dict[str, Any]] = {}
    for provider in PROVIDERS:
        for entry in _entries(provider):
            entries.setdefault((entry["model"], entry.get("valid_from", "")), entry)
    for stub in (STUB_MODEL, PREPARED_MODEL):
        entries[stub, ""] = {"model": stub, "input": 0, "output": 0}
    head = {
        "version": today.isoformat(),
        "unit": "US dollars a million tokens, standard service tier",
        "source": f"prices: genai-prices {version('genai-prices')} (MIT); ends: announcements of the providers",
        "ends": before["ends"],
    }
    lines = [json.dumps(entry, default=_number) for _, entry in sorted(entries.items())]
    return json.dumps(head, indent=2)[:-2] + ',\n  "models": [\n    ' + ",\n    ".join(lines) + "\n  ]\n}\n"


def _entries(provider: str) -> Iterator[dict[str, Any]]:
    (chosen,) = [candidate for candidate in providers if candidate.id == provider]
    for model in chosen.models:
        # A model of a certain day costs what the model costs, unless the list knows better.
        names = (model.id, f"{model.id}-20*", *_patterns(model.match))
        patterns = list(dict.fromkeys(name.lower() for name in names))
        for valid_from, price in _prices(model.prices):
            rates = _rates(price)
            for pattern in patterns if rates else ():
                yield {"model": pattern, **rates, **({"valid_from": valid_from.isoformat()} if valid_from else {})}


def _prices(prices: Any) -> Iterator[tuple[date | None, ModelPrice]]:
    """What holds at any hour, with the day it holds from."""
    for conditional in prices if isinstance(prices, list) else [None]:
        if conditional is None:
            yield None, prices
        elif conditional.constraint is None or isinstance(conditional.constraint, StartDateConstraint):
            yield (conditional.constraint.start_date if conditional.constraint else None), conditional.prices


def _patterns(match: Any) -> Iterator[str]:
    """A rule as shell patterns; one that is none is left out, and the name itself stands for it."""
    if isinstance(match, ClauseOr):
        for clause in match.or_:
            yield from _patterns(clause)
    elif isinstance(match, ClauseEquals):
        yield match.equals
    elif isinstance(match, ClauseStartsWith):
        yield f"{match.starts_with}*"
    elif isinstance(match, ClauseEndsWith):
        yield f"*{match.ends_with}"
    elif isinstance(match, ClauseContains):
        yield f"*{match.contains}*"


def _rates(price: ModelPrice) -> dict[str, Any]:
    """The rates of an entry, with those of long inputs; empty where it is not priced by tokens."""
    fields: dict[str, Any] = {rate: getattr(price, name, None) for rate, name in RATES.items()}
    known = {rate: value for rate, value in fields.items() if value is not None}
    if not {"input", "output"} <= known.keys():
        return {}
    rates: dict[str, Any] = {
        rate: value.base if isinstance(value, TieredPrices) else value for rate, value in known.items()
    }
    starts = {tier.start for value in known.values() if isinstance(value, TieredPrices) for tier in value.tiers}
    for start in sorted(starts):
        rates.setdefault("long", []).append(
            {"above": start, **{rate: _at(value, start) for rate, value in known.items()}}
        )
    return rates


def _at(value: Decimal | TieredPrices, start: int) -> Decimal:
    if not isinstance(value, TieredPrices):
        return value
    return next((tier.price for tier in reversed(value.tiers) if tier.start <= start), value.base)


def _number(value: Any) -> int | float:
    """A Decimal as JSON writes it; json would refuse it."""
    return int(value) if value == int(value) else float(value)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--day", type=date.fromisoformat, required=True, help="the day it is read, YYYY-MM-DD")
    FILE.write_text(written(parser.parse_args().day), "utf-8")
