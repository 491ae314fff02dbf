"""Migrations and tables say the same; up, down and up again; safe from many pods at once."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.support.api import in_transaction
from tests.support.engines import fresh_database
from tests.support.record import on

from afterbell.adapters.db.engine import Database
from afterbell.adapters.db.migrate import BASE, downgrade, is_current, upgrade
from afterbell.adapters.db.tables import metadata
from afterbell.embedded.engines import EngineUrls

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


async def described(connection: AsyncConnection) -> list[list[Any]]:
    return [[tuple(row) for row in await connection.execute(text(one))] for one in _DESCRIPTION]


def test_the_migrations_make_the_tables_the_statements_use(database_url: str, engine_urls: EngineUrls) -> None:
    def differences(connection: Connection) -> Any:
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)

    async def migrate(record: Any) -> Any:
        await upgrade(record.database)
        async with record.database.transaction() as connection:
            return await connection.run_sync(differences), await described(connection)

    async def create(connection: AsyncConnection) -> Any:
        await connection.run_sync(metadata.create_all)
        return await described(connection)

    found, migrated = on(database_url, migrate)
    assert found == []
    with fresh_database(engine_urls) as other_url:
        created = asyncio.run(in_transaction(other_url, create))
    for ours, theirs in zip(migrated, created, strict=True):
        assert ours == theirs
        assert ours


def test_up_and_down_leaves_nothing_of_ours_and_up_again_works(database_url: str) -> None:
    async def there_and_back(record: Any) -> None:
        database: Database = record.database
        assert not await is_current(database)
        head = await upgrade(database)
        assert await is_current(database)
        assert await downgrade(database) == BASE
        async with database.transaction() as connection:
            assert await described(connection) == [[], [], []]
        assert not await is_current(database)
        assert await upgrade(database) == head
        await record.stored()

    on(database_url, there_and_back)


def test_calls_that_ended_before_there_were_daily_sums_are_in_them(database_url: str) -> None:
    calls = text(
        """INSERT INTO model_calls (id, tenant_id, report_id, attempt, day, model, client_request_id, reserved_usd,
                                    outcome, served_model, input_tokens, cost_usd, estimated)
           SELECT gen_random_uuid(), :tenant, :report, n, '2026-11-26', 'small', 'c', 0,
                  CASE WHEN n < 4 THEN 'answered' END, CASE WHEN n = 3 THEN 'large' END, 10,
                  CASE WHEN n > 1 THEN 0.25 END, n = 2 FROM generate_series(1, 4) n"""
    )

    async def between_versions(record: Any) -> Any:
        database: Database = record.database
        await upgrade(database, "0008")
        await record.stored()
        await record.run(calls.bindparams(tenant=record.tenant, report=await record.report()))
        await upgrade(database)
        return await record.run(text("SELECT * FROM daily_costs ORDER BY model"))

    large, small = [dict(row) for row in on(database_url, between_versions)]
    assert (small["calls"], small["reports"], small["input_tokens"]) == (2, 1, 20)
    assert (small["cost_usd"], small["estimated_calls"], small["unpriced_calls"]) == (Decimal("0.25"), 1, 1)
    assert (large["model"], large["calls"], large["reports"], large["cost_usd"]) == ("large", 1, 1, Decimal("0.25"))


def test_pods_that_migrate_at_once_wait_for_each_other(database_url: str) -> None:
    async def pod() -> str:
        database = Database(database_url, pool_size=1)
        try:
            return await upgrade(database)
        finally:
            await database.close()

    async def all_at_once() -> list[str]:
        return await asyncio.gather(*(pod() for _ in range(5)))

    assert len(set(asyncio.run(all_at_once()))) == 1


def test_a_migration_that_fails_leaves_what_was_there(database_url: str) -> None:
    async def fail(record: Any) -> None:
        await record.run(text("CREATE TABLE report_attempts (x int)"))
        with pytest.raises(Exception, match="report_attempts"):
            await upgrade(record.database)
        (found,) = await record.run(text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"))
        assert found["count"] == 1

    on(database_url, fail)
