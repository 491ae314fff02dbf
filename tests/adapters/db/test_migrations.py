"""Migrations and tables say the same; up, down and up again; safe from many pods at once."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from time import perf_counter
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.support.engines import empty_database
from tests.support.record import record_in

from afterbell.adapters.db import revision
from afterbell.adapters.db.database import Database
from afterbell.adapters.db.migrate import BASE, _config, downgrade, upgrade
from afterbell.adapters.db.migrations import LOCK_TIMEOUT_S
from afterbell.adapters.db.tables import metadata
from afterbell.adapters.db.waiting import until_it_has_tables
from afterbell.core.errors import StoreUnavailable
from afterbell.dev.engines.engines import EngineUrls

pytestmark = pytest.mark.engines

# Everything a table is made of, as PostgreSQL words it: alembic's comparison leaves checks, partial indexes and
# what a foreign key does on delete out.
_DESCRIPTION = (
    """SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
       WHERE table_schema = 'public' AND table_name <> 'alembic_version' ORDER BY 1, 2""",
    """SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
       WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'
       ORDER BY 1, 2""",
    """SELECT tablename, indexname, indexdef FROM pg_indexes
       WHERE schemaname = 'public' AND tablename <> 'alembic_version' ORDER BY 1, 2""",
)


@pytest.fixture
def another_empty_database_url(engine_urls: EngineUrls) -> Iterator[str]:
    with empty_database(engine_urls) as url:
        yield url


async def revision_in(database: Database) -> str | None:
    async with database.transaction() as connection:
        return await revision.revision_of(connection)


async def described(connection: AsyncConnection) -> list[list[Any]]:
    return [[tuple(row) for row in await connection.execute(text(question))] for question in _DESCRIPTION]


async def test_the_migrations_make_the_tables_the_statements_use(
    empty_database_url: str, another_empty_database_url: str
) -> None:
    def differences(connection: Connection) -> Any:
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)

    async with record_in(empty_database_url) as record:
        await upgrade(record.database)
        async with record.database.transaction() as connection:
            assert await connection.run_sync(differences) == []
            migrated = await described(connection)
    async with record_in(another_empty_database_url) as record, record.database.transaction() as connection:
        await connection.run_sync(metadata.create_all)
        created = await described(connection)
    for ours, theirs in zip(migrated, created, strict=True):
        assert ours == theirs
        assert ours


async def test_up_and_down_leaves_nothing_of_ours_and_up_again_works(empty_database_url: str) -> None:
    async with record_in(empty_database_url) as record:
        database: Database = record.database
        assert await revision_in(database) is None
        head = await upgrade(database)
        assert await revision_in(database) == head == revision.NEEDED
        assert await downgrade(database) == BASE
        async with database.transaction() as connection:
            assert await described(connection) == [[], [], []]
        assert await revision_in(database) is None
        assert await upgrade(database) == head
        await record.stored()


async def test_calls_that_ended_before_there_were_daily_sums_are_in_them(empty_database_url: str) -> None:
    calls = text(
        """INSERT INTO model_calls (id, tenant_id, report_id, attempt, day, model, client_request_id, reserved_usd,
                                    outcome, served_model, input_tokens, cost_usd, estimated)
           SELECT gen_random_uuid(), :tenant, :report, n, '2026-11-26', 'small', 'c', 0,
                  CASE WHEN n < 4 THEN 'answered' END, CASE WHEN n = 3 THEN 'large' END, 10,
                  CASE WHEN n > 1 THEN 0.25 END, n = 2 FROM generate_series(1, 4) n"""
    )

    async with record_in(empty_database_url) as record:
        database: Database = record.database
        await upgrade(database)
        await record.stored()
        report = await record.report()
        # A session is stored by today's code, so the tables of then are reached from today's.
        await downgrade(database, "0008")
        await record.run(calls.bindparams(tenant=record.tenant, report=report))
        await upgrade(database)
        large, small = await record.run(text("SELECT * FROM daily_costs ORDER BY model"))
    assert (small["calls"], small["reports"], small["input_tokens"]) == (2, 1, 20)
    assert (small["cost_usd"], small["estimated_calls"], small["unpriced_calls"]) == (Decimal("0.25"), 1, 1)
    assert (large["model"], large["calls"], large["reports"], large["cost_usd"]) == ("large", 1, 1, Decimal("0.25"))


def test_the_revision_that_is_needed_is_the_newest_there_is() -> None:
    assert ScriptDirectory.from_config(_config()).get_current_head() == revision.NEEDED


async def test_tables_of_a_later_version_are_left_alone_and_good_enough(empty_database_url: str) -> None:
    async with record_in(empty_database_url) as record:
        database: Database = record.database
        await upgrade(database)
        await record.run(text("UPDATE alembic_version SET version_num = '9999'"))
        assert await upgrade(database) == "9999", "rolled back to this version"
        await until_it_has_tables(database, patience_s=0)


async def test_missing_and_older_tables_are_waited_for_and_named(empty_database_url: str) -> None:
    async with record_in(empty_database_url) as record:
        with pytest.raises(StoreUnavailable, match="no tables yet"):
            await until_it_has_tables(record.database, patience_s=0)
        await upgrade(record.database, "0010")
        with pytest.raises(StoreUnavailable, match=f"revision 0010, and {revision.NEEDED} is needed"):
            await until_it_has_tables(record.database, patience_s=0)


async def test_a_migration_behind_a_long_read_holds_up_nobody_and_goes_on_after_it(empty_database_url: str) -> None:
    async with record_in(empty_database_url) as record:
        await upgrade(record.database, "0010")
        reader = Database(empty_database_url, pool_size=2)
        long_read = asyncio.create_task(read(reader, for_s=4))
        await asyncio.sleep(0.2)
        migration = asyncio.create_task(upgrade(record.database))
        slowest_s = 0.0
        while not long_read.done():
            slowest_s = max(slowest_s, await read(reader))
            assert not migration.done()
            await asyncio.sleep(0.1)
        assert await migration == revision.NEEDED
        assert slowest_s < 2 * LOCK_TIMEOUT_S, "and not as long as the read takes"
        await reader.close()


async def test_a_migration_that_gets_no_lock_says_so_in_the_end(empty_database_url: str) -> None:
    async with record_in(empty_database_url) as record:
        await upgrade(record.database, "0010")
        reader = Database(empty_database_url, pool_size=1)
        long_read = asyncio.create_task(read(reader, for_s=4))
        await asyncio.sleep(0.2)
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            await upgrade(record.database, patience_s=0)
        await long_read
        await reader.close()
        assert await upgrade(record.database) == revision.NEEDED


async def read(database: Database, *, for_s: float = 0) -> float:
    """Read reports in one statement; seconds it took."""
    began = perf_counter()
    async with database.statement() as connection:
        await connection.execute(text("SELECT pg_sleep(:seconds), (SELECT count(*) FROM reports)"), {"seconds": for_s})
    return perf_counter() - began


async def test_pods_that_migrate_at_once_wait_for_each_other(empty_database_url: str) -> None:
    async def pod() -> str:
        database = Database(empty_database_url, pool_size=1)
        try:
            return await upgrade(database)
        finally:
            await database.close()

    assert len(set(await asyncio.gather(*(pod() for _ in range(5))))) == 1


async def test_a_migration_that_fails_leaves_what_was_there(empty_database_url: str) -> None:
    async with record_in(empty_database_url) as record:
        await record.run(text("CREATE TABLE report_attempts (x int)"))
        with pytest.raises(Exception, match="report_attempts"):
            await upgrade(record.database)
        (tables,) = await record.run(text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"))
        assert tables["count"] == 1
