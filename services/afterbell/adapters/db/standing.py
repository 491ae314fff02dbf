"""How much work there is, counted at a bounded price: no count goes past ``COUNTED_MAX`` rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

COUNTED_MAX: Final = 10_000
# A report that has been tried, or was told to wait, waits for a moment of its own; any other waits for a worker.
_COUNT: Final = text("""
    WITH unfinished AS (
        SELECT created_at, updated_at, CASE WHEN status = 'running' THEN 'active'
                                WHEN status = 'deferred' OR attempt > 0 THEN 'due' ELSE 'waiting' END AS state
        FROM reports WHERE status IN ('queued', 'deferred', 'running') ORDER BY created_at LIMIT :most
    )
    SELECT count(*) FILTER (WHERE state = 'waiting') AS waiting, count(*) FILTER (WHERE state = 'due') AS due,
           count(*) FILTER (WHERE state = 'active') AS active,
           (SELECT count(*) FROM (SELECT FROM reports WHERE status = 'failed' LIMIT :most) AS failed) AS failed,
           coalesce(extract(epoch FROM now() - min(created_at) FILTER (WHERE state = 'waiting')), 0) AS oldest_s,
           coalesce(extract(epoch FROM now() - min(updated_at) FILTER (WHERE state = 'active')), 0) AS silent_s,
           (SELECT count(*) FROM (SELECT FROM webhook_deliveries WHERE status = 'pending' LIMIT :most) AS w) AS webhooks
    FROM unfinished
""")


@dataclass(frozen=True, slots=True)
class Counted:
    """Reports by state, seconds the oldest of those that wait has waited (0: none waits), seconds in which one of those
    that run made no progress at the most (0: none runs), deliveries to be sent.
    """

    jobs: Mapping[str, int]
    oldest_waiting_s: float
    longest_silent_s: float
    webhooks_pending: int


async def counted(connection: AsyncConnection) -> Counted:
    """What there is now."""
    row = (await connection.execute(_COUNT, {"most": COUNTED_MAX})).mappings().one()
    jobs = {state: row[state] for state in ("waiting", "due", "active", "failed")}
    return Counted(jobs, max(float(row["oldest_s"]), 0.0), max(float(row["silent_s"]), 0.0), row["webhooks"])
