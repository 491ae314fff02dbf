"""Settings of the admin API on the internal port."""

from pydantic import Field, SecretStr

from afterbell.settings.group import SettingsGroup


class AdminSettings(SettingsGroup):
    """Who may see and steer the queue."""

    admin_secret: SecretStr | None = Field(
        None,
        alias="AFTERBELL_ADMIN_SECRET",
        min_length=32,
        description="HS256 secret of the admin API's tokens, at least 32 bytes; empty: no admin API in production, "
        "the public development secret in development",
    )
