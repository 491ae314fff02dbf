"""Settings of the models: which, how hard they are asked, what they may cost."""

from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from afterbell.settings.group import SettingsGroup


class ModelSettings(SettingsGroup):
    """The model provider."""

    api_key: SecretStr | None = Field(
        None, alias="OPENAI_API_KEY", description="key of the provider; empty: the bundled stub in development"
    )
    base_url: str | None = Field(
        None, alias="OPENAI_BASE_URL", description="any OpenAI-compatible server; empty: OpenAI"
    )
    model: str = Field("gpt-6-luna", alias="AFTERBELL_MODEL", description="model that writes the reports")
    attempt_timeout_s: float = Field(
        180, gt=0, alias="AFTERBELL_ATTEMPT_TIMEOUT_SECONDS", description="longest time one model call may take"
    )
    output_tokens_max: int = Field(
        4000, ge=256, alias="AFTERBELL_OUTPUT_TOKENS_MAX", description="most tokens one report may cost on the way out"
    )
    window_tokens: int = Field(
        128_000,
        ge=8_000,
        alias="AFTERBELL_MODEL_WINDOW_TOKENS",
        description="tokens the model reads and writes in one call; longer sessions are written in parts",
    )
    llm_api: Literal["responses", "chat"] = Field(
        "responses",
        alias="AFTERBELL_LLM_API",
        description="which API the server speaks: OpenAI's Responses, or chat completions",
    )
    fallback_model: str | None = Field(
        None,
        alias="AFTERBELL_FALLBACK_MODEL",
        description="model to ask while the first one cannot be had; empty: none",
    )
    fallback_base_url: str | None = Field(
        None,
        alias="AFTERBELL_FALLBACK_BASE_URL",
        description="server of the fallback model; empty: that of the first",
    )
    fallback_api_key: SecretStr | None = Field(
        None, alias="AFTERBELL_FALLBACK_API_KEY", description="key for the fallback model; empty: that of the first"
    )
    fallback_llm_api: Literal["responses", "chat"] | None = Field(
        None, alias="AFTERBELL_FALLBACK_LLM_API", description="API of the fallback model; empty: that of the first"
    )
    when_model_fails: Literal["basic", "fail"] = Field(
        "basic",
        alias="AFTERBELL_WHEN_MODEL_FAILS",
        description="what a report becomes that no model writes: a basic one, labelled so, or a failed one",
    )


class ProviderSettings(SettingsGroup):
    """What is spared the model provider, agreed on by all workers through Redis."""

    breaker_failures: int = Field(
        5,
        ge=1,
        alias="AFTERBELL_BREAKER_FAILURES",
        description="failed calls in the window, at least half of all, after which a model is taken for away",
    )
    breaker_window_s: float = Field(
        60, gt=0, alias="AFTERBELL_BREAKER_WINDOW_SECONDS", description="window in which failed calls are counted"
    )
    breaker_open_s: float = Field(
        30,
        gt=0,
        alias="AFTERBELL_BREAKER_OPEN_SECONDS",
        description="how long a model that is away is not called; doubles with each call that finds it still away",
    )
    breaker_open_max_s: float = Field(
        600, gt=0, alias="AFTERBELL_BREAKER_OPEN_MAX_SECONDS", description="longest time between two such calls"
    )
    model_requests_per_minute: int = Field(
        0,
        ge=0,
        alias="AFTERBELL_MODEL_REQUESTS_PER_MINUTE",
        description="calls of one model in any minute, over all workers; 0 = no limit; costs 2 Redis commands a call",
    )
    model_tokens_per_minute: int = Field(
        0,
        ge=0,
        alias="AFTERBELL_MODEL_TOKENS_PER_MINUTE",
        description="tokens of one model in any minute, reserved before a call and corrected after it; 0 = no limit",
    )
    model_in_flight: int = Field(
        0,
        ge=0,
        alias="AFTERBELL_MODEL_IN_FLIGHT",
        description="calls of one model at the same time, over all workers; 0 = no limit",
    )


class MoneySettings(SettingsGroup):
    """What model calls cost and may cost, in US dollars. Days and months are UTC."""

    prices: Path | None = Field(
        None, alias="AFTERBELL_PRICES", description="price list of your own, as prices.json; empty: the packaged one"
    )
    unknown_price: Literal["warn", "block"] = Field(
        "warn",
        alias="AFTERBELL_UNKNOWN_PRICE",
        description="a model the price list does not know: warn = called, its cost is unknown; block = not called",
    )
    budget_day_usd: Decimal | None = Field(
        None, ge=0, alias="AFTERBELL_BUDGET_DAY_USD", description="most that all tenants spend a day; empty: no limit"
    )
    budget_month_usd: Decimal | None = Field(
        None, ge=0, alias="AFTERBELL_BUDGET_MONTH_USD", description="most that all tenants spend a month"
    )
    tenant_budget_day_usd: Decimal | None = Field(
        None, ge=0, alias="AFTERBELL_TENANT_BUDGET_DAY_USD", description="most that one tenant spends a day"
    )
    tenant_budget_month_usd: Decimal | None = Field(
        None, ge=0, alias="AFTERBELL_TENANT_BUDGET_MONTH_USD", description="most that one tenant spends a month"
    )
    budget_spent: Literal["basic", "wait"] = Field(
        "basic",
        alias="AFTERBELL_BUDGET_SPENT",
        description="reports when a budget is spent: basic ones at once, or they wait for the next period",
    )
