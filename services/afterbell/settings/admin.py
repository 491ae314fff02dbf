"""Settings of the admin API on the internal port."""

from pydantic import Field, SecretStr

from afterbell.settings.group import SettingsGroup


class AdminSettings(SettingsGroup):
    """Access to the admin API."""

    admin_secret: SecretStr | None = Field(
        None,
        alias="AFTERBELL_ADMIN_SECRET",
        description="HS256 secret that signs admin tokens, at least 32 bytes; empty disables the admin "
        "API in production and uses the public development secret in development",
    )
    admin_secret_previous: SecretStr | None = Field(
        None,
        alias="AFTERBELL_ADMIN_SECRET_PREVIOUS",
        description="secret that signed admin tokens until it was replaced; remove it once they have expired",
    )
