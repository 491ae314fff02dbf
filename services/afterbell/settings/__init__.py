"""Every setting, in groups; each process composes the groups it needs. Read once, in ``main``; frozen afterwards.

The aliases are the environment's names. ``docs/reference/settings.md`` lists them and a test compares the two.
"""

import os
import socket
import uuid
from functools import cached_property
from typing import Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, model_validator

from afterbell.core.errors import SettingsError
from afterbell.core.session import BODY_BYTES_MAX
from afterbell.settings.admin import AdminSettings
from afterbell.settings.auth import DEVELOPMENT_SECRET, AuthSettings, check_secrets
from afterbell.settings.environment import renamed, unknown
from afterbell.settings.group import SettingsGroup
from afterbell.settings.model_calls import ModelSettings, MoneySettings, ProviderSettings
from afterbell.settings.process import ProcessSettings
from afterbell.settings.queue import QueueSettings
from afterbell.settings.realtime import RealtimeSettings
from afterbell.settings.stores import StoreSettings
from afterbell.settings.telemetry import TelemetrySettings
from afterbell.settings.webhooks import WebhookSettings

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
    "unknown_names",
]


Group = TypeVar("Group", bound=SettingsGroup)


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
        description="serve the classroom page at `/`; empty = in development only",
    )
    body_bytes_max: int = Field(
        BODY_BYTES_MAX, ge=1024, alias="AFTERBELL_BODY_BYTES_MAX", description="maximum size of a request body"
    )
    connections_max: int = Field(
        10_000,
        ge=16,
        alias="AFTERBELL_CONNECTIONS_MAX",
        description="maximum connections to the public port, sockets included; further ones get 503. Fewer where the "
        "system gives the process fewer file descriptors",
    )
    connections_per_address: int = Field(
        0,
        ge=0,
        alias="AFTERBELL_CONNECTIONS_PER_ADDRESS",
        description="maximum connections from one address, which behind a proxy is the proxy's; 0 = half of "
        "AFTERBELL_CONNECTIONS_MAX",
    )
    sweep_s: float = Field(
        30,
        gt=0,
        alias="AFTERBELL_SWEEP_SECONDS",
        description="how often to look for reports that the queue lost or never received",
    )
    pending_s: float = Field(
        10,
        ge=0,
        alias="AFTERBELL_SWEEP_PENDING_SECONDS",
        description="enqueue a report that was committed this long ago and never reached the queue",
    )
    waiting_s: float = Field(
        120,
        ge=0,
        alias="AFTERBELL_SWEEP_WAITING_SECONDS",
        description="re-enqueue a report that is still waiting this long after it was enqueued, in case Redis lost it",
    )
    silent_s: float = Field(
        300,
        ge=0,
        alias="AFTERBELL_SWEEP_SILENT_SECONDS",
        description="re-enqueue a running report that has made no progress for this long; keep it longer "
        "than a model call",
    )
    upgrade_s: float = Field(
        900,
        ge=0,
        alias="AFTERBELL_UPGRADE_SECONDS",
        description="request a model report this long after a basic one was written because no model was "
        "available; 0 = never",
    )
    slots_hint: int = Field(
        5,
        ge=1,
        alias="AFTERBELL_WORKER_CONCURRENCY",
        description="jobs a worker runs at once; the API uses it to estimate waiting times",
    )

    @property
    def serves_classroom(self) -> bool:
        """Whether the classroom page is at ``/``."""
        return not self.production if self.classroom is None else self.classroom

    @property
    def jwt_keys(self) -> tuple[str, ...]:
        """The secrets of the tokens, the one that signs new ones first."""
        return _values(self.jwt_secret, self.jwt_secret_previous)

    @property
    def admin_keys(self) -> tuple[str, ...]:
        """The secrets of the admin API's tokens, the signing one first; none where there is no admin API."""
        if self.admin_secret is None and self.production:
            return ()
        return _values(self.admin_secret or SecretStr(DEVELOPMENT_SECRET), self.admin_secret_previous)

    @model_validator(mode="after")
    def _safe_in_production(self) -> Self:
        if self.jwks_url is not None and self.production:
            if not self.jwks_url.startswith("https://"):
                raise ValueError("AFTERBELL_JWKS_URL must begin with https:// in production")
            if self.jwt_audience is None:
                raise ValueError(
                    "AFTERBELL_JWT_AUDIENCE is not set: the keys of AFTERBELL_JWKS_URL may sign tokens for other "
                    "services; set it to the `aud` of ours, or to * if there are no others"
                )
        return self

    @model_validator(mode="after")
    def _secrets_protect(self) -> Self:
        tokens = () if self.jwks_url is not None else self.jwt_keys
        admin = self.admin_keys
        names = ("AFTERBELL_JWT_SECRET", "AFTERBELL_JWT_SECRET_PREVIOUS")
        admin_names = ("AFTERBELL_ADMIN_SECRET", "AFTERBELL_ADMIN_SECRET_PREVIOUS")
        secrets = dict(zip(names, tokens, strict=False)) | dict(zip(admin_names, admin, strict=False))
        try:
            check_secrets(secrets, public_allowed=not (self.production or self.reached_by_accident))
        except ValueError as error:
            raise ValueError(f"{error}{_beyond_loopback(self)}") from None
        return self


