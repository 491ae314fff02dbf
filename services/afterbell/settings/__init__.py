"""Every setting, in groups; each process composes the groups it needs. Read once, in ``main``; frozen afterwards.

The aliases are the environment's names. ``docs/reference/settings.md`` lists them and a test compares the two.
"""

import socket
import uuid
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import NoDecode

from afterbell.core.addresses import networks_of
from afterbell.core.errors import SettingsError
from afterbell.core.session import BODY_BYTES_MAX
from afterbell.settings.admin import AdminSettings
from afterbell.settings.group import SettingsGroup
from afterbell.settings.model import ModelSettings, MoneySettings, ProviderSettings
from afterbell.settings.realtime import RealtimeSettings
from afterbell.settings.telemetry import TelemetrySettings

__all__ = [
    "DEVELOPMENT_SECRET",
    "AdminSettings",
    "ApiSettings",
    "AuthSettings",
    "ModelSettings",
    "MoneySettings",
    "OperatorSettings",
    "ProcessSettings",
    "ProviderSettings",
    "QueueSettings",
    "RealtimeSettings",
    "RetentionSettings",
    "StoreSettings",
    "TelemetrySettings",
    "WebhookSettings",
    "WorkerSettings",
    "read",
    "required",
]

DEVELOPMENT_SECRET: Final = "afterbell-development-secret-not-for-production"  # noqa: S105  # public on purpose
SECRET_BYTES_MIN: Final = 32

Group = TypeVar("Group", bound=SettingsGroup)


class ProcessSettings(SettingsGroup):
    """What every process has."""

    app_env: Literal["development", "production"] = Field(
        "development",
        alias="APP_ENV",
        description="production refuses development secrets and listens on every interface",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", alias="AFTERBELL_LOG_LEVEL", description="least level that is logged"
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", alias="AFTERBELL_LOG_FORMAT", description="auto = json in production, text in development"
    )
    host: str | None = Field(
        None,
        alias="AFTERBELL_HOST",
        description="address both ports listen on; 127.0.0.1 in development, 0.0.0.0 in production",
    )
    internal_port: int = Field(
        9000,
        ge=0,
        le=65535,
        alias="AFTERBELL_INTERNAL_PORT",
        description="port of /livez, /readyz and /metrics; never in the Ingress",
    )

    @property
    def production(self) -> bool:
        """True where safe defaults must hold."""
        return self.app_env == "production"

    @property
    def bind(self) -> str:
        """The address to listen on: loopback unless told otherwise or in production."""
        return self.host or ("0.0.0.0" if self.production else "127.0.0.1")  # noqa: S104  # a pod must be reached

    @property
    def log_style(self) -> Literal["json", "text"]:
        """How log lines look."""
        if self.log_format == "auto":
            return "json" if self.production else "text"
        return self.log_format


class StoreSettings(SettingsGroup):
    """Where the record and the queue are. Empty in development: private engines are started."""

    redis_url: SecretStr | None = Field(
        None,
        alias="REDIS_URL",
        description="redis://, rediss:// or unix:// of the queue; empty: a private Valkey in development",
    )
    database_url: SecretStr | None = Field(
        None,
        alias="DATABASE_URL",
        description="postgresql:// of the record; empty: a private PostgreSQL in development",
    )
    database_pool: int = Field(
        10,
        ge=1,
        le=100,
        alias="AFTERBELL_DATABASE_POOL",
        description="connections to PostgreSQL a process opens at the most",
    )
    data_dir: Path = Field(Path(".afterbell"), alias="AFTERBELL_DATA_DIR", description="folder of the private engines")


class QueueSettings(SettingsGroup):
    """What every process agrees on about the queue."""

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
        description="a job whose worker is silent for this long is started again elsewhere",
    )
    starts_max: int = Field(
        10,
        ge=0,
        alias="AFTERBELL_STARTS_PER_WINDOW",
        description="report starts in any window, retries included, over all workers; 0 = no limit",
    )
    window_s: float = Field(
        60, gt=0, alias="AFTERBELL_STARTS_WINDOW_SECONDS", description="length of the limiter's window"
    )
    deliveries_max: int = Field(
        3,
        ge=1,
        alias="AFTERBELL_DELIVERIES_MAX",
        description="a job whose workers vanished this often is a dead letter",
    )
    retry_ladder_s: Annotated[tuple[Annotated[float, Field(ge=0)], ...], NoDecode] = Field(
        (2, 4, 8), alias="AFTERBELL_RETRY_LADDER", description="seconds to wait after the first, second, … failed try"
    )

    commands_per_day: int | None = Field(
        None,
        ge=100,
        alias="AFTERBELL_REDIS_COMMANDS_PER_DAY",
        description="what a hosted Redis allows; near it workers send less and look less often; empty: no limit",
    )

    @field_validator("retry_ladder_s", mode="before")
    @classmethod
    def _numbers(cls, value: object) -> object:
        return tuple(float(part) for part in value.split(",") if part.strip()) if isinstance(value, str) else value


