"""Whatever Redis lost and whatever a row holds: what the record calls unfinished comes to be in the queue."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from sqlalchemy import insert, text
from tests.core.sessions import lesson
from tests.support.queue import a_queue, leases_run_out
from tests.support.record import Record, ago, record_in

from afterbell.adapters.db.tables import reports as reports_table
from afterbell.adapters.queue.redis_queue import BULK_MAX, Ended, Queue
from afterbell.api.reports import sweeper as module
from afterbell.api.reports.outbox import Outbox
from afterbell.api.reports.sweeper import Sweeper, SweepRules
from afterbell.core.errors import QueueScriptError, StoreUnavailable
from afterbell.core.queue.outcomes import Cancelled, Dead, Defer, Done, Outcome, job_id_of, report_id_of
from afterbell.core.session import Session

pytestmark = pytest.mark.engines
RULES = SweepRules(every_s=60, pending_s=0, waiting_s=0, silent_s=0, upgrade_s=0)
LONG = {
    "CJK": "学习辅导中心北京海淀区中关村第一教学部夜间语言与数学综合辅导学校",
    "Cyrillic": "Центр дополнительного образования детей и подростков при школе",
    "emoji": "\N{GRINNING FACE}" * 64,
}


@dataclass(slots=True)
class Site:
    """A record, a queue and the sweeper between them, which sweeps when it is told to."""

    record: Record
    queue: Queue
    sweeper: Sweeper

    async def sweep(self) -> None:
        await self.sweeper._sweep()

    async def reports(
        self, count: int, *, tenant: str = "school", put: bool = True, status: str = "queued"
    ) -> list[UUID]:
        """``count`` reports of a lesson each, asked for long ago; enqueued then as well where ``put``."""
        self.record.tenant = tenant
        ids = []
        for _ in range(count):
            session_id = await self.record.stored(_lesson())
            put_at = ago(500) if put else None
            ids.append(
                await self.record.report(
                    session_id, created_at=ago(999), put_at=put_at, updated_at=ago(999), status=status
                )
            )
        return ids

    async def started(self) -> set[str]:
        """What workers with room for all of it are granted, and make."""
        job_ids: set[str] = set()
        while grants := (await self.queue.poll("w-00000000", 200)).grants:
            job_ids |= {grant.job_id for grant in grants}
            made = text("UPDATE reports SET status = 'succeeded' WHERE id = ANY(:ids)")
            await self.record.run(made.bindparams(ids=[report_id_of(grant.job_id) for grant in grants]))
            await self.queue.poll("w-00000000", 0, [], [Ended(grant, Done()) for grant in grants])
        return job_ids


def _lesson() -> Session:
    said = lesson("T: How would you start?", "S: I would add the tops.")
    return Session(f"s-{uuid.uuid4().hex}", said.subject, said.participants, said.messages)


@asynccontextmanager
async def a_site(redis_url: str, database_url: str) -> AsyncIterator[Site]:
    async with record_in(database_url, pool_size=1) as record, a_queue(redis_url) as queue:
        yield Site(record, queue, Sweeper(record.database, Outbox(record.database, queue), RULES))


@pytest.fixture
async def site(redis_url: str, database_url: str) -> AsyncIterator[Site]:
    async with a_site(redis_url, database_url) as swept:
        yield swept


def jobs(ids: list[UUID]) -> set[str]:
    return {job_id_of(report_id) for report_id in ids}


def repairs(kind: str) -> float:
    return REGISTRY.get_sample_value("afterbell_sweep_repairs_total", {"repair": kind}) or 0.0


# -- what Redis lost -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", ["lanes", "lane:0:school", "waiting", "ended", "control", "idle"])
async def test_jobs_that_wait_start_though_redis_lost_one_key_of_theirs(site: Site, lost: str) -> None:
    ids = await site.reports(3)
    await site.sweep()
    await site.queue._client.delete(site.queue.keys.prefix + lost)
    # Workers come and go meanwhile; a lane that is gone must not break their exchange.
    early = await site.started()
    await site.sweep()
    assert early | await site.started() == jobs(ids)
    facts = await site.queue.stats()
    assert (facts.waiting, facts.lanes) == (0, 0)


@pytest.mark.parametrize("whole", [False, True])
async def test_due_jobs_start_though_redis_lost_when(site: Site, whole: bool) -> None:
    ids = await site.reports(2)
    await site.sweep()
    grants = (await site.queue.poll("w", 2)).grants
    await site.queue.poll("w", 0, [], [Ended(grant, Defer(3600, "told to wait")) for grant in grants])
    lost = [f"job:{job_id_of(ids[0])}"] if whole else ["due"]
    before = repairs("enqueued" if whole else "repaired")
    await site.queue._client.delete(*(site.queue.keys.prefix + key for key in lost))
    await site.sweep()
    assert await site.started() == (jobs(ids[:1]) if whole else jobs(ids))
    assert repairs("enqueued" if whole else "repaired") == before + (1 if whole else 2)


async def test_a_job_whose_lease_was_lost_goes_on_with_its_worker_or_starts_elsewhere(site: Site) -> None:
    ids = await site.reports(2, status="running")
    await site.sweep()
    alive, gone = (await site.queue.poll("w", 2)).grants
    await site.queue._client.delete(site.queue.keys.prefix + "leases")
    await site.sweep()
    assert (await site.queue.stats()).active == 2
    polled = await site.queue.poll("w", 0, [alive])
    assert polled.lost | polled.unknown == frozenset()
    await leases_run_out(site.queue)
    await site.queue.poll("w", 0, [alive])
    (again,) = (await site.queue.poll("v", 5)).grants
    assert (again.job_id, again.run) == (gone.job_id, 2)
    assert {alive.job_id, gone.job_id} == jobs(ids)


async def test_a_job_that_was_lost_and_put_again_starts_once_though_its_old_places_are_still_there(site: Site) -> None:
    (report_id,) = await site.reports(1)
    await site.sweep()
    (old,) = (await site.queue.poll("gone", 1)).grants
    prefix = site.queue.keys.prefix
    await site.queue._client.zadd(prefix + "due", {old.job_id: 1})
    await site.queue._client.delete(f"{prefix}job:{old.job_id}")
    await site.sweep()
    await leases_run_out(site.queue)
    assert [grant.job_id for grant in (await site.queue.poll("w", 9)).grants] == [job_id_of(report_id)]
    assert (await site.queue.poll("v", 9)).grants == ()
    facts = await site.queue.stats()
    assert (facts.active, facts.due, facts.waiting) == (1, 0, 0)


@pytest.mark.parametrize("outcome", [Done(), Cancelled()])
async def test_what_redis_calls_ended_never_hides_what_the_record_calls_queued(site: Site, outcome: Outcome) -> None:
    """As where PostgreSQL was restored, or a standby that lagged was promoted."""
    ids = await site.reports(2)
    await site.sweep()
    for grant in (await site.queue.poll("w", 2)).grants:
        await site.queue.poll("w", 0, [], [Ended(grant, outcome)])
    before = repairs("anew")
    await site.record.run(text("UPDATE reports SET status = 'succeeded' WHERE id = :id").bindparams(id=ids[1]))
    await site.sweep()
    (again,) = (await site.queue.poll("w", 2)).grants
    assert (again.job_id, again.run, again.failures) == (job_id_of(ids[0]), 2, 0)
    assert repairs("anew") == before + 1


async def test_more_opened_reports_than_a_command_takes_have_their_dead_letters_retried(site: Site) -> None:
    session_id = await site.record.stored(_lesson())
    rows = [
        {
            "id": uuid.uuid4(),
            "tenant_id": site.record.tenant,
            "session_id": session_id,
            "version": version,
            "revision": 1,
            "requested_by": "x",
            "created_at": ago(999),
        }
        for version in range(1, BULK_MAX + 52)
    ]
    await site.record.run(insert(reports_table).values(rows))
    await site.sweep()
    while grants := (await site.queue.poll("w", 200)).grants:
        await site.queue.poll("w", 0, [], [Ended(grant, Dead("no more")) for grant in grants])
    await site.record.run(text("UPDATE reports SET put_at = NULL"))
    await site.sweep()
    assert len(await site.started()) == len(rows)


# -- what a row can hold -------------------------------------------------------------------------------------


@pytest.mark.parametrize("tenant", LONG.values(), ids=LONG.keys())
async def test_a_tenant_of_any_script_is_put_with_all_others(site: Site, tenant: str) -> None:
    ids = [*await site.reports(1, tenant=tenant, put=False), *await site.reports(1, put=False)]
    await site.sweep()
    assert await site.started() == jobs(ids)


async def test_a_row_the_queue_cannot_take_is_parked_with_its_reason_and_no_other_waits_for_it(site: Site) -> None:
    ids = await site.reports(9, put=False)
    bad = job_id_of(ids[4])
    # No row of ours is known that Redis cannot take, so its place in Redis is taken by something else.
    await site.queue._client.set(f"{site.queue.keys.prefix}job:{bad}", "not a hash")
    before = repairs("parked")
    await site.sweep()
    assert await site.started() == jobs(ids) - {bad}
    row = await site.record.row(ids[4])
    assert "WRONGTYPE" in row["parked_because"]
    assert (row["status"], repairs("parked")) == ("queued", before + 1)
    await site.queue._client.delete(f"{site.queue.keys.prefix}job:{bad}")
    await site.sweep()
    assert await site.started() == set(), "it is not tried again at once"
    await site.record.run(text("UPDATE reports SET parked_at = parked_at - interval '11 minutes'"))
    await site.sweep()
    assert await site.started() == {bad}
    assert (await site.record.row(ids[4]))["parked_at"] is None


async def test_where_redis_fails_on_everything_no_row_is_blamed(site: Site) -> None:
    ids = await site.reports(5, put=False)
    await site.queue._client.set(site.queue.keys.prefix + "control", "not a hash")
    with pytest.raises(QueueScriptError):
        await site.sweep()
    await site.queue._client.delete(site.queue.keys.prefix + "control")
    assert {row["parked_at"] for row in await site.record.run(text("SELECT parked_at FROM reports"))} == {None}
    await site.sweep()
    assert await site.started() == jobs(ids)


async def test_a_page_that_fails_is_left_to_the_next_pass(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE_MAX", 2)
    ids = await site.reports(6, put=False)
    (first,) = await site.record.run(text("SELECT id FROM reports ORDER BY created_at, id LIMIT 1"))
    enqueue = site.queue.enqueue

    async def away_for_the_first(jobs: list[object], **how: bool) -> list[str]:
        if any(getattr(job, "job_id", "") == job_id_of(first["id"]) for job in jobs):
            raise StoreUnavailable("Redis", "timed out")
        return await enqueue(jobs, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(site.queue, "enqueue", away_for_the_first)
    with pytest.raises(StoreUnavailable):
        await site.sweep()
    await site.sweep()
    assert len(await site.started()) == len(ids) - 2


async def test_only_one_process_sweeps_at_a_time(site: Site) -> None:
    ids = await site.reports(1, put=False)
    other = Sweeper(site.record.database, Outbox(site.record.database, site.queue), RULES)
    await other._sweep()
    assert await site.started() == jobs(ids)
    await site.reports(1, put=False)
    await site.sweep()
    assert await site.started() == set()


# -- nothing a row, tenant or batch can contain stops it -----------------------------------------------------

# What PostgreSQL's text takes: anything but NUL and lone surrogates.
ANY_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=64)
PLACES = (
    "none",
    "held",
    "lane",
    "lanes",
    "waiting",
    "due",
    "running",
    "hash",
    "completed",
    "cancelled",
    "dead",
    "alien",
)


@st.composite
def a_row(draw: st.DrawFn) -> dict[str, object]:
    """A row of any tenant and any stamps, and what Redis makes of it."""
    stamp = st.one_of(st.none(), st.integers(-9_000, 900_000))
    return {
        "tenant": draw(ANY_TEXT),
        "status": draw(st.sampled_from(("queued", "deferred", "running", "queued"))),
        "created_s": draw(st.integers(1, 900_000)),
        "put_s": draw(stamp),
        "bulk": draw(st.booleans()),
        "in_redis": draw(st.sampled_from(PLACES)),
    }


async def _in_redis(queue: Queue, job_id: str, place: str) -> None:
    """Leave the job, which waits in its lane, as something has left it."""
    prefix, client = queue.keys.prefix, queue._client
    lane = (await client.hget(f"{prefix}job:{job_id}", "lane")).decode()
    acts: dict[str, Callable[[], Awaitable[object]]] = {
        "none": lambda: queue.apply("remove", [job_id]),
        "lane": lambda: client.delete(f"{prefix}lane:{lane}"),
        "lanes": lambda: client.delete(prefix + "lanes"),
        "waiting": lambda: client.delete(prefix + "waiting"),
        "due": lambda: client.hset(f"{prefix}job:{job_id}", "state", "due"),
        "running": lambda: client.hset(f"{prefix}job:{job_id}", mapping={"state": "active", "owner": "gone"}),
        "hash": lambda: client.delete(f"{prefix}job:{job_id}"),
        "completed": lambda: client.hset(f"{prefix}job:{job_id}", "state", "completed"),
        "cancelled": lambda: client.hset(f"{prefix}job:{job_id}", "state", "cancelled"),
        "dead": lambda: client.hset(f"{prefix}job:{job_id}", "state", "dead"),
    }
    if place == "alien":
        await queue.apply("remove", [job_id])
        await client.set(f"{prefix}job:{job_id}", "of somebody else")
    elif place in acts:
        await acts[place]()


@given(rows=st.lists(a_row(), min_size=1, max_size=12))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
async def test_nothing_a_row_a_tenant_or_a_batch_can_contain_stops_the_sweeper(
    redis_url: str, database_url: str, rows: list[dict[str, object]]
) -> None:
    """Whatever the rows are: each ends up where a worker gets it, failed with its dead letter, or parked."""
    async with a_site(redis_url, database_url) as site:
        await site.record.run(text("DELETE FROM reports"))
        expected = [await _row(site, drawn) for drawn in rows]
        await site.sweep()
        await site.record.run(text("UPDATE reports SET put_at = NULL"))
        await site.sweep()
        for report_id, place in expected:
            await _in_redis(site.queue, job_id_of(report_id), place)
        await site.record.run(text("UPDATE reports SET put_at = now() - interval '1 hour'"))
        for _ in range(3):
            await site.sweep()
        await leases_run_out(site.queue)  # those that were put back
        started = await site.started()
        for report_id, place in expected:
            row = await site.record.row(report_id)
            is_parked, has_failed = row["parked_at"] is not None, row["status"] == "failed"
            assert is_parked == (place == "alien"), row
            assert has_failed == (place == "dead"), row
            assert (job_id_of(report_id) in started) == (not is_parked and not has_failed), row
        await site.record.run(text("DELETE FROM turns"))


async def _row(site: Site, drawn: dict[str, object]) -> tuple[UUID, str]:
    site.record.tenant = str(drawn["tenant"])
    session_id = await site.record.stored(_lesson())
    put_s, created_s = drawn["put_s"], drawn["created_s"]
    report_id = await site.record.report(
        session_id,
        status=drawn["status"],
        bulk=drawn["bulk"],
        created_at=ago(float(str(created_s))),
        put_at=None if put_s is None else ago(float(str(put_s))),
        updated_at=ago(float(str(created_s))),
    )
    return report_id, str(drawn["in_redis"])
