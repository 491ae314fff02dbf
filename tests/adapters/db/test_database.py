"""The door to PostgreSQL: which URLs it takes, what it says while the server is away, what it never shows."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from tests.support.links import door_to, postgres_socket
from tests.support.record import Record, record_in

from afterbell.adapters.db.database import Database
from afterbell.adapters.db.url import mask
from afterbell.core.errors import SettingsError, StoreUnavailable
from afterbell.dev.engines.engines import EngineUrls

pytestmark = pytest.mark.engines

SELECT = text("SELECT current_database()")
KILL = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    " AND datname = current_database()"
)


async def checked(url: str) -> None:
    database = Database(url, pool_size=1)
    try:
        await database.check()
    finally:
        await database.close()


async def test_every_form_of_the_address_is_understood(engine_urls: EngineUrls) -> None:
    url = engine_urls.database_url or ""
    address, _, query = url.partition("?")
    forms = [
        url,
        url.replace("postgresql://", "postgres://"),
        url.replace("postgresql://", "postgresql+asyncpg://"),
        f"{address}?{query}&sslmode=disable",
        f"{address}?{query}&sslmode=prefer",
        f"{address}?{query}&application_name=mine&connect_timeout=3&channel_binding=prefer",
        f"{address}?{query}&password=unused",
    ]
    if parse_qs(query).get("host"):
        forms.append(url.replace("postgres@", "postgres:p%40ss%2Fw%3Ard%3F%23@"))
    for form in forms:
        await checked(form)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:s3cret@h/db",
        "postgresqlite://u:s3cret@h/db",
        "s3cret",
        "",
        "postgresql//u:s3cret@h/db",
        "postgresql://u:s3cret@h:port/db",
        "postgresql://u:s3cret@h:99999/db",
        "postgresql://u:s3cret/db",
        "postgresql://u:pass@s3cret@h/db",
        "postgresql://u:s3cret@[::1/db",
    ],
)
def test_an_address_that_is_none_is_refused_by_name_and_never_shown(url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Database(url)
    assert refused.value.field == "DATABASE_URL"
    assert "DATABASE_URL" in str(refused.value)
    for shown in (str(refused.value), repr(refused.value), mask(url) if "mysql" not in url else ""):
        assert "s3cret" not in shown
        assert "pass" not in shown.replace("user:password", "").replace("in the password", "")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:s3cret@127.0.0.1:1/db", "postgresql://u:***@127.0.0.1:1/db"),
        ("postgresql://u:s3c%40ret@127.0.0.1:1/db", "postgresql://u:***@127.0.0.1:1/db"),
        ("postgresql://u:s3c/r?e#t@127.0.0.1:1/db", "postgresql://u:***@127.0.0.1:1/db"),
        ("postgresql://u@127.0.0.1:1/db?password=s3cret", "postgresql://u@127.0.0.1:1/db"),
        ("postgresql://u@127.0.0.1:1/db?sslpassword=s3cret&sslmode=disable", "postgresql://u@127.0.0.1:1/db?sslmode"),
        ("postgresql://u:s3cret@/db?host=/nowhere", "postgresql://u:***@/db?host="),
    ],
)
async def test_an_unreachable_server_is_told_with_the_address_but_not_its_password(url: str, shown: str) -> None:
    database = Database(url)
    with pytest.raises(StoreUnavailable) as away:
        await database.check()
    message = str(away.value)
    assert message.startswith(f"PostgreSQL does not answer: DATABASE_URL {shown}")
    assert "\n" not in message
    error: BaseException | None = away.value
    while error is not None:  # what a log shows of the error, its causes included
        for said in (str(error), repr(error)):
            assert not {"s3cret", "s3c%40ret", "s3c@ret", "s3c/r?e#t"} & {s for s in _SECRETS if s in said}
        error = error.__cause__
    assert "s3c" not in repr(database) + str(database) + repr(vars(database))


_SECRETS = {"s3cret", "s3c%40ret", "s3c@ret", "s3c/r?e#t"}


@pytest.mark.parametrize(
    ("change", "said"), [(("/afterbell", "/none"), "none"), (("postgres@", "nobody:s3cret@"), "nobody")]
)
async def test_a_server_that_refuses_us_is_told_in_its_words(
    engine_urls: EngineUrls, change: tuple[str, str], said: str
) -> None:
    url = (engine_urls.database_url or "").replace(*change, 1)
    with pytest.raises(StoreUnavailable, match=f'"{said}" does not exist') as refused:
        await checked(url)
    assert "s3cret" not in str(refused.value)


async def test_a_killed_connection_is_told_and_the_next_use_recovers(tables: str) -> None:
    async with record_in(tables, pool_size=3) as record:
        killer = Database(tables, pool_size=1)
        for use in (record.database.statement, record.database.transaction):
            async with use() as connection:
                await connection.execute(SELECT)
            async with killer.transaction() as connection:
                await connection.execute(KILL)
            with pytest.raises(StoreUnavailable):
                async with use() as connection:
                    await connection.execute(SELECT)
            async with use() as connection:
                await connection.execute(SELECT)
        await killer.close()


async def test_a_connection_killed_in_a_transaction_commits_nothing(record: Record, tables: str) -> None:
    killer = Database(tables, pool_size=1)

    async def killed_half_way() -> None:
        async with record.database.transaction() as connection:
            await connection.execute(text("INSERT INTO tenants (id) VALUES ('half done')"))
            async with killer.transaction() as killing:
                await killing.execute(KILL)
            await connection.execute(SELECT)

    with pytest.raises(StoreUnavailable):
        await killed_half_way()
    assert await record.run(text("SELECT 1 FROM tenants WHERE id = 'half done'")) == []
    await killer.close()


async def test_a_server_that_went_away_and_came_back_is_used_again(tables: str, tmp_path: Path) -> None:
    with door_to(postgres_socket(tables), tmp_path / ".s.PGSQL.5432") as door:
        database = Database(f"{tables.partition('?')[0]}?host={tmp_path}")

        await database.check()
        await asyncio.to_thread(door.shut)
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await database.check()
        await asyncio.to_thread(door.open)
        await database.check()
        await database.close()


async def test_a_mistake_of_ours_is_no_unavailable_store_and_shows_no_values(record: Record) -> None:
    with pytest.raises(DBAPIError) as mistake:
        await record.run(text("INSERT INTO nowhere VALUES (:said)").bindparams(said="what a child said"))
    assert "what a child said" not in str(mistake.value)


async def test_a_pool_in_use_is_told_after_a_while_and_not_for_ever(tables: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("afterbell.adapters.db.database.POOL_WAIT_S", 0.1)

    async with record_in(tables, pool_size=1) as record, record.database.transaction():
        with pytest.raises(StoreUnavailable):
            await record.database.check()


async def test_a_block_that_fails_commits_nothing(record: Record) -> None:
    async def failing() -> None:
        async with record.database.transaction() as connection:
            await connection.execute(text("INSERT INTO tenants (id) VALUES ('half')"))
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        await failing()
    assert await record.run(text("SELECT 1 FROM tenants WHERE id = 'half'")) == []
