"""What we count as sent is what the server saw clients send."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis
from redis.asyncio.client import Monitor
from tests.support.engines import require_wheels

from afterbell.adapters.queue.keys import QueueKeys
from afterbell.adapters.queue.redis_queue import Ended, NewJob, Queue, QueueRules
from afterbell.adapters.redis.connections import connect
from afterbell.core.queue.outcomes import Done
from afterbell.dev.engines.engines import engines

pytestmark = pytest.mark.engines


def counted() -> Counter[str]:
    samples = [sample for family in REGISTRY.collect() for sample in family.samples]
    ours = [sample for sample in samples if sample.name == "afterbell_redis_commands_total"]
    return Counter({sample.labels["purpose"]: int(sample.value) for sample in ours})


@asynccontextmanager
async def watching(url: str) -> AsyncIterator[list[str]]:
    """The names of commands that clients send; what scripts call inside the server is left out."""
    commands: list[str] = []
    client = Redis.from_url(url)
    async with client.monitor() as monitor:

        async def read(monitor: Monitor) -> None:
            async for command in monitor.listen():
                commands.extend([command["command"].split(" ")[0].upper()] * (command["client_type"] != "lua"))

        reading = asyncio.create_task(read(monitor))
        yield commands
        await asyncio.sleep(0.1)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    await client.aclose()


async def test_every_command_is_counted_once_by_its_purpose(tmp_path: Path) -> None:
    require_wheels("valkey")

    async def run(url: str) -> None:
        client = connect(url)
        queue = Queue(client, QueueKeys(f"t{uuid.uuid4().hex}"), QueueRules(starts_max=0))
        for load in (queue.enqueue([]), queue.poll("w", 0), queue.stats()):
            await load
        before = counted()
        async with watching(url) as commands:
            async with client.pubsub() as channel:
                await channel.subscribe(queue.keys.wakeup("w"))
                await queue.enqueue([NewJob(f"j{number}", b"p") for number in range(10)])
                taken = await queue.poll("w", 10)
                await queue.poll("w", 0, [], [Ended(grant, Done()) for grant in taken.grants])
                facts = await queue.stats()
            await client.aclose()
        after = counted()
        after.subtract(before)
        spent = {purpose: number for purpose, number in after.items() if number}
        assert sum(spent.values()) == len(commands), (spent, commands)
        assert (spent["enqueue"], spent["poll"], spent["stats"]) == (1, 2, 1)
        assert facts.commands_today == 2 + 3, "put and take that loaded the scripts, then put, take and take"

    with engines(tmp_path, postgres=False) as urls:
        assert urls.redis_url is not None
        await run(urls.redis_url)
