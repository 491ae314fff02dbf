"""The client module under Node, and the page in Chromium, against two api processes on one Valkey."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.api import migrated
from tests.support.engines import fresh_database
from tests.support.fleet import Fleet, fleet
from tests.web.node import browser_program, node_program, run_tests

from afterbell.embedded.engines import EngineUrls
from afterbell.settings import DEVELOPMENT_SECRET

pytestmark = pytest.mark.engines


@pytest.fixture(scope="module")
def servers(engine_urls: EngineUrls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    node_program()
    with fresh_database(engine_urls) as database_url:
        migrated(database_url)
        with fleet(engine_urls.redis_url or "", database_url, tmp_path_factory.mktemp("fleet"), apis=3) as found:
            yield found


def test_the_client_loses_nothing_on_two_servers(servers: Fleet) -> None:
    run_tests("client.test.js", AFTERBELL_TEST_URLS=",".join(servers.urls), AFTERBELL_TEST_SECRET=DEVELOPMENT_SECRET,
              AFTERBELL_TEST_DRAIN=f"{servers.internal_urls[2]}/drain")  # fmt: skip


def test_two_people_hold_a_lesson_in_chromium(servers: Fleet, request: pytest.FixtureRequest) -> None:
    shots = Path(request.config.rootpath) / "build" / "screenshots"
    urls = ",".join(servers.urls[:2])
    run_tests("browser.test.js", AFTERBELL_TEST_URLS=urls, AFTERBELL_TEST_BROWSER=browser_program(),
              AFTERBELL_TEST_SCREENSHOTS=str(shots))  # fmt: skip
