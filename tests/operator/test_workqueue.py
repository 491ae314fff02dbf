"""Keys that want a round: none is handled twice at a time, none is forgotten; the last answer sets the next round."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from afterbell_operator.watch_cache import Key
from afterbell_operator.workqueue import ROUNDS_AT_ONCE, WorkQueue

KEY = ("school", "reports")


@asynccontextmanager
async def working(reconcile: Callable[[Key], Awaitable[float | None]]) -> AsyncIterator[WorkQueue]:
    work = WorkQueue()
    running = asyncio.create_task(work.run(reconcile))
    try:
        yield work
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_what_comes_during_a_round_brings_exactly_one_more() -> None:
    began, go_on, rounds = asyncio.Queue[Key](), asyncio.Event(), Counter[Key]()

    async def reconcile(key: Key) -> float | None:
        rounds[key] += 1
        began.put_nowait(key)
        await go_on.wait()
        return None

    async with working(reconcile) as work:
        work.add(KEY)
        await began.get()
        for _ in range(10):
            work.add(KEY)
        go_on.set()
        await began.get()
        other = ("school", "other")
        work.add(other)
        while await began.get() != other:
            pass
        assert rounds == {KEY: 2, other: 1}


async def test_a_key_is_never_in_two_rounds_and_no_more_keys_are_than_may_be() -> None:
    active, most, done = Counter[Key](), 0, asyncio.Event()
    keys = [("school", str(number)) for number in range(100)]
    left = set(keys)

    async def reconcile(key: Key) -> float | None:
        nonlocal most
        active[key] += 1
        assert active[key] == 1
        most = max(most, active.total())
        await asyncio.sleep(0)
        active[key] -= 1
        left.discard(key)
        if not left:
            done.set()
        return None

    async with working(reconcile) as work:
        for key in keys * 2:
            work.add(key)
        await done.wait()
    assert most == ROUNDS_AT_ONCE


async def test_a_round_says_when_the_next_one_comes() -> None:
    rounds = asyncio.Queue[Key]()

    async def reconcile(key: Key) -> float | None:
        rounds.put_nowait(key)
        return 0.01 if rounds.qsize() < 3 else None

    async with working(reconcile) as work:
        work.add(KEY)
        async with asyncio.timeout(10):
            while rounds.qsize() < 3:
                await asyncio.sleep(0.01)


async def test_a_round_puts_off_what_an_earlier_one_wanted() -> None:
    answers, rounds = iter([3600.0, None, 0.01, None]), asyncio.Queue[Key]()

    async def reconcile(key: Key) -> float | None:
        rounds.put_nowait(key)
        return next(answers)

    async with working(reconcile) as work:
        for _ in range(3):
            work.add(KEY)
            await rounds.get()
        async with asyncio.timeout(10):
            assert await rounds.get() == KEY, "the last answer counts"
