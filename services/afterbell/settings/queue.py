"""Settings of the queue, the same for every process."""

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from afterbell.settings.group import SettingsGroup


class QueueSettings(SettingsGroup):
    """The queue. Every process needs the same values."""

    queue: str = Field(
        "reports",
        alias="AFTERBELL_QUEUE",
        pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$",
        description="name of the queue in Redis",
    )
    lease_s: float = Field(
        10,
        ge=1,
        le=600,
        alias="AFTERBELL_LEASE_SECONDS",
        description="a job is restarted elsewhere when its worker has been silent for this long",
    )
    starts_max: int = Field(
        10,
        ge=0,
        alias="AFTERBELL_STARTS_PER_WINDOW",
        description="maximum report starts per window across all workers, retries included; 0 = no limit",
    )
    window_s: float = Field(
        60, gt=0, alias="AFTERBELL_STARTS_WINDOW_SECONDS", description="length of the rate limiter's window"
    )
    deliveries_max: int = Field(
        3,
        ge=1,
        alias="AFTERBELL_DELIVERIES_MAX",
        description="a job becomes a dead letter after its worker has vanished this many times",
    )
    retry_backoff_s: Annotated[tuple[Annotated[float, Field(ge=0)], ...], NoDecode] = Field(
        (2, 4, 8),
        alias="AFTERBELL_RETRY_BACKOFF_SECONDS",
        description="seconds to wait after the first, second, … failed attempt",
    )

    commands_per_day: int | None = Field(
        None,
        ge=100,
        alias="AFTERBELL_REDIS_COMMANDS_PER_DAY",
        description="daily command quota of a hosted Redis; close to it, workers poll less often; empty = no limit",
    )

    @field_validator("retry_backoff_s", mode="before")
    @classmethod
    def _numbers(cls, value: object) -> object:
        return tuple(float(part) for part in value.split(",") if part.strip()) if isinstance(value, str) else value
