"""Settings of the tokens that the API accepts."""

from typing import Final

from pydantic import Field, SecretStr

from afterbell.settings.group import SettingsGroup

DEVELOPMENT_SECRET: Final = "afterbell-development-secret-not-for-production"  # noqa: S105  # public on purpose
SECRET_BYTES_MIN: Final = 32


class AuthSettings(SettingsGroup):
    """Authentication of clients."""

    jwt_secret: SecretStr = Field(
        SecretStr(DEVELOPMENT_SECRET),
        alias="AFTERBELL_JWT_SECRET",
        description="HS256 secret that signs tokens, at least 32 bytes; production refuses the development secret",
    )
    jwt_audience: str | None = Field(
        None, alias="AFTERBELL_JWT_AUDIENCE", description="`aud` claim that tokens must carry, if set"
    )
    jwks_url: str | None = Field(
        None,
        alias="AFTERBELL_JWKS_URL",
        pattern=r"^https?://\S+$",
        description="URL of the platform's public keys (JWKS). Tokens must then be signed with one of "
        "them, and AFTERBELL_JWT_SECRET is not used. HTTPS only in production",
    )
    jwt_issuer: str | None = Field(
        None,
        alias="AFTERBELL_JWT_ISSUER",
        description="`iss` claim that tokens must carry, if set; used with AFTERBELL_JWKS_URL",
    )
