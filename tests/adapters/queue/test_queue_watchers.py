"""Nobody polls, and yet somebody comes back for whatever nobody is woken for."""

import asyncio
import math

import pytest
from redis.asyncio import Redis
from tests.support.queue import a_queue, jobs, next_wakeup, settle, take_one

from afterbell.adapters.queue.consumer import Timer, timer_of
from afterbell.adapters.queue.redis_queue import QueueRules
from afterbell.adapters.redis.connections import connect
from afterbell.core.queue.outcomes import Done

pytestmark = pytest.mark.engines


async def test_a_worker_that_is_not_subscribed_is_passed_over(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        client = connect(redis_url)
        async with client.pubsub() as channel:
            await channel.subscribe(queue.keys.wakeup("alive"))
            await channel.get_message(timeout=1)
            for worker in ("gone1", "gone2", "alive"):
                await queue.poll(worker, 1, [])
            await queue.enqueue(jobs("a"))
            assert await channel.get_message(ignore_subscribe_messages=True, timeout=1) is not None
        await client.aclose()


async def until_heard_by(client: Redis, channel: str, listeners: int) -> None:
    async with asyncio.timeout(10):
        while (await client.pubsub_numsub(channel))[0][1] != listeners:
            await asyncio.sleep(0.01)


async def test_of_many_idle_workers_two_that_live_watch_for_an_event_and_the_others_sleep(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue(jobs("a"))
        await take_one(queue, "busy")
        client = connect(redis_url)
        async with client.pubsub() as channels, client.pubsub() as channel_of_first:
            await channel_of_first.subscribe(queue.keys.wakeup("w0"))
            await until_heard_by(client, queue.keys.wakeup("w0"), 1)
            await channels.subscribe(*(queue.keys.wakeup(f"w{number}") for number in range(1, 5)))
            await until_heard_by(client, queue.keys.wakeup("w4"), 1)
            hints = [(await queue.poll(f"w{number}", 1)).come_back_s for number in range(5)]
            await channel_of_first.aclose()
            await until_heard_by(client, queue.keys.wakeup("w0"), 0)
            after_its_death = (await queue.poll("w2", 1)).come_back_s
        await client.aclose()
        assert hints[0] is not None
        assert hints[1] is not None
        assert 0 < hints[0] <= 1.0, "what is left of the lease"
        assert hints[0] < hints[1] < 2
        assert hints[2:] == [None, None, None]
        assert after_its_death is not None, "a promise ends with who made it"


async def test_a_worker_that_never_heard_of_its_job_comes_back_when_the_lease_ends(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue(jobs("a"))
        await take_one(queue, "w")  # whose answer was lost: the next exchange does not name the job
        assert (await queue.poll("w", 1)).come_back_s == pytest.approx(1.0, abs=0.1)


async def test_a_start_appoints_an_idle_worker_to_watch_it_and_the_end_releases_it(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        client = connect(redis_url)
        async with client.pubsub(ignore_subscribe_messages=True) as channel:
            for worker in ("w1", "w2"):
                await channel.subscribe(queue.keys.wakeup(worker))
                await channel.get_message(timeout=1)
                assert (await queue.poll(worker, 1)).come_back_s is None
            await queue.enqueue(jobs("a"))
            busy, word = await next_wakeup(channel)
            assert word == b"1"
            grant = await take_one(queue, busy)
            idle, word = await next_wakeup(channel)
            assert idle != busy
            notice = timer_of(word)
            assert notice is not None
            assert notice.in_s == pytest.approx(1, abs=0.01)
            await settle(queue, busy, grant, Done())
            released, word = await next_wakeup(channel)
            assert (released, timer_of(word)) == (idle, Timer(math.inf, timer_of(word).at_ms))
        await client.aclose()


async def test_a_watcher_of_a_moment_that_another_used_is_told_the_next_one(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        queue.rules = QueueRules(lease_s=60, starts_max=1, window_s=1)
        client = connect(redis_url)
        async with client.pubsub(ignore_subscribe_messages=True) as channel:
            await queue.enqueue(jobs("a", "b", "c"))
            for worker in ("w1", "w2"):
                await channel.subscribe(queue.keys.wakeup(worker))
                await channel.get_message(timeout=1)
            first = (await queue.poll("w1", 2)).come_back_s
            assert first == pytest.approx(1, abs=0.1)
            assert (await queue.poll("w2", 1)).come_back_s == pytest.approx(first + 0.5, abs=0.1)
            await asyncio.sleep(first)
            assert [grant.job_id for grant in (await queue.poll("w1", 1)).grants] == ["b"]
            woken, word = await next_wakeup(channel)
            notice = timer_of(word)
            assert (woken, notice is not None and notice.in_s) == ("w2", pytest.approx(1, abs=0.1))
        await client.aclose()


async def test_workers_that_each_run_a_suspect_job_do_not_call_each_other_for_a_third(redis_url: str) -> None:
    async with a_queue(redis_url, QueueRules(lease_s=0.5, starts_max=0, deliveries_max=2)) as queue:
        await queue.enqueue(jobs("a", "b", "c"))
        assert len((await queue.poll("gone", 3)).grants) == 3
        await asyncio.sleep(0.51)
        client = connect(redis_url)
        async with client.pubsub(ignore_subscribe_messages=True) as channel:
            for worker in ("w1", "w2"):
                await channel.subscribe(queue.keys.wakeup(worker))
                await channel.get_message(timeout=1)
            held = {worker: await take_one(queue, worker) for worker in ("w1", "w2")}  # two lost jobs run, one is left
            for _ in range(3):
                for worker, grant in held.items():
                    assert (await queue.poll(worker, 1, [grant])).grants == ()
            while await channel.get_message(timeout=0.05):
                pass
            await queue.poll("w1", 1, [held["w1"]])
            assert await channel.get_message(timeout=0.05) is None, "an idle worker was called for what it cannot take"
            assert [grant.job_id for grant in (await settle(queue, "w1", held["w1"], Done(), free=1)).grants] == ["c"]
        await client.aclose()
