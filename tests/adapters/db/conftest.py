"""A database with its tables for each test: they count rows, so they share none."""

from collections.abc import Iterator

import pytest
from tests.support.api import migrated
from tests.support.engines import fresh_database

from afterbell.embedded.engines import EngineUrls


@pytest.fixture(scope="module")
def tables(engine_urls: EngineUrls) -> Iterator[str]:
    """The URL of a migrated database, shared by a file's tests; each uses a tenant of its own."""
    with fresh_database(engine_urls) as url:
        migrated(url)
        yield url
