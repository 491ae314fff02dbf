"""What may hold work back, as it stands: what is allowed beside what has been used. Read when somebody asks."""

from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final

from afterbell.adapters.breaker.breaker import Breaker
from afterbell.adapters.db import costs
from afterbell.adapters.db.database import Database
from afterbell.adapters.queue.redis_queue import Queue
from afterbell.core.money.budgets import EVERYBODY, Budgets
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
    return Limits(
        settings.budgets,
        settings.model_requests_per_minute,
        settings.model_tokens_per_minute,
        settings.model_in_flight,
    )


async def standing_limits(
    database: Database, queue: Queue, breaker: Breaker, limits: Limits, *, today: date
) -> dict[str, Any]:
    """Limiter, hold, breakers, quotas, budgets and Redis commands. Raises StoreUnavailable."""
    async with database.statement() as connection:
        held = await costs.standings(connection, limits.budgets, today=today, limit=TENANTS_MAX)
        models = await costs.models_called(connection, since=today) if limits.has_quota else []
    now, facts = await queue.standing(), await queue.stats()
    limiter = {
        "starts_max": now.starts_max,
        "window_s": queue.rules.window_s,
        "starts_in_window": now.starts_in_window,
        "opens_in_ms": now.opens_in_ms,
    }
    return {
        "limiter": limiter,
        "held_ms": now.held_ms,
        "breakers": [{"model": model.name, "trips": model.trips, "wait_ms": model.wait_ms} for model in now.models],
        "quotas": await _quotas(breaker, limits, models),
        "budgets": [
            asdict(budget) | {"tenant_id": None if budget.tenant_id == EVERYBODY else budget.tenant_id}
            for budget in held
        ],
        "commands": {"today": facts.commands_today, "per_day": queue.rules.commands_per_day},
    }


async def _quotas(breaker: Breaker, limits: Limits, models: list[str]) -> dict[str, Any]:
    used = [{"model": model, **asdict(await breaker.usage(model))} for model in models]
    return {
        "requests_per_minute": limits.requests_per_minute or None,
        "tokens_per_minute": limits.tokens_per_minute or None,
        "in_flight": limits.in_flight or None,
        "used": used,
    }
