"""Which unfinished reports the queue is asked about, in pages of any size; what came of it; and whose turn it is."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.support.record import Record, ago

from afterbell.adapters.db import work_locks
from afterbell.adapters.db.reports import unfinished
from afterbell.adapters.db.reports.unfinished import START, Page, SweepAges

pytestmark = pytest.mark.engines
AGES = SweepAges(pending=timedelta(seconds=60), waiting=timedelta(seconds=120), silent=timedelta(seconds=300))

# (columns in seconds before now, whether it is to be put): limits of 60 s pending, 120 s waiting, 300 s running.
RULES: list[tuple[dict[str, Any], bool]] = [
    ({"status": "queued", "created_at": -30}, False),
    ({"status": "queued", "created_at": -90}, True),
    ({"status": "deferred", "created_at": -90}, True),
    ({"status": "queued", "created_at": -999, "put_at": -50}, False),
    ({"status": "queued", "created_at": -999, "put_at": -90}, True),  # because the next one is late
    ({"status": "queued", "created_at": -999, "put_at": -150}, True),
    ({"status": "deferred", "created_at": -999, "put_at": -150}, True),
    ({"status": "running", "created_at": -999, "put_at": -998, "updated_at": -270}, False),
    ({"status": "running", "created_at": -999, "put_at": -998, "updated_at": -330}, True),
    ({"status": "running", "created_at": -999, "put_at": -270, "updated_at": -330}, False),
    ({"status": "running", "created_at": -999, "updated_at": -330}, True),
    ({"status": "running", "created_at": -999, "updated_at": -1}, False),
    ({"status": "succeeded", "created_at": -999}, False),
    ({"status": "failed", "created_at": -999, "put_at": -998}, False),
    ({"status": "cancelled", "created_at": -999}, False),
]


async def pages(record: Record, limit: int, ages: SweepAges = AGES) -> list[Page]:
    read, place = [], START
    async with record.database.statement() as connection:
        while True:
            page = await unfinished.page(connection, place, ages, limit=limit)
            read.append(page)
            if page.end is None:
                return read
            place = page.end


def asked(read: list[Page]) -> list[UUID]:
    return [report.report_id for page in read for report in page.due]


async def test_the_queue_is_asked_about_what_it_may_not_hold_oldest_first(alone: Record) -> None:
    await alone.stored()
    now = datetime.now(UTC)
    expected: list[tuple[int, UUID]] = []
    for version, (columns, to_put) in enumerate(RULES, start=1):
        age = columns["created_at"]
        moments = {
            name: now + timedelta(seconds=at, milliseconds=version)
            for name, at in columns.items()
            if name.endswith("_at")
        }
        report_id = await alone.report(version=version, **(columns | moments))
        if to_put:
            expected.append((age * 1000 + version, report_id))
    wanted = [report_id for _, report_id in sorted(expected)]
    assert asked(await pages(alone, 100)) == wanted
    # One that comes along with a late one of its page comes late where it is alone in its page.
    assert set(asked(await pages(alone, 3))) <= set(wanted)
    assert len(asked(await pages(alone, 3))) >= len(wanted) - 1


async def test_pages_are_bounded_and_end_though_all_were_asked_for_at_one_moment(alone: Record) -> None:
    await alone.stored()
    moment = ago(999)
    ids = [await alone.report(version=version, created_at=moment) for version in range(1, 8)]
    read = await pages(alone, 3)
    assert [len(page.due) for page in read] == [3, 3, 1]
    assert sorted(asked(read)) == sorted(ids)


async def test_what_was_put_a_while_ago_waits_for_one_that_was_put_long_ago(alone: Record) -> None:
    await alone.stored()
    for version, age in enumerate((119, 90, 61), start=1):
        await alone.report(version=version, status="queued", put_at=ago(age))
    assert asked(await pages(alone, 9)) == []
    assert len(asked(await pages(alone, 9, SweepAges(AGES.pending, timedelta(seconds=118), AGES.silent)))) == 3


async def test_a_stamp_of_the_future_hides_nothing(alone: Record) -> None:
    """As where PostgreSQL's clock was an hour ahead, or a standby of another clock was promoted."""
    await alone.stored()
    late = await alone.report(version=1, put_at=ago(-3600))
    parked = await alone.report(version=2, put_at=ago(999), parked_at=ago(-3600))
    (page,) = await pages(alone, 9)
    assert [report.report_id for report in page.due] == [late]
    assert [report.report_id for report in page.parked] == [parked]


async def test_what_is_parked_is_kept_with_its_reason_and_tried_again_by_itself(alone: Record) -> None:
    await alone.stored()
    bad, good, over = [await alone.report(version=version, created_at=ago(999)) for version in (1, 2, 3)]
    await alone.run(text("UPDATE reports SET status = 'failed' WHERE id = :id").bindparams(id=over))
    async with alone.database.statement() as connection:
        await unfinished.park(connection, {bad: "too\0odd " + "x" * 9_999, over: "why"})
        await unfinished.mark_enqueued(connection, [good])
    row = await alone.row(bad)
    assert (row["status"], row["parked_because"][:7], row["parked_at"] is None) == ("queued", "tooodd ", False)
    assert len(row["parked_because"]) == unfinished.REASON_CHARS_MAX
    assert (await alone.row(over))["parked_at"] is None
    assert asked(await pages(alone, 9)) == []
    await alone.run(
        text("UPDATE reports SET parked_at = now() - interval '11 minutes' WHERE id = :id").bindparams(id=bad)
    )
    (page,) = await pages(alone, 9)
    assert [report.report_id for report in page.parked] == [bad]
    async with alone.database.statement() as connection:
        await unfinished.mark_enqueued(connection, [bad])
    assert (await alone.row(bad))["parked_because"] is None


async def test_a_row_that_somebody_holds_locked_is_not_waited_for(alone: Record) -> None:
    await alone.stored()
    locked, free = [await alone.report(version=version, created_at=ago(999)) for version in (1, 2)]
    async with alone.database.transaction() as holder:
        await holder.execute(text("SELECT 1 FROM reports WHERE id = :id FOR UPDATE").bindparams(id=locked))
        async with alone.database.statement() as connection:
            await connection.execute(text("SET statement_timeout = '3s'"))
            await unfinished.mark_enqueued(connection, [locked, free])
            await unfinished.park(connection, {locked: "why"})
            await connection.execute(text("RESET statement_timeout"))
    assert (await alone.row(free))["put_at"] is not None
    assert (await alone.row(locked))["put_at"] is None


async def test_one_process_has_the_lock_until_it_releases_it_or_is_silent(record: Record) -> None:
    async with record.database.statement() as connection:
        assert await work_locks.acquire(connection, "sweep", "one", for_s=60)
        assert not await work_locks.acquire(connection, "sweep", "two", for_s=60)
        assert await work_locks.acquire(connection, "retention", "two", for_s=60)
        assert await work_locks.acquire(connection, "sweep", "one", for_s=0)
        await connection.execute(text("SELECT pg_sleep(0.01)"))
        assert await work_locks.acquire(connection, "sweep", "two", for_s=60)
        await work_locks.release(connection, "sweep", "one")
        assert not await work_locks.acquire(connection, "sweep", "one", for_s=60)
        await work_locks.release(connection, "sweep", "two")
        assert await work_locks.acquire(connection, "sweep", "one", for_s=60)
        # A clock that was hours ahead has been set back since.
        await connection.execute(text("UPDATE turns SET until = now() + interval '9 hours', holder = 'gone'"))
        assert await work_locks.acquire(connection, "sweep", "two", for_s=60)
        await connection.execute(text("DELETE FROM turns"))
