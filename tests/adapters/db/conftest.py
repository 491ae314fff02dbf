"""A migrated database for the tests of a file, and a record of the test's own in it."""

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.support.engines import fresh_database
from tests.support.record import Record, record_in

from afterbell.dev.engines.engines import EngineUrls


@pytest.fixture(scope="module")
def tables(engine_urls: EngineUrls) -> Iterator[str]:
    """The URL of a migrated database, shared by a file's tests; each uses a tenant of its own."""
    with fresh_database(engine_urls) as url:
        yield url


@pytest.fixture
async def record(tables: str) -> AsyncIterator[Record]:
    """A tenant of the test's own in the file's database."""
    async with record_in(tables) as record:
        yield record


@pytest.fixture
async def alone(database_url: str) -> AsyncIterator[Record]:
    """A record in a database that no other test uses: for what counts or takes every row there is."""
    async with record_in(database_url) as record:
        yield record
