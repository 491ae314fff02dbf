"""Whose fault it is: a Redis that cannot serve is waited for, a script that fails in it is told as a fault of ours."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis.exceptions as redis_errors
from prometheus_client import REGISTRY
from tests.faults.servers import LOOPBACK, TcpValkey
from tests.support.engines import require_wheels
from tests.support.forward import link
from tests.support.queue import UNLIMITED, a_queue, admin_of, jobs

from afterbell.adapters.queue.keys import QueueKeys
from afterbell.adapters.queue.redis_queue import Queue
from afterbell.adapters.redis.connections import connect, is_passing
from afterbell.core.errors import QueueScriptError, StoreUnavailable
from afterbell.core.queue.outcomes import Dead, Retry
from afterbell.core.queue.retry_policy import outcome_of

pytestmark = pytest.mark.engines


def failures(script: str) -> float:
    return REGISTRY.get_sample_value("afterbell_queue_script_errors_total", {"script": script}) or 0.0


async def test_a_key_of_the_wrong_type_is_a_fault_of_ours_and_no_outage(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        before = failures("enqueue")
        async with admin_of(redis_url) as admin:
            await admin.set(queue.keys.prefix + "lanes", "not a sorted set")
        with pytest.raises(QueueScriptError, match="WRONGTYPE") as raised:
            await queue.enqueue(jobs("a"))
        assert raised.value.script == "enqueue"
        assert failures("enqueue") == before + 1
        assert isinstance(outcome_of(raised.value, failures=0, backoff_s=(2,)), Retry)
        assert isinstance(outcome_of(raised.value, failures=1, backoff_s=(2,)), Dead), "it is not deferred for ever"
        assert await queue._client.ping()


async def test_a_bug_in_a_script_is_a_fault_of_ours(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        queue._scripts._registered["stats"] = queue._client.register_script("return nobody.knows")
        with pytest.raises(QueueScriptError, match="nobody"):
            await queue.stats()


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (redis_errors.ConnectionError("refused"), True),
        (redis_errors.TimeoutError("silent"), True),
        (redis_errors.BusyLoadingError("Redis is loading the dataset in memory"), True),
        (redis_errors.ReadOnlyError("You can't write against a read only replica."), True),
        (redis_errors.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), True),
        (redis_errors.MasterDownError("Link with MASTER is down"), True),
        (redis_errors.AuthenticationError("invalid password"), True),
        (redis_errors.ResponseError("MISCONF Redis is configured to save RDB snapshots"), True),
        (redis_errors.ResponseError("BUSY Redis is busy running a script."), True),
        (redis_errors.ResponseError("Error running script (call to f_0): @user_script: 9: -READONLY You can't"), True),
        (OSError("no route to host"), True),
        (redis_errors.ResponseError("WRONGTYPE Operation against a key"), False),
        (redis_errors.ResponseError("user_script:12: attempt to index global 'x' (a nil value)"), False),
        (redis_errors.NoScriptError("No matching script."), False),
        (redis_errors.NoPermissionError("this user has no permissions to run the 'zadd' command"), False),
        (redis_errors.ResponseError("the word READONLY in a reason of ours"), False),
        (redis_errors.DataError("Invalid input of type"), False),
    ],
)
def test_what_waiting_helps_against_is_told_by_what_redis_answers(error: Exception, passing: bool) -> None:
    assert is_passing(error) is passing


@asynccontextmanager
async def behind_a_name(ports: list[int]) -> AsyncIterator[str]:
    """An address whose new connections lead to the first of ``ports``; those that stand stay where they are."""

    links = set()

    async def joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        links.add(asyncio.current_task())
        await link(LOOPBACK, ports[0], reader, writer)
        writer.close()

    server = await asyncio.start_server(joined, LOOPBACK, 0)
    yield f"redis://{LOOPBACK}:{server.sockets[0].getsockname()[1]}/0"
    server.close()
    await asyncio.wait(links)


async def test_after_a_failover_by_name_the_call_after_the_refused_one_reaches_the_new_primary(tmp_path: Path) -> None:
    """The old primary stays up as a replica, so that its connections live on and refuse every write."""
    require_wheels("valkey")
    old, new = TcpValkey(tmp_path / "old"), TcpValkey(tmp_path / "new")

    try:
        old.start()
        new.start()
        ports = [old.port]
        async with behind_a_name(ports) as url:
            client = connect(url)
            queue = Queue(client, QueueKeys("q"), UNLIMITED)
            assert await queue.enqueue(jobs("a")) == ["enqueued"]
            old.ask("REPLICAOF", LOOPBACK, new.port)
            ports[0] = new.port
            with pytest.raises(StoreUnavailable, match=r"READONLY|read only"):
                await queue.enqueue(jobs("b"))
            assert await queue.enqueue(jobs("b")) == ["enqueued"]
            await client.aclose()
    finally:
        old.stop()
        new.stop()
