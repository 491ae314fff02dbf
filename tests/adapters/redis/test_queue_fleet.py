"""What the operator needs of the queue: told of every change, who runs what, and a drain that holds at once."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support.queue import jobs, on, settle, take_one

from afterbell.adapters.redis.client import connect
from afterbell.adapters.redis.ending import ended
from afterbell.adapters.redis.keys import QueueKeys
from afterbell.adapters.redis.queue import Queue
from afterbell.adapters.redis.tidings import Ear, tidings
from afterbell.core.errors import StoreUnavailable
from afterbell.core.facts import QueueLoad, pod_of
from afterbell.core.jobs import Done, Retry

pytestmark = pytest.mark.engines
POD = "worker-5d9f-abcde"


async def told(news: AsyncIterator[QueueLoad | None]) -> QueueLoad:
    load = await asyncio.wait_for(anext(news), 2)
    assert load is not None
    return load


def test_the_load_is_told_after_every_change_without_a_question(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        news = tidings(queue._client, queue.keys)
        assert await anext(news) is None, "something may have been missed before"
        await queue.put(jobs("a", "b"))
        assert (await told(news)).waiting == 2
        grant = await take_one(queue)
        await settle(queue, "w", grant, Retry(60, "later"))
        after = await told(news)
        assert (after.waiting, after.active, after.due, after.due_soon, after.puts) == (1, 0, 1, 1, 2)
        await queue.switch("pause")
        assert (await told(news)).paused
        await queue.act("cancel", ["b"])
        assert (await told(news)).waiting == 0
        await news.aclose()

    on(redis_url, body)


def test_a_job_due_in_an_hour_is_not_due_soon(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.put(jobs("a", delay_s=3600))
        load, _ = await queue.look_at_fleet()
        assert (load.due, load.due_soon) == (1, 0)

    on(redis_url, body)


def test_a_drained_pod_is_granted_nothing_whatever_its_worker_is_called(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        for worker in (POD, f"{POD}-0a1b2c3d"):
            assert (await queue.take(worker, 1)).grants == ()
        await queue.steer("drain", POD)
        await queue.put(jobs("a"))
        assert [(await queue.take(worker, 1)).gate for worker in (POD, f"{POD}-0a1b2c3d")] == ["drained"] * 2
        assert len((await queue.take(f"{POD}-other", 1)).grants) == 1
        await queue.steer("undrain", POD)
        await queue.put(jobs("b"))
        assert len((await queue.take(f"{POD}-0a1b2c3d", 1)).grants) == 1

    on(redis_url, body)


def test_the_fleet_says_who_runs_how_many_and_who_is_drained(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.put(jobs("a", "b", "c"))
        taken = await queue.take(f"{POD}-0a1b2c3d", 2)
        await take_one(queue, "other")
        await queue.steer("drain", POD)
        load, fleet = await queue.look_at_fleet()
        assert (load.active, dict(fleet.running), fleet.drained) == (3, {POD: 2, "other": 1}, {POD})
        for grant in taken.grants:
            await settle(queue, f"{POD}-0a1b2c3d", grant, Done(), free=1)
        assert dict((await queue.look_at_fleet())[1].running) == {"other": 1}

    on(redis_url, body)


def test_a_bell_that_reached_a_worker_as_it_was_drained_goes_on_to_the_next(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        async with queue._client.pubsub() as bell:
            await bell.subscribe(queue.keys.bell("drained"), queue.keys.bell("other"))
            for _ in range(2):
                await bell.get_message(timeout=1)
            await queue.take("drained", 1)
            await queue.put(jobs("a"))  # calls the only idle worker
            await queue.take("other", 0)
            await queue.steer("drain", "drained")
            assert (await queue.take("drained", 1)).gate == "drained"
            load, _ = await queue.look_at_fleet()
            assert load.waiting == 1
            assert len((await queue.take("other", 1)).grants) == 1

    on(redis_url, body)


def test_a_subscription_that_breaks_is_an_error_and_no_silence(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        news = tidings(queue._client, queue.keys)
        await anext(news)
        waiting = asyncio.ensure_future(anext(news))
        await asyncio.sleep(0.05)
        await queue._client.client_kill_filter(_type="pubsub")
        with pytest.raises(StoreUnavailable, match="subscription"):
            await asyncio.wait_for(waiting, 5)

    on(redis_url, body)


def test_a_worker_belongs_to_the_pod_it_is_named_after() -> None:
    assert pod_of(f"{POD}-0a1b2c3d") == pod_of(POD) == POD


def test_one_ear_hears_more_queues_than_a_client_has_connections(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        client = connect(redis_url)
        ear, heard = Ear(client), {}
        hearing = asyncio.create_task(ear.run())
        queues = [Queue(client, QueueKeys(f"{queue.keys.name}-{number}"), queue.rules) for number in range(12)]
        for number, one in enumerate(queues):
            await ear.hear(one.keys, lambda news, number=number: heard.__setitem__(number, news))
        async with asyncio.timeout(5):
            while len(heard) < len(queues):  # the confirmations
                await asyncio.sleep(0.01)
            for one in queues:
                await one.put(jobs("a"))
            while any(news is None or news.waiting != 1 for news in heard.values()):
                await asyncio.sleep(0.01)
        await ended([hearing])
        await client.aclose()

    on(redis_url, body)
