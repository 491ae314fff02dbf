"""Settings of every process."""

from typing import Literal

from pydantic import Field

from afterbell.settings.group import SettingsGroup


class ProcessSettings(SettingsGroup):
    """Settings of every process."""

    app_env: Literal["development", "production"] = Field(
        "development",
        alias="APP_ENV",
        description='"production" refuses development secrets and listens on every interface',
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
