"""Budgets: what may be spent in a day and a month, by everybody and by one tenant, and what is done near the end.

share spent   what happens
50 %          told (log, metric): half is gone
80 %          told louder: act, or the reports of the rest of the period are basic ones
100 %         no call is made any more; reports are basic ones, or wait (AFTERBELL_BUDGET_SPENT)
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final, Literal

Period = Literal["day", "month"]
PERIODS: Final[tuple[Period, ...]] = ("day", "month")
EVERYBODY: Final = ""
"""The tenant id of the sum over all tenants."""
MARKS_PERCENT: Final = (50, 80, 100)


@dataclass(frozen=True, slots=True)
class Budgets:
    """US dollars, None = no limit. A tenant's own limits, where it has some, replace ``tenant_*``."""

    day_usd: Decimal | None = None
    month_usd: Decimal | None = None
    tenant_day_usd: Decimal | None = None
    tenant_month_usd: Decimal | None = None

    @property
    def any_set(self) -> bool:
        """Whether there is a limit at all."""
        limits = (self.day_usd, self.month_usd, self.tenant_day_usd, self.tenant_month_usd)
        return any(limit is not None for limit in limits)


@dataclass(frozen=True, slots=True)
class BudgetState:
    """What a budget holds. ``tenant_id`` EVERYBODY is the sum over all tenants."""

    tenant_id: str
    period: Period
    starts_on: date
    spent_usd: Decimal
    reserved_usd: Decimal
    limit_usd: Decimal | None

    @property
    def whose(self) -> str:
        """The budget in words."""
        return f"{self.period} budget of " + ("all tenants" if self.tenant_id == EVERYBODY else "this tenant")


def first_day(period: Period, today: date) -> date:
    """The UTC day on which the period that holds ``today`` began."""
    return today if period == "day" else today.replace(day=1)


def marks_passed(budget: BudgetState, cost_usd: Decimal) -> tuple[int, ...]:
    """The marks that a cost just booked took ``standing`` past: each is passed once, whoever looks."""
    limit, spent = budget.limit_usd, budget.spent_usd
    if not limit:
        return ()
    before = spent - cost_usd
    return tuple(mark for mark in MARKS_PERCENT if before < limit * mark / 100 <= spent)
