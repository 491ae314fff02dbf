"""Whose turn it is: tenants take turns, what somebody waits for goes before bulk."""

import asyncio

import pytest
from tests.support.queue import a_queue, jobs, settle, take_one

from afterbell.adapters.queue.redis_queue import NewJob
from afterbell.core.queue.outcomes import Retry

pytestmark = pytest.mark.engines


async def test_a_tenant_with_a_thousand_jobs_does_not_make_another_wait_behind_them(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue([NewJob(f"big{number}", b"p", tenant="big") for number in range(1000)])
        for _ in range(10):
            await take_one(queue)
        await queue.enqueue([NewJob("small1", b"p", tenant="small"), NewJob("small2", b"p", tenant="small")])
        order = [(await take_one(queue)).job_id for _ in range(6)]
        assert "small1" in order[:2]
        assert "small2" in order[:4]
        assert sum(job_id.startswith("big") for job_id in order) == 4


async def test_a_tenant_that_asks_again_and_again_does_not_hold_the_other_up(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue([NewJob(f"big{number}", b"p", tenant="big") for number in range(20)])
        order = []
        for number in range(10):
            await queue.enqueue([NewJob(f"small{number}", b"p", tenant="small")])
            order.append((await take_one(queue)).job_id)
        assert 4 <= sum(job_id.startswith("big") for job_id in order) <= 6


async def test_a_tenant_that_cancels_what_waits_does_not_win_a_turn(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue([NewJob(f"a{number}", b"p", tenant="a") for number in range(2)])
        await take_one(queue)
        await queue.apply("cancel", ["a1"])
        await queue.enqueue([NewJob("a2", b"p", tenant="a"), NewJob("b", b"p", tenant="b")])
        assert [(await take_one(queue)).job_id for _ in range(2)] == ["b", "a2"]


async def test_interactive_jobs_start_before_bulk_ones_of_any_tenant(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue([NewJob(f"bulk{number}", b"p", tenant="a", job_class="bulk") for number in range(3)])
        await queue.enqueue([NewJob("now", b"p", tenant="b")])
        assert [(await take_one(queue)).job_id for _ in range(4)] == ["now", "bulk0", "bulk1", "bulk2"]


async def test_a_retried_job_keeps_its_place_before_those_that_came_later(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue(jobs("a", "b", "c"))
        await settle(queue, "w", await take_one(queue), Retry(0.03, "again"))
        await asyncio.sleep(0.05)
        assert (await take_one(queue)).job_id == "a"
