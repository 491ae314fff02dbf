"""Retry-all by two administrators at once: each failed report starts once more, and no command holds up the others."""

import asyncio
import uuid
from time import monotonic

import pytest
from sqlalchemy import insert
from tests.faults.conftest import Faults
from tests.faults.servers import TcpPostgres, TcpValkey
from tests.support.queue import breaker_of
from tests.support.record import Record

from afterbell.adapters.db.database import Database
from afterbell.adapters.db.migrate import upgrade
from afterbell.adapters.db.reports.job_rows import JobFilter
from afterbell.adapters.db.tables import reports
from afterbell.adapters.queue.keys import QueueKeys
from afterbell.adapters.queue.redis_queue import BULK_MAX, Ended, NewJob, Queue, QueueRules
from afterbell.adapters.redis.connections import connect
from afterbell.api.admin.admin_service import AdminService
from afterbell.api.admin.admin_tokens import Admin
from afterbell.api.admin.limits import Limits
from afterbell.api.reports.outbox import Outbox
from afterbell.core.money.budgets import Budgets
from afterbell.core.queue.outcomes import Dead, Done, job_id_of

pytestmark = [pytest.mark.faults, pytest.mark.engines]
NO_LIMITS = Limits(Budgets())


@pytest.mark.parametrize("jobs", [1_000, pytest.param(10_000, marks=pytest.mark.long)])
async def test_two_admins_who_retry_all_at_once_start_each_job_once(
    faults: Faults, valkey: TcpValkey, postgres: TcpPostgres, jobs: int
) -> None:
    database, client = Database(postgres.url, pool_size=4), connect(valkey.url)
    queue = Queue(client, QueueKeys(f"t{uuid.uuid4().hex}"), QueueRules(lease_s=60, starts_max=0))
    outbox = Outbox(database, queue)
    try:
        await upgrade(database)
        record = Record(database)
        failed = await _failed_reports(record, queue, jobs)
        # Whatever takes 1 ms and more.
        valkey.ask("CONFIG", "SET", "slowlog-log-slower-than", 1000)
        valkey.ask("SLOWLOG", "RESET")
        outbox.start()
        began = monotonic()
        service = AdminService(database, queue, breaker_of(queue), outbox, NO_LIMITS)
        await asyncio.gather(*(_retry_all(service, record.tenant, name) for name in ("anna", "bert")))
        took_s = monotonic() - began
        slowest_ms = _slowest_ms(valkey)
        facts = await queue.stats()
        assert (facts.waiting, facts.dead) == (jobs, 0)
        started = await _run_all(queue)
        assert len(started) == jobs
        assert set(started) == failed
    finally:
        await outbox.stop()
        await client.aclose()
        await database.close()
    faults.note(
        f"two admins retry {jobs} failed reports at once (slowest command {slowest_ms:.1f} ms)",
        enqueued=jobs,
        completed=jobs,
        starts=jobs * 2,
        doubled=jobs,
        why="retried once by an admin",
        recovered_s=took_s,
    )


async def _failed_reports(record: Record, queue: Queue, jobs: int) -> set[str]:
    """Reports whose last try failed for good, in the record and in the queue."""
    session_id = await record.stored()
    ids = [uuid.uuid4() for _ in range(jobs)]
    common = {"tenant_id": record.tenant, "session_id": session_id, "revision": 1, "requested_by": "boss"}
    rows = [
        common | {"id": report_id, "version": number, "status": "failed"}
        for number, report_id in enumerate(ids, start=1)
    ]
    async with record.database.transaction() as connection:
        await connection.execute(insert(reports), rows)
    for start in range(0, jobs, BULK_MAX):
        await queue.enqueue([NewJob(job_id_of(report_id), b"{}") for report_id in ids[start : start + BULK_MAX]])
        grants = (await queue.poll("w", BULK_MAX)).grants
        await queue.poll("w", 0, [], [Ended(grant, Dead("broken")) for grant in grants])
    return {job_id_of(report_id) for report_id in ids}


async def _retry_all(service: AdminService, tenant: str, name: str) -> None:
    """As `afterbell jobs retry --all` does it, page after page."""
    admin, after = Admin(name, "operator"), None
    while True:
        _, after = await service.act_on_next(
            "retry", JobFilter(tenant=tenant), admin, "the provider is back", after=after
        )
        if after is None:
            return


async def _run_all(queue: Queue) -> list[str]:
    started: list[str] = []
    while grants := (await queue.poll("w", BULK_MAX)).grants:
        started += [grant.job_id for grant in grants]
        await queue.poll("w", 0, [], [Ended(grant, Done()) for grant in grants])
    return started


def _slowest_ms(valkey: TcpValkey) -> float:
    entries = valkey.ask("SLOWLOG", "GET", 128)
    assert isinstance(entries, list)
    return max((_duration_us(entry) for entry in entries), default=0) / 1000


def _duration_us(entry: object) -> int:
    return int(entry["duration"] if isinstance(entry, dict) else entry[2])  # type: ignore[index]
