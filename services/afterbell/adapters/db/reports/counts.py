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
        SELECT created_at, updated_at, put_at, parked_at, CASE WHEN status = 'running' THEN 'active'
                                WHEN status = 'deferred' OR attempt > 0 THEN 'due' ELSE 'waiting' END AS state
        FROM reports WHERE status IN ('queued', 'deferred', 'running') ORDER BY created_at LIMIT :most
    )
    SELECT count(*) FILTER (WHERE state = 'waiting') AS waiting, count(*) FILTER (WHERE state = 'due') AS due,
           count(*) FILTER (WHERE state = 'active') AS active,
           (SELECT count(*) FROM (SELECT FROM reports WHERE status = 'failed' LIMIT :most) AS failed) AS failed,
           coalesce(extract(epoch FROM now() - min(created_at) FILTER (WHERE state = 'waiting')), 0) AS oldest_s,
           coalesce(extract(epoch FROM now() - min(updated_at) FILTER (WHERE state = 'active')), 0) AS silent_s,
           count(parked_at) AS parked,
           coalesce(extract(epoch FROM now() - min(coalesce(put_at, created_at))
                            FILTER (WHERE state <> 'active' AND parked_at IS NULL)), 0) AS unchecked_s,
           (SELECT count(*) FROM (SELECT FROM webhook_deliveries WHERE status = 'pending' LIMIT :most) AS w) AS webhooks
    FROM unfinished
""")


@dataclass(frozen=True, slots=True)
class JobCounts:
    """Reports by state, seconds the oldest of those that wait has waited (0: none waits), seconds in which one of those
    that run made no progress at the most (0: none runs), deliveries to be sent. ``unchecked_s``: since the queue was
    last asked about the one of those that wait that it was asked about longest ago; ``parked``: what it cannot take.
    """

    jobs: Mapping[str, int]
    oldest_waiting_s: float
    longest_silent_s: float
    webhooks_pending: int
    unchecked_s: float
    parked: int


async def count_jobs(connection: AsyncConnection) -> JobCounts:
    """What there is now."""
    row = (await connection.execute(_COUNT, {"most": COUNTED_MAX})).mappings().one()
    jobs = {state: row[state] for state in ("waiting", "due", "active", "failed")}
    oldest_s, silent_s, unchecked_s = (max(float(row[name]), 0.0) for name in ("oldest_s", "silent_s", "unchecked_s"))
    return JobCounts(jobs, oldest_s, silent_s, row["webhooks"], unchecked_s, row["parked"])
