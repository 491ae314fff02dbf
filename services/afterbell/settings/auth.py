"""Settings of the tokens that the API accepts."""

from collections.abc import Mapping
from typing import Final

from pydantic import Field, SecretStr

from afterbell.settings.group import SettingsGroup

DEVELOPMENT_SECRET: Final = "afterbell-development-secret-not-for-production"  # noqa: S105  # public on purpose
SECRET_BYTES_MIN: Final = 32
# Fewer different characters than this are a key held down, not a secret.
SECRET_CHARACTERS_MIN: Final = 4
ANY_AUDIENCE: Final = "*"


class AuthSettings(SettingsGroup):
    """Authentication of clients."""

    jwt_secret: SecretStr = Field(
        SecretStr(DEVELOPMENT_SECRET),
        alias="AFTERBELL_JWT_SECRET",
        description="HS256 secret that signs tokens, at least 32 bytes; production refuses the development secret",
    )
    jwt_secret_previous: SecretStr | None = Field(
        None,
        alias="AFTERBELL_JWT_SECRET_PREVIOUS",
        description="secret that signed tokens until it was replaced; remove it once they have expired",
    )
    jwt_audience: str | None = Field(
        None,
        alias="AFTERBELL_JWT_AUDIENCE",
        description="`aud` claim that tokens must carry, if set. Needed with AFTERBELL_JWKS_URL in production, where "
        "the same keys sign for other services; `*` = they do not",
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


def check_secrets(secrets: Mapping[str, str], *, public_allowed: bool) -> None:
    """Raises ValueError with the name of the first secret, by variable, that protects nothing."""
    names: dict[str, str] = {}
    for name, secret in secrets.items():
        if secret == DEVELOPMENT_SECRET:
            if not public_allowed:
                raise ValueError(f"{name} is the development secret, which is public; set one of your own")
            continue
        if len(secret.encode()) < SECRET_BYTES_MIN:
            raise ValueError(f"{name} is shorter than {SECRET_BYTES_MIN} bytes; HS256 needs that much (RFC 7518)")
        if len(set(secret)) < SECRET_CHARACTERS_MIN:
            raise ValueError(f"{name} repeats a few characters; generate one with `openssl rand -hex 32`")
        if (other := names.setdefault(secret, name)) != name:
            raise ValueError(f"{name} is the same as {other}: whoever holds one would hold both")
