"""kill -9 of a worker at each step and at random moments: whoever is left makes the report, once, within the lease."""

import asyncio
import random
import signal

import pytest
from tests.faults.conftest import Faults
from tests.faults.ledger import Allowed
from tests.faults.rig import LEASE_S, Rig
from tests.support.platform import UNPACED
from tests.support.processes import Process

from afterbell.dev.stub.settings import StubSettings

pytestmark = [pytest.mark.faults, pytest.mark.engines]

LOST_WORKER = "its worker was killed before the result was known"
QUICK = StubSettings(ttft_ms=100, tokens_per_s=3000)
long = pytest.mark.long


@pytest.mark.parametrize(
    "step",
    [
        pytest.param("granted", marks=long),
        "claimed",
        pytest.param("prepared", marks=long),
        pytest.param("sent", marks=long),
        "written",
        "saving",
        "committed",
        pytest.param("settled", marks=long),
    ],
)
async def test_a_worker_killed_at_a_step_costs_at_most_one_more_start(faults: Faults, step: str) -> None:
    async with faults(f"kill -9 of a worker when its job was {step}") as up:
        await up.heir()
        doomed = await up.worker(FAULT_AT=f"{step}:KILL", AFTERBELL_WORKER_CONCURRENCY="1")
        await up.enqueue(2)
        assert await doomed.ended() == -signal.SIGKILL
        up.broken()
        await up.let_in()
        await up.settled(within_s=LEASE_S + 15)
        up.allowed = Allowed(doubled=1, because=LOST_WORKER)


async def test_a_worker_killed_while_it_schedules_a_retry_loses_no_retry(faults: Faults) -> None:
    async with faults("kill -9 of a worker between a failed try and its retry") as up:
        await up.up.faults("500")
        await up.heir()
        doomed = await up.worker(FAULT_AT="scheduling:KILL")
        await up.enqueue(1)
        assert await doomed.ended() == -signal.SIGKILL
        up.broken()
        await up.let_in()
        await up.settled(within_s=LEASE_S + 15)
        up.allowed = Allowed(doubled=1, because="the model failed with 500")


@pytest.mark.parametrize(("kills", "jobs"), [(3, 30), pytest.param(25, 300, marks=long)])
async def test_workers_killed_at_random_moments_lose_nothing(faults: Faults, kills: int, jobs: int) -> None:
    chance = random.Random(kills)  # noqa: S311 - moments, not secrets

    async with faults(f"kill -9 at {kills} random moments", stub=QUICK, deliveries_max=30) as up:
        fleet = [await up.worker(AFTERBELL_WORKER_CONCURRENCY="5") for _ in range(2)]
        asking = asyncio.create_task(up.enqueue(jobs))
        for _ in range(kills):
            await asyncio.sleep(chance.uniform(0.2, 1.5))
            await fleet.pop(0).kill()
            up.broken()
            fleet.append(await up.worker(AFTERBELL_WORKER_CONCURRENCY="5"))
        await asking
        await up.settled(within_s=120)
        up.allowed = Allowed(doubled=kills * 5, because=LOST_WORKER)


async def test_a_job_that_kills_its_process_ends_as_a_dead_letter_and_takes_no_neighbour_with_it(
    faults: Faults,
) -> None:
    async with faults("a job that kills its process, among others") as up:
        poison = {"FAULT_AT": "prepared:KILL", "FAULT_SESSION": "poison-2"}
        await up.queue.pause()
        await up.enqueue(2)
        await up.enqueue(1, name="poison")
        await up.enqueue(2)
        supervised = asyncio.create_task(_kept_running(up, poison))
        await up.queue.resume()
        up.broken()
        try:
            await up.settled(within_s=150)
        finally:
            supervised.cancel()
        failed = await up.rows("SELECT session_id, error FROM reports WHERE status = 'failed'")
        assert [row["session_id"] for row in failed] == ["poison-2"]
        assert "lost" in failed[0]["error"]
        up.allowed = Allowed(doubled=20, because="they shared a process with the job that kills it", dead=1)


async def _kept_running(up: Rig, environment: dict[str, str]) -> None:
    worker: Process = await up.worker(**environment)
    while True:
        await worker.ended(within_s=300)
        worker = await up.worker(**environment)


async def test_an_api_killed_between_commit_and_put_leaves_a_report_that_is_made(faults: Faults) -> None:
    async with faults("kill -9 of the api between commit and put", stub=UNPACED) as up:
        up.allowed = await _api_killed(up, "requested", unanswered=0)


@long
async def test_an_api_killed_between_put_and_its_note_puts_nothing_twice(faults: Faults) -> None:
    async with faults("kill -9 of the api between put and its note in PostgreSQL", stub=UNPACED) as up:
        up.allowed = await _api_killed(up, "put", unanswered=0)


async def _api_killed(up: Rig, step: str, *, unanswered: int) -> Allowed:
    await up.worker()
    doomed = await up.api(FAULT_AT=f"{step}:KILL")
    await up.import_only("doomed")
    await up.ask(doomed, "doomed")
    assert await doomed.ended() == -signal.SIGKILL
    up.broken()
    up.enqueued.append((await up.up.request("doomed"))["jobId"])
    await up.settled()
    return Allowed(unanswered=unanswered)
