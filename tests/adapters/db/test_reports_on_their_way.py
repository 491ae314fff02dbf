"""Claims fence: whatever an earlier attempt still writes matches no row."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.support.record import LESSON, Record, ago

from afterbell.adapters.db.reports import estimates
from afterbell.adapters.db.reports import rows as reports
from afterbell.core.usage import Usage

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
async def test_an_earlier_attempt_changes_nothing_any_more(record: Record, write: Write) -> None:
    await record.stored()
    report_id = await record.report()
    first, second = await record.claim(report_id, "w1"), await record.claim(report_id, "w2")
    assert (first.attempt, second.attempt) == (1, 2)
    before = await record.row(report_id)
    assert not await written(record, first, write)
    assert await record.row(report_id) == before
    assert await written(record, second, write)
    assert await record.row(report_id) != before


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
async def test_nothing_is_written_to_a_report_that_has_ended(record: Record, write: Write) -> None:
    await record.stored()
    for end in ("finish", "fail"):
        report_id = await record.report(session_id=LESSON.id, version={"finish": 1, "fail": 2}[end])
        claimed = await record.claim(report_id)
        assert await written(record, claimed, WRITES[end])
        before = await record.row(report_id)
        assert not await written(record, claimed, write)
        assert await record.row(report_id) == before


async def test_a_claim_starts_anew_and_keeps_the_first_start(record: Record) -> None:
    await record.stored()
    report_id = await record.report()
    first = await record.claim(report_id)
    await written(record, first, WRITES["advance"])
    started_at = (await record.row(report_id))["started_at"]
    await record.claim(report_id)
    row = await record.row(report_id)
    assert (row["status"], row["attempt"], row["progress"], row["stage"]) == ("running", 2, 0, "claimed")
    assert row["started_at"] == started_at


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
async def test_a_report_that_has_ended_is_not_claimed(record: Record, status: str) -> None:
    await record.stored()
    report_id = await record.report(status=status)
    async with record.database.transaction() as connection:
        assert await reports.claim(connection, report_id, "w") is None
        assert await reports.claim(connection, uuid.uuid4(), "w") is None


async def test_ten_workers_that_claim_at_once_get_ten_attempts_and_the_last_one_writes(record: Record) -> None:
    await record.stored()
    report_id = await record.report()
    claims = await asyncio.gather(*(record.claim(report_id, f"w{n}") for n in range(10)))
    assert sorted(claimed.attempt for claimed in claims) == list(range(1, 11))
    finished = [await written(record, claimed, WRITES["finish"]) for claimed in claims]
    assert [claimed.attempt for claimed, done in zip(claims, finished, strict=True) if done] == [10]


async def test_progress_never_falls_within_an_attempt(record: Record) -> None:
    await record.stored()
    claimed = await record.claim(await record.report())
    percents = []
    for percent in (10, 60, 30, 70):
        async with record.database.statement() as connection:
            assert await reports.advance(connection, claimed, percent, f"at {percent}")
        percents.append((await record.row(claimed.report_id))["progress"])
    assert percents == [10, 60, 60, 70]


async def test_a_finished_report_has_its_content_and_no_error_left(record: Record) -> None:
    await record.stored()
    report_id = await record.report()
    await written(record, await record.claim(report_id), WRITES["retry"])
    waiting = await record.row(report_id)
    assert (waiting["status"], waiting["error"], waiting["progress"]) == ("queued", "why", 0)
    assert waiting["finished_at"] is None
    claimed = await record.claim(report_id)
    async with record.database.transaction() as connection:
        assert await reports.finish(connection, claimed, {"headline": "é \U0001f600"}, 7)
        newest = await reports.newest_finished(connection, record.tenant, LESSON.id)
    assert newest is not None
    assert (newest.content, newest.progress, newest.error) == ({"headline": "é \U0001f600"}, 100, None)
    row = await record.row(report_id)
    assert (row["revision"], row["stage"]) == (7, "done")
    assert row["finished_at"] is not None


async def test_the_newest_report_and_the_newest_finished_one_are_told_apart(record: Record) -> None:
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


async def test_what_an_attempt_cost_is_booked_also_where_it_came_too_late(record: Record) -> None:
    await record.stored()
    report_id = await record.report()
    first = await record.claim(report_id, "w1")
    await record.claim(report_id, "w2")
    async with record.database.transaction() as connection:
        await reports.book(
            connection,
            first,
            outcome="superseded",
            error="late",
            model="m",
            request_id="r",
            usage=Usage(100, 20, 30, 5),
        )
    statement = text("SELECT * FROM report_attempts WHERE report_id = :id ORDER BY attempt")
    booked, running = await record.run(statement.bindparams(id=report_id))
    assert (booked["worker"], booked["outcome"], booked["error"]) == ("w1", "superseded", "late")
    tokens = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")
    assert [booked[name] for name in tokens] == [100, 20, 30, 5]
    assert booked["ended_at"] is not None
    assert (running["worker"], running["outcome"], running["ended_at"]) == ("w2", None, None)


@pytest.mark.parametrize("status", ["queued", "deferred", "running", "succeeded", "failed", "cancelled"])
async def test_only_an_unfinished_report_is_buried(record: Record, status: str) -> None:
    await record.stored()
    report_id = await record.report(status=status)
    async with record.database.transaction() as connection:
        buried = await reports.bury(connection, report_id, "given up")
    assert buried == (status in reports.UNFINISHED)
    row = await record.row(report_id)
    assert (row["status"], row["error"]) == (("failed", "given up") if buried else (status, None))


async def test_the_pace_knows_how_many_ran_at_once_in_the_last_minute_whether_any_runs_now_or_not(
    alone: Record,
) -> None:
    attempt = text(
        """INSERT INTO report_attempts (report_id, attempt, worker, started_at, ended_at, outcome)
           VALUES (:report, 1, 'w', :started_at, :ended_at, 'succeeded')"""
    )

    async def paced() -> tuple[float | None, int]:
        async with alone.database.statement() as connection:
            return await estimates.pace(connection)

    await alone.stored()
    assert await paced() == (None, 0)
    long_ago = [(200, 180), (200, 180), (200, 180)]
    lately = [(50, 30), (48, 32), (31, 11)]
    for version, (began, ended) in enumerate(long_ago + lately, start=1):
        report_id = await alone.report(version=version, status="succeeded", progress=100)
        times = {"started_at": ago(began), "ended_at": ago(ended)}
        await alone.run(attempt.bindparams(report=report_id, **times))
    report_s, side_by_side = await paced()
    assert (round(report_s or 0), side_by_side) == (19, 2)
    for version in range(10, 13):
        await alone.claim(await alone.report(version=version))
    assert (await paced())[1] == 3


async def test_a_report_that_was_taken_back_alone_is_claimed_though_its_attempts_are_still_there(
    record: Record,
) -> None:
    await record.stored()
    report_id = await record.report()
    claimed = await record.claim(report_id)
    async with record.database.transaction() as connection:
        await reports.book(connection, claimed, outcome="succeeded", model="m")
    await record.run(text("UPDATE reports SET attempt = 0, status = 'queued' WHERE id = :id").bindparams(id=report_id))
    assert (await record.claim(report_id, "another")).attempt == 1
    (row,) = await record.run(text("SELECT * FROM report_attempts WHERE report_id = :id").bindparams(id=report_id))
    assert (row["worker"], row["outcome"], row["ended_at"]) == ("another", None, None)
