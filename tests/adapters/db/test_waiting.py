"""A process that starts before its database waits for it, says so once, and gives up in time."""

import asyncio

import pytest
import structlog
from structlog.testing import capture_logs
from tests.support.control_plane import LOOPBACK, free_port

from afterbell.adapters.db.database import Database
from afterbell.adapters.db.migrate import upgrade
from afterbell.adapters.db.waiting import until_it_answers, until_it_has_tables
from afterbell.core.errors import StoreUnavailable

pytestmark = pytest.mark.engines


async def test_a_server_that_is_not_there_is_told_at_once_where_nobody_waits() -> None:
    database = Database(f"postgresql://somebody@{LOOPBACK}:{free_port()}/nothing")
    try:
        with pytest.raises(StoreUnavailable, match="does not answer"):
            await until_it_answers(database, patience_s=0)
    finally:
        await database.close()


async def test_tables_that_come_later_are_waited_for_and_each_reason_is_logged_once(empty_database_url: str) -> None:
    structlog.reset_defaults()
    database, migrating = Database(empty_database_url), Database(empty_database_url, pool_size=1, patience_s=None)
    try:
        with capture_logs() as lines:
            waiting = asyncio.create_task(until_it_has_tables(database, patience_s=60))
            while not lines:
                await asyncio.sleep(0.01)
            await upgrade(migrating)
            await waiting
    finally:
        await database.close()
        await migrating.close()
    # Each migration is a transaction: a look between two of them sees tables that are too old.
    reasons = [line["reason"] for line in lines]
    assert "there are no tables yet" in reasons[0]
    assert len(reasons) == len(set(reasons))
    assert {(line["event"], line["log_level"]) for line in lines} == {("waiting", "info")}
    assert all("run `afterbell migrate`" in reason for reason in reasons)


async def test_whoever_waits_in_vain_hears_the_reason(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    try:
        with pytest.raises(StoreUnavailable, match="there are no tables yet: run `afterbell migrate`"):
            await until_it_has_tables(database, patience_s=0.3)
    finally:
        await database.close()
