"""How far a try is, told to PostgreSQL as it goes on."""

from time import monotonic
from typing import Final

import structlog

from afterbell.adapters.db.database import Database
from afterbell.adapters.db.reports import rows as reports
from afterbell.adapters.db.reports.rows import Claim
from afterbell.core.errors import StoreUnavailable
from afterbell.core.report.progress import STAGES, Step

PROGRESS_EVERY_S: Final = 0.5

log = structlog.get_logger(__name__)


class Superseded(Exception):
    """A later attempt owns the report; this one's result is refused."""


class ProgressWriter:
    """Writes progress: at most one write each half second, never backwards, and only while the attempt is current."""

    def __init__(self, database: Database, claimed: Claim) -> None:
        self._database, self._claimed = database, claimed
        self._percent, self._written_at = int(Step.CLAIMED), float("-inf")

    async def reach(self, percent: int, stage: str | None = None, *, now: bool = False) -> None:
        """Raises Superseded where a later attempt owns the report. Unseen progress is no reason to end a try."""
        if percent <= self._percent:
            return
        self._percent = percent
        if not now and monotonic() - self._written_at < PROGRESS_EVERY_S:
            return
        self._written_at = monotonic()
        try:
            async with self._database.statement() as connection:
                current = await reports.advance(connection, self._claimed, percent, stage or STAGES[Step(percent)])
        except StoreUnavailable as error:
            log.warning("progress_update_failed", error=str(error))
            return
        if not current:
            raise Superseded
