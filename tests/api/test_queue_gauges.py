"""The queue's numbers in the metrics come from PostgreSQL, bounded, and not from a scrape."""

from datetime import UTC, datetime
from typing import Any

from prometheus_client import REGISTRY
from sqlalchemy import text
from tests.support.waiting import eventually

from afterbell.adapters.db.database import Database
from afterbell.adapters.db.reports import counts
from afterbell.api.queue_gauges import QueueGauges


async def test_reports_are_counted_by_what_they_wait_for(database_url: str) -> None:
    database = Database(database_url, pool_size=2)
    await fill(database, ("queued", 0), ("queued", 0), ("queued", 1), ("deferred", 1), ("running", 1), ("failed", 4))
    async with database.statement() as connection:
        counted = await counts.count_jobs(connection)
    assert counted.jobs == {"waiting": 2, "due": 2, "active": 1, "failed": 1}
    assert 59 < counted.oldest_waiting_s < 90
    assert 0 < counted.longest_silent_s < 30, "what runs was touched a moment ago, though asked for a minute ago"
    gauges = QueueGauges(database, now=lambda: datetime.now(UTC), every_s=60)
    gauges.start()
    await eventually(lambda: value("afterbell_queue_jobs", state="due") == 2)
    await gauges.stop()
    assert value("afterbell_queue_observed_timestamp_seconds") > 0
    await database.close()


async def test_no_count_goes_past_its_bound(database_url: str, monkeypatch: Any) -> None:
    database = Database(database_url, pool_size=2)
    await fill(database, *[("queued", 0)] * 5, *[("failed", 1)] * 5)
    monkeypatch.setattr(counts, "COUNTED_MAX", 3)
    async with database.statement() as connection:
        counted = await counts.count_jobs(connection)
    assert counted.jobs == {"waiting": 3, "due": 0, "active": 0, "failed": 3}
    await database.close()


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def fill(database: Database, *reports: tuple[str, int]) -> None:
    """A report for each (status, attempt), asked for a minute ago, without a session of their own to tell of."""
    async with database.transaction() as connection:
        await connection.execute(text("SET LOCAL session_replication_role = replica"))  # no foreign keys
        for version, (status, attempt) in enumerate(reports, start=1):
            await connection.execute(
                text(
                    "INSERT INTO reports (id, tenant_id, session_id, version, revision, status, attempt, requested_by,"
                    " created_at) VALUES (gen_random_uuid(), 't', 's', :version, 1, :status, :attempt, 'x',"
                    " now() - interval '1 minute')"
                ),
                {"version": version, "status": status, "attempt": attempt},
            )
