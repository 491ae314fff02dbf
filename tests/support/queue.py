"""A queue of its own for one test, on a real server, and the shortest words for what tests do to it."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from tests.support.redis_engines import as_admin

from afterbell.adapters.breaker.breaker import Breaker
from afterbell.adapters.queue.keys import QueueKeys
from afterbell.adapters.queue.redis_queue import Ended, Grant, NewJob, Polled, Queue, QueueRules
from afterbell.adapters.redis.connections import connect
from afterbell.core.queue.outcomes import Outcome

UNLIMITED = QueueRules(lease_s=1, starts_max=0)


@asynccontextmanager
async def a_queue(url: str, rules: QueueRules = UNLIMITED) -> AsyncIterator[Queue]:
    client = connect(url)
    queue = Queue(client, QueueKeys(f"t{uuid.uuid4().hex}"), rules)
    admin = connect(as_admin(url))
    try:
        yield queue
        leftover = [key async for key in admin.scan_iter(match="*", count=1000) if b"{ab:" not in key]
        assert leftover == [], "every key carries the queue's hash tag"
    finally:
        async for key in admin.scan_iter(match=queue.keys.prefix + "*", count=1000):
            await admin.delete(key)
        await admin.aclose()
        await client.aclose()


@asynccontextmanager
async def admin_of(url: str) -> AsyncIterator[Redis]:
    """The same server as a user who may do to keys what no script of ours does."""
    admin = connect(as_admin(url))
    try:
        yield admin
    finally:
        await admin.aclose()


async def leases_run_out(queue: Queue) -> None:
    """As after a whole lease of silence of every worker, without waiting for it."""
    leases = queue.keys.prefix + "leases"
    over: dict[str | bytes, float] = dict.fromkeys(await queue._client.zrange(leases, 0, -1), 1)
    if over:
        await queue._client.zadd(leases, over)


def breaker_of(queue: Queue) -> Breaker:
    """The breakers beside this queue."""
    return Breaker(queue._client, queue.keys)


def jobs(*ids: str, delay_s: float = 0) -> list[NewJob]:
    return [NewJob(job_id, f"payload of {job_id}".encode(), delay_s) for job_id in ids]


async def settle(queue: Queue, worker: str, grant: Grant, outcome: Outcome, free: int = 0) -> Polled:
    return await queue.poll(worker, free, [], [Ended(grant, outcome)])


async def take_one(queue: Queue, worker: str = "w") -> Grant:
    taken = await queue.poll(worker, 1, [])
    assert len(taken.grants) == 1
    return taken.grants[0]


async def next_wakeup(channel: PubSub) -> tuple[str, bytes]:
    """Which worker was woken, and by which message."""
    async with asyncio.timeout(20):
        while (message := await channel.get_message(timeout=1)) is None:
            pass
    return message["channel"].decode().rpartition(":")[2], message["data"]
