"""Dates in HTTP headers (RFC 9110), as whoever wrote them from outside spells them."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from afterbell.core.errors import MALFORMED


def seconds_until(text: str, now: datetime) -> float | None:
    """From ``now``, which is aware, to the date; 0 for one that is past, None for what is no date."""
    try:
        moment = parsedate_to_datetime(text)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, (aware - now).total_seconds())
    except MALFORMED:
        return None
