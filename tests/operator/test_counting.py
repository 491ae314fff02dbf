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
from tests.support.queue import jobs, on, settle, take_one

from afterbell.adapters.redis.client import connect
from afterbell.adapters.redis.ending import ended
from afterbell.adapters.redis.keys import QueueKeys
from afterbell.adapters.redis.queue import Ended, Queue, QueueRules
from afterbell.adapters.redis.tidings import Ear
from afterbell.core.errors import StoreUnavailable
from afterbell.core.facts import Fleet, QueueLoad
from afterbell.core.jobs import Done, Retry
from afterbell_operator.decide import decide
from afterbell_operator.model import Backlog, History, Observation, Rules, Spec
from afterbell_operator.observe import QueueObserver, Sight

pytestmark = pytest.mark.engines
Counts = tuple[int, int, int]
GREEDY = Spec(max_replicas=1000, jobs_per_pod=1, idle_after_s=0, down=Rules(window_s=0))
RULES = QueueRules(lease_s=60, starts_max=0)


@asynccontextmanager
async def watched(
    url: str,
    name: str,
    *,
    expected: int = 0,
    tick_s: float = 60,
    kind: type[Queue] = Queue,
    ear_kind: type[Ear] = Ear,
) -> AsyncIterator[QueueObserver]:
    client = connect(url)
    ear = ear_kind(client)
    hearing = asyncio.create_task(ear.run())
    observer = QueueObserver(ear, kind(client, QueueKeys(name), RULES), tick_s=tick_s, changed=lambda: None)
    observer.expect(expected)
    observer.start()
    try:
        yield observer
    finally:
        await observer.close()
        await ended([hearing])
        await client.aclose()


async def until(observer: QueueObserver, wanted: Counts) -> Backlog:
    """What it sees once it sees these jobs; the last sight where it never does."""
    for _ in range(1_500):
        sight = observer.sight()
        if sight.backlog is not None and counts(sight.backlog) == wanted:
            return sight.backlog
        await asyncio.sleep(0.02)
    raise AssertionError(f"{observer.sight()} instead of {wanted}")


def counts(backlog: Backlog) -> Counts:
    return backlog.waiting, backlog.running, backlog.due


async def exact(url: str, queue: Queue, told: QueueObserver, *, waiting: int, running: int, due: int = 0) -> None:
    """Told and found, and as many pods of one job as there are jobs. (A start changes no sum, so nothing tells it.)"""
    wanted = (waiting, running, due)
    async with asyncio.timeout(20):
        while (seen := told.sight().backlog) is None or seen.demand != sum(wanted):
            await asyncio.sleep(0.02)
    async with watched(url, queue.keys.name) as late:
        backlog = await until(late, wanted)
    assert decide(Observation(0, 0, backlog), GREEDY, History()).replicas == sum(wanted)


