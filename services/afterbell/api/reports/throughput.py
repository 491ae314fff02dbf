"""A waiting report's place and when it may be ready: what clients poll for, at a cost that none of them adds to."""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from afterbell.adapters.db.database import Database
from afterbell.adapters.db.reports import estimates
from afterbell.core.queue.stats import eta_seconds
from afterbell.settings import ApiSettings

# A place is at most this old, and counts no further: whoever is behind so many need not know it better.
READ_EVERY_S: Final = 2.0
PLACES_MAX: Final = 5_000
MEASURED_EVERY_S: Final = 5.0
# Until the first report was made: the middle of what reports take by hosted models.
TYPICAL_REPORT_S: Final = 45.0


@dataclass(frozen=True, slots=True)
class Wait:
    """``position``: 1 = next, at most ``PLACES_MAX``. ``eta_s``: seconds until the report there is finished."""

    position: int
    eta_s: int


class Throughput:
    """The queue as it was a moment ago, so that a thousand waiting clients cost one query, whatever waits."""

    def __init__(self, database: Database, settings: ApiSettings) -> None:
        self._database, self._settings = database, settings
        self._reading = asyncio.Lock()
        self._waiting: Sequence[datetime] = ()
        self._report_s, self._side_by_side = TYPICAL_REPORT_S, 0
        self._read_at = self._measured_at = float("-inf")

    async def wait_of(self, created_at: datetime) -> Wait:
        """Where a report that was asked for at that moment stands. Raises StoreUnavailable."""
        await self._refresh()
        position = position_in(self._waiting, created_at)
        settings = self._settings
        eta_s = eta_seconds(
            position,
            starts_per_window=settings.starts_max,
            window_s=settings.window_s,
            slots=self._side_by_side or settings.slots_hint,
            report_s=self._report_s,
        )
        return Wait(position, eta_s)

    async def _refresh(self) -> None:
        """Read anew what is too old; whoever asks meanwhile waits for the same answer, without a connection."""
        clock = asyncio.get_running_loop().time
        if clock() - self._read_at < READ_EVERY_S:
            return
        async with self._reading:
            if clock() - self._read_at < READ_EVERY_S:
                return
            async with self._database.statement() as connection:
                self._waiting = await estimates.waiting(connection, most=PLACES_MAX)
                if clock() - self._measured_at >= MEASURED_EVERY_S:
                    report_s, self._side_by_side = await estimates.pace(connection)
                    self._report_s = TYPICAL_REPORT_S if report_s is None else report_s
                    self._measured_at = clock()
            self._read_at = clock()


def position_in(waiting: Sequence[datetime], created_at: datetime) -> int:
    """How many wait, this one included, that were asked for no later; ``waiting`` is sorted and may be a little older
    than the report."""
    is_counted = bisect_left(waiting, created_at) < bisect_right(waiting, created_at)
    return min(bisect_right(waiting, created_at) + (0 if is_counted else 1), PLACES_MAX)
