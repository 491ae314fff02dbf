"""SIGTERM, with and without time to finish; SIGSTOP past the lease: nothing lost, late results refused and paid for."""

import asyncio
import signal

import pytest
from tests.faults.conftest import Faults
from tests.faults.ledger import Allowed
from tests.faults.rig import LEASE_S, Rig, until

from afterbell.llm_stub.settings import StubSettings

pytestmark = [pytest.mark.faults, pytest.mark.engines]
long = pytest.mark.long
LENGTHY = StubSettings(ttft_ms=200, tokens_per_s=300)


@pytest.mark.parametrize("jobs", [pytest.param(1, marks=long), 5])
def test_a_stopping_worker_with_time_finishes_what_runs_and_starts_nothing(faults: Faults, jobs: int) -> None:
    async def body(up: Rig) -> Allowed:
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
        return Allowed()

    faults(f"SIGTERM during {jobs} jobs, time enough", body)


@pytest.mark.parametrize("jobs", [pytest.param(1, marks=long), 5])
def test_a_stopping_worker_without_time_hands_back_at_once(faults: Faults, jobs: int) -> None:
    async def body(up: Rig) -> Allowed:
        await up.heir()
        stopping = await up.worker(AFTERBELL_WORKER_CONCURRENCY=str(jobs), AFTERBELL_DRAIN_SECONDS="0.2")
        await up.enqueue(jobs)
        await up.writing(jobs)
        stopping.send(signal.SIGTERM)
        up.broken()
        assert await stopping.ended() == 0
        facts = await up.queue.look()
        assert (facts.waiting, facts.active) == (jobs, 0), "handed back, not left to its lease"
        await up.let_in()
        await up.settled()
        return Allowed(doubled=jobs, because="handed back by a worker that had to stop")

    faults(f"SIGTERM during {jobs} jobs, too little time", body, stub=LENGTHY)


@pytest.mark.parametrize("step", [pytest.param("sent", marks=long), "written"])
def test_a_worker_stopped_past_its_lease_is_refused_and_its_cost_is_booked(faults: Faults, step: str) -> None:
    async def body(up: Rig) -> Allowed:
        await up.heir()
        stalled = await up.worker(FAULT_AT=f"{step}:STOP")
        await up.enqueue(1)
        await until(lambda: stalled.stopped, 15, stalled.said)
        up.broken()
        await up.let_in()
        await up.settled(within_s=LEASE_S + 15)
        made = await up.rows("SELECT content, finished_at FROM reports")
        stalled.send(signal.SIGCONT)

        async def closed() -> bool:
            return (await _attempts(up))[0]["outcome"] is not None

        await until(closed, 10, stalled.said)
        await asyncio.sleep(0.5)
        assert await up.rows("SELECT content, finished_at FROM reports") == made
        first = (await _attempts(up))[0]
        assert first["outcome"] in ("superseded", "stopped")
        if step == "written":
            assert first["input_tokens"] > 0, "its answer was paid for"
        return Allowed(doubled=1, because="its worker was silent for longer than the lease")

    faults(f"SIGSTOP of a worker past its lease when its job was {step}", body)


async def _attempts(up: Rig) -> list[dict[str, object]]:
    return await up.rows("SELECT outcome, input_tokens FROM report_attempts ORDER BY attempt")
