"""A process that froze or vanished in the middle of something holds up nobody for longer than the server allows."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.support.processes import Process
from tests.support.record import Record
from tests.support.waiting import eventually

from afterbell.adapters.db import costs
from afterbell.adapters.db.costs import CallToOpen
from afterbell.adapters.db.database import Database, Timeouts
from afterbell.core.errors import StoreUnavailable
from afterbell.core.money.budgets import Budgets

pytestmark = pytest.mark.engines
QUICK = Timeouts(lock_s=3, idle_s=1, client_check_s=1)
BUDGETS = Budgets(Decimal(100), Decimal(100), Decimal(100), Decimal(100))
# As a worker that is paused, or whose node is lost, in the middle of reserving what a call may cost.
FREEZES = """
import asyncio, os, signal, sys, uuid
from datetime import UTC, datetime
from decimal import Decimal
from afterbell.adapters.db import costs
from afterbell.adapters.db.costs import CallToOpen
from afterbell.adapters.db.database import Database, Timeouts
from afterbell.core.errors import StoreUnavailable
from afterbell.core.money.budgets import Budgets

async def main():
    database = Database(sys.argv[1], pool_size=1, timeouts=Timeouts(3, 1, 1))
    budgets = Budgets(*[Decimal(100)] * 4)
    call = CallToOpen("frozen", uuid.UUID(sys.argv[2]), 1, "m", "c", Decimal("0.01"))
    try:
        async with database.transaction() as connection:
            await costs.open_call(connection, call, budgets, today=datetime.now(UTC).date())
            print("frozen", flush=True)
            os.kill(os.getpid(), signal.SIGSTOP)
    except StoreUnavailable:
        print("told", flush=True)

asyncio.run(main())
"""
SLEEPS = """
import asyncio, sys
from sqlalchemy import text
from afterbell.adapters.db.database import Database, Timeouts

async def main():
    database = Database(sys.argv[1], pool_size=1, patience_s=600, timeouts=Timeouts(3, 1, 1))
    async with database.statement() as connection:
        print("asks", flush=True)
        await connection.execute(text("SELECT pg_sleep(500) AS of_the_vanished"))

asyncio.run(main())
"""


@asynccontextmanager
async def a_process(script: str, said: str, *arguments: str) -> AsyncIterator[Process]:
    """A process of ours that has said this much."""
    process = Process(sys.executable, "-c", script, *arguments, variables={})
    try:
        await eventually(lambda: said in process.said())
        yield process
    finally:
        process.end()


@pytest.fixture
async def impatient(tables: str) -> AsyncIterator[Database]:
    database = Database(tables, pool_size=2, timeouts=QUICK)
    yield database
    await database.close()


async def opened(database: Database, tenant: str, report_id: UUID, today: date) -> None:
    async with database.transaction() as connection:
        call = CallToOpen(tenant, report_id, 1, "m", "c", Decimal("0.01"))
        await costs.open_call(connection, call, BUDGETS, today=today)


async def test_a_frozen_workers_reservation_holds_up_no_other_tenants_call(
    record: Record, tables: str, impatient: Database
) -> None:
    await record.stored()
    report_id, today = await record.report(), datetime.now(UTC).date()
    async with a_process(FREEZES, "frozen", tables, str(report_id)) as frozen:
        async with asyncio.timeout(10):
            await opened(impatient, "another", report_id, today)
        # Awake again it is told, and has changed nothing.
        frozen.send(signal.SIGCONT)
        await eventually(lambda: "told" in frozen.said())
    held = text("SELECT count(*) AS n FROM budget_ledger WHERE tenant_id = 'frozen'")
    assert (await record.run(held))[0]["n"] == 0


async def test_the_statement_of_a_process_that_vanished_ends(record: Record, tables: str) -> None:
    running = text(
        "SELECT count(*) AS n FROM pg_stat_activity WHERE query LIKE '%of_the_vanished' AND state = 'active'"
    )

    async def is_running() -> bool:
        return bool((await record.run(running))[0]["n"])

    async def has_ended() -> bool:
        return not await is_running()

    async with a_process(SLEEPS, "asks", tables) as vanishes:
        await eventually(is_running)
        await vanishes.kill()
        await eventually(has_ended)


async def test_a_lock_that_is_not_to_be_had_is_told_as_a_store_that_does_not_answer(
    record: Record, impatient: Database
) -> None:
    await record.stored()
    report_id = await record.report()
    lock = text("SELECT 1 FROM reports WHERE id = :id FOR UPDATE").bindparams(id=report_id)
    async with record.database.transaction() as holder:
        await holder.execute(lock)
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            async with impatient.transaction() as connection:
                await connection.execute(lock)


async def test_a_transaction_that_says_nothing_is_ended_and_told_as_a_store_that_does_not_answer(
    impatient: Database,
) -> None:
    async def dawdle() -> None:
        async with impatient.transaction() as connection:
            await connection.execute(text("SELECT 1"))
            await asyncio.sleep(1.5)
            await connection.execute(text("SELECT 1"))

    with pytest.raises(StoreUnavailable):
        await dawdle()
    await impatient.check()


@pytest.mark.parametrize("patience_s", [4.0, None])
async def test_every_connection_has_its_limits(tables: str, patience_s: float | None) -> None:
    database = Database(tables, pool_size=1, patience_s=patience_s, timeouts=QUICK)
    names = (
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
        "client_connection_check_interval",
    )
    try:
        async with database.statement() as connection:
            limits = [await connection.scalar(text(f"SHOW {name}")) for name in names]
    finally:
        await database.close()
    assert limits == (["4s", "3s", "1s", "1s"] if patience_s else ["0", "0", "0", "1s"])
