"""taskiq on our queue: what a worker's tasks go through, with the real receiver on a real server."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from taskiq import TaskiqMessage
from taskiq.formatters.json_formatter import JSONFormatter
from taskiq.receiver import Receiver
from tests.support.redis_engines import as_admin

from afterbell.adapters.queue.keys import QueueKeys
from afterbell.adapters.queue.message import report_message
from afterbell.adapters.queue.redis_queue import NewJob, Queue, QueueRules
from afterbell.adapters.queue.taskiq_broker import LeaseBroker
from afterbell.adapters.redis.connections import connect
from afterbell.core.queue.outcomes import Outcome
from afterbell.core.queue.retry_policy import outcome_of
from afterbell.service import stop_all

pytestmark = pytest.mark.engines

RULES = QueueRules(lease_s=1, starts_max=0)
BACKOFFS_S = (0.2, 1.2, 2.2)  # steps further apart than a busy machine is late
Work = Callable[[str], Awaitable[None]]


def decide(error: BaseException, failures: int) -> Outcome:
    return outcome_of(error, failures=failures, backoff_s=BACKOFFS_S)


@dataclass
class Runs:
    starts: list[tuple[str, float]] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    buried: list[str] = field(default_factory=list)


class Bench:
    """A queue, and workers on it that are started and stopped like processes."""

    def __init__(self, url: str, rules: QueueRules) -> None:
        self.url, self.rules = url, rules
        self.name = f"t{uuid.uuid4().hex}"
        self.client, self.admin = connect(url), connect(as_admin(url))
        self.queue = Queue(self.client, QueueKeys(self.name), rules)
        self.runs = Runs()

    async def put(self, *ids: str, task: str = "work") -> None:
        await self.queue.enqueue([NewJob(job_id, report_message(task, job_id)) for job_id in ids])

    @asynccontextmanager
    async def worker(self, work: Work, *, slots: int = 2, drain_s: float = 5) -> AsyncIterator[LeaseBroker]:
        broker, finish, receiving = await self.start(work, slots=slots, drain_s=drain_s)
        try:
            yield broker
        finally:
            finish.set()
            await receiving
            await broker.shutdown()

    async def start(self, work: Work, *, slots: int, drain_s: float) -> tuple[LeaseBroker, asyncio.Event, Any]:
        async def on_given_up(job_id: str) -> None:
            self.runs.buried.append(job_id)

        async def task(job_id: str) -> None:
            self.runs.starts.append((job_id, asyncio.get_running_loop().time()))
            await work(job_id)
            self.runs.ends.append(job_id)

        broker = LeaseBroker(
            self.url,
            queue_name=self.name,
            rules=self.rules,
            worker=uuid.uuid4().hex,
            slots=slots,
            decide=decide,
            on_given_up=on_given_up,
            safety_tick_s=120,
        )
        broker.is_worker_process = True
        broker.register_task(task, task_name="work")
        await broker.startup()
        finish = asyncio.Event()
        receiver = Receiver(broker, max_async_tasks=slots, run_startup=False, wait_tasks_timeout=drain_s)
        return broker, finish, asyncio.create_task(receiver.listen(finish))

    async def until(self, holds: Callable[[], bool], within_s: float = 20) -> None:
        async with asyncio.timeout(within_s):
            while not holds():
                await asyncio.sleep(0.01)

    async def quiet(self) -> None:
        async with asyncio.timeout(20):
            while True:
                facts = await self.queue.stats()
                if facts.waiting == facts.active == facts.due == 0:
                    return
                await asyncio.sleep(0.01)


@asynccontextmanager
async def a_bench(url: str, rules: QueueRules = RULES) -> AsyncIterator[Bench]:
    bench = Bench(url, rules)
    try:
        yield bench
    finally:
        async for key in bench.admin.scan_iter(match=bench.queue.keys.prefix + "*"):
            await bench.admin.delete(key)
        await bench.client.aclose()
        await bench.admin.aclose()


async def at_once(_: str) -> None:
    return None


async def test_jobs_run_once_each_and_leave_the_queue_empty(redis_url: str) -> None:
    async with a_bench(redis_url) as bench:
        ids = [f"j{number}" for number in range(30)]
        await bench.put(*ids)
        async with bench.worker(at_once, slots=5), bench.worker(at_once, slots=5):
            await bench.until(lambda: len(bench.runs.ends) == 30)
            await bench.quiet()
        assert sorted(bench.runs.ends) == sorted(ids)


async def test_an_idle_worker_starts_a_new_job_on_a_wakeup(redis_url: str) -> None:
    async with a_bench(redis_url) as bench, bench.worker(at_once):
        await bench.until(lambda: True)
        await asyncio.sleep(0.2)
        put_at = asyncio.get_running_loop().time()
        await bench.put("a")
        await bench.until(lambda: bench.runs.ends == ["a"])
        assert bench.runs.starts[0][1] - put_at < 1


async def test_a_failing_job_is_retried_after_each_back_off_and_then_is_a_dead_letter(redis_url: str) -> None:
    async def fail(_: str) -> None:
        raise RuntimeError("no")

    async with a_bench(redis_url) as bench:
        await bench.put("a")
        async with bench.worker(fail):
            await bench.until(lambda: len(bench.runs.starts) == 4)
            await bench.quiet()
        times = [at for _, at in bench.runs.starts]
        waits = [after - before for before, after in pairwise(times)]
        assert all(step * 0.99 <= wait < step + 0.9 for wait, step in zip(waits, BACKOFFS_S, strict=True)), waits
        assert (await bench.queue.stats()).dead == 1


@pytest.mark.parametrize("payload", [b"not a taskiq message", report_message("nobody.knows.this", "a")])
async def test_what_no_task_can_run_becomes_a_dead_letter_not_nothing(redis_url: str, payload: bytes) -> None:
    async with a_bench(redis_url) as bench:
        await bench.queue.enqueue([NewJob("a", payload)])
        async with bench.worker(at_once):
            async with asyncio.timeout(20):
                while (await bench.queue.stats()).dead == 0:
                    await asyncio.sleep(0.01)
        assert bench.runs.starts == []


async def test_a_long_job_runs_once_though_it_outlives_its_lease_many_times(redis_url: str) -> None:
    async def long(_: str) -> None:
        await asyncio.sleep(3.5)

    async with a_bench(redis_url) as bench:
        async with bench.worker(long, slots=1), bench.worker(long, slots=1):
            await bench.put("a")
            await bench.until(lambda: bench.runs.ends == ["a"])
        assert len(bench.runs.starts) == 1


async def test_a_stop_lets_running_jobs_finish_and_starts_no_other(redis_url: str) -> None:
    async def work(_: str) -> None:
        await asyncio.sleep(0.5)

    async with a_bench(redis_url) as bench:
        await bench.put("a", "b", "c", "d")
        async with bench.worker(work, slots=2):
            await bench.until(lambda: len(bench.runs.starts) == 2)
        assert sorted(bench.runs.ends) == ["a", "b"]
        facts = await bench.queue.stats()
        assert (facts.waiting, facts.active) == (2, 0)


async def test_a_stop_with_too_little_time_hands_the_job_back_at_once(redis_url: str) -> None:
    async def forever(_: str) -> None:
        await asyncio.sleep(60)

    async with a_bench(redis_url) as bench:
        await bench.put("a")
        async with bench.worker(forever, slots=1, drain_s=0.2):
            await bench.until(lambda: len(bench.runs.starts) == 1)
        facts = await bench.queue.stats()
        assert (facts.waiting, facts.active, facts.dead) == (1, 0, 0)
        async with bench.worker(at_once, slots=1):
            await bench.until(lambda: bench.runs.ends == ["a"])


async def test_a_vanished_workers_job_is_run_by_an_idle_worker_without_new_traffic(redis_url: str) -> None:
    async def forever(_: str) -> None:
        await asyncio.sleep(60)

    async with a_bench(redis_url) as bench:
        await bench.put("a")
        broker, _, receiving = await bench.start(forever, slots=1, drain_s=1)
        await bench.until(lambda: len(bench.runs.starts) == 1)
        async with bench.worker(at_once, slots=1):
            # What kill -9 leaves: no renewal, no settle, no goodbye.
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)
            await stop_all(broker.consumer._services)
            gone_at = asyncio.get_running_loop().time()
            await bench.until(lambda: bench.runs.ends == ["a"])
            assert bench.runs.starts[-1][1] - gone_at <= RULES.lease_s + 1
        await broker.shutdown()


async def test_a_vanished_workers_job_is_run_by_a_worker_that_was_idle_before_it_began(redis_url: str) -> None:
    stuck: list[str] = []

    async def first_time_forever(job_id: str) -> None:
        if not stuck:
            stuck.append(job_id)
            await asyncio.sleep(60)

    async with a_bench(redis_url) as bench:
        brokers = [await bench.start(first_time_forever, slots=1, drain_s=0.1) for _ in range(2)]
        async with asyncio.timeout(20):
            while (await bench.queue.stats()).idle_workers < 2:
                await asyncio.sleep(0.01)
        await bench.put("a")
        await bench.until(lambda: len(bench.runs.starts) == 1)
        (gone, _, receiving), (other, finish, waiting) = sorted(
            brokers, key=lambda broker: not broker[0].consumer.deliveries
        )
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
        await stop_all(gone.consumer._services)
        gone_at = asyncio.get_running_loop().time()
        await bench.until(lambda: bench.runs.ends == ["a"])
        assert bench.runs.starts[-1][1] - gone_at <= RULES.lease_s + 1
        finish.set()
        await waiting
        await other.shutdown()
        await gone.shutdown()


async def test_after_redis_was_emptied_the_first_job_wakes_the_workers_it_has_forgotten(redis_url: str) -> None:
    async with a_bench(redis_url) as bench, bench.worker(at_once):
        async with asyncio.timeout(20):
            while (await bench.queue.stats()).idle_workers < 1:
                await asyncio.sleep(0.01)
        async for key in bench.admin.scan_iter(match=bench.queue.keys.prefix + "*"):
            await bench.admin.delete(key)
        await bench.put("a")
        await bench.until(lambda: bench.runs.ends == ["a"])


async def test_a_worker_outlives_connections_that_are_cut(redis_url: str) -> None:
    async def work(_: str) -> None:
        await asyncio.sleep(0.3)

    async with a_bench(redis_url) as bench:
        puts = Queue(bench.admin, bench.queue.keys, bench.rules)  # whose connection is spared
        async with bench.worker(work, slots=1):
            for number in range(3):
                await puts.enqueue([NewJob(f"j{number}", report_message("work", f"j{number}"))])
                await asyncio.sleep(0.1)
                await bench.admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                await bench.admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            await bench.until(lambda: len(bench.runs.ends) == 3)
            await bench.quiet()
        assert len(bench.runs.starts) == 3


def test_a_message_written_without_taskiq_is_the_one_taskiq_writes() -> None:
    message = TaskiqMessage(
        task_id="report-1", task_name="work", labels={}, labels_types={}, args=[], kwargs={"job_id": "report-1"}
    )
    by_taskiq = JSONFormatter().dumps(message).message
    assert json.loads(report_message("work", "report-1")) == json.loads(by_taskiq)
    assert JSONFormatter().loads(report_message("work", "report-1")) == message


async def test_a_worker_stops_however_soon_after_its_start_it_is_told_to(redis_url: str) -> None:
    async with a_bench(redis_url) as bench:
        for milliseconds in range(25):
            async with asyncio.timeout(20), bench.worker(at_once):
                await asyncio.sleep(milliseconds / 1000)
