"""Settings of webhook deliveries."""

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from afterbell.core.webhooks.destinations import networks_of
from afterbell.settings.group import SettingsGroup


class WebhookSettings(SettingsGroup):
    """Delivery of webhooks."""

    webhook_allow: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        alias="AFTERBELL_WEBHOOK_ALLOW",
        description="your own networks that webhooks may reach, over HTTP and on any port: `10.1.0.0/16,127.0.0.1`",
    )
    webhook_timeout_s: float = Field(
        15, gt=0, le=30, alias="AFTERBELL_WEBHOOK_TIMEOUT_SECONDS", description="timeout of one delivery attempt"
    )

    @field_validator("webhook_allow", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        texts = value.split(",") if isinstance(value, str) else value
        if isinstance(texts, list | tuple):
            return tuple(str(network) for network in networks_of([str(text) for text in texts]))
        return texts
