"""The options of `afterbell token`."""

from datetime import UTC, datetime, timedelta

from afterbell.core.errors import InvalidInput
from afterbell.core.report.report import Role


def admin_token(text: str, sub: str, hours: float) -> str:
    """A token of the admin API for the role ``text``. Raises InvalidInput for another role, or without its secret."""
    from afterbell.api.admin.admin_tokens import ADMIN_ROLES, mint_admin
    from afterbell.settings import ApiSettings, read

    keys = read(ApiSettings).admin_keys
    if not keys:
        raise InvalidInput("AFTERBELL_ADMIN_SECRET is not set: production has no admin API without it")
    for role in ADMIN_ROLES:
        if role == text:
            lifetime = timedelta(hours=hours)
            return mint_admin(keys[0], subject=sub, role=role, now=datetime.now(UTC), lifetime=lifetime)
    raise InvalidInput(f"--admin {text!r} is not one of {', '.join(ADMIN_ROLES)}", field="admin")


def role_of(text: str) -> Role:
    """The platform's role of that name. Raises InvalidInput for another."""
    from afterbell.core.report.report import ROLES

    for role in ROLES:
        if role == text:
            return role
    raise InvalidInput(f"role {text!r} is not one of {', '.join(ROLES)}", field="role")