def test_one_a_hundred_queued_and_no_consumer_yet(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        async with watched(redis_url, queue.keys.name) as told:
            await queue.put(jobs(*map(str, range(100))))
            await exact(redis_url, queue, told, waiting=100, running=0)

    on(redis_url, body, RULES)


def test_two_a_pod_with_one_slot_takes_one_and_hoards_nothing(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        async with watched(redis_url, queue.keys.name) as told:
            await queue.put(jobs(*map(str, range(100))))
            await take_one(queue)
            await exact(redis_url, queue, told, waiting=99, running=1)

    on(redis_url, body, RULES)


def test_three_all_done_leaves_nothing(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        async with watched(redis_url, queue.keys.name) as told:
            await queue.put(jobs(*map(str, range(20))))
            taken = await queue.take("w", 20)
            await queue.take("w", 0, [], [Ended(grant, Done()) for grant in taken.grants])
            await exact(redis_url, queue, told, waiting=0, running=0)

    on(redis_url, body, RULES)


def test_four_the_jobs_of_a_worker_that_died_keep_a_pod_each(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        async with watched(redis_url, queue.keys.name) as told:
            await queue.put(jobs("a", "b", "c"))
            await queue.take("w", 3)
            await asyncio.sleep(0.15)
            assert (await queue.look()).overdue == 3, "their lease ran out, and nobody lives to take them over"
            await exact(redis_url, queue, told, waiting=0, running=3)

    on(redis_url, body, QueueRules(lease_s=0.1, starts_max=0))


def test_five_one_of_three_that_nobody_took_is_cancelled(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        async with watched(redis_url, queue.keys.name) as told:
            await queue.put(jobs("a", "b", "c"))
            await queue.act("cancel", ["b"])
            await exact(redis_url, queue, told, waiting=2, running=0)

    on(redis_url, body, RULES)


def test_six_the_oldest_are_removed_by_hand_while_one_runs(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        async with watched(redis_url, queue.keys.name) as told:
            await queue.put(jobs("a", "b", "c", "d", "e"))
            grant = await take_one(queue)
            assert await queue.act("remove", ["b", "c", "d"]) == ["ok"] * 3
            await exact(redis_url, queue, told, waiting=1, running=1)
            (last,) = (await settle(queue, "w", grant, Done(), free=1)).grants
            await settle(queue, "w", last, Done())
            await exact(redis_url, queue, told, waiting=0, running=0)

    on(redis_url, body, RULES)


def test_seven_the_first_worker_comes_after_jobs_were_queued_and_more_come_after_it(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        async with watched(redis_url, queue.keys.name) as told:
            await queue.put(jobs("a", "b", "c"))
            await queue.take("w", 0)
            await queue.put(jobs("d", "e", "f", "g", "h"))
            await exact(redis_url, queue, told, waiting=8, running=0)

    on(redis_url, body, RULES)


def test_eight_a_worker_joins_in_the_middle_of_a_queue(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        async with watched(redis_url, queue.keys.name) as told:
            await queue.put(jobs("a", "b", "c", "d", "e"))
            for grant in (await queue.take("first", 3)).grants:
                await settle(queue, "first", grant, Done())
            await queue.take("second", 0)
            await exact(redis_url, queue, told, waiting=2, running=0)

    on(redis_url, body, RULES)


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[TcpValkey]:
    """A server that a test may empty."""
    require_wheels("valkey")
    server = TcpValkey(tmp_path)
    server.start()
    yield server
    server.stop()


async def distrusted(observer: QueueObserver) -> Sight:
    """Its sight once it no longer believes what it sees; a smaller number takes no pod away then."""
    async with asyncio.timeout(3):
        while (sight := observer.sight()).trusted:
            await asyncio.sleep(0.02)
    seen = Observation(0, 7, sight.backlog, sight.because, sight.trusted)
    assert decide(seen, GREEDY, History()).replicas == 7
    return sight


def test_nine_the_books_are_gone_and_the_jobs_history_is_left(valkey: TcpValkey) -> None:
    async def body(queue: Queue) -> None:
        async with watched(valkey.url, queue.keys.name) as told:
            await queue.put(jobs("a", "b"))
            await exact(valkey.url, queue, told, waiting=2, running=0)
            for kept in ("control", "waiting", "lanes"):
                valkey.ask("DEL", queue.keys.prefix + kept)
            told.look_now()
            assert "lost its data" in (await distrusted(told)).because

    on(valkey.url, body, RULES)


@pytest.mark.parametrize("denied", ["-evalsha -eval", "-zcard", "-zcount", "-hget"])
def test_ten_a_refused_read_is_unknown_and_says_who_refused(valkey: TcpValkey, denied: str) -> None:
    valkey.ask(*f"ACL SETUSER shy on >word ~* &* +@all {denied}".split())

    async def body(queue: Queue) -> None:
        await queue.put(jobs("a"))
        async with watched(valkey.url.replace("//", "//shy:word@"), queue.keys.name) as observer:
            async with asyncio.timeout(3):
                while "permission" not in observer.sight().because.lower():
                    await asyncio.sleep(0.02)
            assert observer.sight().backlog is None

    on(valkey.url, body, RULES)


def test_jobs_that_become_due_soon_count_and_later_ones_do_not(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        async with watched(redis_url, queue.keys.name) as told:
            await queue.put(jobs("a"))
            await queue.put(jobs("soon", delay_s=60))
            await queue.put(jobs("later", delay_s=3600))
            await settle(queue, "w", await take_one(queue), Retry(2, "once more"))
            await exact(redis_url, queue, told, waiting=0, running=0, due=2)

    on(redis_url, body, RULES)


def test_an_emptied_redis_is_unknown_at_once_though_nobody_looks(valkey: TcpValkey) -> None:
    async def body(queue: Queue) -> None:
        async with watched(valkey.url, queue.keys.name, tick_s=60) as told:
            await queue.put(jobs("a", "b"))
            await exact(valkey.url, queue, told, waiting=2, running=0)
            valkey.ask("FLUSHALL")
            assert "0 jobs ever put" in (await distrusted(told)).because

    on(valkey.url, body, RULES)


def test_who_waits_grows_older_though_nothing_is_told(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        async with watched(redis_url, queue.keys.name) as told:
            await queue.put(jobs("a"))
            before = await until(told, (1, 0, 0))
            await asyncio.sleep(0.3)
            after = told.sight().backlog
            assert after is not None
            assert after.oldest_s >= before.oldest_s + 0.3

    on(redis_url, body, RULES)


class Late(Ear):
    """What it hears comes late."""

    async def hear(self, keys: QueueKeys, told: Callable[[QueueLoad | StoreUnavailable | None], None]) -> None:
        await super().hear(keys, lambda news: asyncio.get_running_loop().call_later(0.5, told, news))


def test_news_that_an_answer_overtook_are_no_loss(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        async with watched(redis_url, queue.keys.name, ear_kind=Late) as told:
            await asyncio.sleep(0.6)  # it is subscribed
            await queue.put(jobs("a"))
            await queue.put(jobs("b"))
            told.look_now()
            await until(told, (2, 0, 0))
            for _ in range(40):
                await asyncio.sleep(0.02)
                sight = told.sight()
                assert sight.backlog is not None
                assert (counts(sight.backlog), sight.trusted) == ((2, 0, 0), True)

    on(redis_url, body, RULES)


class Slow(Queue):
    """The first look waits at ``gate`` before it asks, or with its answer."""

    gate: asyncio.Event
    waits_to_ask: bool

    async def look_at_fleet(self) -> tuple[QueueLoad, Fleet]:
        if self.waits_to_ask:
            await self.gate.wait()
        found = await super().look_at_fleet()
        await self.gate.wait()
        return found


def overtaken(valkey: TcpValkey, *, waits_to_ask: bool, meanwhile: str = "PING") -> Sight:
    """What is seen after a look that a put overtook."""
    seen = []

    async def body(queue: Queue) -> None:
        Slow.gate, Slow.waits_to_ask = asyncio.Event(), waits_to_ask
        async with watched(valkey.url, queue.keys.name, kind=Slow) as told:
            await asyncio.sleep(0.3)
            await queue.put(jobs("a", "b"))
            await until(told, (2, 0, 0))
            valkey.ask(*meanwhile.format(queue.keys.prefix).split())
            Slow.gate.set()
            await asyncio.sleep(0.3)
            seen.append(told.sight())

    on(valkey.url, body, RULES)
    return seen[0]


def test_an_answer_from_before_a_put_is_no_loss(valkey: TcpValkey) -> None:
    sight = overtaken(valkey, waits_to_ask=False)
    assert sight.backlog is not None
    assert (counts(sight.backlog), sight.trusted) == ((2, 0, 0), True)


def test_an_answer_from_after_a_put_tells_of_a_loss(valkey: TcpValkey) -> None:
    sight = overtaken(valkey, waits_to_ask=True, meanwhile="DEL {0}control {0}waiting {0}lanes")
    assert "lost its data" in sight.because
    assert not sight.trusted


def test_another_server_is_unknown_to_an_operator_that_just_began(valkey: TcpValkey) -> None:
    async def body(queue: Queue) -> None:
        async with watched(valkey.url, queue.keys.name, expected=200) as observer:
            assert "another server" in (await distrusted(observer)).because

    on(valkey.url, body, RULES)
