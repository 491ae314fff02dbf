"""The contract of the queue's verbs, on a real server. Time is Redis's own, so leases here are short and real."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from redis.asyncio.client import PubSub

from afterbell.adapters.redis.client import connect
from afterbell.adapters.redis.consumer import BELL_QUIET, watch_of
from afterbell.adapters.redis.keys import QueueKeys
from afterbell.adapters.redis.queue import Ended, Grant, Put, Queue, QueueRules, Taken
from afterbell.core.errors import InvalidInput, PayloadTooLarge, StoreUnavailable
from afterbell.core.jobs import PAYLOAD_BYTES_MAX, Cancelled, Dead, Defer, Done, HandBack, Outcome, Retry

pytestmark = pytest.mark.engines

UNLIMITED = QueueRules(lease_s=1, starts_max=0)


@asynccontextmanager
async def a_queue(url: str, rules: QueueRules = UNLIMITED) -> AsyncIterator[Queue]:
    client = connect(url)
    queue = Queue(client, QueueKeys(f"t{uuid.uuid4().hex}"), rules)
    try:
        yield queue
        leftover = [key async for key in client.scan_iter(match="*", count=1000) if b"{ab:" not in key]
        assert leftover == [], "every key carries the queue's hash tag"
    finally:
        async for key in client.scan_iter(match=queue.keys.prefix + "*", count=1000):
            await client.delete(key)
        await client.aclose()


def on(url: str, body: Callable[[Queue], Awaitable[None]], rules: QueueRules = UNLIMITED) -> None:
    async def run() -> None:
        async with a_queue(url, rules) as queue:
            await body(queue)

    asyncio.run(run())


def jobs(*ids: str, delay_s: float = 0) -> list[Put]:
    return [Put(one, f"payload of {one}".encode(), delay_s) for one in ids]


async def settle(queue: Queue, worker: str, grant: Grant, outcome: Outcome, free: int = 0) -> Taken:
    return await queue.take(worker, free, [], [Ended(grant, outcome)])


async def take_one(queue: Queue, worker: str = "w") -> Grant:
    taken = await queue.take(worker, 1, [])
    assert len(taken.grants) == 1
    return taken.grants[0]


async def next_bell(bell: PubSub) -> tuple[str, bytes]:
    """Whose bell rang, and what it said."""
    async with asyncio.timeout(2):
        while (message := await bell.get_message(timeout=1)) is None:
            pass
    return message["channel"].decode().rpartition(":")[2], message["data"]


def test_a_job_goes_from_put_to_done_and_leaves_nothing_behind(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        assert await queue.put(jobs("a")) == ["put"]
        grant = await take_one(queue)
        assert (grant.job_id, grant.payload, grant.run, grant.failures) == ("a", b"payload of a", 1, 0)
        facts = await queue.look()
        assert (facts.waiting, facts.active) == (0, 1)
        assert (await settle(queue, "w", grant, Done())).lost == frozenset()
        facts = await queue.look()
        assert (facts.waiting, facts.active, facts.due, facts.dead) == (0, 0, 0, 0)

    on(redis_url, body)


def test_putting_again_changes_nothing_in_any_state(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        assert await queue.put(jobs("a", "a")) == ["put", "waiting"]
        grant = await take_one(queue)
        assert await queue.put(jobs("a")) == ["active"]
        await settle(queue, "w", grant, Retry(30, "later"))
        assert await queue.put(jobs("a")) == ["due"]
        assert (await queue.look()).due == 1
        await queue.put(jobs("b"))
        await settle(queue, "w", await take_one(queue), Done())
        assert await queue.put(jobs("b")) == ["completed"]
        assert (await queue.take("w", 5, [])).grants == ()

    on(redis_url, body)


def test_jobs_put_before_any_worker_existed_are_taken_in_order(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.put(jobs(*"abcdef"))
        first = await queue.take("w1", 4, [])
        second = await queue.take("w2", 4, [])
        assert [grant.job_id for grant in (*first.grants, *second.grants)] == list("abcdef")

    on(redis_url, body)


def test_a_retry_starts_when_it_is_due_and_counts_the_failure(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.put(jobs("a"))
        taken = await settle(queue, "w", await take_one(queue), Retry(0.15, "try again"), free=1)
        assert taken.grants == ()
        assert taken.come_back_s == pytest.approx(0.15, abs=0.02)
        await asyncio.sleep(0.16)
        grant = await take_one(queue)
        assert (grant.run, grant.failures) == (2, 1)

    on(redis_url, body)


def test_being_told_to_wait_uses_no_step_of_the_ladder(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.put(jobs("a"))
        await settle(queue, "w", await take_one(queue), Defer(0.05, "429"))
        await asyncio.sleep(0.06)
        grant = await take_one(queue)
        assert (grant.run, grant.failures) == (2, 0)

    on(redis_url, body)


def test_a_dead_letter_is_kept_and_never_started_again(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.put(jobs("a"))
        await settle(queue, "w", await take_one(queue), Dead("broken"))
        assert (await queue.look()).dead == 1
        assert await queue.put(jobs("a")) == ["dead"]
        assert (await queue.take("w", 1, [])).grants == ()

    on(redis_url, body)


def test_a_cancelled_job_ends_without_a_dead_letter(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.put(jobs("a"))
        await settle(queue, "w", await take_one(queue), Cancelled())
        assert (await queue.look()).dead == 0
        assert await queue.put(jobs("a")) == ["cancelled"]

    on(redis_url, body)


def test_a_handed_back_job_is_free_for_another_worker_at_once(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.put(jobs("a"))
        await settle(queue, "w1", await take_one(queue, "w1"), HandBack())
        assert (await take_one(queue, "w2")).job_id == "a"

    on(redis_url, body)


def test_a_silent_workers_job_starts_elsewhere_after_its_lease_and_the_first_worker_changes_nothing(
    redis_url: str,
) -> None:
    async def body(queue: Queue) -> None:
        await queue.put(jobs("a"))
        first = await take_one(queue, "w1")
        waiting = await queue.take("w2", 1, [])
        assert waiting.grants == ()
        assert waiting.come_back_s == pytest.approx(1.0, abs=0.1)
        await asyncio.sleep(1.05)
        second = await take_one(queue, "w2")
        assert (second.job_id, second.run) == ("a", 2)
        assert (await settle(queue, "w1", first, Done())).lost == {"a"}
        assert (await queue.take("w1", 0, [first])).lost == {"a"}
        assert (await settle(queue, "w2", second, Done())).lost == frozenset()

    on(redis_url, body)


def test_a_job_of_a_living_worker_is_never_taken_from_it(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.put(jobs("a"))
        grant = await take_one(queue, "w1")
        for _ in range(6):
            await asyncio.sleep(0.3)
            assert (await queue.take("w1", 0, [grant])).lost == frozenset()
            assert (await queue.take("w2", 1, [])).grants == ()
        assert (await settle(queue, "w1", grant, Done())).lost == frozenset()

    on(redis_url, body)


def test_a_job_whose_workers_vanish_three_times_becomes_a_dead_letter(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.put(jobs("poison", "healthy"))
        assert len((await queue.take("w0", 1, [])).grants) == 1
        for worker in ("w1", "w2"):
            await asyncio.sleep(0.31)
            assert (await take_one(queue, worker)).job_id == "poison"
        await asyncio.sleep(0.31)
        taken = await queue.take("w3", 1, [])
        assert taken.given_up == ("poison",)
        assert [grant.job_id for grant in taken.grants] == ["healthy"]
        assert (await queue.look()).dead == 1

    on(redis_url, body, QueueRules(lease_s=0.3, starts_max=0))


def test_no_window_holds_more_starts_than_allowed_over_all_workers(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.put(jobs(*(str(number) for number in range(12))))
        loop, starts = asyncio.get_running_loop(), []

        async def work(worker: str) -> None:
            while len(starts) < 12:
                taken = await queue.take(worker, 2, [])
                starts.extend(loop.time() for _ in taken.grants)
                for grant in taken.grants:
                    await settle(queue, worker, grant, Done())
                await asyncio.sleep(0.005)

        await asyncio.gather(*(work(f"w{number}") for number in range(4)))
        starts.sort()
        windows = [after - before for before, after in zip(starts, starts[4:], strict=False)]
        assert min(windows) >= 0.3

    on(redis_url, body, QueueRules(lease_s=5, starts_max=4, window_s=0.3))


def test_a_worker_held_by_the_limiter_is_told_when_to_come_back(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.put(jobs("a", "b"))
        await take_one(queue)
        taken = await queue.take("w", 1, [])
        assert (taken.gate, taken.grants) == ("limiter", ())
        assert taken.come_back_s == pytest.approx(2.02, abs=0.1)

    on(redis_url, body, QueueRules(lease_s=5, starts_max=1, window_s=2))


def test_a_paused_queue_starts_nothing_and_a_resume_wakes_idle_workers(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        client = connect(redis_url)
        async with client.pubsub() as bell:
            await bell.subscribe(queue.keys.bell("w"))
            await bell.get_message(timeout=1)
            await queue.switch("pause")
            await queue.put(jobs("a"))
            taken = await queue.take("w", 1, [])
            assert (taken.gate, taken.grants, taken.come_back_s) == ("paused", (), None)
            assert (await queue.look()).paused
            await queue.switch("resume")
            message = await bell.get_message(ignore_subscribe_messages=True, timeout=1)
            assert message is not None
            assert (await take_one(queue)).job_id == "a"
        await client.aclose()

    on(redis_url, body)


def test_a_drained_worker_gets_nothing_while_others_work_on(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.steer("drain", "w1")
        await queue.put(jobs("a"))
        assert (await queue.take("w1", 1, [])).gate == "drained"
        assert (await queue.look()).idle_workers == 0
        assert (await take_one(queue, "w2")).job_id == "a"
        await queue.steer("undrain", "w1")
        assert (await queue.take("w1", 1, [])).gate == ""

    on(redis_url, body)


def test_settling_hands_out_the_next_job_in_the_same_call(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.put(jobs("a", "b"))
        taken = await settle(queue, "w", await take_one(queue), Done(), free=1)
        assert [grant.job_id for grant in taken.grants] == ["b"]

    on(redis_url, body)


def test_a_worker_whose_bell_nobody_hears_is_passed_over(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        client = connect(redis_url)
        async with client.pubsub() as bell:
            await bell.subscribe(queue.keys.bell("alive"))
            await bell.get_message(timeout=1)
            for worker in ("gone1", "gone2", "alive"):
                await queue.take(worker, 1, [])
            await queue.put(jobs("a"))
            assert await bell.get_message(ignore_subscribe_messages=True, timeout=1) is not None
        await client.aclose()

    on(redis_url, body)


def test_an_emptied_redis_is_used_again_and_says_what_it_forgot(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.put(jobs("a"))
        grant = await take_one(queue)
        client = connect(redis_url)
        async for key in client.scan_iter(match=queue.keys.prefix + "*"):
            await client.delete(key)
        await client.aclose()
        assert (await queue.take("w", 1, [grant])).unknown == {"a"}
        assert (await settle(queue, "w", grant, Done())).unknown == {"a"}
        assert await queue.put(jobs("a")) == ["put"]
        assert (await take_one(queue)).job_id == "a"

    on(redis_url, body)


def test_a_job_for_later_waits_until_then(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.put(jobs("a", delay_s=0.2))
        taken = await queue.take("w", 1, [])
        assert taken.grants == ()
        assert taken.come_back_s == pytest.approx(0.2, abs=0.05)
        await asyncio.sleep(0.22)
        assert (await take_one(queue)).job_id == "a"

    on(redis_url, body)


def test_look_tells_the_age_of_the_oldest_wait_and_changes_nothing(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        assert (await queue.look()).oldest_waiting_age_ms is None
        await queue.put(jobs("a", "b"))
        await take_one(queue)
        await asyncio.sleep(0.1)
        first, second = await queue.look(), await queue.look()
        assert first.waiting == second.waiting == 1
        assert first.oldest_waiting_age_ms is not None
        assert 100 <= first.oldest_waiting_age_ms < 1000

    on(redis_url, body)


def test_a_payload_over_the_limit_is_refused_with_its_size(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        with pytest.raises(PayloadTooLarge, match=f"{PAYLOAD_BYTES_MAX + 1} bytes"):
            await queue.put([Put("big", b"x" * (PAYLOAD_BYTES_MAX + 1))])
        assert (await queue.look()).waiting == 0

    on(redis_url, body)


@pytest.mark.parametrize("name", ["", "{x}", "a b", "a\nb", "A", "x" * 64])
def test_a_queue_name_that_could_break_a_key_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not usable"):
        QueueKeys(name)


def test_an_unreachable_redis_is_told_without_its_password() -> None:
    async def run() -> None:
        client = connect("redis://user:hunter2@127.0.0.1:1/0")
        queue = Queue(client, QueueKeys("x"), UNLIMITED)
        with pytest.raises(StoreUnavailable) as caught:
            await queue.look()
        assert "hunter2" not in str(caught.value)
        await client.aclose()

    asyncio.run(run())


def test_a_tenant_with_a_thousand_jobs_does_not_make_another_wait_behind_them(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.put([Put(f"big{number}", b"p", tenant="big") for number in range(1000)])
        for _ in range(10):
            await take_one(queue)
        await queue.put([Put("small1", b"p", tenant="small"), Put("small2", b"p", tenant="small")])
        order = [(await take_one(queue)).job_id for _ in range(6)]
        assert "small1" in order[:2]
        assert "small2" in order[:4]
        assert sum(one.startswith("big") for one in order) == 4

    on(redis_url, body)


def test_a_tenant_that_asks_again_and_again_does_not_hold_the_other_up(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.put([Put(f"big{number}", b"p", tenant="big") for number in range(20)])
        order = []
        for number in range(10):
            await queue.put([Put(f"small{number}", b"p", tenant="small")])
            order.append((await take_one(queue)).job_id)
        assert 4 <= sum(one.startswith("big") for one in order) <= 6

    on(redis_url, body)


def test_a_tenant_that_cancels_what_waits_does_not_win_a_turn(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.put([Put(f"a{number}", b"p", tenant="a") for number in range(2)])
        await take_one(queue)
        await queue.act("cancel", ["a1"])
        await queue.put([Put("a2", b"p", tenant="a"), Put("b", b"p", tenant="b")])
        assert [(await take_one(queue)).job_id for _ in range(2)] == ["b", "a2"]

    on(redis_url, body)


def test_interactive_jobs_start_before_bulk_ones_of_any_tenant(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.put([Put(f"bulk{number}", b"p", tenant="a", job_class="bulk") for number in range(3)])
        await queue.put([Put("now", b"p", tenant="b")])
        assert [(await take_one(queue)).job_id for _ in range(4)] == ["now", "bulk0", "bulk1", "bulk2"]

    on(redis_url, body)


def test_a_retried_job_keeps_its_place_before_those_that_came_later(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.put(jobs("a", "b", "c"))
        await settle(queue, "w", await take_one(queue), Retry(0.03, "again"))
        await asyncio.sleep(0.05)
        assert (await take_one(queue)).job_id == "a"

    on(redis_url, body)


def test_one_exchange_settles_many_jobs_and_takes_as_many(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.put(jobs(*(str(number) for number in range(20))))
        first = await queue.take("w", 10)
        outcomes: list[Outcome] = [Done(), Retry(60, "x"), Defer(60, "x"), Dead("x"), HandBack()] * 2
        ended = [Ended(grant, outcome) for grant, outcome in zip(first.grants, outcomes, strict=True)]
        second = await queue.take("w", 10, [], ended)
        assert len(second.grants) == 10
        facts = await queue.look()
        assert (facts.active, facts.due, facts.dead, facts.waiting) == (10, 4, 2, 2)

    on(redis_url, body)


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


def test_of_many_idle_workers_two_watch_for_an_event_and_the_others_sleep(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.put(jobs("a"))
        await take_one(queue, "busy")
        hints = [(await queue.take(f"w{number}", 1)).come_back_s for number in range(5)]
        assert hints[0] == pytest.approx(1.0, abs=0.1)
        assert hints[1] is not None
        assert hints[0] < hints[1] < 2
        assert hints[2:] == [None, None, None]

    on(redis_url, body)


def test_a_worker_that_never_heard_of_its_job_comes_back_when_the_lease_ends(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.put(jobs("a"))
        await take_one(queue, "w")  # whose answer was lost: the next exchange does not name the job
        assert (await queue.take("w", 1)).come_back_s == pytest.approx(1.0, abs=0.1)

    on(redis_url, body)


def test_a_start_appoints_an_idle_worker_to_watch_it_and_the_end_releases_it(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        client = connect(redis_url)
        async with client.pubsub(ignore_subscribe_messages=True) as bell:
            for worker in ("w1", "w2"):
                await bell.subscribe(queue.keys.bell(worker))
                await bell.get_message(timeout=1)
                assert (await queue.take(worker, 1)).come_back_s is None
            await queue.put(jobs("a"))
            busy, word = await next_bell(bell)
            assert word == b"1"
            grant = await take_one(queue, busy)
            idle, word = await next_bell(bell)
            assert idle != busy
            assert watch_of(word) == pytest.approx(1000, abs=10)
            await settle(queue, busy, grant, Done())
            assert await next_bell(bell) == (idle, BELL_QUIET)
        await client.aclose()

    on(redis_url, body)


@pytest.mark.parametrize("tenant", ["{x}", "a b", "a\nb", "über", "a:b"])
def test_any_tenant_id_makes_a_lane_of_its_own_and_never_a_broken_key(redis_url: str, tenant: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.put([Put("a", b"p", tenant=tenant), Put("b", b"p", tenant="x")])
        assert (await queue.look()).lanes == 2
        assert len((await queue.take("w", 2)).grants) == 2

    on(redis_url, body)


@pytest.mark.parametrize("job_id", ["", "{a}", "a b", "a\nb", "x" * 10_000])
def test_a_job_id_that_could_break_a_key_is_refused_before_anything_is_sent(redis_url: str, job_id: str) -> None:
    async def body(queue: Queue) -> None:
        with pytest.raises(InvalidInput, match="not usable"):
            await queue.put([Put("fine", b"p"), Put(job_id, b"p")])
        with pytest.raises(InvalidInput, match="not usable"):
            await queue.act("retry", [job_id])
        assert (await queue.look()).waiting == 0

    on(redis_url, body)