def _beyond_loopback(settings: ProcessSettings) -> str:
    if not settings.reached_by_accident:
        return ""
    return (
        f" (AFTERBELL_HOST={settings.bind} lets other machines in, and APP_ENV says neither production nor development)"
    )


def _values(*secrets: SecretStr | None) -> tuple[str, ...]:
    return tuple(secret.get_secret_value() for secret in secrets if secret is not None)


class ModelCheckSettings(ModelSettings, MoneySettings):
    """`afterbell model check`."""


class WorkerSettings(
    ProcessSettings, StoreSettings, QueueSettings, ModelSettings, ProviderSettings, MoneySettings, TelemetrySettings
):
    """The worker process."""

    concurrency: int = Field(
        5, ge=1, le=100, alias="AFTERBELL_WORKER_CONCURRENCY", description="jobs this worker runs at once"
    )
    worker_name: str = Field(
        "",
        alias="AFTERBELL_WORKER_NAME",
        max_length=200,
        pattern=r"^[A-Za-z0-9._-]*$",
        description="name of this worker in the queue; empty = host name and a random suffix",
    )
    drain_s: float = Field(
        200,
        gt=0,
        alias="AFTERBELL_DRAIN_SECONDS",
        description="time running jobs get to finish after SIGTERM; keep it below the pod's termination grace period",
    )
    safety_tick_s: float = Field(
        300,
        ge=1,
        alias="AFTERBELL_SAFETY_TICK_SECONDS",
        description="how often an idle worker polls the queue even if nothing woke it",
    )

    @property
    def name(self) -> str:
        """This worker's name, unique a process so that a restarted pod is never taken for its predecessor."""
        return self.worker_name or f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"


class RetentionSettings(StoreSettings):
    """Retention periods. The retention job deletes older data."""

    keep_transcript_days: float = Field(
        90, gt=0, alias="AFTERBELL_KEEP_TRANSCRIPT_DAYS", description="messages, counted from the session's last change"
    )
    keep_report_days: float = Field(
        365,
        gt=0,
        alias="AFTERBELL_KEEP_REPORT_DAYS",
        description="reports, and sessions with their participants' names",
    )
    keep_attempt_days: float = Field(
        30, gt=0, alias="AFTERBELL_KEEP_ATTEMPT_DAYS", description="attempts of each report and their log lines"
    )
    keep_delivery_days: float = Field(
        30, gt=0, alias="AFTERBELL_KEEP_DELIVERY_DAYS", description="webhook messages that were delivered or given up"
    )
    keep_call_days: float = Field(
        365,
        gt=0,
        alias="AFTERBELL_KEEP_CALL_DAYS",
        description="each model call with its cost; the sums by day are kept",
    )
    keep_audit_days: float = Field(730, gt=0, alias="AFTERBELL_KEEP_AUDIT_DAYS", description="the audit log")


class OperatorSettings(ProcessSettings, StoreSettings):
    """The operator process. Queues and numbers of pods are configured in its Pools."""

    watch_namespace: str = Field(
        "",
        alias="AFTERBELL_WATCH_NAMESPACE",
        description="namespace whose Pools the operator manages; empty = all namespaces",
    )
    operator_name: str = Field(
        "",
        max_length=253,
        alias="AFTERBELL_OPERATOR_NAME",
        description="name of this operator; it scales Pools whose spec.operatorName is this, and those that name none",
    )
    lease_namespace: str = Field(
        "default", alias="AFTERBELL_LEASE_NAMESPACE", description="namespace of the leader-election Lease"
    )
    lease_name: str = Field(
        "afterbell-operator", alias="AFTERBELL_LEASE_NAME", description="name of the leader-election Lease"
    )
    tick_s: float = Field(
        120,
        ge=1,
        le=140,
        alias="AFTERBELL_OPERATOR_TICK_SECONDS",
        description="how often the operator reads a queue even if nothing changed",
    )

    live_redis_url: SecretStr | None = Field(
        None,
        alias="AFTERBELL_LIVE_REDIS_URL",
        description="Redis that the api processes use for chat, if it is not REDIS_URL; the operator "
        "reads their socket counts there",
    )

    @cached_property
    def identity(self) -> str:
        """This process's name in the Lease, unique so that a restarted pod is never taken for its predecessor."""
        return f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"


def read(group: type[Group], **given: object) -> Group:
    """The group from the environment; ``given`` wins. Raises SettingsError naming the variable, never its value."""
    for old, new in renamed(os.environ):  # noqa: TID251
        raise SettingsError(f"{old} was renamed to {new}: set {new} instead and remove {old}", field=old)
    try:
        return group(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        name = str(problem["loc"][0]) if problem["loc"] else ""
        message = problem["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{name}: {message}" if name else message, field=name or None) from None


def unknown_names() -> list[tuple[str, str | None]]:
    """Each AFTERBELL_ name in the environment that nothing reads, and the setting it may have meant."""
    groups: tuple[type[SettingsGroup], ...] = (ApiSettings, WorkerSettings, RetentionSettings, OperatorSettings)
    known = {str(field.alias) for group in groups for field in group.model_fields.values()}
    return list(unknown(os.environ, known))  # noqa: TID251


def required(value: SecretStr | None, name: str) -> str:
    """A URL that must be there. Raises SettingsError naming the variable."""
    if value is None:
        raise SettingsError(f"{name} is not set: give it a URL, or use `afterbell dev` for private engines", field=name)
    return value.get_secret_value()