class AuthSettings(SettingsGroup):
    """Who may come in."""

    jwt_secret: SecretStr = Field(
        SecretStr(DEVELOPMENT_SECRET),
        alias="AFTERBELL_JWT_SECRET",
        description="HS256 secret of the tokens, at least 32 bytes; production refuses the development secret",
    )
    jwt_audience: str | None = Field(
        None, alias="AFTERBELL_JWT_AUDIENCE", description="`aud` a token must carry, where set"
    )
    jwks_url: str | None = Field(
        None,
        alias="AFTERBELL_JWKS_URL",
        pattern=r"^https?://\S+$",
        description="where the platform publishes its public keys (JWKS); tokens must then be signed with one of them, "
        "and AFTERBELL_JWT_SECRET is not used; https in production",
    )
    jwt_issuer: str | None = Field(
        None, alias="AFTERBELL_JWT_ISSUER", description="`iss` a token must carry, where set; with AFTERBELL_JWKS_URL"
    )


class WebhookSettings(SettingsGroup):
    """How events are sent to the platforms that asked for them."""

    webhook_allow: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        alias="AFTERBELL_WEBHOOK_ALLOW",
        description="networks of your own that webhooks may be sent to, also by http and to any port: "
        "`10.1.0.0/16,127.0.0.1`",
    )
    webhook_timeout_s: float = Field(
        15, gt=0, le=30, alias="AFTERBELL_WEBHOOK_TIMEOUT_SECONDS", description="longest time one delivery may take"
    )

    @field_validator("webhook_allow", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        texts = value.split(",") if isinstance(value, str) else value
        if isinstance(texts, list | tuple):
            return tuple(str(network) for network in networks_of([str(text) for text in texts]))
        return texts


class ApiSettings(
    ProcessSettings,
    StoreSettings,
    QueueSettings,
    AuthSettings,
    AdminSettings,
    RealtimeSettings,
    WebhookSettings,
    ProviderSettings,
    MoneySettings,
    TelemetrySettings,
):
    """The api process."""

    port: int = Field(5000, ge=0, le=65535, alias="PORT", description="port of the REST API")
    classroom: bool | None = Field(
        None,
        alias="AFTERBELL_CLASSROOM",
        description="the classroom page at `/`; empty: served in development, not in production",
    )
    body_bytes_max: int = Field(
        BODY_BYTES_MAX, ge=1024, alias="AFTERBELL_BODY_BYTES_MAX", description="largest request body"
    )
    sweep_s: float = Field(
        30,
        gt=0,
        alias="AFTERBELL_SWEEP_SECONDS",
        description="how often reports the queue may have lost are looked for",
    )
    unput_s: float = Field(
        10,
        ge=0,
        alias="AFTERBELL_SWEEP_UNPUT_SECONDS",
        description="a report that was not put into the queue for this long is put by the sweeper",
    )
    reput_s: float = Field(
        120,
        ge=0,
        alias="AFTERBELL_SWEEP_REPUT_SECONDS",
        description="a report that waits for this long since it was put is put again, should the queue have lost it",
    )
    silent_s: float = Field(
        300,
        ge=0,
        alias="AFTERBELL_SWEEP_SILENT_SECONDS",
        description="a running report without progress for this long is put again; longer than a model call is silent",
    )
    upgrade_s: float = Field(
        900,
        ge=0,
        alias="AFTERBELL_UPGRADE_SECONDS",
        description="a basic report written because no model could be had is asked for anew after this long; 0 = never",
    )
    slots_hint: int = Field(
        5,
        ge=1,
        alias="AFTERBELL_WORKER_CONCURRENCY",
        description="jobs a worker runs at once; the API estimates waiting times with it",
    )

    @property
    def serves_classroom(self) -> bool:
        """Whether the classroom page is at ``/``."""
        return not self.production if self.classroom is None else self.classroom

    @property
    def admin_key(self) -> str | None:
        """The secret of the admin API's tokens, None where there is no admin API."""
        if self.admin_secret is not None:
            return self.admin_secret.get_secret_value()
        return None if self.production else DEVELOPMENT_SECRET

    @model_validator(mode="after")
    def _safe_in_production(self) -> Self:
        if self.jwks_url is not None:
            if self.production and not self.jwks_url.startswith("https://"):
                raise ValueError("AFTERBELL_JWKS_URL must begin with https:// in production")
            return self
        if self.production and self.jwt_secret.get_secret_value() == DEVELOPMENT_SECRET:
            raise ValueError("AFTERBELL_JWT_SECRET is the development secret; set one of your own in production")
        if len(self.jwt_secret.get_secret_value().encode()) < SECRET_BYTES_MIN:
            raise ValueError(
                f"AFTERBELL_JWT_SECRET is shorter than {SECRET_BYTES_MIN} bytes; HS256 needs that much (RFC 7518)"
            )
        return self


class WorkerSettings(
    ProcessSettings, StoreSettings, QueueSettings, ModelSettings, ProviderSettings, MoneySettings, TelemetrySettings
):
    """The worker process."""

    concurrency: int = Field(
        5, ge=1, le=100, alias="AFTERBELL_WORKER_CONCURRENCY", description="jobs a worker runs at once"
    )
    worker_name: str = Field(
        "",
        alias="AFTERBELL_WORKER_NAME",
        description="name of this worker in the queue; empty: host name and a random part",
    )
    drain_s: float = Field(
        200,
        gt=0,
        alias="AFTERBELL_DRAIN_SECONDS",
        description="time running jobs have to finish after SIGTERM; keep it below the pod's grace period",
    )
    safety_tick_s: float = Field(
        300,
        ge=1,
        alias="AFTERBELL_SAFETY_TICK_SECONDS",
        description="an idle worker looks at the queue this often even when nothing woke it",
    )

    @property
    def name(self) -> str:
        """This worker's name, unique a process so that a restarted pod is never taken for its predecessor."""
        return self.worker_name or f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"


class RetentionSettings(StoreSettings):
    """How long what is kept. The retention job deletes what is older."""

    keep_transcript_days: float = Field(
        90, gt=0, alias="AFTERBELL_KEEP_TRANSCRIPT_DAYS", description="what was said, after a session's last change"
    )
    keep_report_days: float = Field(
        365,
        gt=0,
        alias="AFTERBELL_KEEP_REPORT_DAYS",
        description="reports, and sessions with the names of who took part",
    )
    keep_attempt_days: float = Field(
        30, gt=0, alias="AFTERBELL_KEEP_ATTEMPT_DAYS", description="how each try of a report went"
    )
    keep_delivery_days: float = Field(
        30, gt=0, alias="AFTERBELL_KEEP_DELIVERY_DAYS", description="webhook messages that were delivered or given up"
    )
    keep_audit_days: float = Field(730, gt=0, alias="AFTERBELL_KEEP_AUDIT_DAYS", description="the audit log")


class OperatorSettings(ProcessSettings, StoreSettings):
    """The operator process. Queues and numbers are in its Pools."""

    watch_namespace: str = Field(
        "",
        alias="AFTERBELL_WATCH_NAMESPACE",
        description="namespace whose Pools it looks after; empty: all",
    )
    lease_namespace: str = Field(
        "default", alias="AFTERBELL_LEASE_NAMESPACE", description="namespace of the Lease that elects one operator"
    )
    lease_name: str = Field("afterbell-operator", alias="AFTERBELL_LEASE_NAME", description="name of that Lease")
    tick_s: float = Field(
        120,
        ge=1,
        le=140,
        alias="AFTERBELL_OPERATOR_TICK_SECONDS",
        description="the operator looks at a queue this often even when the queue told nothing",
    )

    live_redis_url: SecretStr | None = Field(
        None,
        alias="AFTERBELL_LIVE_REDIS_URL",
        description="Redis on which the api processes talk, where not REDIS_URL: Pools of sockets hear them there",
    )

    @cached_property
    def identity(self) -> str:
        """This process's name in the Lease, unique so that a restarted pod is never taken for its predecessor."""
        return f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"


def read(group: type[Group], **given: object) -> Group:
    """The group from the environment; ``given`` wins. Raises SettingsError naming the variable, never its value."""
    try:
        return group(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        name = str(problem["loc"][0]) if problem["loc"] else ""
        message = problem["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{name}: {message}" if name else message, field=name or None) from None


def required(value: SecretStr | None, name: str) -> str:
    """A URL that must be there. Raises SettingsError naming the variable."""
    if value is None:
        raise SettingsError(f"{name} is not set: give it a URL, or use `afterbell dev` for private engines", field=name)
    return value.get_secret_value()
