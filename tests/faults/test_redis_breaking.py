"""Redis killed, hung, emptied, swapped, read-only, loading, full, forbidding: every report is made later, once."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from tests.faults.conftest import Faults
from tests.faults.ledger import Allowed
from tests.faults.rig import Rig
from tests.faults.servers import TcpValkey
from tests.support.waiting import eventually

from afterbell.adapters.queue.redis_queue import Queue
from afterbell.adapters.redis.connections import connect
from afterbell.dev.stub.settings import StubSettings

pytestmark = [pytest.mark.faults, pytest.mark.engines]
long = pytest.mark.long
# Slow enough that three are always seen being written together, quick enough for 105 in a row.
STEADY = StubSettings(ttft_ms=300, tokens_per_s=600)
Breaking = Callable[[Rig], AbstractAsyncContextManager[None]]

LEASE_OUT = "its lease ran out while Redis was away"


@asynccontextmanager
async def killed(up: Rig) -> AsyncIterator[None]:
    up.valkey.kill()
    yield
    await up.valkey.restart()


@asynccontextmanager
async def hung(up: Rig) -> AsyncIterator[None]:
    up.valkey.send(signal.SIGSTOP)
    yield
    up.valkey.send(signal.SIGCONT)


@asynccontextmanager
async def read_only(up: Rig) -> AsyncIterator[None]:
    """A replica, as a client sees it after a failover it was not told of."""
    up.valkey.ask("REPLICAOF", "127.0.0.1", 1)
    yield
    up.valkey.ask("REPLICAOF", "NO", "ONE")


@asynccontextmanager
async def full(up: Rig) -> AsyncIterator[None]:
    up.valkey.ask("CONFIG", "SET", "maxmemory", 1)
    yield
    up.valkey.ask("CONFIG", "SET", "maxmemory", 0)


@asynccontextmanager
async def forbidding(up: Rig) -> AsyncIterator[None]:
    up.valkey.ask("ACL", "SETUSER", "default", "-evalsha", "-eval", "-subscribe")
    yield
    up.valkey.ask("ACL", "SETUSER", "default", "+evalsha", "+eval", "+subscribe")


@asynccontextmanager
async def scriptless(up: Rig) -> AsyncIterator[None]:
    up.valkey.ask("SCRIPT", "FLUSH")
    up.valkey.ask("CLIENT", "KILL", "TYPE", "pubsub")
    yield
    up.valkey.ask("SCRIPT", "FLUSH")


@asynccontextmanager
async def loading(up: Rig) -> AsyncIterator[None]:
    """Answers LOADING for some seconds after a restart."""
    for start in range(0, 20_000, 2_000):
        words = [word for number in range(start, start + 2_000) for word in (f"pad:{number}", "x")]
        up.valkey.ask("MSET", *words)
    up.valkey.ask("BGREWRITEAOF")  # into a snapshot: the delay below is per key of one, else per command

    def rewritten() -> bool:
        with up.valkey.client() as client:
            facts = client.info("persistence")
        return not (facts["aof_rewrite_in_progress"] or facts["aof_rewrite_scheduled"])

    await eventually(rewritten)
    up.valkey.kill()
    up.valkey.launch("--key-load-delay", "400", "--loading-process-events-interval-bytes", "1024")
    yield
    await eventually(lambda: asyncio.to_thread(up.valkey.answers))
    for start in range(0, 20_000, 2_000):
        up.valkey.ask("DEL", *[f"pad:{number}" for number in range(start, start + 2_000)])


# A case whose fault never reached a worker would prove nothing.
EVIDENCE = {
    read_only: "ReadOnlyError",
    forbidding: "NoPermissionError",
    loading: "BusyLoadingError",
    killed: "service_waits",
}


@pytest.mark.parametrize(
    ("breaking", "seconds"),
    [
        (killed, 1.0),
        pytest.param(killed, 8.0, marks=long),
        pytest.param(hung, 3.0),
        pytest.param(hung, 10.0, marks=long),
        (read_only, 3.0),
        (full, 2.0),
        (forbidding, 3.0),
        pytest.param(scriptless, 0.5, marks=long),
        pytest.param(loading, 1.0, marks=long),
    ],
    ids=lambda value: getattr(value, "__name__", f"{value}s"),
)
async def test_reports_asked_for_while_redis_is(faults: Faults, breaking: Breaking, seconds: float) -> None:
    async with faults(
        f"Redis {breaking.__name__.replace('_', '-')} for {seconds:g} s, 3 of 7 reports asked for meanwhile"
    ) as up:
        await up.worker()
        await up.enqueue(4)
        await up.writing(2)
        async with breaking(up):
            await up.enqueue(3, name="meanwhile")
            await asyncio.sleep(seconds)
        up.broken()
        await up.settled()
        assert EVIDENCE.get(breaking, "") in "".join(process.said() for process in up.processes)
        # A take whose answer was lost leased a job to a worker that does not know of it.
        up.allowed = Allowed(doubled=7, because=LEASE_OUT)


async def test_running_jobs_end_while_redis_is_full(faults: Faults) -> None:
    async with faults("Redis out of memory (noeviction) while 2 jobs run") as up:
        await up.worker()
        await up.enqueue(2)
        await up.writing(2)
        async with full(up):

            async def ended() -> bool:
                return (await up.queue.stats()).active == 0

            await eventually(ended, up.said)
            assert await up.statuses() == {"succeeded": 2}
            assert len(await up.enqueue(1)) == 1, "answered 202 all the same"
        up.broken()
        await up.settled()


@pytest.mark.parametrize("jobs", [15, pytest.param(105, marks=long)])
async def test_an_emptied_redis_loses_no_report(faults: Faults, jobs: int) -> None:
    async with faults("FLUSHALL with jobs queued and 5 running", stub=STEADY, silent_s=10) as up:
        await up.worker()
        await up.enqueue(jobs)
        await up.writing(3)
        up.valkey.ask("FLUSHALL")
        up.broken()
        await up.settled(within_s=120)
        up.allowed = Allowed(
            doubled=5, because="Redis forgot the running job, and its report made no progress for long"
        )


async def test_an_empty_redis_in_its_place_loses_no_report(faults: Faults, empty_valkey: TcpValkey) -> None:
    async with faults("Redis swapped for an empty one, 5 jobs running", wires=("redis",), silent_s=10) as up:
        await up.worker()
        await up.enqueue(8)
        await up.writing(3)
        link = up.wires["redis"]
        await link.cut()
        await link.lead_to(empty_valkey.address)
        await link.mend()
        up.valkey = empty_valkey
        client = connect(empty_valkey.url)
        up.stack.push_async_callback(client.aclose)
        up.queue = Queue(client, up.queue.keys, up.queue.rules)
        up.broken()
        await up.settled(within_s=90)
        up.allowed = Allowed(doubled=5, because="the new Redis did not know the running job")
