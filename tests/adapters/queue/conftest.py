"""The contract of the queue runs on every engine; the other tests of this folder on its Valkey."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.faults.servers import TcpValkey
from tests.support.engines import ENVIRONMENT, require_wheels
from tests.support.redis_engines import OPENSSL_PROGRAM, REDIS_PROGRAM, BoundRedis, missing

from afterbell.dev.engines.engines import EngineUrls, engines

CONTRACT = (
    "test_queue",
    "test_queue_control",
    "test_queue_failures",
    "test_queue_input",
    "test_queue_lanes",
    "test_queue_watchers",
    "test_broker",
)
ENGINES = {
    "valkey": "own_valkey",
    "valkey-tcp": "tcp_valkey",
    "redis7-tcp": "bound_redis",
    "redis7-tls": "bound_redis",
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test of the contract that needs a server runs once on each."""
    if metafunc.module.__name__.rpartition(".")[2] in CONTRACT and "redis_url" in metafunc.fixturenames:
        metafunc.parametrize("redis_url", list(ENGINES), indirect=True, scope="function")


@pytest.fixture
def redis_url(request: pytest.FixtureRequest) -> str:
    """The address of one engine."""
    name = getattr(request, "param", "valkey")
    engine: Any = request.getfixturevalue(ENGINES[name])
    address = {"valkey": "redis_url", "redis7-tls": "tls_url"}.get(name, "url")
    url: str = getattr(engine, address)
    return url


@pytest.fixture(scope="session")
def own_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineUrls]:
    """Not the one of the run: the contract cuts every connection of its server."""
    require_wheels("valkey")
    with engines(tmp_path_factory.mktemp("valkey"), redis=True, postgres=False) as urls:
        yield urls


@pytest.fixture(scope="session")
def tcp_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TcpValkey]:
    require_wheels("valkey")
    server = TcpValkey(tmp_path_factory.mktemp("tcp-valkey"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def bound_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BoundRedis]:
    if lacking := missing(REDIS_PROGRAM, OPENSSL_PROGRAM):
        (pytest.fail if ENVIRONMENT.get("CI") else pytest.skip)(lacking)
    server = BoundRedis(tmp_path_factory.mktemp("redis"))
    try:
        server.start()
        yield server
    finally:
        server.stop()
