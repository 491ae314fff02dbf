"""Settings of the models: which, how hard they are asked, what they may cost."""

from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from afterbell.core.money.budgets import Budgets
from afterbell.settings.group import SettingsGroup

ProfileName = Literal["openai", "azure", "openrouter", "mistral", "gemini", "vllm", "llamacpp", "ollama", "custom"]


class ModelSettings(SettingsGroup):
    """The model provider."""

    api_key: SecretStr | None = Field(
        None,
        alias="OPENAI_API_KEY",
        description="API key of the model provider; empty uses the bundled stub in development",
    )
    base_url: str | None = Field(
        None, alias="OPENAI_BASE_URL", description="URL of any OpenAI-compatible server; empty = OpenAI"
    )
    model: str = Field("gpt-6-luna", alias="AFTERBELL_MODEL", description="model that writes the reports")
    attempt_timeout_s: float = Field(
        180, gt=0, alias="AFTERBELL_ATTEMPT_TIMEOUT_SECONDS", description="timeout of one model call"
    )
    output_tokens_max: int = Field(
        4000, ge=256, alias="AFTERBELL_OUTPUT_TOKENS_MAX", description="maximum output tokens per model call"
    )
    window_tokens: int = Field(
        128_000,
        ge=8_000,
        alias="AFTERBELL_MODEL_WINDOW_TOKENS",
        description="context window of the model, input and output together; longer sessions are written in parts",
    )
    llm_api: Literal["responses", "chat"] = Field(
        "responses",
        alias="AFTERBELL_LLM_API",
        description="API the server speaks: OpenAI Responses or chat completions",
    )
    profile: ProfileName = Field(
        "openai",
        alias="AFTERBELL_MODEL_PROFILE",
        description="kind of server, which decides the parameters that are sent; `afterbell model check` tries it",
    )
    structured_output: Literal["json_schema", "json_object"] | None = Field(
        None,
        alias="AFTERBELL_MODEL_STRUCTURED_OUTPUT",
        description="what the server must keep its answer to: the schema, or any JSON object; empty = the profile's",
    )
    temperature: float | None = Field(
        None, ge=0, le=2, alias="AFTERBELL_MODEL_TEMPERATURE", description="temperature; empty = the server's default"
    )
    reasoning_effort: str | None = Field(
        None,
        pattern="^[a-z]+$",
        alias="AFTERBELL_MODEL_REASONING_EFFORT",
        description="reasoning effort, such as low; empty = the server's default",
    )
    fallback_model: str | None = Field(
        None,
        alias="AFTERBELL_FALLBACK_MODEL",
        description="fallback model while the primary is unavailable; empty = none",
    )
    fallback_base_url: str | None = Field(
        None,
        alias="AFTERBELL_FALLBACK_BASE_URL",
        description="server of the fallback model; empty = the primary's",
    )
    fallback_api_key: SecretStr | None = Field(
        None, alias="AFTERBELL_FALLBACK_API_KEY", description="API key for the fallback model; empty = the primary's"
    )
    fallback_llm_api: Literal["responses", "chat"] | None = Field(
        None, alias="AFTERBELL_FALLBACK_LLM_API", description="API of the fallback model; empty = the primary's"
    )
    patience_s: float = Field(
        900,
        ge=0,
        alias="AFTERBELL_MODEL_PATIENCE_SECONDS",
        description="how long a report may wait, from its first attempt on, while models ask it to wait; then "
        "AFTERBELL_WHEN_MODEL_FAILS decides",
    )
    fallback_profile: ProfileName | None = Field(
        None, alias="AFTERBELL_FALLBACK_PROFILE", description="profile of the fallback model; empty = the primary's"
    )
    when_model_fails: Literal["basic", "fail"] = Field(
        "basic",
        alias="AFTERBELL_WHEN_MODEL_FAILS",
        description="what to do when every model has failed: write a basic report, labelled as such, or fail",
    )


class ProviderSettings(SettingsGroup):
    """Circuit breaker and quotas of model calls, shared by all workers through Redis."""

    breaker_failures: int = Field(
        5,
        ge=1,
        alias="AFTERBELL_BREAKER_FAILURES",
        description="failures within the window (and at least half of all calls) that open a model's circuit breaker",
    )
    breaker_window_s: float = Field(
        60, gt=0, alias="AFTERBELL_BREAKER_WINDOW_SECONDS", description="window in which the breaker counts failures"
    )
    breaker_open_s: float = Field(
        30,
        gt=0,
        alias="AFTERBELL_BREAKER_OPEN_SECONDS",
        description="how long the breaker stays open before it lets a trial call through; doubles with "
        "each failed trial",
    )
    breaker_open_max_s: float = Field(
        600, gt=0, alias="AFTERBELL_BREAKER_OPEN_MAX_SECONDS", description="maximum time between two trial calls"
    )
    model_requests_per_minute: int = Field(
        0,
        ge=0,
        alias="AFTERBELL_MODEL_REQUESTS_PER_MINUTE",
        description="calls per minute and model across all workers; 0 = no limit; costs 2 Redis commands per call",
    )
    model_tokens_per_minute: int = Field(
        0,
        ge=0,
        alias="AFTERBELL_MODEL_TOKENS_PER_MINUTE",
        description="tokens per minute and model, reserved before a call and corrected after it; 0 = no limit",
    )
    model_in_flight: int = Field(
        0,
        ge=0,
        alias="AFTERBELL_MODEL_IN_FLIGHT",
        description="concurrent calls per model across all workers; 0 = no limit",
    )


class MoneySettings(SettingsGroup):
    """Prices and budgets of model calls, in US dollars. Days and months are UTC."""

    prices: Path | None = Field(
        None,
        alias="AFTERBELL_PRICES",
        description="path of your own price list in the format of prices.json; empty = the bundled list",
    )
    unknown_price: Literal["warn", "block"] = Field(
        "warn",
        alias="AFTERBELL_UNKNOWN_PRICE",
        description="a model without a price: warn = call it, cost unknown; block = do not call it",
    )
    budget_day_usd: Decimal | None = Field(
        None,
        ge=0,
        alias="AFTERBELL_BUDGET_DAY_USD",
        description="daily budget of all tenants together; empty = no limit",
    )
    budget_month_usd: Decimal | None = Field(
        None,
        ge=0,
        alias="AFTERBELL_BUDGET_MONTH_USD",
        description="monthly budget of all tenants together; empty = no limit",
    )
    tenant_budget_day_usd: Decimal | None = Field(
        None, ge=0, alias="AFTERBELL_TENANT_BUDGET_DAY_USD", description="daily budget of each tenant; empty = no limit"
    )
    tenant_budget_month_usd: Decimal | None = Field(
        None,
        ge=0,
        alias="AFTERBELL_TENANT_BUDGET_MONTH_USD",
        description="monthly budget of each tenant; empty = no limit",
    )
    budget_spent: Literal["basic", "wait"] = Field(
        "basic",
        alias="AFTERBELL_BUDGET_SPENT",
        description="what happens to reports once a budget is spent: basic = they are written without a model; wait "
        "= they wait until the next period",
    )

    @property
    def budgets(self) -> Budgets:
        """The four limits together."""
        return Budgets(
            self.budget_day_usd, self.budget_month_usd, self.tenant_budget_day_usd, self.tenant_budget_month_usd
        )
