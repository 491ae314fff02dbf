"""A server that would lose jobs is named at the start and in the metrics."""

from collections.abc import Iterator

import pytest
from tests.faults.servers import TcpValkey

from afterbell.adapters.queue.keys import QueueKeys
from afterbell.adapters.queue.redis_queue import Queue, QueueRules
from afterbell.adapters.redis import connections
from afterbell.core.queue.server_risks import risks_of
from afterbell.observability.metrics import REDIS_EVICTS

pytestmark = pytest.mark.engines


@pytest.fixture
def evicting(tcp_valkey: TcpValkey) -> Iterator[str]:
    """A server with a limit and a policy for caches; as it was again afterwards."""
    tcp_valkey.ask("CONFIG", "SET", "maxmemory", "500mb", "maxmemory-policy", "allkeys-lru")
    yield tcp_valkey.url
    tcp_valkey.ask("CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "noeviction")


async def test_a_server_that_deletes_jobs_is_told_at_the_start_and_by_metric(evicting: str) -> None:
    client = connections.connect(evicting)
    try:
        (risk,) = await connections.risks(client)
        assert "allkeys-lru" in risk
        assert "set it to noeviction" in risk
        await Queue(client, QueueKeys("risks"), QueueRules()).fleet()
        assert REDIS_EVICTS._value.get() == 1
    finally:
        await client.aclose()


async def test_a_server_without_a_limit_deletes_nothing_whatever_its_policy(tcp_valkey: TcpValkey) -> None:
    tcp_valkey.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    client = connections.connect(tcp_valkey.url)
    try:
        assert await connections.risks(client) == []
        await Queue(client, QueueKeys("risks"), QueueRules()).fleet()
        assert REDIS_EVICTS._value.get() == 0
    finally:
        await client.aclose()
        tcp_valkey.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")


@pytest.mark.parametrize(
    ("info", "said"),
    [
        ({"redis_version": "6.0.16"}, "older than 6.2"),
        ({"redis_version": "7.2.4", "role": "slave"}, "replica"),
        ({"redis_version": "7.2.4", "maxmemory": 100, "used_memory": 90}, "90% of Redis memory"),
    ],
)
def test_each_risk_says_what_to_do(info: dict[str, object], said: str) -> None:
    (risk,) = risks_of(info)
    assert said in risk
    assert ": " in risk


@pytest.mark.parametrize(
    "info",
    [
        {},
        {"redis_version": "of ours"},
        {"redis_version": "6.2.0", "role": "master", "maxmemory": 100, "used_memory": 84},
        # Valkey says which Redis it is compatible with.
        {"redis_version": "7.2.4", "valkey_version": "9.1.2"},
    ],
)
def test_what_a_server_does_not_say_is_no_risk(info: dict[str, object]) -> None:
    assert list(risks_of(info)) == []
