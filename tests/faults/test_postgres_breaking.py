"""PostgreSQL killed, hung, throwing everybody out: what was answered is there, what runs is made once."""

import asyncio
import signal
from contextlib import suppress

import psutil
import pytest
from tests.faults.conftest import Faults
from tests.faults.ledger import Allowed
from tests.support.waiting import eventually

pytestmark = [pytest.mark.faults, pytest.mark.engines]
long = pytest.mark.long

NO_ANSWER = "PostgreSQL did not answer, so the try began again"


async def test_postgresql_killed_during_the_commit_of_a_report(faults: Faults) -> None:
    async with faults("kill -9 of PostgreSQL while it commits a report") as up:
        await up.worker(FAULT_AT="saving:KILL", FAULT_PID=str(up.postgres.pid))
        await up.enqueue(3)
        await eventually(lambda: not up.postgres.running, up.said)
        await up.postgres.restart()
        up.broken()
        await up.settled()
        up.allowed = Allowed(doubled=3, because=NO_ANSWER)


@pytest.mark.parametrize("times", [pytest.param(4, marks=long)])
async def test_postgresql_killed_under_load(faults: Faults, times: int) -> None:
    async with faults(f"kill -9 of PostgreSQL {times} times under load") as up:
        for _ in range(2):
            await up.worker()
        await up.enqueue(120)
        for _ in range(times):
            await up.writing(3)
            await asyncio.sleep(0.7)
            await up.postgres.restart()
            up.broken()
        await up.settled(within_s=90)
        up.allowed = Allowed(doubled=10 * times, because=NO_ANSWER)


async def test_postgresql_throws_everybody_out(faults: Faults) -> None:
    async with faults("pg_terminate_backend of every connection, 5 times") as up:
        await up.worker()
        await up.enqueue(4)
        await up.writing(2)
        for _ in range(5):
            await up.postgres.execute(_THROW_OUT)
            up.broken()
            await asyncio.sleep(0.3)
        await up.settled()
        up.allowed = Allowed(doubled=8, because=NO_ANSWER)


_THROW_OUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'afterbell' "
    "AND pid <> pg_backend_pid()"
)


@long
async def test_postgresql_hung(faults: Faults) -> None:
    async with faults("every connection of PostgreSQL hung for 12 s") as up:
        await up.worker()
        await up.enqueue(4)
        await up.writing(2)
        backends = await up.rows(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'afterbell' AND pid <> pg_backend_pid()"
        )
        _signal_all([row["pid"] for row in backends], signal.SIGSTOP)
        await asyncio.sleep(12)
        _signal_all([row["pid"] for row in backends], signal.SIGCONT)
        up.broken()
        await up.settled()
        up.allowed = Allowed(doubled=8, because=NO_ANSWER)


def _signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            psutil.Process(pid).send_signal(number)
