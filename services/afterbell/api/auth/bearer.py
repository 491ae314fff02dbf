"""Tokens: who calls. Signed with the platform's secret or keys; every claim is checked before anything is read."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import Any, Final, Protocol, TypeVar

import jwt
from fastapi import Request, Response
from fastapi.routing import APIRoute

from afterbell.core.access import Action, Caller, may
from afterbell.core.errors import MALFORMED, AfterbellError, Forbidden
from afterbell.core.report.report import ROLES, Role
from afterbell.core.session import ID_CHARS_MAX

ALGORITHM: Final = "HS256"
LEEWAY_S: Final = 10
EXPIRES_AT_MAX: Final = int(datetime.max.replace(tzinfo=UTC).timestamp())
REMEMBERED_MAX: Final = 4096
Key = str | jwt.PyJWK
Known = TypeVar("Known")


class Unauthenticated(AfterbellError):
    """No token, or one that does not hold."""

    code = "unauthenticated"


class OtherSignature(Unauthenticated):
    """Signed with another secret than the one it was checked with."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What a token said when its signature was checked. ``expires_at``: seconds since 1970, leeway not included."""

    caller: Caller
    expires_at: float


# The caller, and when the token ends (seconds since 1970).
Checked = tuple[Caller, float]


class Check(Protocol):
    """What says whom a token speaks for."""

    async def check(self, token: str, now: float) -> Checked:
        """The caller of a token that holds at ``now`` (seconds since 1970). Raises AfterbellError."""


class Verifier:
    """Checks tokens, and remembers those that held: the signature cannot change, only the clock can.

    At the most ``remembered_max`` tokens, the least recently used go first. A token that did not hold is checked anew.
    """

    def __init__(self, secrets: tuple[str, ...], audience: str | None, *, remembered_max: int = REMEMBERED_MAX) -> None:
        self._secrets = secrets
        self._verified = remembering(audience, None, remembered_max)

    async def check(self, token: str, now: float) -> Checked:
        """As ``verified_at``, which waits for nothing."""
        return self.verified_at(token, now)

    def verified_at(self, token: str, now: float) -> Checked:
        """The caller, and when the token ends (seconds since 1970). Raises Unauthenticated."""
        return unexpired(with_any(self._secrets, lambda secret: self._verified(token, secret)), now)


def with_any(secrets: tuple[str, ...], check: Callable[[str], Known]) -> Known:
    """What ``check`` says with the first secret that made the signature: while secrets change, there are two.

    Raises what it raises.
    """
    for secret in secrets[:-1]:
        try:
            return check(secret)
        except OtherSignature:
            continue
    return check(secrets[-1])


def remembering(audience: str | None, issuer: str | None, remembered_max: int) -> "Callable[[str, Key], Verified]":
    """``verified`` that checks a signature once a token and key."""
    return lru_cache(remembered_max)(partial(verified, audience=audience, issuer=issuer))


def unexpired(claims: Verified, now: float) -> Checked:
    """The caller while the token holds. Raises Unauthenticated afterwards."""
    if now >= claims.expires_at + LEEWAY_S:
        raise _expired()
    return claims.caller, claims.expires_at


def verified(token: str, key: Key, *, audience: str | None, issuer: str | None = None) -> Verified:
    """What a token says, every claim checked. A secret means HS256, a public key the one algorithm it is for.

    Raises Unauthenticated with the reason, never with the token.
    """
    algorithm = ALGORITHM if isinstance(key, str) else key.algorithm_name
    options: Any = {"require": ["sub", "exp"], "verify_aud": audience is not None}
    try:
        claims = jwt.decode(
            token, key, algorithms=[algorithm], audience=audience, issuer=issuer, leeway=LEEWAY_S, options=options
        )
    except jwt.ExpiredSignatureError:
        raise _expired() from None
    except jwt.InvalidSignatureError as error:
        raise OtherSignature(f"invalid token: {error}") from None
    except (jwt.InvalidTokenError, *MALFORMED) as error:
        raise Unauthenticated(f"invalid token: {error}") from None
    return Verified(_caller(claims), min(int(claims["exp"]), EXPIRES_AT_MAX))


def mint(
    secret: str,
    *,
    subject: str,
    tenant: str,
    role: Role,
    now: datetime,
    lifetime: timedelta,
    students: tuple[str, ...] = (),
    audience: str | None = None,
) -> str:
    """A token for development, and for platforms that keep their users elsewhere."""
    claims: dict[str, Any] = {"sub": subject, "tenant": tenant, "role": role, "iat": now, "exp": now + lifetime}
    if students:
        claims["students"] = list(students)
    if audience is not None:
        claims["aud"] = audience
    return jwt.encode(claims, secret, algorithm=ALGORITHM)


async def authenticate(request: Request) -> Checked:
    """The caller of a request, and when their token ends. Raises Unauthenticated."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("missing token: send Authorization: Bearer <JWT>")
    verifier: Check = request.app.state.verifier
    return await verifier.check(token.strip(), datetime.now(UTC).timestamp())


class CallerFirst(APIRoute):
    """Knows the caller before the body is read: nobody without a token makes us parse two megabytes."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler, behind the token."""
        handle = super().get_route_handler()

        async def known(request: Request) -> Response:
            request.state.caller, request.state.expires_at = await authenticate(request)
            return await handle(request)

        return known


def allow(request: Request, action: Action) -> Caller:
    """The caller, if the role may do this. Raises Forbidden."""
    caller: Caller = request.state.caller
    if not may(caller, action):
        raise Forbidden(f"role {caller.role} may not {action.replace('_', ' ')}s")
    return caller


def _expired() -> Unauthenticated:
    return Unauthenticated("the token has expired: get a new one")


def _caller(claims: dict[str, Any]) -> Caller:
    subject, tenant, role = _name(claims, "sub"), _name(claims, "tenant"), claims.get("role")
    if role not in ROLES:
        raise Unauthenticated(f"invalid token: claim 'role' must be one of {', '.join(ROLES)}")
    students = claims.get("students", [])
    if not isinstance(students, list) or not all(isinstance(student_id, str) for student_id in students):
        raise Unauthenticated("invalid token: claim 'students' must be a list of participant ids")
    return Caller(subject, tenant, role, frozenset(students))


def _storable(text: str) -> bool:
    """PostgreSQL stores neither NUL nor half a surrogate pair, and requests share their commits."""
    return not any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text)


def _name(claims: dict[str, Any], claim: str) -> str:
    value = claims.get(claim)
    if not isinstance(value, str) or not 0 < len(value) <= ID_CHARS_MAX or not _storable(value):
        raise Unauthenticated(f"invalid token: claim {claim!r} must be 1 to {ID_CHARS_MAX} Unicode characters")
    return value
