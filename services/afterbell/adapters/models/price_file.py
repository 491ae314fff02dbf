"""The price list a worker books by: the one in the package, or a file of one's own."""

from functools import cache
from importlib.resources import files
from pathlib import Path

from afterbell.core.errors import SettingsError
from afterbell.core.money.prices import PriceList, parse


@cache
def packaged() -> PriceList:
    """The list that came with this version."""
    return parse((files("afterbell.adapters.models") / "prices.json").read_text("utf-8"), source="prices.json")


def load(path: Path | None) -> PriceList:
    """The list in a file; None: the packaged one. Raises SettingsError or InvalidInput naming the file."""
    if path is None:
        return packaged()
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(f"AFTERBELL_PRICES: {path} cannot be read: {reason}", field="AFTERBELL_PRICES") from None
    return parse(text, source=str(path))
