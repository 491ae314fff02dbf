"""SIGTERM, with and without time to finish; SIGSTOP past the lease: nothing lost, late results refused and paid for."""

import asyncio
import signal

import pytest
from tests.faults.conftest import Faults
from tests.faults.ledger import Allowed
from tests.faults.rig import LEASE_S, Rig
from tests.support.waiting import eventually

from afterbell.dev.stub.settings import StubSettings

pytestmark = [pytest.mark.faults, pytest.mark.engines]
long = pytest.mark.long
LENGTHY = StubSettings(ttft_ms=200, tokens_per_s=300)


@pytest.mark.parametrize("jobs", [pytest.param(1, marks=long), 5])
async def test_a_stopping_worker_with_time_finishes_what_runs_and_starts_nothing(faults: Faults, jobs: int) -> None:
    async with faults(f"SIGTERM during {jobs} jobs, time enough") as up:
        await up.heir()
        stopping = await up.worker(AFTERBELL_WORKER_CONCURRENCY=str(jobs), AFTERBELL_DRAIN_SECONDS="30")
        await up.enqueue(jobs + 2)
        await up.writing(jobs)
        stopping.send(signal.SIGTERM)
        assert await stopping.ended() == 0
        assert (await up.statuses()) == {"succeeded": jobs, "queued": 2}
        up.broken()
        await up.let_in()
        await up.settled()


@pytest.mark.parametrize("jobs", [pytest.param(1, marks=long), 5])
async def test_a_stopping_worker_without_time_hands_back_at_once(faults: Faults, jobs: int) -> None:
    async with faults(f"SIGTERM during {jobs} jobs, too little time", stub=LENGTHY) as up:
        await up.heir()
        stopping = await up.worker(AFTERBELL_WORKER_CONCURRENCY=str(jobs), AFTERBELL_DRAIN_SECONDS="0.2")
        await up.enqueue(jobs)
        await up.writing(jobs)
        stopping.send(signal.SIGTERM)
        up.broken()
        assert await stopping.ended() == 0
        facts = await up.queue.stats()
        assert (facts.waiting, facts.active) == (jobs, 0), "handed back, not left to its lease"
        await up.let_in()
        await up.settled()
        up.allowed = Allowed(doubled=jobs, because="handed back by a worker that had to stop")


@pytest.mark.parametrize("step", [pytest.param("sent", marks=long), "written"])
async def test_a_worker_stopped_past_its_lease_is_refused_and_its_cost_is_booked(faults: Faults, step: str) -> None:
    async with faults(f"SIGSTOP of a worker past its lease when its job was {step}") as up:
        await up.heir()
        stalled = await up.worker(FAULT_AT=f"{step}:STOP")
        await up.enqueue(1)
        await eventually(lambda: stalled.stopped, stalled.said)
        up.broken()
        await up.let_in()
        await up.settled(within_s=LEASE_S + 15)
        made = await up.rows("SELECT content, finished_at FROM reports")
        stalled.send(signal.SIGCONT)

        async def closed() -> bool:
            return (await _attempts(up))[0]["outcome"] is not None

        await eventually(closed, stalled.said)
        await asyncio.sleep(0.5)
        assert await up.rows("SELECT content, finished_at FROM reports") == made
        first = (await _attempts(up))[0]
        assert first["outcome"] in ("superseded", "stopped")
        if step == "written":
            assert first["input_tokens"] > 0, "its answer was paid for"
        up.allowed = Allowed(doubled=1, because="its worker was silent for longer than the lease")


async def _attempts(up: Rig) -> list[dict[str, object]]:
    return await up.rows("SELECT outcome, input_tokens FROM report_attempts ORDER BY attempt")
