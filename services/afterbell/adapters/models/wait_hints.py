"""How long a provider asks to wait: said in headers and bodies in at least a dozen ways, read here as seconds.

Sources: RFC 9110 (Retry-After), OpenAI's and Azure's ``retry-after-ms`` and ``x-ratelimit-reset-*``, the IETF draft
``ratelimit-reset``, OpenRouter's ``x-ratelimit-reset`` (epoch milliseconds), Google's RetryInfo (``retryDelay``), and
"try again in 11.5s" in messages.
"""

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from afterbell.core.http_dates import seconds_until

# "1h2m3.5s", "34s", "3ms", "42"
_DURATION: Final = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)(ms|s)?)?", re.ASCII)
_IN_WORDS: Final = re.compile(
    r"(?:retry after|try again in|retryDelay\W{1,6}) ?(\d{1,6}(?:\.\d{1,6})?)"
    r" ?(ms|milliseconds|s|seconds|m|minutes)?\b",
    re.IGNORECASE | re.ASCII,
)
_IN_SECONDS: Final = {"ms": 0.001, "milliseconds": 0.001, "m": 60.0, "minutes": 60.0}
# A number past these is a moment: seconds since 1970, or milliseconds.
_EPOCH_S, _EPOCH_MS = 1e9, 1e12


def seconds(headers: Mapping[str, str], message: str, now: datetime) -> float | None:
    """The wait that a refusal names, None where it names none. ``headers`` have lower-case names, ``now`` is aware.

    The most direct hint decides; of several windows that are spent, the one that is over last.
    """
    direct = (
        _scaled(headers.get("retry-after-ms", ""), 0.001),
        _read(headers.get("retry-after", ""), now),
        _said(message),
        _read(headers.get("ratelimit-reset", ""), now),
        _read(headers.get("x-ratelimit-reset", ""), now),
    )
    stated = next((hint for hint in direct if hint is not None), None)
    return _windows(headers, now) if stated is None else stated


def _windows(headers: Mapping[str, str], now: datetime) -> float | None:
    spent = [
        _read(headers.get(f"x-ratelimit-reset-{unit}", ""), now)
        for unit in ("requests", "tokens")
        if headers.get(f"x-ratelimit-remaining-{unit}", "0").strip() == "0"
    ]
    return max((hint for hint in spent if hint is not None), default=None)


def _read(text: str, now: datetime) -> float | None:
    """Seconds, a duration with units, a date, or a moment since 1970."""
    number = _number(text)
    if number is None:
        length = _duration(text.strip())
        return seconds_until(text, now) if length is None else length
    if number >= _EPOCH_S:
        return max(0.0, number / (1000 if number >= _EPOCH_MS else 1) - now.timestamp())
    return number


def _duration(text: str) -> float | None:
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        return None
    hours, minutes, last, unit = match.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(last or 0) * (0.001 if unit == "ms" else 1)


def _said(message: str) -> float | None:
    match = _IN_WORDS.search(message)
    return None if match is None else float(match[1]) * _IN_SECONDS.get((match[2] or "s").lower(), 1.0)


def _scaled(text: str, factor: float) -> float | None:
    number = _number(text)
    return None if number is None else number * factor


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
