"""Tokens: who calls. HS256 with the platform's secret; every claim is checked before anything is read."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import Any, Final

import jwt
from fastapi import Request, Response
from fastapi.routing import APIRoute

from afterbell.core.access import Action, Caller, may
from afterbell.core.errors import AfterbellError, Forbidden
from afterbell.core.report import ROLES, Role
from afterbell.core.session import ID_CHARS_MAX

ALGORITHM: Final = "HS256"
LEEWAY_S: Final = 10
REMEMBERED_MAX: Final = 4096


class Unauthenticated(AfterbellError):
    """No token, or one that does not hold."""

    code = "unauthenticated"


@dataclass(frozen=True, slots=True)
class Verified:
    """What a token said when its signature was checked. ``expires_at``: seconds since 1970, leeway not included."""

    caller: Caller
    expires_at: float


class Verifier:
    """Checks tokens, and remembers those that held: the signature cannot change, only the clock can.

    At the most ``remembered_max`` tokens, the least recently used go first. A token that did not hold is checked anew.
    """

    def __init__(self, secret: str, audience: str | None, *, remembered_max: int = REMEMBERED_MAX) -> None:
        self._verified = lru_cache(remembered_max)(partial(verified, secret=secret, audience=audience))

    def caller_of(self, token: str, now: float) -> Caller:
        """The caller of a token that holds at ``now`` (seconds since 1970). Raises Unauthenticated."""
        return self.verified_at(token, now)[0]

    def verified_at(self, token: str, now: float) -> tuple[Caller, float]:
        """The caller, and when the token ends (seconds since 1970). Raises Unauthenticated."""
        found = self._verified(token)
        if now >= found.expires_at + LEEWAY_S:
            raise _expired()
        return found.caller, found.expires_at


def caller_of(token: str, secret: str, audience: str | None) -> Caller:
    """The caller a token speaks for. Raises Unauthenticated with the reason, never with the token."""
    return verified(token, secret=secret, audience=audience).caller


def verified(token: str, *, secret: str, audience: str | None) -> Verified:
    """What a token says, every claim checked. Raises Unauthenticated with the reason, never with the token."""
    try:
        claims = jwt.decode(token, secret, algorithms=[ALGORITHM], audience=audience, leeway=LEEWAY_S,
                            options={"require": ["sub", "exp"], "verify_aud": audience is not None})  # fmt: skip
    except jwt.ExpiredSignatureError:
        raise _expired() from None
    except jwt.InvalidTokenError as error:
        raise Unauthenticated(f"the token does not hold: {error}") from None
    return Verified(_caller(claims), int(claims["exp"]))


def mint(
    secret: str, *, subject: str, tenant: str, role: Role, now: datetime, lifetime: timedelta,
    students: tuple[str, ...] = (), audience: str | None = None,
) -> str:  # fmt: skip
    """A token for development, and for platforms that keep their users elsewhere."""
    claims: dict[str, Any] = {"sub": subject, "tenant": tenant, "role": role, "iat": now, "exp": now + lifetime}
    if students:
        claims["students"] = list(students)
    if audience is not None:
        claims["aud"] = audience
    return jwt.encode(claims, secret, algorithm=ALGORITHM)


def authenticate(request: Request) -> Caller:
    """The caller of a request. Raises Unauthenticated."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("send a token: Authorization: Bearer <JWT>")
    verifier: Verifier = request.app.state.verifier
    return verifier.caller_of(token.strip(), datetime.now(UTC).timestamp())


class CallerFirst(APIRoute):
    """Knows the caller before the body is read: nobody without a token makes us parse two megabytes."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler, behind the token."""
        handle = super().get_route_handler()

        async def known(request: Request) -> Response:
            request.state.caller = authenticate(request)
            return await handle(request)

        return known


def allow(request: Request, action: Action) -> Caller:
    """The caller, if the role may do this. Raises Forbidden."""
    caller: Caller = request.state.caller
    if not may(caller, action):
        raise Forbidden(f"role {caller.role} may not {action.replace('_', ' ')}s")
    return caller


def _expired() -> Unauthenticated:
    return Unauthenticated("the token has expired: ask for a new one")


def _caller(claims: dict[str, Any]) -> Caller:
    subject, tenant, role = _name(claims, "sub"), _name(claims, "tenant"), claims.get("role")
    if role not in ROLES:
        raise Unauthenticated(f"the token's claim 'role' must be one of {', '.join(ROLES)}")
    students = claims.get("students", [])
    if not isinstance(students, list) or not all(isinstance(one, str) for one in students):
        raise Unauthenticated("the token's claim 'students' must be a list of participant ids")
    return Caller(subject, tenant, role, frozenset(students))


def _storable(text: str) -> bool:
    """PostgreSQL stores neither NUL nor half a surrogate pair, and requests share their commits."""
    return not any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text)


def _name(claims: dict[str, Any], claim: str) -> str:
    value = claims.get(claim)
    if not isinstance(value, str) or not 0 < len(value) <= ID_CHARS_MAX or not _storable(value):
        raise Unauthenticated(f"the token's claim {claim!r} must be 1 to {ID_CHARS_MAX} characters of Unicode")
    return value
