"""The books: every model call is opened with what it may cost at the most, and closed with what it did cost.

A call is opened before it is made, so nothing is spent that is not in the books, and ``reserve`` is one statement over
the four budgets a call counts in, so that any number of workers at once stay within them.
"""

import uuid
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final, cast
from uuid import UUID

from sqlalchemy import BigInteger, Date, Numeric, Text, bindparam, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from afterbell.adapters.db.tables import daily_costs, model_calls
from afterbell.core.errors import BudgetSpent
from afterbell.core.money.budgets import EVERYBODY, PERIODS, Budgets, BudgetState, Period, first_day
from afterbell.core.usage import Usage

_LIMITS: Final = """
    wanted (tenant_id, period, starts_on, limit_usd) AS (
        VALUES (CAST('' AS text), 'day', :day, CAST(:day_usd AS numeric)), ('', 'month', :month, :month_usd)
        UNION ALL SELECT CAST(:tenant_id AS text), 'day', :day, coalesce(max(budget_day_usd), :tenant_day_usd)
            FROM tenants WHERE id = :tenant_id
        UNION ALL SELECT :tenant_id, 'month', :month, coalesce(max(budget_month_usd), :tenant_month_usd)
            FROM tenants WHERE id = :tenant_id
    )"""
_TYPES: Final = (
    bindparam("tenant_id", type_=Text()),
    bindparam("day", type_=Date()),
    bindparam("month", type_=Date()),
    bindparam("day_usd", type_=Numeric()),
    bindparam("month_usd", type_=Numeric()),
    bindparam("tenant_day_usd", type_=Numeric()),
    bindparam("tenant_month_usd", type_=Numeric()),
)
# Rows come back for the budgets that have room; always taken in the same order, so two calls never wait for each other.
_RESERVE: Final = text(
    f"""WITH {_LIMITS}
    INSERT INTO budget_ledger AS held (tenant_id, period, starts_on, reserved_usd, spent_usd)
    SELECT tenant_id, period, starts_on, :amount, 0 FROM wanted
    WHERE :amount <= coalesce(limit_usd, 'Infinity') ORDER BY tenant_id, period
    ON CONFLICT (tenant_id, period, starts_on) DO UPDATE SET reserved_usd = held.reserved_usd + excluded.reserved_usd
    WHERE held.spent_usd + held.reserved_usd + excluded.reserved_usd <= coalesce(
        (SELECT limit_usd FROM wanted WHERE wanted.tenant_id = held.tenant_id AND wanted.period = held.period),
        'Infinity')
    RETURNING tenant_id, period"""  # noqa: S608  # no part of it comes from outside
).bindparams(*_TYPES, bindparam("amount", type_=Numeric()))
_SETTLE: Final = text(
    f"""WITH {_LIMITS},
    locked AS (
        SELECT held.tenant_id, held.period, held.starts_on, wanted.limit_usd FROM budget_ledger AS held
        JOIN wanted USING (tenant_id, period, starts_on) ORDER BY held.tenant_id, held.period FOR UPDATE OF held
    )
    UPDATE budget_ledger AS held
    SET reserved_usd = held.reserved_usd - :amount, spent_usd = held.spent_usd + :cost FROM locked
    WHERE (held.tenant_id, held.period, held.starts_on) = (locked.tenant_id, locked.period, locked.starts_on)
    RETURNING held.tenant_id, held.period, held.starts_on, held.spent_usd, held.reserved_usd, locked.limit_usd"""  # noqa: S608
).bindparams(*_TYPES, bindparam("amount", type_=Numeric()), bindparam("cost", type_=Numeric()))
_STANDINGS: Final = text(
    """SELECT * FROM (
        SELECT wanted.tenant_id, wanted.period, wanted.starts_on, wanted.limit_usd,
            coalesce(held.spent_usd, 0) AS spent_usd, coalesce(held.reserved_usd, 0) AS reserved_usd
        FROM (VALUES ('', 'day', :day, CAST(:day_usd AS numeric)), ('', 'month', :month, :month_usd))
            AS wanted (tenant_id, period, starts_on, limit_usd)
        LEFT JOIN budget_ledger AS held USING (tenant_id, period, starts_on) ORDER BY wanted.period) AS everybody
    UNION ALL SELECT * FROM (
        SELECT held.tenant_id, held.period, held.starts_on, CASE held.period
            WHEN 'day' THEN coalesce(budget_day_usd, :tenant_day_usd)
            ELSE coalesce(budget_month_usd, :tenant_month_usd) END, held.spent_usd, held.reserved_usd
        FROM budget_ledger AS held JOIN tenants ON tenants.id = held.tenant_id
        WHERE (held.period, held.starts_on) IN (('day', :day), ('month', :month))
        ORDER BY held.spent_usd DESC, held.tenant_id, held.period LIMIT :most) AS each"""
).bindparams(*_TYPES[1:], bindparam("most", type_=BigInteger()))


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call in the books that is not closed yet."""

    id: UUID
    tenant_id: str
    day: date
    reserved_usd: Decimal


@dataclass(frozen=True, slots=True)
class CallToOpen:
    """A call about to be made. ``reserve_usd`` is the most it can cost."""

    tenant_id: str
    report_id: UUID
    attempt: int
    model: str
    client_request_id: str
    reserve_usd: Decimal


@dataclass(frozen=True, slots=True)
class CallEnded:
    """What became of a call. ``cost_usd`` None where the price list does not know the model."""

    outcome: str
    served_model: str | None = None
    request_id: str | None = None
    usage: Usage | None = None
    cost_usd: Decimal | None = None
    price_version: str | None = None


@dataclass(frozen=True, slots=True)
class CostLine:
    """One line of an account: calls of a model for a tenant on a day, those that ended."""

    day: date
    tenant_id: str
    model: str
    calls: int
    reports: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal
    estimated_calls: int
    unpriced_calls: int


@dataclass(frozen=True, slots=True)
class Account:
    """What calls cost in all, and the dearest ``lines`` first."""

    calls: int
    cost_usd: Decimal
    lines: tuple[CostLine, ...]


async def open_call(connection: AsyncConnection, call: CallToOpen, budgets: Budgets, *, today: date) -> OpenCall:
    """Reserve and write down a call, in one transaction. ``today`` is a UTC day.

    Raises BudgetSpent, naming the budget, where there is no room; the transaction must then be left by that error.
    """
    given = _parameters(call.tenant_id, budgets, today)
    granted = {
        (row.tenant_id, row.period) for row in await connection.execute(_RESERVE, given | {"amount": call.reserve_usd})
    }
    for tenant_id in (EVERYBODY, call.tenant_id):
        for period in PERIODS:
            if (tenant_id, period) not in granted:
                whose = "all tenants" if tenant_id == EVERYBODY else "this tenant"
                raise BudgetSpent(f"the {period} budget of {whose} has no room for this call", period=period)
    opened = OpenCall(uuid.uuid4(), call.tenant_id, today, call.reserve_usd)
    await connection.execute(
        insert(model_calls).values(
            id=opened.id,
            tenant_id=call.tenant_id,
            report_id=call.report_id,
            attempt=call.attempt,
            day=today,
            model=call.model,
            client_request_id=call.client_request_id,
            reserved_usd=call.reserve_usd,
        )
    )
    return opened


async def close_call(
    connection: AsyncConnection, call: OpenCall, ended: CallEnded, budgets: Budgets
) -> list[BudgetState]:
    """Book what a call cost and free what was reserved for it; the standings after it, empty where it was closed."""
    usage = ended.usage or Usage()
    closing = (
        update(model_calls)
        .where(model_calls.c.id == call.id, model_calls.c.outcome.is_(None))
        .values(
            outcome=ended.outcome,
            ended_at=func.now(),
            served_model=ended.served_model,
            request_id=ended.request_id,
            input_tokens=usage.input_tokens,
            cached_tokens=usage.cached_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            output_tokens=usage.output_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            estimated=usage.estimated,
            cost_usd=ended.cost_usd,
            price_version=ended.price_version,
        )
    )
    if (await connection.execute(closing)).rowcount == 0:
        return []
    given = _parameters(call.tenant_id, budgets, call.day)
    given |= {"amount": call.reserved_usd, "cost": ended.cost_usd or Decimal(0)}
    return [_standing(row) for row in await connection.execute(_SETTLE, given)]


async def close_lost(connection: AsyncConnection, budgets: Budgets, *, older_than: timedelta) -> bool:
    """Close one call whose worker vanished, at all it can have cost: the provider has probably billed it.

    False where there is none. One in a transaction: two that each close several could wait for each other's sums.
    """
    lost = (
        select(model_calls)
        .where(model_calls.c.outcome.is_(None), model_calls.c.started_at < func.now() - older_than)
        .with_for_update(skip_locked=True)
        .limit(1)
    )
    row = (await connection.execute(lost)).one_or_none()
    if row is None:
        return False
    call = OpenCall(row.id, row.tenant_id, row.day, row.reserved_usd)
    ended = CallEnded("lost", usage=Usage(estimated=True), cost_usd=row.reserved_usd)
    await close_call(connection, call, ended, budgets)
    return True


async def standings(connection: AsyncConnection, budgets: Budgets, *, today: date, limit: int) -> list[BudgetState]:
    """The budgets of all tenants together, and those of the ``limit`` that spent most in their period."""
    rows = (await connection.execute(_STANDINGS, _parameters(EVERYBODY, budgets, today) | {"most": limit})).all()
    return [_standing(row) for row in rows]


async def models_called(connection: AsyncConnection, *, since: date) -> list[str]:
    """The models that were called since a day (UTC), by the names they are called by."""
    statement = select(model_calls.c.model).where(model_calls.c.day >= since).distinct().order_by(model_calls.c.model)
    return list((await connection.scalars(statement)).all())


async def account(connection: AsyncConnection, *, since: date, limit: int, tenant_id: str | None = None) -> Account:
    """What calls that ended cost since a day (UTC), and the ``limit`` dearest lines of it."""
    lines = daily_costs.c
    # Summed before the limit takes effect.
    everything = (func.sum(lines.calls).over().cast(BigInteger), func.sum(lines.cost_usd).over())
    statement = select(daily_costs, everything[0].label("all_calls"), everything[1].label("all_usd"))
    statement = statement.where(lines.day >= since).limit(limit)
    if tenant_id is not None:
        statement = statement.where(lines.tenant_id == tenant_id)
    statement = statement.order_by(lines.cost_usd.desc(), lines.day.desc(), lines.tenant_id, lines.model)
    rows = [dict(row) for row in (await connection.execute(statement)).mappings()]
    sums = [(row.pop("all_calls"), row.pop("all_usd")) for row in rows]
    calls, cost_usd = sums[0] if sums else (0, Decimal(0))
    return Account(calls, cost_usd, tuple(CostLine(**row) for row in rows))


def _parameters(tenant_id: str, budgets: Budgets, today: date) -> dict[str, Any]:
    return {
        "tenant_id": tenant_id,
        "day": first_day("day", today),
        "month": first_day("month", today),
        "day_usd": budgets.day_usd,
        "month_usd": budgets.month_usd,
        "tenant_day_usd": budgets.tenant_day_usd,
        "tenant_month_usd": budgets.tenant_month_usd,
    }


def _standing(row: Any) -> BudgetState:
    period = cast("Period", row.period)
    return BudgetState(row.tenant_id, period, row.starts_on, row.spent_usd, row.reserved_usd, row.limit_usd)
