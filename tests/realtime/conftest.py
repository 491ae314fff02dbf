"""Two api processes' servers on the same stores, as two pods are."""

import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from tests.faults.servers import TcpValkey
from tests.support.api import STUDENT, TUTOR, Api, api_on, imported, token_for
from tests.support.engines import fresh_database, require_wheels

from afterbell.dev.engines.engines import EngineUrls

FAST = {"events_per_s": 1_000, "events_burst": 1_000, "sockets_per_user": 1_000}


@dataclass(frozen=True, slots=True)
class Pods:
    """Pods ``a`` and ``b``."""

    a: Api
    b: Api

    def lesson(self, **changes: object) -> str:
        """A session without messages."""
        with self.a.client() as client:
            return imported(client, **({"messages": []} | changes))

    @property
    def tutor(self) -> tuple[str, str]:
        return self.a.url, token_for(**TUTOR)

    @property
    def student(self) -> tuple[str, str]:
        return self.b.url, token_for(**STUDENT)


@pytest.fixture(scope="module")
def pods(engine_urls: EngineUrls) -> Iterator[Pods]:
    with fresh_database(engine_urls) as database_url:
        redis_url = engine_urls.redis_url or ""
        with api_on(redis_url, database_url, **FAST) as a, api_on(redis_url, database_url, queue=a.queue, **FAST) as b:
            yield Pods(a, b)


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="afterbell-rt-") as path:
        yield Path(path)


@pytest.fixture
def valkey(home: Path) -> Iterator[TcpValkey]:
    require_wheels("valkey")
    server = TcpValkey(home / uuid.uuid4().hex[:6])
    server.start()
    yield server
    server.stop()


Serve = Callable[..., AbstractContextManager[Api]]


@pytest.fixture
def serve(redis_url: str, database_url: str) -> Serve:
    """Starts an api on a database of the test's own, with the settings the test gives it."""
    return partial(api_on, redis_url, database_url)
