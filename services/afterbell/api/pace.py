"""How fast reports are made now, for the estimate a waiting client is told."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from afterbell.core.facts import eta_seconds
from afterbell.settings import ApiSettings

MEASURED_EVERY_S: Final = 5.0
# Until the first report was made: the middle of what reports take by hosted models.
TYPICAL_REPORT_S: Final = 45.0

Measure = Callable[[], Awaitable[tuple[float | None, int]]]
"""Asks the record: (seconds a report takes, None where none was made; how many ran side by side lately)."""


class Pace:
    """The measured pace, at most ``MEASURED_EVERY_S`` old, so that a thousand waiting clients cost one query."""

    def __init__(self, settings: ApiSettings) -> None:
        self._settings = settings
        self._report_s = TYPICAL_REPORT_S
        self._side_by_side = 0
        self._measured_at = float("-inf")

    async def eta_s(self, position: int, measure: Measure) -> int:
        """Seconds until the report at ``position`` (1 = next) is finished."""
        now = asyncio.get_running_loop().time()
        if now - self._measured_at >= MEASURED_EVERY_S:
            self._measured_at = now
            report_s, self._side_by_side = await measure()
            self._report_s = TYPICAL_REPORT_S if report_s is None else report_s
        settings = self._settings
        return eta_seconds(position, starts_per_window=settings.starts_max, window_s=settings.window_s,
                           slots=self._side_by_side or settings.slots_hint, report_s=self._report_s)  # fmt: skip
