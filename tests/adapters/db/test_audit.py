"""The audit log: newest first, by page, and never changed afterwards."""

import pytest
from sqlalchemy import text
from tests.support.record import Record

from afterbell.adapters.db import audit
from afterbell.adapters.db.audit import Act

pytestmark = pytest.mark.engines


async def test_acts_are_read_newest_first_by_tenant_subject_and_page(record: Record) -> None:
    async with record.database.transaction() as connection:
        for number in range(5):
            act = Act(record.tenant, "staff:ana", "report.view", f"s-{number % 2}", "asked", {"version": number})
            await audit.record(connection, act)
        await audit.record(connection, Act("another", "staff:ana", "report.view", "s-0"))
    async with record.database.transaction() as connection:
        rows = await audit.read(connection, record.tenant, limit=2)
        assert [row.act.details["version"] for row in rows] == [4, 3]
        rows = await audit.read(connection, record.tenant, before=rows[-1].id)
        assert [row.act.details["version"] for row in rows] == [2, 1, 0]
        rows = await audit.read(connection, record.tenant, subject="s-1", action="report.view")
        assert [row.act.details["version"] for row in rows] == [3, 1]
        assert await audit.read(connection, record.tenant, action="report.export") == []
        assert rows[0].act == Act(record.tenant, "staff:ana", "report.view", "s-1", "asked", {"version": 3})


@pytest.mark.parametrize("change", ["UPDATE audit_log SET actor = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"])
async def test_what_was_recorded_cannot_be_changed(record: Record, change: str) -> None:
    async with record.database.transaction() as connection:
        await audit.record(connection, Act(record.tenant, "cli:ana", "student.erase", "s-1"))
    with pytest.raises(Exception, match="append-only"):
        await record.run(text(change))
    async with record.database.transaction() as connection:
        assert len(await audit.read(connection, record.tenant)) == 1


async def test_an_act_that_is_rolled_back_is_not_recorded(record: Record) -> None:
    async def fail(record: Record) -> None:
        async with record.database.transaction() as connection:
            await audit.record(connection, Act(record.tenant, "cli:ana", "student.erase", "s-1"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail(record)
    async with record.database.transaction() as connection:
        assert await audit.read(connection, record.tenant) == []
