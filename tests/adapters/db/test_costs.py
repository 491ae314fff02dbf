"""The books: what is reserved, what was spent, and that no number of workers at once goes past a budget."""

import asyncio
import uuid
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.support.record import Record, record_in

from afterbell.adapters.db import costs
from afterbell.core.errors import BudgetSpent
from afterbell.core.money.budgets import EVERYBODY, Budgets
from afterbell.core.usage import Usage

pytestmark = pytest.mark.engines

TODAY = date(2026, 11, 30)
UNLIMITED = Budgets()
CENT = Decimal("0.01")


def days(number: int) -> date:
    """Each test has its own days: the sum of all tenants is one row a day."""
    return TODAY + timedelta(days=40 * number)


async def opened(
    record: Record, amount: Decimal, budgets: Budgets, today: date, report_id: UUID | None = None
) -> costs.OpenCall:
    call = costs.CallToOpen(record.tenant, report_id or await record.report(version=_version()), 1, "m", "c", amount)
    async with record.database.transaction() as connection:
        return await costs.open_call(connection, call, budgets, today=today)


async def closed(record: Record, call: costs.OpenCall, cost: Decimal | None, budgets: Budgets = UNLIMITED) -> Any:
    async with record.database.transaction() as connection:
        ended = costs.CallEnded("answered", "m-1", "req", Usage(10, 2, 3, 1, 4), cost, "v")
        return await costs.close_call(connection, call, ended, budgets)


async def standing(record: Record, today: date, budgets: Budgets = UNLIMITED) -> dict[tuple[bool, str], Any]:
    """By (of all tenants, period) the budgets that a call of the tenant counts in."""
    async with record.database.transaction() as connection:
        states = await costs.standings(connection, budgets, today=today, limit=1000)
    return {
        (state.tenant_id == EVERYBODY, state.period): state
        for state in states
        if state.tenant_id in (EVERYBODY, record.tenant)
    }


def _version() -> int:
    return uuid.uuid4().int % 2**31


async def test_a_call_is_held_against_four_budgets_until_it_is_booked_at_its_cost(record: Record) -> None:
    await record.stored()
    today = days(1)
    call = await opened(record, CENT, UNLIMITED, today)
    before = await standing(record, today)
    assert {key: (state.spent_usd, state.reserved_usd) for key, state in before.items()} == {
        (everybody, period): (0, CENT) for everybody in (True, False) for period in ("day", "month")
    }
    assert len(await closed(record, call, Decimal("0.00012345678901"))) == 4
    for state in (await standing(record, today)).values():
        assert (state.spent_usd, state.reserved_usd) == (Decimal("0.00012345678901"), 0)


async def test_closing_twice_books_once(record: Record) -> None:
    await record.stored()
    today = days(2)
    call = await opened(record, CENT, UNLIMITED, today)
    await closed(record, call, CENT)
    assert await closed(record, call, CENT) == []
    assert (await standing(record, today))[False, "day"].spent_usd == CENT


async def test_twenty_workers_at_once_overshoot_a_budget_by_nothing(tables: str) -> None:
    async with record_in(tables, pool_size=20) as record:
        await record.stored()
        today, budgets = days(3), Budgets(day_usd=Decimal("0.10"))
        report_id = await record.report()

        async def work() -> int:
            made = 0
            while True:
                try:
                    call = await opened(record, CENT, budgets, today, report_id)
                except BudgetSpent:
                    return made
                made += 1
                await asyncio.sleep(0)
                await closed(record, call, Decimal("0.008"), budgets)

        made = sum(await asyncio.gather(*(work() for _ in range(20))))
        end = (await standing(record, today, budgets))[True, "day"]
        assert end.spent_usd == made * Decimal("0.008") <= Decimal("0.10")
        assert end.reserved_usd == 0
        assert end.spent_usd + CENT > Decimal("0.10") - 20 * CENT, "what is left is less than what was in flight"
        (row,) = await record.run(
            text("SELECT max(spent_usd) AS most FROM budget_ledger WHERE starts_on = :day").bindparams(day=today)
        )
        assert row["most"] <= Decimal("0.10")


@pytest.mark.parametrize(
    ("budgets", "whose"),
    [
        (Budgets(day_usd=CENT), "day budget of all tenants"),
        (Budgets(month_usd=CENT), "month budget of all tenants"),
        (Budgets(tenant_day_usd=CENT), "day budget of this tenant"),
        (Budgets(tenant_month_usd=CENT), "month budget of this tenant"),
    ],
)
async def test_a_refused_call_reserves_nothing_and_says_which_budget(
    record: Record, budgets: Budgets, whose: str
) -> None:
    await record.stored()
    today = days(4 + len(whose))  # the four cases share no month
    for amount in (CENT * 2, CENT):
        if amount == CENT:
            await opened(record, CENT, budgets, today)
        with pytest.raises(BudgetSpent, match=whose):
            await opened(record, amount, budgets, today)
    mine = (await standing(record, today, budgets))[False, "day"]
    assert mine.reserved_usd == CENT


