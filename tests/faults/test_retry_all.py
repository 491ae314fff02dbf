"""Retry-all by two administrators at once: each dead letter starts once, and no command holds up the others."""

import asyncio
import uuid
from time import monotonic

import pytest
from tests.faults.conftest import Faults
from tests.faults.servers import TcpValkey

from afterbell.adapters.redis.client import connect
from afterbell.adapters.redis.keys import QueueKeys
from afterbell.adapters.redis.queue import BULK_MAX, Ended, Put, Queue, QueueRules
from afterbell.core.jobs import Dead, Done

pytestmark = [pytest.mark.faults, pytest.mark.engines]


@pytest.mark.parametrize("jobs", [2_000, pytest.param(10_000, marks=pytest.mark.long)])
def test_two_admins_who_retry_all_at_once_start_each_job_once(faults: Faults, valkey: TcpValkey, jobs: int) -> None:
    async def body() -> None:
        client = connect(valkey.url)
        queue = Queue(client, QueueKeys(f"t{uuid.uuid4().hex}"), QueueRules(lease_s=60, starts_max=0))
        try:
            await _dead_letters(queue, jobs)
            # Whatever takes 1 ms and more.
            valkey.ask("CONFIG", "SET", "slowlog-log-slower-than", 1000)
            valkey.ask("SLOWLOG", "RESET")
            began = monotonic()
            retried = await asyncio.gather(_retry_all(queue), _retry_all(queue))
            took_s = monotonic() - began
            slowest_ms = _slowest_ms(valkey)
            assert sum(retried) == jobs
            facts = await queue.look()
            assert (facts.waiting, facts.dead) == (jobs, 0)
            started = await _run_all(queue)
            assert len(started) == len(set(started)) == jobs
        finally:
            await client.aclose()
        faults.note(
            f"two admins retry {jobs} dead letters at once (slowest command {slowest_ms:.1f} ms)",
            enqueued=jobs, completed=jobs, starts=jobs * 2, doubled=jobs, why="retried once by an admin",
            recovered_s=took_s,
        )  # fmt: skip

    asyncio.run(body())


async def _dead_letters(queue: Queue, jobs: int) -> None:
    for start in range(0, jobs, BULK_MAX):
        await queue.put([Put(f"job-{number}", b"{}") for number in range(start, min(start + BULK_MAX, jobs))])
        grants = (await queue.take("w", BULK_MAX)).grants
        await queue.take("w", 0, [], [Ended(grant, Dead("broken")) for grant in grants])


async def _retry_all(queue: Queue) -> int:
    total = skip = 0
    while True:
        retried, looked = await queue.retry_dead(until_ms=2**53, skip=skip)
        total, skip = total + retried, skip + looked - retried
        if looked < BULK_MAX:
            return total


async def _run_all(queue: Queue) -> list[str]:
    started: list[str] = []
    while grants := (await queue.take("w", BULK_MAX)).grants:
        started += [grant.job_id for grant in grants]
        await queue.take("w", 0, [], [Ended(grant, Done()) for grant in grants])
    return started


def _slowest_ms(valkey: TcpValkey) -> float:
    entries = valkey.ask("SLOWLOG", "GET", 128)
    assert isinstance(entries, list)
    return max((_duration_us(entry) for entry in entries), default=0) / 1000


def _duration_us(entry: object) -> int:
    return int(entry["duration"] if isinstance(entry, dict) else entry[2])  # type: ignore[index]
