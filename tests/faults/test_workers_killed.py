"""kill -9 of a worker at each step: whoever is left makes the report, once, within the lease."""

import signal

import pytest
from tests.faults.conftest import Faults
from tests.faults.ledger import Allowed
from tests.faults.rig import LEASE_S, Rig

pytestmark = [pytest.mark.faults, pytest.mark.engines]

LOST_WORKER = "its worker was killed before the result was known"
# Found finished by the next start, which books no attempt of its own.
ENDED_ALREADY = {"committed"}


@pytest.mark.parametrize(
    "step",
    [
        pytest.param("granted", marks=pytest.mark.long),
        "claimed",
        pytest.param("prepared", marks=pytest.mark.long),
        "sent",
        "written",
        "saving",
        "committed",
        pytest.param("settled", marks=pytest.mark.long),
    ],
)
def test_a_worker_killed_at_a_step_costs_at_most_one_more_start(faults: Faults, step: str) -> None:
    async def body(up: Rig) -> Allowed:
        doomed = await up.worker(FAULT_AT=f"{step}:KILL", AFTERBELL_WORKER_CONCURRENCY="1")
        await up.enqueue(2)
        assert await doomed.ended() == -signal.SIGKILL
        await up.worker()
        up.broken()
        await up.settled(within_s=LEASE_S + 15)
        return Allowed(doubled=1, because=LOST_WORKER)

    faults(f"kill -9 of a worker when its job was {step}", body)
