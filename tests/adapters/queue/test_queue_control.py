"""What people do to the queue while jobs run: cancel, promote, remove, retry; and what providers ask for."""

import asyncio

import pytest
from tests.support.queue import a_queue, admin_of, breaker_of, jobs, settle, take_one

from afterbell.adapters.queue.redis_queue import QueueRules
from afterbell.core.queue.outcomes import Cancelled, Dead, Defer, HandBack, Outcome, Retry

pytestmark = pytest.mark.engines


async def test_jobs_can_be_cancelled_promoted_removed_and_retried_each_once(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue(jobs("run", "wait", "gone"))
        grant = await take_one(queue)
        await queue.enqueue(jobs("later", delay_s=60))
        assert await queue.apply("cancel", ["wait", "wait", "nobody"]) == ["ok", "cancelled", "unknown"]
        assert await queue.apply("remove", ["gone", "run", "gone"]) == ["ok", "active", "unknown"]
        assert await queue.apply("promote", ["later", "later"]) == ["ok", "waiting"]
        assert await queue.apply("cancel", ["run"]) == ["ok"]
        assert (await queue.poll("w", 0, [grant])).cancelled == {"run"}
        await settle(queue, "w", grant, Cancelled())
        later = await take_one(queue)
        await settle(queue, "w", later, Dead("no"))
        assert await queue.apply("retry", ["later", "later", "run"]) == ["ok", "waiting", "cancelled"]
        assert (await take_one(queue)).failures == 0
        facts = await queue.stats()
        assert (facts.waiting, facts.due, facts.dead) == (0, 0, 0)


@pytest.mark.parametrize("outcome", [Retry(0, "timeout"), Defer(0, "429"), HandBack()])
async def test_a_job_cancelled_while_it_ran_never_starts_again(redis_url: str, outcome: Outcome) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue(jobs("a"))
        grant = await take_one(queue)
        await queue.apply("cancel", ["a"])
        assert (await settle(queue, "w", grant, outcome, free=1)).grants == ()
        assert await queue.enqueue(jobs("a")) == ["cancelled"]


async def test_a_cancelled_job_whose_worker_vanished_never_starts_again(redis_url: str) -> None:
    async with a_queue(redis_url, QueueRules(lease_s=0.1, starts_max=0)) as queue:
        await queue.enqueue(jobs("a"))
        await take_one(queue, "gone")
        await queue.apply("cancel", ["a"])
        await asyncio.sleep(0.11)
        assert (await queue.poll("w", 1)).grants == ()
        assert await queue.enqueue(jobs("a")) == ["cancelled"]


async def test_a_retried_dead_letter_is_free_of_a_cancellation_that_came_too_late(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue(jobs("a"))
        grant = await take_one(queue)
        await queue.apply("cancel", ["a"])
        await settle(queue, "w", grant, Dead("broken"))
        await queue.apply("retry", ["a"])
        assert (await queue.poll("w", 0, [await take_one(queue)])).cancelled == frozenset()


async def test_a_shorter_hold_never_ends_a_longer_one(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue(jobs("a"))
        await breaker_of(queue).apply("wait", "m", 300, 1, 0, 0)
        assert (await queue.poll("w", 1)).come_back_s == pytest.approx(0.3, abs=0.05)
        await breaker_of(queue).apply("wait", "m", 10, 1, 0, 0)
        await asyncio.sleep(0.05)
        assert (await queue.poll("w", 1)).gate == "hold"
        await asyncio.sleep(0.3)
        await take_one(queue)


async def test_a_dead_letter_whose_hash_is_gone_is_unknown_and_leaves_the_dead(redis_url: str) -> None:
    """Hashes of dead letters expire after 14 days, and a Redis that evicts may lose one before."""

    async with a_queue(redis_url) as queue:
        await queue.enqueue(jobs("a", "b", "c", "d"))
        for _ in range(4):
            await settle(queue, "w", await take_one(queue), Dead("broken"))
        client = queue._client
        await client.delete(*(f"{queue.keys.prefix}job:{job_id}" for job_id in "abcd"))
        for verb, job_id in (("retry", "a"), ("promote", "b"), ("cancel", "c"), ("remove", "d")):
            assert await queue.apply(verb, [job_id]) == ["unknown"]
        assert (await queue.stats()).dead == 0
        assert await queue.enqueue(jobs("a")) == ["enqueued"]
        assert (await take_one(queue)).job_id == "a"


async def test_dead_letters_leave_the_list_after_the_days_their_hashes_are_kept(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue(jobs("old", "new"))
        for _ in range(2):
            await settle(queue, "w", await take_one(queue), Dead("broken"))
        dead, fifteen_days_ms = queue.keys.prefix + "dead", 15 * 86_400_000
        async with admin_of(redis_url) as admin:
            await admin.zincrby(dead, -fifteen_days_ms, "old")
        assert (await queue.stats()).dead == 1, "it is not counted any more"
        await queue.poll("w", 0)
        assert await queue._client.zrange(dead, 0, -1) == [b"new"], "and gone with the next exchange"
