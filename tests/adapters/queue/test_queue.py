"""The contract of the queue's verbs, on a real server. Time is Redis's own, so leases here are short and real."""

import asyncio

import pytest
from tests.support.queue import a_queue, jobs, settle, take_one
from tests.support.redis_engines import as_admin

from afterbell.adapters.queue.redis_queue import Ended, QueueRules
from afterbell.adapters.redis.connections import connect
from afterbell.core.queue.outcomes import Cancelled, Dead, Defer, Done, HandBack, Outcome, Retry

pytestmark = pytest.mark.engines


async def test_a_job_goes_from_put_to_done_and_leaves_nothing_behind(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        assert await queue.enqueue(jobs("a")) == ["enqueued"]
        grant = await take_one(queue)
        assert (grant.job_id, grant.payload, grant.run, grant.failures) == ("a", b"payload of a", 1, 0)
        facts = await queue.stats()
        assert (facts.waiting, facts.active) == (0, 1)
        assert (await settle(queue, "w", grant, Done())).lost == frozenset()
        facts = await queue.stats()
        assert (facts.waiting, facts.active, facts.due, facts.dead) == (0, 0, 0, 0)


async def test_putting_again_changes_nothing_in_any_state(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        assert await queue.enqueue(jobs("a", "a")) == ["enqueued", "waiting"]
        grant = await take_one(queue)
        assert await queue.enqueue(jobs("a")) == ["active"]
        await settle(queue, "w", grant, Retry(30, "later"))
        assert await queue.enqueue(jobs("a")) == ["due"]
        assert (await queue.stats()).due == 1
        await queue.enqueue(jobs("b"))
        await settle(queue, "w", await take_one(queue), Done())
        assert await queue.enqueue(jobs("b")) == ["completed"]
        assert (await queue.poll("w", 5, [])).grants == ()


async def test_jobs_put_before_any_worker_existed_are_taken_in_order(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue(jobs(*"abcdef"))
        first = await queue.poll("w1", 4, [])
        second = await queue.poll("w2", 4, [])
        assert [grant.job_id for grant in (*first.grants, *second.grants)] == list("abcdef")


async def test_a_retry_starts_when_it_is_due_and_counts_the_failure(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue(jobs("a"))
        taken = await settle(queue, "w", await take_one(queue), Retry(0.15, "try again"), free=1)
        assert taken.grants == ()
        assert taken.come_back_s == pytest.approx(0.15, abs=0.02)
        await asyncio.sleep(0.16)
        grant = await take_one(queue)
        assert (grant.run, grant.failures) == (2, 1)


async def test_being_told_to_wait_uses_no_retry(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue(jobs("a"))
        await settle(queue, "w", await take_one(queue), Defer(0.05, "429"))
        await asyncio.sleep(0.06)
        grant = await take_one(queue)
        assert (grant.run, grant.failures) == (2, 0)


async def test_a_dead_letter_is_kept_and_never_started_again(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue(jobs("a"))
        await settle(queue, "w", await take_one(queue), Dead("broken"))
        assert (await queue.stats()).dead == 1
        assert await queue.enqueue(jobs("a")) == ["dead"]
        assert (await queue.poll("w", 1, [])).grants == ()


async def test_a_cancelled_job_ends_without_a_dead_letter(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue(jobs("a"))
        await settle(queue, "w", await take_one(queue), Cancelled())
        assert (await queue.stats()).dead == 0
        assert await queue.enqueue(jobs("a")) == ["cancelled"]


async def test_a_handed_back_job_is_free_for_another_worker_at_once(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue(jobs("a"))
        await settle(queue, "w1", await take_one(queue, "w1"), HandBack())
        assert (await take_one(queue, "w2")).job_id == "a"


async def test_a_silent_workers_job_starts_elsewhere_after_its_lease_and_the_first_worker_changes_nothing(
    redis_url: str,
) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue(jobs("a"))
        first = await take_one(queue, "w1")
        waiting = await queue.poll("w2", 1, [])
        assert waiting.grants == ()
        assert waiting.come_back_s == pytest.approx(1.0, abs=0.1)
        await asyncio.sleep(1.05)
        second = await take_one(queue, "w2")
        assert (second.job_id, second.run) == ("a", 2)
        assert (await settle(queue, "w1", first, Done())).lost == {"a"}
        assert (await queue.poll("w1", 0, [first])).lost == {"a"}
        assert (await settle(queue, "w2", second, Done())).lost == frozenset()


async def test_a_job_of_a_living_worker_is_never_taken_from_it(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue(jobs("a"))
        grant = await take_one(queue, "w1")
        for _ in range(6):
            await asyncio.sleep(0.3)
            assert (await queue.poll("w1", 0, [grant])).lost == frozenset()
            assert (await queue.poll("w2", 1, [])).grants == ()
        assert (await settle(queue, "w1", grant, Done())).lost == frozenset()


async def test_a_job_whose_workers_vanish_three_times_becomes_a_dead_letter(redis_url: str) -> None:
    async with a_queue(redis_url, QueueRules(lease_s=0.3, starts_max=0)) as queue:
        await queue.enqueue(jobs("poison", "healthy"))
        assert len((await queue.poll("w0", 1, [])).grants) == 1
        for worker in ("w1", "w2"):
            await asyncio.sleep(0.31)
            assert (await take_one(queue, worker)).job_id == "poison"
        await asyncio.sleep(0.31)
        taken = await queue.poll("w3", 1, [])
        assert taken.given_up == ("poison",)
        assert [grant.job_id for grant in taken.grants] == ["healthy"]
        assert (await queue.stats()).dead == 1


async def test_no_window_holds_more_starts_than_allowed_over_all_workers(redis_url: str) -> None:
    async with a_queue(redis_url, QueueRules(lease_s=5, starts_max=4, window_s=0.3)) as queue:
        await queue.enqueue(jobs(*(str(number) for number in range(12))))
        started: list[str] = []

        async def work(worker: str) -> None:
            while len(started) < 12:
                taken = await queue.poll(worker, 2, [])
                started.extend(grant.job_id for grant in taken.grants)
                for grant in taken.grants:
                    await settle(queue, worker, grant, Done())
                await asyncio.sleep(0.005)

        await asyncio.gather(*(work(f"w{number}") for number in range(4)))
        client = connect(as_admin(redis_url))
        stamps = [await client.hget(f"{queue.keys.prefix}job:{job_id}", "started_ms") for job_id in started]
        await client.aclose()
        starts = sorted(int(stamp) for stamp in stamps if stamp)
        windows = [after - before for before, after in zip(starts, starts[4:], strict=False)]
        assert len(starts) == 12
        assert min(windows) > 300


async def test_a_worker_held_by_the_limiter_is_told_when_to_come_back(redis_url: str) -> None:
    async with a_queue(redis_url, QueueRules(lease_s=5, starts_max=1, window_s=2)) as queue:
        await queue.enqueue(jobs("a", "b"))
        await take_one(queue)
        taken = await queue.poll("w", 1, [])
        assert (taken.gate, taken.grants) == ("limiter", ())
        assert taken.come_back_s == pytest.approx(2.02, abs=0.1)


async def test_a_paused_queue_starts_nothing_and_a_resume_wakes_idle_workers(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        client = connect(redis_url)
        async with client.pubsub() as channel:
            await channel.subscribe(queue.keys.wakeup("w"))
            await channel.get_message(timeout=1)
            await queue.pause()
            await queue.enqueue(jobs("a"))
            taken = await queue.poll("w", 1, [])
            assert (taken.gate, taken.grants, taken.come_back_s) == ("paused", (), None)
            assert (await queue.stats()).paused
            await queue.resume()
            message = await channel.get_message(ignore_subscribe_messages=True, timeout=1)
            assert message is not None
            assert (await take_one(queue)).job_id == "a"
        await client.aclose()


async def test_a_drained_worker_gets_nothing_while_others_work_on(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.drain("w1")
        await queue.enqueue(jobs("a"))
        assert (await queue.poll("w1", 1, [])).gate == "drained"
        assert (await queue.stats()).idle_workers == 0
        assert (await take_one(queue, "w2")).job_id == "a"
        await queue.undrain("w1")
        assert (await queue.poll("w1", 1, [])).gate == ""


async def test_settling_hands_out_the_next_job_in_the_same_call(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue(jobs("a", "b"))
        taken = await settle(queue, "w", await take_one(queue), Done(), free=1)
        assert [grant.job_id for grant in taken.grants] == ["b"]


async def test_an_emptied_redis_is_used_again_and_says_what_it_forgot(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue(jobs("a"))
        grant = await take_one(queue)
        client = connect(as_admin(redis_url))
        async for key in client.scan_iter(match=queue.keys.prefix + "*"):
            await client.delete(key)
        await client.aclose()
        assert (await queue.poll("w", 1, [grant])).unknown == {"a"}
        assert (await settle(queue, "w", grant, Done())).unknown == {"a"}
        assert await queue.enqueue(jobs("a")) == ["enqueued"]
        assert (await take_one(queue)).job_id == "a"


async def test_a_job_for_later_waits_until_then(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue(jobs("a", delay_s=0.2))
        taken = await queue.poll("w", 1, [])
        assert taken.grants == ()
        assert taken.come_back_s == pytest.approx(0.2, abs=0.05)
        await asyncio.sleep(0.22)
        assert (await take_one(queue)).job_id == "a"


async def test_look_tells_the_age_of_the_oldest_wait_and_changes_nothing(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        assert (await queue.stats()).oldest_waiting_age_ms is None
        await queue.enqueue(jobs("a", "b"))
        await take_one(queue)
        await asyncio.sleep(0.1)
        first, second = await queue.stats(), await queue.stats()
        assert first.waiting == second.waiting == 1
        assert first.oldest_waiting_age_ms is not None
        assert 100 <= first.oldest_waiting_age_ms < 1000


async def test_one_exchange_settles_many_jobs_and_takes_as_many(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue(jobs(*(str(number) for number in range(20))))
        first = await queue.poll("w", 10)
        outcomes: list[Outcome] = [Done(), Retry(60, "x"), Defer(60, "x"), Dead("x"), HandBack()] * 2
        ended = [Ended(grant, outcome) for grant, outcome in zip(first.grants, outcomes, strict=True)]
        second = await queue.poll("w", 10, [], ended)
        assert len(second.grants) == 10
        facts = await queue.stats()
        assert (facts.active, facts.due, facts.dead, facts.waiting) == (10, 4, 2, 2)
