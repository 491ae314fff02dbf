"""Real servers for the tests: one Valkey and one PostgreSQL for a whole run, all xdist workers included."""

import asyncio
import os
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import asyncpg
import pytest

from afterbell.adapters.db.database import Database
from afterbell.adapters.db.migrate import upgrade
from afterbell.dev.engines.engine_errors import EnginesError
from afterbell.dev.engines.engines import EngineUrls, engine_programs, engines

ENVIRONMENT = os.environ  # noqa: TID251 - the tests' own settings, which no process of ours reads
REDIS_VARIABLE = "AFTERBELL_TEST_REDIS_URL"
DATABASE_VARIABLE = "AFTERBELL_TEST_DATABASE_URL"
# The migrated database of each server, by the server's URL: what fresh ones are copied from.
_TEMPLATES: dict[str | None, str] = {}


def require_wheels(*names: str) -> None:
    """Skip, or fail in CI, where the wheel of an engine ("valkey", "postgres") is not installed."""
    try:
        for name in names:
            engine_programs(name)
    except EnginesError as error:
        if ENVIRONMENT.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def engine_urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineUrls]:
    """The servers of this run, started unless AFTERBELL_TEST_{REDIS,DATABASE}_URL name some."""
    redis_url, database_url = ENVIRONMENT.get(REDIS_VARIABLE), ENVIRONMENT.get(DATABASE_VARIABLE)
    require_wheels(*(["valkey"] if not redis_url else []), *(["postgres"] if not database_url else []))
    root = tmp_path_factory.getbasetemp()
    if ENVIRONMENT.get("PYTEST_XDIST_WORKER"):
        root = root.parent  # each worker has a folder of its own below that of the run
    with engines(root / "engines", redis=not redis_url, postgres=not database_url) as urls:
        run_urls = EngineUrls(redis_url or urls.redis_url, database_url or urls.database_url)
        yield run_urls
        if template := _TEMPLATES.pop(run_urls.database_url, None):
            asyncio.run(_execute(run_urls.database_url, f"DROP DATABASE {template}"))


@pytest.fixture
def redis_url(engine_urls: EngineUrls) -> str:
    """The Valkey of this run, shared: a test keeps to itself by a queue name of its own."""
    assert engine_urls.redis_url is not None
    return engine_urls.redis_url


@pytest.fixture
def database_url(engine_urls: EngineUrls) -> Iterator[str]:
    """A database of the test's own with the tables of today and nothing in them, dropped after the test."""
    with fresh_database(engine_urls) as url:
        yield url


@pytest.fixture
def empty_database_url(engine_urls: EngineUrls) -> Iterator[str]:
    """A database of the test's own without tables, dropped after the test."""
    with empty_database(engine_urls) as url:
        yield url


def fresh_database(engine_urls: EngineUrls) -> AbstractContextManager[str]:
    """A database with the tables of today for the block: for tests that share one between them."""
    server = engine_urls.database_url
    assert server is not None
    if server not in _TEMPLATES:
        # Copying a migrated database takes a tenth of the time of the migrations.
        _TEMPLATES[server] = _created(server, "template0")
        asyncio.run(_migrate(database_named(server, _TEMPLATES[server])))
    return _database(server, _TEMPLATES[server])


def empty_database(engine_urls: EngineUrls) -> AbstractContextManager[str]:
    """A database without tables for the block."""
    assert engine_urls.database_url is not None
    return _database(engine_urls.database_url, "template0")


@contextmanager
def _database(server: str, template: str) -> Iterator[str]:
    name = _created(server, template)
    try:
        yield database_named(server, name)
    finally:
        asyncio.run(_execute(server, f"DROP DATABASE {name} WITH (FORCE)"))


def _created(server: str, template: str) -> str:
    name = f"t_{uuid.uuid4().hex}"
    asyncio.run(_execute(server, f"CREATE DATABASE {name} TEMPLATE {template}"))
    return name


async def _migrate(url: str) -> None:
    database = Database(url, pool_size=1)
    try:
        await upgrade(database)
    finally:
        await database.close()


def database_named(url: str, name: str) -> str:
    """The same server, another database. (urllib would drop the empty host of a socket's URL.)"""
    address, question, options = url.partition("?")
    return f"{address[: address.rindex('/')]}/{name}{question}{options}"


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
