"""Cancelling a report and opening a failed one again, as the record sees it."""

import pytest
from tests.support.record import Record

from afterbell.adapters.db.reports import interventions
from afterbell.adapters.db.reports import rows as reports

pytestmark = pytest.mark.engines


@pytest.mark.parametrize("status", ["queued", "deferred", "running", "succeeded", "failed", "cancelled"])
async def test_only_an_unfinished_report_is_cancelled(record: Record, status: str) -> None:
    await record.stored()
    report_id = await record.report(status=status)
    async with record.database.transaction() as connection:
        cancelled = await interventions.cancel(connection, report_id)
    assert cancelled == (status in reports.UNFINISHED)
    assert (await record.row(report_id))["status"] == ("cancelled" if cancelled else status)


async def test_the_worker_of_a_cancelled_report_writes_nothing_more(record: Record) -> None:
    await record.stored()
    claimed = await record.claim(await record.report())
    async with record.database.transaction() as connection:
        assert await interventions.cancel(connection, claimed.report_id)
        assert not await reports.advance(connection, claimed, 90, "writing")
        assert not await reports.finish(connection, claimed, {}, 1)
        assert await reports.claim(connection, claimed.report_id, "another") is None


async def test_only_failed_reports_are_opened_again_and_start_from_the_beginning(record: Record) -> None:
    await record.stored()
    states = ("failed", "succeeded", "running", "cancelled", "failed")
    ids = [
        await record.report(version=n, status=status, error="why", progress=40)
        for n, status in enumerate(states, start=1)
    ]
    async with record.database.transaction() as connection:
        assert set(await interventions.reopen(connection, ids)) == {ids[0], ids[4]}
    row = await record.row(ids[0])
    assert (row["status"], row["progress"], row["error"], row["put_at"]) == ("queued", 0, None, None)
    assert (await record.claim(ids[0])).attempt == 1
