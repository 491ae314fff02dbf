"""The client module under Node, and the page in Chromium, against two api processes on one Valkey."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.faults.servers import TcpValkey
from tests.support.engines import fresh_database
from tests.support.fleet import Fleet, fleet
from tests.web.node import browser_program, node_program, run_tests

from afterbell.dev.engines.engines import EngineUrls
from afterbell.settings import DEVELOPMENT_SECRET

pytestmark = pytest.mark.engines


@pytest.fixture(scope="module")
def servers(engine_urls: EngineUrls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    node_program()
    logs, redis_url = tmp_path_factory.mktemp("fleet"), engine_urls.redis_url or ""
    with fresh_database(engine_urls) as database_url, fleet(redis_url, database_url, logs, apis=3) as servers:
        yield servers


def test_the_client_loses_nothing_on_two_servers(servers: Fleet) -> None:
    run_tests(
        "client.test.js",
        AFTERBELL_TEST_URLS=",".join(servers.urls),
        AFTERBELL_TEST_SECRET=DEVELOPMENT_SECRET,
        AFTERBELL_TEST_DRAIN=f"{servers.internal_urls[2]}/drain",
    )


@pytest.mark.parametrize("file", ["browser.test.js", "keeping.test.js"])
def test_two_people_hold_a_lesson_in_chromium(servers: Fleet, request: pytest.FixtureRequest, file: str) -> None:
    shots = Path(request.config.rootpath) / "build" / "screenshots"
    urls = ",".join(servers.urls[:2])
    run_tests(
        file,
        AFTERBELL_TEST_URLS=urls,
        AFTERBELL_TEST_BROWSER=browser_program(),
        AFTERBELL_TEST_SCREENSHOTS=str(shots),
    )


@pytest.fixture
def breakable(engine_urls: EngineUrls, tmp_path: Path) -> Iterator[tuple[TcpValkey, Fleet]]:
    """Two api processes and the Valkey between them, which the test may break."""
    node_program()
    valkey = TcpValkey(tmp_path / "valkey")
    valkey.start()
    try:
        with fresh_database(engine_urls) as database_url, fleet(valkey.url, database_url, tmp_path) as started:
            yield valkey, started
    finally:
        valkey.send(signal.SIGCONT)
        valkey.stop()


def test_two_people_talk_on_while_redis_is_dead(breakable: tuple[TcpValkey, Fleet]) -> None:
    valkey, servers = breakable

    def broken() -> None:
        time.sleep(2)
        valkey.kill()
        time.sleep(6)
        valkey.start()

    talk(servers, broken)


@pytest.mark.long
def test_two_people_talk_on_while_redis_hangs(breakable: tuple[TcpValkey, Fleet]) -> None:
    valkey, servers = breakable

    def broken() -> None:
        time.sleep(2)
        valkey.send(signal.SIGSTOP)
        time.sleep(8)
        valkey.send(signal.SIGCONT)

    talk(servers, broken)


def talk(servers: Fleet, meanwhile: Callable[[], None]) -> None:
    """Fourteen seconds of chat between the two servers, in which something happens."""
    run_tests(
        "outage.test.js",
        meanwhile=meanwhile,
        AFTERBELL_TEST_TALK_SECONDS="14",
        AFTERBELL_TEST_URLS=",".join(servers.urls),
        AFTERBELL_TEST_SECRET=DEVELOPMENT_SECRET,
    )
