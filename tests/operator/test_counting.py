"""The ten ways in which a count of a Redis queue goes wrong elsewhere: here each is exact, or known to be unknown.

The truth is the jobs that want a pod or have one. It is told by the queue as it changes, and found by who looks later.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.faults.servers import TcpValkey
from tests.support.engines import require_wheels
from tests.support.queue import a_queue, jobs, settle, take_one
from tests.support.waiting import eventually

from afterbell.adapters.queue.keys import QueueKeys
from afterbell.adapters.queue.redis_queue import Ended, Queue, QueueRules
from afterbell.adapters.queue.subscription import Subscriber
from afterbell.adapters.redis.connections import connect
from afterbell.core.errors import StoreUnavailable
from afterbell.core.queue.outcomes import Done, Retry
from afterbell.core.queue.stats import Fleet, QueueLoad
from afterbell_operator.decide.decide import decide
from afterbell_operator.decide.values import (
    Backlog,
    Jobs,
    KnownLoad,
    Observation,
    Reading,
    Rules,
    ScalingHistory,
    ScalingSpec,
    UnknownLoad,
    UntrustedLoad,
)
from afterbell_operator.observe.backlog import QueueObserver

pytestmark = pytest.mark.engines
Counts = tuple[int, int, int]
GREEDY = ScalingSpec(max_replicas=1000, idle_after_s=0, down=Rules(window_s=0), follows=Jobs(per_pod=1))
RULES = QueueRules(lease_s=60, starts_max=0)


@asynccontextmanager
async def watched(
    url: str,
    name: str,
    *,
    expected: int = 0,
    tick_s: float = 60,
    kind: type[Queue] = Queue,
    subscriber_kind: type[Subscriber] = Subscriber,
) -> AsyncIterator[QueueObserver]:
    client = connect(url)
    subscriber = subscriber_kind(client)
    subscriber.start()
    observer = QueueObserver(subscriber, kind(client, QueueKeys(name), RULES), tick_s=tick_s, changed=lambda: None)
    observer.expect(expected)
    observer.start()
    try:
        yield observer
    finally:
        await observer.close()
        await subscriber.stop()
        await client.aclose()


async def backlog_with(observer: QueueObserver, wanted: Counts) -> Backlog:
    """The backlog once it holds these jobs. Raises TimeoutError, with the last reading, where it never does."""

    def holding() -> Backlog | None:
        backlog = backlog_of(observer.reading())
        return backlog if backlog is not None and counts(backlog) == wanted else None

    return await eventually(holding, lambda: f"{wanted} instead of {observer.reading()}", within_s=30, poll_s=0.02)


def backlog_of(reading: Reading) -> Backlog | None:
    """The jobs, trusted or not."""
    if isinstance(reading, UnknownLoad):
        return None
    assert isinstance(reading.load, Backlog)
    return reading.load


def counts(backlog: Backlog) -> Counts:
    return backlog.waiting, backlog.running, backlog.due


async def exact(url: str, queue: Queue, observer: QueueObserver, *, waiting: int, running: int, due: int = 0) -> None:
    """Reported and read, and as many pods of one job as there are jobs. (No report follows a start: no sum changes.)"""
    wanted = (waiting, running, due)
    async with asyncio.timeout(20):
        while (backlog := backlog_of(observer.reading())) is None or backlog.demand != sum(wanted):
            await asyncio.sleep(0.02)
    async with watched(url, queue.keys.name) as late:
        backlog = await backlog_with(late, wanted)
    assert decide(Observation(0, 0, KnownLoad(backlog)), GREEDY, ScalingHistory()).replicas == sum(wanted)


async def test_one_a_hundred_queued_and_no_consumer_yet(redis_url: str) -> None:
    async with a_queue(redis_url, RULES) as queue, watched(redis_url, queue.keys.name) as observer:
        await queue.enqueue(jobs(*map(str, range(100))))
        await exact(redis_url, queue, observer, waiting=100, running=0)


async def test_two_a_pod_with_one_slot_takes_one_and_hoards_nothing(redis_url: str) -> None:
    async with a_queue(redis_url, RULES) as queue, watched(redis_url, queue.keys.name) as observer:
        await queue.enqueue(jobs(*map(str, range(100))))
        await take_one(queue)
        await exact(redis_url, queue, observer, waiting=99, running=1)


async def test_three_all_done_leaves_nothing(redis_url: str) -> None:
    async with a_queue(redis_url, RULES) as queue, watched(redis_url, queue.keys.name) as observer:
        await queue.enqueue(jobs(*map(str, range(20))))
        taken = await queue.poll("w", 20)
        await queue.poll("w", 0, [], [Ended(grant, Done()) for grant in taken.grants])
        await exact(redis_url, queue, observer, waiting=0, running=0)


async def test_four_the_jobs_of_a_worker_that_died_keep_a_pod_each(redis_url: str) -> None:
    brief = QueueRules(lease_s=0.1, starts_max=0)
    async with a_queue(redis_url, brief) as queue, watched(redis_url, queue.keys.name) as observer:
        await queue.enqueue(jobs("a", "b", "c"))
        await queue.poll("w", 3)
        await asyncio.sleep(0.15)
        assert (await queue.stats()).overdue == 3, "their lease ran out, and nobody lives to take them over"
        await exact(redis_url, queue, observer, waiting=0, running=3)


async def test_five_one_of_three_that_nobody_took_is_cancelled(redis_url: str) -> None:
    async with a_queue(redis_url, RULES) as queue, watched(redis_url, queue.keys.name) as observer:
        await queue.enqueue(jobs("a", "b", "c"))
        await queue.apply("cancel", ["b"])
        await exact(redis_url, queue, observer, waiting=2, running=0)


async def test_six_the_oldest_are_removed_by_hand_while_one_runs(redis_url: str) -> None:
    async with a_queue(redis_url, RULES) as queue, watched(redis_url, queue.keys.name) as observer:
        await queue.enqueue(jobs("a", "b", "c", "d", "e"))
        grant = await take_one(queue)
        assert await queue.apply("remove", ["b", "c", "d"]) == ["ok"] * 3
        await exact(redis_url, queue, observer, waiting=1, running=1)
        (last,) = (await settle(queue, "w", grant, Done(), free=1)).grants
        await settle(queue, "w", last, Done())
        await exact(redis_url, queue, observer, waiting=0, running=0)


async def test_seven_the_first_worker_comes_after_jobs_were_queued_and_more_come_after_it(redis_url: str) -> None:
    async with a_queue(redis_url, RULES) as queue, watched(redis_url, queue.keys.name) as observer:
        await queue.enqueue(jobs("a", "b", "c"))
        await queue.poll("w", 0)
        await queue.enqueue(jobs("d", "e", "f", "g", "h"))
        await exact(redis_url, queue, observer, waiting=8, running=0)


async def test_eight_a_worker_joins_in_the_middle_of_a_queue(redis_url: str) -> None:
    async with a_queue(redis_url, RULES) as queue, watched(redis_url, queue.keys.name) as observer:
        await queue.enqueue(jobs("a", "b", "c", "d", "e"))
        for grant in (await queue.poll("first", 3)).grants:
            await settle(queue, "first", grant, Done())
        await queue.poll("second", 0)
        await exact(redis_url, queue, observer, waiting=2, running=0)


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[TcpValkey]:
    """A server that a test may empty."""
    require_wheels("valkey")
    server = TcpValkey(tmp_path)
    server.start()
    yield server
    server.stop()


async def distrusted(observer: QueueObserver) -> UntrustedLoad:
    """Its reading once it no longer trusts the numbers; a smaller number takes no pod away then."""
    async with asyncio.timeout(3):
        while not isinstance(reading := observer.reading(), UntrustedLoad):
            await asyncio.sleep(0.02)
    assert decide(Observation(0, 7, reading), GREEDY, ScalingHistory()).replicas == 7
    return reading


async def test_nine_the_books_are_gone_and_the_jobs_history_is_left(valkey: TcpValkey) -> None:
    async with a_queue(valkey.url, RULES) as queue, watched(valkey.url, queue.keys.name) as observer:
        await queue.enqueue(jobs("a", "b"))
        await exact(valkey.url, queue, observer, waiting=2, running=0)
        for kept in ("control", "waiting", "lanes"):
            valkey.ask("DEL", queue.keys.prefix + kept)
        observer.refresh()
        assert "lost its data" in (await distrusted(observer)).because


def refused(reading: Reading) -> bool:
    """Nothing is known, because of a missing permission."""
    return isinstance(reading, UnknownLoad) and "permission" in reading.because.lower()


@pytest.mark.parametrize("denied", ["-evalsha -eval", "-zcard", "-zcount", "-hget"])
async def test_ten_a_refused_read_is_unknown_and_says_who_refused(valkey: TcpValkey, denied: str) -> None:
    valkey.ask(*f"ACL SETUSER shy on >word ~* &* +@all {denied}".split())

    async with a_queue(valkey.url, RULES) as queue:
        await queue.enqueue(jobs("a"))
        async with watched(valkey.url.replace("//", "//shy:word@"), queue.keys.name) as observer:
            async with asyncio.timeout(3):
                while not refused(observer.reading()):
                    await asyncio.sleep(0.02)


async def test_jobs_that_become_due_soon_count_and_later_ones_do_not(redis_url: str) -> None:
    async with a_queue(redis_url, RULES) as queue, watched(redis_url, queue.keys.name) as observer:
        await queue.enqueue(jobs("a"))
        await queue.enqueue(jobs("soon", delay_s=60))
        await queue.enqueue(jobs("later", delay_s=3600))
        await settle(queue, "w", await take_one(queue), Retry(2, "once more"))
        await exact(redis_url, queue, observer, waiting=0, running=0, due=2)


async def test_an_emptied_redis_is_unknown_at_once_though_nobody_looks(valkey: TcpValkey) -> None:
    async with a_queue(valkey.url, RULES) as queue, watched(valkey.url, queue.keys.name, tick_s=60) as observer:
        await queue.enqueue(jobs("a", "b"))
        await exact(valkey.url, queue, observer, waiting=2, running=0)
        valkey.ask("FLUSHALL")
        assert "0 jobs ever enqueued" in (await distrusted(observer)).because


async def test_who_waits_grows_older_though_nothing_is_told(redis_url: str) -> None:
    async with a_queue(redis_url, RULES) as queue, watched(redis_url, queue.keys.name) as observer:
        await queue.enqueue(jobs("a"))
        before = await backlog_with(observer, (1, 0, 0))
        await asyncio.sleep(0.3)
        after = backlog_of(observer.reading())
        assert after is not None
        assert after.oldest_s >= before.oldest_s + 0.3


class Late(Subscriber):
    """What it hears comes late."""

    async def subscribe_load(
        self, keys: QueueKeys, receive: Callable[[QueueLoad | StoreUnavailable | None], None]
    ) -> None:
        await super().subscribe_load(keys, lambda news: asyncio.get_running_loop().call_later(0.5, receive, news))


async def test_news_that_an_answer_overtook_are_no_loss(redis_url: str) -> None:
    async with (
        a_queue(redis_url, RULES) as queue,
        watched(redis_url, queue.keys.name, subscriber_kind=Late) as observer,
    ):
        await asyncio.sleep(0.6)  # it is subscribed
        await queue.enqueue(jobs("a"))
        await queue.enqueue(jobs("b"))
        observer.refresh()
        await backlog_with(observer, (2, 0, 0))
        for _ in range(40):
            await asyncio.sleep(0.02)
            reading = observer.reading()
            assert isinstance(reading, KnownLoad)
            assert counts(reading.load) == (2, 0, 0)


class Slow(Queue):
    """The first look waits at ``gate`` before it asks, or with its answer."""

    gate: asyncio.Event
    waits_to_ask: bool

    async def fleet(self) -> tuple[QueueLoad, Fleet]:
        if self.waits_to_ask:
            await self.gate.wait()
        fleet = await super().fleet()
        await self.gate.wait()
        return fleet


async def overtaken(valkey: TcpValkey, *, waits_to_ask: bool, meanwhile: str = "PING") -> Reading:
    """What is known after a read that a put overtook."""
    Slow.gate, Slow.waits_to_ask = asyncio.Event(), waits_to_ask
    async with a_queue(valkey.url, RULES) as queue, watched(valkey.url, queue.keys.name, kind=Slow) as observer:
        await asyncio.sleep(0.3)
        await queue.enqueue(jobs("a", "b"))
        await backlog_with(observer, (2, 0, 0))
        valkey.ask(*meanwhile.format(queue.keys.prefix).split())
        Slow.gate.set()
        await asyncio.sleep(0.3)
        return observer.reading()


async def test_an_answer_from_before_a_put_is_no_loss(valkey: TcpValkey) -> None:
    reading = await overtaken(valkey, waits_to_ask=False)
    assert isinstance(reading, KnownLoad)
    assert counts(reading.load) == (2, 0, 0)


async def test_an_answer_from_after_a_put_tells_of_a_loss(valkey: TcpValkey) -> None:
    reading = await overtaken(valkey, waits_to_ask=True, meanwhile="DEL {0}control {0}waiting {0}lanes")
    assert isinstance(reading, UntrustedLoad)
    assert "lost its data" in reading.because


async def test_another_server_is_unknown_to_an_operator_that_just_began(valkey: TcpValkey) -> None:
    async with a_queue(valkey.url, RULES) as queue, watched(valkey.url, queue.keys.name, expected=200) as observer:
        assert "another server" in (await distrusted(observer)).because
