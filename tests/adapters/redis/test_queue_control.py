"""What people do to the queue while jobs run: cancel, promote, remove, retry, hold."""

import asyncio

import pytest
from tests.support.queue import jobs, on, settle, take_one

from afterbell.adapters.redis.queue import Put, Queue, QueueRules
from afterbell.core.jobs import Cancelled, Dead, Defer, HandBack, Outcome, Retry

pytestmark = pytest.mark.engines


def test_jobs_can_be_cancelled_promoted_removed_and_retried_each_once(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.put(jobs("run", "wait", "gone"))
        grant = await take_one(queue)
        await queue.put(jobs("later", delay_s=60))
        assert await queue.act("cancel", ["wait", "wait", "nobody"]) == ["ok", "cancelled", "unknown"]
        assert await queue.act("remove", ["gone", "run", "gone"]) == ["ok", "active", "unknown"]
        assert await queue.act("promote", ["later", "later"]) == ["ok", "waiting"]
        assert await queue.act("cancel", ["run"]) == ["ok"]
        assert (await queue.take("w", 0, [grant])).cancelled == {"run"}
        await settle(queue, "w", grant, Cancelled())
        later = await take_one(queue)
        await settle(queue, "w", later, Dead("no"))
        assert await queue.act("retry", ["later", "later", "run"]) == ["ok", "waiting", "cancelled"]
        assert (await take_one(queue)).failures == 0
        facts = await queue.look()
        assert (facts.waiting, facts.due, facts.dead) == (0, 0, 0)

    on(redis_url, body)


@pytest.mark.parametrize("outcome", [Retry(0, "timeout"), Defer(0, "429"), HandBack()])
def test_a_job_cancelled_while_it_ran_never_starts_again(redis_url: str, outcome: Outcome) -> None:
    async def body(queue: Queue) -> None:
        await queue.put(jobs("a"))
        grant = await take_one(queue)
        await queue.act("cancel", ["a"])
        assert (await settle(queue, "w", grant, outcome, free=1)).grants == ()
        assert await queue.put(jobs("a")) == ["cancelled"]

    on(redis_url, body)


def test_a_cancelled_job_whose_worker_vanished_never_starts_again(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.put(jobs("a"))
        await take_one(queue, "gone")
        await queue.act("cancel", ["a"])
        await asyncio.sleep(0.11)
        assert (await queue.take("w", 1)).grants == ()
        assert await queue.put(jobs("a")) == ["cancelled"]

    on(redis_url, body, QueueRules(lease_s=0.1, starts_max=0))


def test_a_retried_dead_letter_is_free_of_a_cancellation_that_came_too_late(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.put(jobs("a"))
        grant = await take_one(queue)
        await queue.act("cancel", ["a"])
        await settle(queue, "w", grant, Dead("broken"))
        await queue.act("retry", ["a"])
        assert (await queue.take("w", 0, [await take_one(queue)])).cancelled == frozenset()

    on(redis_url, body)


def test_retrying_all_dead_letters_takes_the_ones_that_match_in_bounded_steps(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        for tenant, reason in (("a", "timeout"), ("a", "refused"), ("b", "timeout")):
            for number in range(5):
                await queue.put([Put(f"{tenant}-{reason}-{number}", b"p", tenant=tenant)])
                await settle(queue, "w", await take_one(queue), Dead(reason))
        until_ms = (await queue.look()).at_ms
        skip, total = 0, 0
        while True:
            retried, looked = await queue.retry_dead(until_ms=until_ms, skip=skip, tenant="a", text="time", count=4)
            skip, total = skip + looked - retried, total + retried
            if looked < 4:
                break
        facts = await queue.look()
        assert (total, facts.waiting, facts.dead) == (5, 5, 10)

    on(redis_url, body)


def test_retrying_a_tenants_dead_letters_takes_those_of_both_classes(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        for job_class in ("interactive", "bulk"):
            await queue.put([Put(job_class, b"p", tenant="a", job_class=job_class)])
            await settle(queue, "w", await take_one(queue), Dead("x"))
        until_ms = (await queue.look()).at_ms
        assert await queue.retry_dead(until_ms=until_ms, skip=0, tenant="b") == (0, 2)
        assert await queue.retry_dead(until_ms=until_ms, skip=0, tenant="a") == (2, 2)

    on(redis_url, body)


def test_a_shorter_hold_never_ends_a_longer_one(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.put(jobs("a"))
        await queue.hold(0.3)
        assert (await queue.take("w", 1)).come_back_s == pytest.approx(0.3, abs=0.05)
        await queue.hold(0.01)
        await asyncio.sleep(0.05)
        assert (await queue.take("w", 1)).gate == "hold"
        await asyncio.sleep(0.3)
        await take_one(queue)

    on(redis_url, body)
