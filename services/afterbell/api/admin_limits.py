"""What may hold work back, as it stands: what is allowed beside what has been used. Read when somebody asks."""

from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final

from afterbell.adapters.db import costs
from afterbell.adapters.db.engine import Database
from afterbell.adapters.redis.queue import Queue
from afterbell.core.spending import EVERYBODY, Budgets
from afterbell.settings import ApiSettings

TENANTS_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Limits:
    """What the settings allow; 0 requests, tokens or calls in flight mean no such quota."""

    budgets: Budgets
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    in_flight: int = 0

    @property
    def has_quota(self) -> bool:
        """Whether calls are counted at all."""
        return bool(self.requests_per_minute or self.tokens_per_minute or self.in_flight)


def limits_of(settings: ApiSettings) -> Limits:
    """As the settings state them; the workers have the same."""
    budgets = Budgets(
        settings.budget_day_usd,
        settings.budget_month_usd,
        settings.tenant_budget_day_usd,
        settings.tenant_budget_month_usd,
    )
    return Limits(
        budgets, settings.model_requests_per_minute, settings.model_tokens_per_minute, settings.model_in_flight
    )


async def standing_limits(database: Database, queue: Queue, limits: Limits, *, today: date) -> dict[str, Any]:
    """Limiter, hold, breakers, quotas, budgets and Redis commands. Raises StoreUnavailable."""
    async with database.statement() as connection:
        held = await costs.standings_now(connection, limits.budgets, today=today, limit=TENANTS_MAX)
        models = await costs.models_called(connection, since=today) if limits.has_quota else []
    now, facts = await queue.standing(), await queue.look()
    limiter = {"starts_max": now.starts_max, "window_s": queue.rules.window_s,
               "starts_in_window": now.starts_in_window, "opens_in_ms": now.opens_in_ms}  # fmt: skip
    return {
        "limiter": limiter,
        "held_ms": now.held_ms,
        "breakers": [{"model": one.name, "trips": one.trips, "wait_ms": one.wait_ms} for one in now.models],
        "quotas": await _quotas(queue, limits, models),
        "budgets": [asdict(one) | {"tenant_id": None if one.tenant_id == EVERYBODY else one.tenant_id} for one in held],
        "commands": {"today": facts.commands_today, "per_day": queue.rules.commands_per_day},
    }


async def _quotas(queue: Queue, limits: Limits, models: list[str]) -> dict[str, Any]:
    used = []
    for model in models:
        requests, tokens, in_flight = await queue.provider("usage", model)
        used.append({"model": model, "requests": requests, "tokens": tokens, "in_flight": in_flight})
    return {
        "requests_per_minute": limits.requests_per_minute or None,
        "tokens_per_minute": limits.tokens_per_minute or None,
        "in_flight": limits.in_flight or None,
        "used": used,
    }
