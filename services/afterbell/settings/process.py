"""Settings of every process."""

import ipaddress
from typing import Literal, Self

from pydantic import Field, model_validator

from afterbell.settings.group import SettingsGroup


class ProcessSettings(SettingsGroup):
    """Settings of every process."""

    app_env: Literal["development", "production"] | None = Field(
        None,
        alias="APP_ENV",
        description='"production" refuses development secrets and listens on every interface; empty = NODE_ENV, '
        "then development, but on loopback only: a process that others reach must be told what it is",
    )
    node_env: Literal["development", "production", "test"] | None = Field(
        None,
        alias="NODE_ENV",
        description="what platforms made for Node set: decides where APP_ENV is empty, and may not contradict it",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", alias="AFTERBELL_LOG_LEVEL", description="lowest level that is logged"
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", alias="AFTERBELL_LOG_FORMAT", description="auto: JSON in production, text in development"
    )
    host: str | None = Field(
        None,
        alias="AFTERBELL_HOST",
        description="address both ports listen on; default 127.0.0.1 in development, 0.0.0.0 in production",
    )
    internal_port: int = Field(
        9000,
        ge=0,
        le=65535,
        alias="AFTERBELL_INTERNAL_PORT",
        description="port of /livez, /readyz, /metrics and the admin API; never expose it through an Ingress",
    )

    @property
    def production(self) -> bool:
        """True where safe defaults must hold."""
        return (self.app_env or self.node_env) == "production"

    @property
    def reached_by_accident(self) -> bool:
        """Whether other machines reach a process that nobody told what it is."""
        return self.app_env is None and not self.production and not _is_loopback(self.bind)

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

    @model_validator(mode="after")
    def _one_environment(self) -> Self:
        if self.app_env == "development" and self.node_env == "production":
            raise ValueError("NODE_ENV says production and APP_ENV development: set APP_ENV to the one that is meant")
        return self


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
