"""Claims fence: whatever an earlier attempt still writes matches no row. And what the sweeper is to put."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.support.api import migrated
from tests.support.record import LESSON, Record, ago, on

from afterbell.adapters.db import reports
from afterbell.adapters.db.engine import Database
from afterbell.core.report import Usage

pytestmark = pytest.mark.engines

Write = Callable[[AsyncConnection, reports.Claim], Awaitable[bool]]
WRITES: dict[str, Write] = {
    "advance": lambda connection, claimed: reports.advance(connection, claimed, 50, "writing"),
    "finish": lambda connection, claimed: reports.finish(connection, claimed, {"a": 1}, 1),
    "retry": lambda connection, claimed: reports.end_try(connection, claimed, "queued", "waits", "why"),
    "defer": lambda connection, claimed: reports.end_try(connection, claimed, "deferred", "waits", "why"),
    "fail": lambda connection, claimed: reports.end_try(connection, claimed, "failed", "failed", "why"),
}


async def written(record: Record, claimed: reports.Claim, write: Write) -> bool:
    async with record.database.transaction() as connection:
        return await write(connection, claimed)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_an_earlier_attempt_changes_nothing_any_more(tables: str, write: Write) -> None:
    async def body(record: Record) -> None:
        await record.stored()
        report_id = await record.report()
        first, second = await record.claim(report_id, "w1"), await record.claim(report_id, "w2")
        assert (first.attempt, second.attempt) == (1, 2)
        before = await record.row(report_id)
        assert not await written(record, first, write)
        assert await record.row(report_id) == before
        assert await written(record, second, write)
        assert await record.row(report_id) != before

    on(tables, body)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_nothing_is_written_to_a_report_that_has_ended(tables: str, write: Write) -> None:
    async def body(record: Record) -> None:
        await record.stored()
        for end in ("finish", "fail"):
            report_id = await record.report(session_id=LESSON.id, version={"finish": 1, "fail": 2}[end])
            claimed = await record.claim(report_id)
            assert await written(record, claimed, WRITES[end])
            before = await record.row(report_id)
            assert not await written(record, claimed, write)
            assert await record.row(report_id) == before

    on(tables, body)


def test_a_claim_starts_anew_and_keeps_the_first_start(tables: str) -> None:
    async def body(record: Record) -> None:
        await record.stored()
        report_id = await record.report()
        first = await record.claim(report_id)
        await written(record, first, WRITES["advance"])
        started_at = (await record.row(report_id))["started_at"]
        await record.claim(report_id)
        row = await record.row(report_id)
        assert (row["status"], row["attempt"], row["progress"], row["stage"]) == ("running", 2, 0, "claimed")
        assert row["started_at"] == started_at

    on(tables, body)


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
def test_a_report_that_has_ended_is_not_claimed(tables: str, status: str) -> None:
    async def body(record: Record) -> None:
        await record.stored()
        report_id = await record.report(status=status)
        async with record.database.transaction() as connection:
            assert await reports.claim(connection, report_id, "w") is None
            assert await reports.claim(connection, uuid.uuid4(), "w") is None

    on(tables, body)


def test_ten_workers_that_claim_at_once_get_ten_attempts_and_the_last_one_writes(tables: str) -> None:
    async def body(record: Record) -> None:
        await record.stored()
        report_id = await record.report()
        claims = await asyncio.gather(*(record.claim(report_id, f"w{n}") for n in range(10)))
        assert sorted(claimed.attempt for claimed in claims) == list(range(1, 11))
        finished = [await written(record, claimed, WRITES["finish"]) for claimed in claims]
        assert [claimed.attempt for claimed, done in zip(claims, finished, strict=True) if done] == [10]

    on(tables, body)


def test_progress_never_falls_within_an_attempt(tables: str) -> None:
    async def body(record: Record) -> None:
        await record.stored()
        claimed = await record.claim(await record.report())
        seen = []
        for percent in (10, 60, 30, 70):
            async with record.database.statement() as connection:
                assert await reports.advance(connection, claimed, percent, f"at {percent}")
            seen.append((await record.row(claimed.report_id))["progress"])
        assert seen == [10, 60, 60, 70]

    on(tables, body)


def test_a_finished_report_has_its_content_and_no_error_left(tables: str) -> None:
    async def body(record: Record) -> None:
        await record.stored()
        report_id = await record.report()
        await written(record, await record.claim(report_id), WRITES["retry"])
        waiting = await record.row(report_id)
        assert (waiting["status"], waiting["error"], waiting["progress"]) == ("queued", "why", 0)
        assert waiting["finished_at"] is None
        claimed = await record.claim(report_id)
        async with record.database.transaction() as connection:
            assert await reports.finish(connection, claimed, {"headline": "é \U0001f600"}, 7)
            found = await reports.newest_finished(connection, record.tenant, LESSON.id)
        assert found is not None
        assert (found.content, found.progress, found.error) == ({"headline": "é \U0001f600"}, 100, None)
        row = await record.row(report_id)
        assert (row["revision"], row["stage"]) == (7, "done")
        assert row["finished_at"] is not None

    on(tables, body)


def test_the_newest_report_and_the_newest_finished_one_are_told_apart(tables: str) -> None:
    async def body(record: Record) -> None:
        await record.stored()
        finished = await record.report(status="succeeded", version=1, content={})
        running = await record.report(status="running", version=2)
        async with record.database.statement() as connection:
            newest = await reports.newest(connection, record.tenant, LESSON.id)
            newest_finished = await reports.newest_finished(connection, record.tenant, LESSON.id)
            assert await reports.newest(connection, "another", LESSON.id) is None
        assert newest is not None
        assert newest_finished is not None
        assert (newest.report_id, newest_finished.report_id) == (running, finished)
        assert newest.content is None
        assert [person["id"] for person in newest.participants] == ["p-tutor", "p-student"]

    on(tables, body)


def test_what_an_attempt_cost_is_booked_also_where_it_came_too_late(tables: str) -> None:
    async def body(record: Record) -> None:
        await record.stored()
        report_id = await record.report()
        first = await record.claim(report_id, "w1")
        await record.claim(report_id, "w2")
        async with record.database.transaction() as connection:
            await reports.book(connection, first, outcome="superseded", error="late", model="m", request_id="r",
                               usage=Usage(100, 20, 30, 5))  # fmt: skip
        statement = text("SELECT * FROM report_attempts WHERE report_id = :id ORDER BY attempt")
        booked, running = await record.run(statement.bindparams(id=report_id))
        assert (booked["worker"], booked["outcome"], booked["error"]) == ("w1", "superseded", "late")
        tokens = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")
        assert [booked[name] for name in tokens] == [100, 20, 30, 5]
        assert booked["ended_at"] is not None
        assert (running["worker"], running["outcome"], running["ended_at"]) == ("w2", None, None)

    on(tables, body)


@pytest.mark.parametrize("status", ["queued", "deferred", "running", "succeeded", "failed", "cancelled"])
def test_only_an_unfinished_report_is_buried(tables: str, status: str) -> None:
    async def body(record: Record) -> None:
        await record.stored()
        report_id = await record.report(status=status)
        async with record.database.transaction() as connection:
            buried = await reports.bury(connection, report_id, "given up")
        assert buried == (status in reports.UNFINISHED)
        row = await record.row(report_id)
        assert (row["status"], row["error"]) == (("failed", "given up") if buried else (status, None))

    on(tables, body)


def test_the_position_counts_what_waits_and_was_asked_for_no_later(database_url: str) -> None:
    migrated(database_url)

    async def body(record: Record) -> None:
        await record.stored()
        moments = [ago(seconds) for seconds in (50, 40, 30, 20, 10)]
        states = ("queued", "running", "deferred", "succeeded", "queued")
        for version, (status, moment) in enumerate(zip(states, moments, strict=True), start=1):
            await record.report(version=version, status=status, created_at=moment)
        async with record.database.statement() as connection:
            assert [await reports.position(connection, moment) for moment in moments] == [1, 1, 2, 2, 3]

    on(database_url, body)


# (columns in seconds before now, whether it is to be put): limits of 60 s unput, 120 s reput, 300 s running.
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


def test_the_sweeper_puts_what_the_queue_may_not_know_oldest_first(database_url: str) -> None:
    migrated(database_url)

    async def body(record: Record) -> None:
        await record.stored()
        now = datetime.now(UTC)
        expected: list[tuple[int, UUID]] = []
        for version, (columns, to_put) in enumerate(RULES, start=1):
            age = columns["created_at"]
            moments = {name: now + timedelta(seconds=at, milliseconds=version)
                       for name, at in columns.items() if name.endswith("_at")}  # fmt: skip
            report_id = await record.report(version=version, **(columns | moments))
            if to_put:
                expected.append((age * 1000 + version, report_id))
        wanted = [report_id for _, report_id in sorted(expected)]
        async with record.database.transaction() as connection:
            for limit in (100, 3):
                found = await reports.to_put(
                    connection,
                    unput_after=timedelta(seconds=60),
                    reput_after=timedelta(seconds=120),
                    run_after=timedelta(seconds=300),
                    limit=limit,
                )
                assert [one.report_id for one in found] == wanted[:limit]
                assert {one.tenant_id for one in found} == {record.tenant}

    on(database_url, body)


def test_what_was_put_a_while_ago_waits_for_one_that_was_put_long_ago(tables: str) -> None:
    async def body(record: Record) -> None:
        await record.stored()
        now = datetime.now(UTC)
        for version, age in enumerate((119, 90, 61), start=1):
            await record.report(version=version, status="queued", put_at=now - timedelta(seconds=age))
        rules = {name: timedelta(seconds=120) for name in ("unput_after", "reput_after", "run_after")}
        async with record.database.transaction() as connection:
            assert await reports.to_put(connection, **rules, limit=9) == []
            rules["reput_after"] = timedelta(seconds=118)
            assert len(await reports.to_put(connection, **rules, limit=9)) == 3

    on(tables, body)


def test_what_was_put_is_remembered_and_what_was_given_up_has_failed(tables: str) -> None:
    async def body(record: Record) -> None:
        await record.stored()
        ids = [await record.report(version=version) for version in (1, 2, 3)]
        async with record.database.transaction() as connection:
            batch = [reports.Unput(report_id, record.tenant) for report_id in ids[:2]]
            await reports.mark_put(connection, batch, given_up=ids[1:2])
        rows = [await record.row(report_id) for report_id in ids]
        assert [row["put_at"] is not None for row in rows] == [True, True, False]
        assert [row["status"] for row in rows] == ["queued", "failed", "queued"]

    on(tables, body)


def test_one_process_sweeps_at_a_time(tables: str) -> None:
    async def body(record: Record) -> None:
        other = Database(tables, pool_size=1)
        async with record.database.transaction() as one, other.transaction() as two:
            assert await reports.try_sweep_lock(one)
            assert not await reports.try_sweep_lock(two)
        async with other.transaction() as two:
            assert await reports.try_sweep_lock(two)
        await other.close()

    on(tables, body)


def test_the_pace_knows_how_many_ran_at_once_in_the_last_minute_whether_any_runs_now_or_not(database_url: str) -> None:
    attempt = text(
        """INSERT INTO report_attempts (report_id, attempt, worker, started_at, ended_at, outcome)
           VALUES (:report, 1, 'w', :started_at, :ended_at, 'succeeded')"""
    )

    async def body(record: Record) -> None:
        async def paced() -> tuple[float | None, int]:
            async with record.database.statement() as connection:
                return await reports.pace(connection)

        await record.stored()
        assert await paced() == (None, 0)
        long_ago = [(200, 180), (200, 180), (200, 180)]
        lately = [(50, 30), (48, 32), (31, 11)]
        for version, (began, ended) in enumerate(long_ago + lately, start=1):
            report_id = await record.report(version=version, status="succeeded", progress=100)
            times = {"started_at": ago(began), "ended_at": ago(ended)}
            await record.run(attempt.bindparams(report=report_id, **times))
        report_s, side_by_side = await paced()
        assert (round(report_s or 0), side_by_side) == (19, 2)
        for version in range(10, 13):
            await record.claim(await record.report(version=version))
        assert (await paced())[1] == 3

    migrated(database_url)
    on(database_url, body)
