"""Reading DATABASE_URL: libpq's forms for asyncpg, and what may be shown of one."""

from typing import Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from afterbell.core.errors import SettingsError

SCHEMES: Final = ("postgresql", "postgres")
UNREADABLE: Final = "(unreadable)"
_PORT_MAX: Final = 65_535
_SECRETS: Final = frozenset({"password", "sslpassword"})
# Options of libpq itself. asyncpg would send what it does not know to the server as a setting, and be refused;
# hosted databases hand out URLs with channel_binding and connect_timeout in them.
_LIBPQ_ONLY: Final = frozenset(
    {
        "channel_binding",
        "connect_timeout",
        "fallback_application_name",
        "gssencmode",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "sslcompression",
        "tcp_user_timeout",
    }
)


def dsn_of(url: str) -> str:
    """The address asyncpg understands. Raises SettingsError, which shows nothing of the URL but its scheme."""
    parsed = _parsed(url)
    if parsed is None:
        raise SettingsError(
            "DATABASE_URL is not a database URL: expected postgresql://user:password@host:port/database, "
            "special characters in the password percent-encoded (@ as %40)",
            field="DATABASE_URL",
        )
    if parsed.drivername.partition("+")[0] not in SCHEMES:
        raise SettingsError(
            f"DATABASE_URL must start with postgresql://, not {parsed.drivername}://", field="DATABASE_URL"
        )
    query = {name: value for name, value in parsed.query.items() if name not in _LIBPQ_ONLY}
    return parsed.set(drivername="postgresql", query=query).render_as_string(hide_password=False)


def mask(url: str) -> str:
    """The URL without its passwords."""
    parsed = _parsed(url)
    if parsed is None:
        return UNREADABLE
    query = {name: value for name, value in parsed.query.items() if name not in _SECRETS}
    return parsed.set(query=query).render_as_string(hide_password=True)


def _parsed(url: str) -> URL | None:
    """None where it cannot be told for sure which part is the password."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return None
    sure = "@" not in (parsed.host or "") and "@" not in (parsed.database or "")
    return parsed if sure and (parsed.port or 0) <= _PORT_MAX else None