async def test_a_tenants_own_budget_replaces_that_of_the_settings(record: Record) -> None:
    await record.stored()
    today, budgets = days(60), Budgets(tenant_day_usd=CENT)
    own = text("UPDATE tenants SET budget_day_usd = 1 WHERE id = :tenant").bindparams(tenant=record.tenant)
    assert await record.run(own) == 1
    await opened(record, CENT * 5, budgets, today)
    assert (await standing(record, today, budgets))[False, "day"].limit_usd == 1


async def test_the_next_day_has_its_own_budget_and_the_month_goes_on(record: Record) -> None:
    await record.stored()
    budgets = Budgets(tenant_day_usd=CENT, tenant_month_usd=CENT * 2)
    first = date(2031, 3, 30)
    for day in (first, first + timedelta(days=1)):
        await opened(record, CENT, budgets, day)
        with pytest.raises(BudgetSpent):
            await opened(record, CENT, budgets, day)
    await opened(record, CENT, budgets, date(2031, 4, 1))


async def test_a_call_whose_worker_vanished_is_booked_at_all_it_can_have_cost(record: Record) -> None:
    await record.stored()
    today = days(61)
    call = await opened(record, CENT, UNLIMITED, today)
    async with record.database.transaction() as connection:
        assert not await costs.close_lost(connection, UNLIMITED, older_than=timedelta(minutes=5))
    more = True  # those that other tests left open among them
    while more:
        async with record.database.transaction() as connection:
            more = await costs.close_lost(connection, UNLIMITED, older_than=timedelta(0))
    (row,) = await record.run(text("SELECT * FROM model_calls WHERE id = :id").bindparams(id=call.id))
    assert (row["outcome"], row["cost_usd"], row["estimated"]) == ("lost", CENT, True)
    assert (await standing(record, today))[False, "day"].reserved_usd == 0


async def test_the_account_sums_by_day_tenant_and_model_and_counts_what_has_no_price(record: Record) -> None:
    await record.stored()
    today = days(62)
    report_id = await record.report()
    for cost in (CENT, CENT, None):
        await closed(record, await opened(record, CENT, UNLIMITED, today, report_id), cost)
    async with record.database.transaction() as connection:
        account = await costs.account(connection, since=today, limit=9, tenant_id=record.tenant)
    (line,) = account.lines
    assert (account.calls, account.cost_usd) == (3, CENT * 2)
    assert (line.model, line.calls, line.reports, line.cost_usd) == ("m-1", 3, 1, CENT * 2)
    assert (line.input_tokens, line.output_tokens, line.unpriced_calls) == (30, 9, 1)


async def test_the_account_counts_a_report_once_for_each_model_and_no_call_that_is_still_open(record: Record) -> None:
    await record.stored()
    today = days(64)
    first, second = await record.report(), await record.report(version=2)
    for report_id in (first, first, second):
        await closed(record, await opened(record, CENT, UNLIMITED, today, report_id), CENT)
    call = await opened(record, CENT, UNLIMITED, today, first)
    served = costs.CallEnded("answered", served_model="m-2", cost_usd=CENT, usage=Usage(estimated=True))
    async with record.database.transaction() as connection:
        for _ in range(2):  # closed once, however often it is tried
            await costs.close_call(connection, call, served, UNLIMITED)
    await opened(record, CENT, UNLIMITED, today, second)
    async with record.database.transaction() as connection:
        account = await costs.account(connection, since=today, limit=9, tenant_id=record.tenant)
        dearest = await costs.account(connection, since=today, limit=1, tenant_id=record.tenant)
        nothing = await costs.account(connection, since=days(65), limit=9, tenant_id=record.tenant)
    lines = account.lines
    counted = [(line.model, line.calls, line.reports, line.cost_usd, line.estimated_calls) for line in lines]
    assert (account.calls, account.cost_usd) == (4, CENT * 4)
    assert dearest == costs.Account(4, CENT * 4, lines[:1])
    assert nothing == costs.Account(0, Decimal(0), ())
    assert counted == [("m-1", 3, 2, CENT * 3, 0), ("m-2", 1, 1, CENT, 1)]


async def test_what_was_paid_stays_in_the_books_when_the_report_is_erased(record: Record) -> None:
    await record.stored()
    report_id = await record.report()
    call = await opened(record, CENT, UNLIMITED, days(63), report_id)
    await record.run(text("DELETE FROM reports WHERE id = :id").bindparams(id=report_id))
    (row,) = await record.run(text("SELECT report_id FROM model_calls WHERE id = :id").bindparams(id=call.id))
    assert row["report_id"] is None
