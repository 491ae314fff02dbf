"""What the fleet spares a provider: breakers with one probe an interval, pauses, quotas. Nothing while all is well."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from tests.support.queue import a_queue, breaker_of, jobs

from afterbell.adapters.breaker.provider_gate import Permit, ProviderGate, ProviderRules
from afterbell.adapters.queue.redis_queue import Queue

pytestmark = pytest.mark.engines

QUICK = ProviderRules(failures_min=3, window_s=5, open_s=0.2, open_max_s=0.6, wait_s=0.1)


class Fleet:
    """Some workers' gates on one queue. What a poll would tell them, they are told by ``refresh``."""

    def __init__(self, queue: Queue, rules: ProviderRules, models: tuple[str, ...] = ("a",)) -> None:
        self.queue = queue
        self.troubled: frozenset[str] = frozenset()
        self.gates = [ProviderGate(breaker_of(queue), rules, models, lambda: self.troubled) for _ in range(3)]
        self.calls = 0

    async def refresh(self) -> None:
        self.troubled = (await self.queue.poll("looker", 0)).troubled

    async def ask(self, worker: int = 0, model: str = "a", tokens: int = 100) -> Permit:
        self.calls += 1
        return await self.gates[worker].ask(model, f"call-{self.calls}", tokens)

    async def fail(self, times: int, model: str = "a", worker: int = 0) -> float:
        for _ in range(times):
            wait_s = await self.gates[worker].failed(Permit(model, "c"), 0)
        await self.refresh()
        return wait_s


@asynccontextmanager
async def a_fleet(url: str, rules: ProviderRules = QUICK, models: tuple[str, ...] = ("a",)) -> AsyncIterator[Fleet]:
    async with a_queue(url) as queue:
        yield Fleet(queue, rules, models)


async def test_while_all_is_well_nothing_is_sent(redis_url: str) -> None:
    async with a_fleet(redis_url) as fleet:
        before = (await fleet.queue.poll("w", 0)).commands_today
        for _ in range(10):
            await fleet.gates[0].answered(await fleet.ask(), 100)
        assert (await fleet.queue.poll("w", 0)).commands_today == before + 1


async def test_enough_failures_of_any_workers_open_the_breaker_for_all(redis_url: str) -> None:
    async with a_fleet(redis_url) as fleet:
        assert await fleet.fail(1, worker=0) == 0
        assert await fleet.fail(1, worker=1) == 0
        assert await fleet.fail(1, worker=2) == pytest.approx(0.2, abs=0.02)
        assert all([(await fleet.ask(worker)).wait_s > 0 for worker in range(3)])


async def test_failures_among_more_answers_open_nothing(redis_url: str) -> None:
    async with a_fleet(redis_url) as fleet:
        for _ in range(8):
            await fleet.gates[0].answered(Permit("a", "c"), 0)
        assert await fleet.fail(7) == 0
        assert await fleet.fail(1) > 0


async def test_an_old_failure_counts_no_more(redis_url: str) -> None:
    async with a_fleet(redis_url, ProviderRules(failures_min=3, window_s=0.1)) as fleet:
        await fleet.fail(2)
        await asyncio.sleep(0.15)
        assert await fleet.fail(2) == 0


async def test_an_open_breaker_lets_one_probe_through_an_interval_and_doubles_the_interval(redis_url: str) -> None:
    async with a_fleet(redis_url) as fleet:
        await fleet.fail(3)
        for interval_s in (0.4, 0.6, 0.6):
            await asyncio.sleep((await fleet.ask()).wait_s + 0.01)
            permits = await asyncio.gather(*(fleet.ask(worker) for worker in range(3)))
            (probe,) = [permit for permit in permits if permit.wait_s == 0]
            assert probe.probe
            assert await fleet.gates[0].failed(probe, 0) == pytest.approx(interval_s, abs=0.02)


async def test_a_prober_that_vanishes_is_followed_by_the_next_one_interval_later(redis_url: str) -> None:
    async with a_fleet(redis_url) as fleet:
        await fleet.fail(3)
        await asyncio.sleep(0.21)
        assert (await fleet.ask()).probe
        assert (await fleet.ask()).wait_s == pytest.approx(0.4, abs=0.03)
        await asyncio.sleep(0.41)
        assert (await fleet.ask()).probe


async def test_an_answered_probe_closes_the_breaker_and_the_queue_starts_at_once(redis_url: str) -> None:
    async with a_fleet(redis_url) as fleet:
        await fleet.queue.enqueue(jobs(*"abcdef"))
        await fleet.fail(3)
        held = await fleet.queue.poll("w", 3)
        assert (held.grants, held.gate) == ((), "hold")
        assert held.come_back_s == pytest.approx(0.2, abs=0.05)
        await asyncio.sleep(0.21)
        first, second = await fleet.queue.poll("w", 3), await fleet.queue.poll("v", 3)
        assert (len(first.grants), len(second.grants), second.gate) == (1, 0, "hold")
        permit = await fleet.ask()
        assert permit.probe
        await fleet.gates[0].answered(permit, 10)
        taken = await fleet.queue.poll("w", 3)
        assert (len(taken.grants), taken.gate, taken.troubled) == (3, "", frozenset())


