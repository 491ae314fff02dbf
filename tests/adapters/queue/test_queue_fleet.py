"""What the operator needs of the queue: told of every change, who runs what, and a drain that holds at once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.queue import a_queue, jobs, settle, take_one

from afterbell.adapters.queue.keys import QueueKeys
from afterbell.adapters.queue.redis_queue import Queue
from afterbell.adapters.queue.subscription import Subscriber
from afterbell.adapters.redis.connections import connect
from afterbell.core.errors import StoreUnavailable
from afterbell.core.queue.outcomes import Done, Retry
from afterbell.core.queue.stats import pod_of

pytestmark = pytest.mark.engines
POD = "worker-5d9f-abcde"


async def test_the_load_is_told_after_every_change_without_a_question(redis_url: str) -> None:
    async with a_queue(redis_url) as queue, loads_of(queue) as next_load:
        assert await next_load() is None, "something may have been missed before"
        await queue.enqueue(jobs("a", "b"))
        assert (await next_load()).waiting == 2
        grant = await take_one(queue)
        await settle(queue, "w", grant, Retry(60, "later"))
        after = await next_load()
        assert (after.waiting, after.active, after.due, after.due_soon, after.puts) == (1, 0, 1, 1, 2)
        await queue.pause()
        assert (await next_load()).paused
        await queue.apply("cancel", ["b"])
        assert (await next_load()).waiting == 0


@asynccontextmanager
async def loads_of(queue: Queue) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    """What one subscription says, call by call, as the operator hears it."""
    client = queue._client
    subscriber, news = Subscriber(client), asyncio.Queue()
    subscriber.start()
    await subscriber.subscribe_load(queue.keys, news.put_nowait)
    try:
        yield lambda: asyncio.wait_for(news.get(), 5)
    finally:
        await subscriber.stop()


async def test_a_job_due_in_an_hour_is_not_due_soon(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue(jobs("a", delay_s=3600))
        load, _ = await queue.fleet()
        assert (load.due, load.due_soon) == (1, 0)


async def test_a_drained_pod_is_granted_nothing_whatever_its_worker_is_called(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        for worker in (POD, f"{POD}-0a1b2c3d"):
            assert (await queue.poll(worker, 1)).grants == ()
        await queue.drain(POD)
        await queue.enqueue(jobs("a"))
        assert [(await queue.poll(worker, 1)).gate for worker in (POD, f"{POD}-0a1b2c3d")] == ["drained"] * 2
        assert len((await queue.poll(f"{POD}-other", 1)).grants) == 1
        await queue.undrain(POD)
        await queue.enqueue(jobs("b"))
        assert len((await queue.poll(f"{POD}-0a1b2c3d", 1)).grants) == 1


async def test_the_fleet_says_who_runs_how_many_and_who_is_drained(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue(jobs("a", "b", "c"))
        taken = await queue.poll(f"{POD}-0a1b2c3d", 2)
        await take_one(queue, "other")
        await queue.drain(POD)
        load, fleet = await queue.fleet()
        assert (load.active, dict(fleet.running), fleet.drained) == (3, {POD: 2, "other": 1}, {POD})
        for grant in taken.grants:
            await settle(queue, f"{POD}-0a1b2c3d", grant, Done(), free=1)
        assert dict((await queue.fleet())[1].running) == {"other": 1}


async def test_a_wakeup_that_reached_a_worker_as_it_was_drained_goes_on_to_the_next(redis_url: str) -> None:
    async with a_queue(redis_url) as queue, queue._client.pubsub() as channel:
        await channel.subscribe(queue.keys.wakeup("drained"), queue.keys.wakeup("other"))
        for _ in range(2):
            await channel.get_message(timeout=1)
        await queue.poll("drained", 1)
        await queue.enqueue(jobs("a"))  # calls the only idle worker
        await queue.poll("other", 0)
        await queue.drain("drained")
        assert (await queue.poll("drained", 1)).gate == "drained"
        load, _ = await queue.fleet()
        assert load.waiting == 1
        assert len((await queue.poll("other", 1)).grants) == 1


async def test_a_subscription_that_breaks_is_an_error_and_no_silence(redis_url: str) -> None:
    async with a_queue(redis_url) as queue, loads_of(queue) as next_load:
        assert await next_load() is None
        await queue._client.client_kill_filter(_type="pubsub")
        lost = await next_load()
        assert isinstance(lost, StoreUnavailable)
        assert "subscription" in str(lost)
        assert await next_load() is None, "it subscribes again by itself"


def test_a_worker_belongs_to_the_pod_it_is_named_after() -> None:
    assert pod_of(f"{POD}-0a1b2c3d") == pod_of(POD) == POD


async def test_one_subscriber_receives_more_queues_than_a_client_has_connections(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        client = connect(redis_url)
        subscriber, heard = Subscriber(client), {}
        subscriber.start()
        queues = [Queue(client, QueueKeys(f"{queue.keys.name}-{number}"), queue.rules) for number in range(12)]
        for number, other in enumerate(queues):
            await subscriber.subscribe_load(other.keys, lambda news, number=number: heard.__setitem__(number, news))
        async with asyncio.timeout(5):
            while len(heard) < len(queues):  # the confirmations
                await asyncio.sleep(0.01)
            for other in queues:
                await other.enqueue(jobs("a"))
            while any(news is None or news.waiting != 1 for news in heard.values()):
                await asyncio.sleep(0.01)
        await subscriber.stop()
        await client.aclose()
