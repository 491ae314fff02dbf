"""Real servers for the tests: one Valkey and one PostgreSQL for a whole run, all xdist workers included."""

import asyncio
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import pytest

from afterbell.embedded.engines import EngineUrls, engine_programs, engines
from afterbell.embedded.errors import EnginesError

ENVIRONMENT = os.environ  # noqa: TID251 - the tests' own settings, which no process of ours reads
REDIS_VARIABLE = "AFTERBELL_TEST_REDIS_URL"
DATABASE_VARIABLE = "AFTERBELL_TEST_DATABASE_URL"


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
        yield EngineUrls(redis_url or urls.redis_url, database_url or urls.database_url)


@pytest.fixture
def redis_url(engine_urls: EngineUrls) -> str:
    """The Valkey of this run, shared: a test keeps to itself by a queue name of its own."""
    assert engine_urls.redis_url is not None
    return engine_urls.redis_url


@pytest.fixture
def database_url(engine_urls: EngineUrls) -> Iterator[str]:
    """A fresh empty database on the PostgreSQL of this run, dropped after the test."""
    with fresh_database(engine_urls) as url:
        yield url


@contextmanager
def fresh_database(engine_urls: EngineUrls) -> Iterator[str]:
    """An empty database for the block: for tests that share one between them."""
    assert engine_urls.database_url is not None
    name = f"t_{uuid.uuid4().hex}"
    asyncio.run(_execute(engine_urls.database_url, f"CREATE DATABASE {name} TEMPLATE template0"))
    try:
        yield database_named(engine_urls.database_url, name)
    finally:
        asyncio.run(_execute(engine_urls.database_url, f"DROP DATABASE {name} WITH (FORCE)"))


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