async def test_the_queue_goes_on_while_another_model_of_the_chain_can_be_called(redis_url: str) -> None:
    async with a_fleet(redis_url, replace(QUICK, open_s=30, open_max_s=30), models=("a", "b")) as fleet:
        await fleet.queue.enqueue(jobs(*"ab"))
        await fleet.fail(3, "a")
        assert len((await fleet.queue.poll("w", 1)).grants) == 1
        assert (await fleet.ask(model="b")).wait_s == 0
        assert await fleet.fail(3, "b") > 0
        assert (await fleet.queue.poll("w", 1)).gate == "hold"

    # Both stay held for as long as the test takes, also on a busy machine.


async def test_told_to_wait_holds_everybody_as_long_and_then_nobody(redis_url: str) -> None:
    async with a_fleet(redis_url) as fleet:
        await fleet.queue.enqueue(jobs(*"abc"))
        await fleet.gates[0].told_to_wait(Permit("a", "c"), 0.3)
        await fleet.refresh()
        assert (await fleet.queue.poll("w", 3)).gate == "hold"
        assert (await fleet.ask(1)).wait_s == pytest.approx(0.3, abs=0.05)
        await asyncio.sleep(0.31)
        taken = await fleet.queue.poll("w", 3)
        assert len(taken.grants) == 3, "a pause is no outage: all begin again"
        assert not (await fleet.ask()).probe
        assert (await fleet.queue.poll("w", 0)).troubled == frozenset()


async def test_a_model_that_asks_to_wait_again_and_again_is_asked_ever_more_seldom(redis_url: str) -> None:
    async with a_fleet(redis_url, ProviderRules(wait_s=0.1, wait_max_s=0.4)) as fleet:
        gate = fleet.gates[0]
        waits = []
        for _ in range(4):
            waits.append(await gate.told_to_wait(Permit("a", "c"), 0.01))
            # Others that were told in the same moment double nothing.
            await fleet.gates[1].told_to_wait(Permit("a", "d"), 0.01)
            await asyncio.sleep(waits[-1] + 0.01)
        assert waits == pytest.approx([0.1, 0.2, 0.4, 0.4], abs=0.02)
        await gate.answered(Permit("a", "c"), 10)
        assert await gate.told_to_wait(Permit("a", "c"), 0.01) == pytest.approx(0.1, abs=0.02)


async def test_a_wrong_key_stops_calls_at_once_for_the_longest_time(redis_url: str) -> None:
    async with a_fleet(redis_url) as fleet:
        await fleet.gates[0].misconfigured(Permit("a", "c"))
        await fleet.refresh()
        assert (await fleet.ask()).wait_s == pytest.approx(0.6, abs=0.02)


async def test_requests_a_minute_hold_over_all_workers(redis_url: str) -> None:
    async with a_fleet(redis_url, ProviderRules(requests_per_minute=7)) as fleet:
        permits = await asyncio.gather(*(fleet.ask(number % 3) for number in range(30)))
        granted = [permit for permit in permits if permit.wait_s == 0]
        assert len(granted) == 7
        assert all(59 < permit.wait_s < 62 for permit in permits if permit not in granted)


async def test_tokens_are_reserved_before_a_call_and_corrected_after_it(redis_url: str) -> None:
    async with a_fleet(redis_url, ProviderRules(tokens_per_minute=1000)) as fleet:
        first = await fleet.ask(tokens=600)
        assert (await fleet.ask(tokens=600)).wait_s > 59
        await fleet.gates[0].answered(first, 300)
        assert (await fleet.ask(tokens=600)).wait_s == 0
        assert (await fleet.ask(tokens=200)).wait_s > 59


async def test_a_call_larger_than_the_whole_quota_is_made_alone_rather_than_never(redis_url: str) -> None:
    async with a_fleet(redis_url, ProviderRules(tokens_per_minute=1000)) as fleet:
        assert (await fleet.ask(tokens=5000)).wait_s == 0
        assert (await fleet.ask(tokens=1)).wait_s > 59


async def test_calls_in_flight_are_capped_and_a_vanished_workers_call_counts_no_longer_than_a_call_can_last(
    redis_url: str,
) -> None:
    async with a_fleet(redis_url, ProviderRules(in_flight_max=2)) as fleet:
        first, _ = await fleet.ask(0), await fleet.ask(1)
        assert (await fleet.ask(2)).wait_s > 0
        await fleet.gates[0].left(first, 0)
        assert (await fleet.ask(2)).wait_s == 0


async def test_a_models_name_may_be_anything(redis_url: str) -> None:
    async with a_fleet(redis_url, models=("org/model:7b {x}\nq4",)) as fleet:
        await fleet.fail(3, "org/model:7b {x}\nq4")
        assert fleet.troubled == {"org/model:7b {x}\nq4"}
