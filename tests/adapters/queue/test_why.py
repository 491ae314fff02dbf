"""Why work waits, on a real server: each cause is brought about and named."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.support.queue import a_queue, breaker_of, jobs, settle, take_one

from afterbell.adapters.queue.redis_queue import Queue, QueueRules
from afterbell.adapters.redis.connections import connect
from afterbell.core.queue.outcomes import Retry
from afterbell.core.queue.why import WaitFacts, Why, why

pytestmark = pytest.mark.engines


async def why_of(queue: Queue) -> Why:
    return why(WaitFacts(await queue.standing()))


@asynccontextmanager
async def heard_by(url: str, queue: Queue, worker: str = "w-00000001") -> AsyncIterator[str]:
    """A worker that receives its wakeups, as one that is there does."""
    client = connect(url)
    async with client.pubsub() as channels:
        await channels.subscribe(queue.keys.wakeup(worker), queue.keys.wakeup_of_all)
        for _ in range(2):
            assert (await channels.get_message(timeout=2) or {})["type"] == "subscribe"
        yield worker
    await client.aclose()


async def test_a_pause_is_named(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue(jobs("a", "b"))
        await queue.pause()
        answer = await why_of(queue)
        assert answer.cause == "paused"
        assert "none of 2 jobs" in answer.sentence


async def test_a_provider_that_asked_us_to_wait_is_named_with_its_time(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue(jobs("a"))
        await breaker_of(queue).apply("wait", "odd model/1", 30_000, 1, 0, 0)
        answer = await why_of(queue)
        assert answer.cause == "told_to_wait"
        assert "odd model/1" in answer.sentence
        assert "30 s" in answer.sentence


async def test_a_model_whose_breaker_is_open_is_named(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue(jobs("a"))
        await breaker_of(queue).apply("broken", "small-1", 60_000)
        answer = await why_of(queue)
        assert answer.cause == "model_away"
        assert "small-1" in answer.sentence


async def test_the_limiter_is_named_with_the_moment_it_opens(redis_url: str) -> None:
    async with a_queue(redis_url, QueueRules(lease_s=5, starts_max=1, window_s=20)) as queue:
        async with heard_by(redis_url, queue) as worker:
            await queue.enqueue(jobs("a", "b"))
            assert len((await queue.poll(worker, 5)).grants) == 1
            answer = await why_of(queue)
        assert answer.cause == "limiter"
        assert "allows 1 starts" in answer.sentence


async def test_a_fleet_of_nobody_is_being_scaled(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.poll("gone-00000001", 1)  # in the set of idle workers, and away
        await queue.enqueue(jobs("a"))
        assert (await why_of(queue)).cause == "scaling"


async def test_full_slots_are_named(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        async with heard_by(redis_url, queue) as worker:
            await queue.enqueue(jobs("a", "b"))
            await take_one(queue, worker)
            answer = await why_of(queue)
        assert answer.cause == "no_slots"
        assert "taken by 1 job:" in answer.sentence


async def test_drained_workers_are_named(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        async with heard_by(redis_url, queue, "pod-7-00000001") as worker:
            await queue.drain("pod-7")
            await queue.enqueue(jobs("a"))
            assert (await queue.poll(worker, 1)).grants == ()
            answer = await why_of(queue)
        assert answer.cause == "drained"
        assert "pod-7" in answer.sentence


async def test_a_job_that_loses_worker_after_worker_is_called_poison(redis_url: str) -> None:
    async with a_queue(redis_url, QueueRules(lease_s=0.1, starts_max=0)) as queue:
        await queue.enqueue(jobs("a"))
        await take_one(queue, "w-00000001")
        await asyncio.sleep(0.12)
        assert (await why_of(queue)).cause == "worker_lost"
        await take_one(queue, "w-00000002")
        await asyncio.sleep(0.12)
        answer = await why_of(queue)
        assert answer.cause == "poison"
        assert "2 for one of them" in answer.sentence


async def test_a_job_whose_time_has_not_come_is_named_with_its_time(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue(jobs("a"))
        await settle(queue, "w", await take_one(queue), Retry(90, "away"))
        answer = await why_of(queue)
        assert answer.cause == "not_due"
        assert "90 s" in answer.sentence


async def test_an_idle_fleet_and_an_empty_queue_keep_nobody_waiting(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        assert (await why_of(queue)).cause == "nothing_waits"
        async with heard_by(redis_url, queue) as worker:
            await queue.poll(worker, 1)
            await queue.enqueue(jobs("a"))
            assert (await why_of(queue)).cause == "starting"
