"""One API for the tests of a file; each keeps to itself by session ids of its own."""

from collections.abc import Iterator

import pytest
from tests.support.api import Api, fresh_api

from afterbell.dev.engines.engines import EngineUrls


@pytest.fixture(scope="module")
def api(engine_urls: EngineUrls) -> Iterator[Api]:
    with fresh_api(engine_urls) as served:
        yield served
