"""Tokens of the admin API: a secret and an audience of their own, so that no platform's token is one of them."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import jwt
from fastapi import Request, Response
from fastapi.routing import APIRoute

from afterbell.api.auth.bearer import ALGORITHM, LEEWAY_S, OtherSignature, Unauthenticated, with_any
from afterbell.core.errors import MALFORMED, Forbidden
from afterbell.core.session import ID_CHARS_MAX

AUDIENCE: Final = "afterbell-admin"
AdminRole = Literal["viewer", "operator"]
ADMIN_ROLES: Final[tuple[AdminRole, ...]] = ("viewer", "operator")


@dataclass(frozen=True, slots=True)
class Admin:
    """Whose token it is. A viewer reads, an operator also acts."""

    subject: str
    role: AdminRole

    @property
    def actor(self) -> str:
        """How the audit log names them."""
        return f"{self.role}:{self.subject}"


def mint_admin(secret: str, *, subject: str, role: AdminRole, now: datetime, lifetime: timedelta) -> str:
    """A token for the admin API."""
    claims = {"sub": subject, "role": role, "aud": AUDIENCE, "iat": now, "exp": now + lifetime}
    return jwt.encode(claims, secret, ALGORITHM)


def admin_of(token: str, secrets: tuple[str, ...]) -> Admin:
    """Whose token it is, signed with any of the secrets. Raises Unauthenticated with the reason, never the token."""
    return with_any(secrets, lambda secret: _admin(token, secret))


def _admin(token: str, secret: str) -> Admin:
    try:
        claims = jwt.decode(
            token,
            secret,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            leeway=LEEWAY_S,
            options={"require": ["sub", "exp", "aud"]},
        )
    except jwt.ExpiredSignatureError:
        raise Unauthenticated("the admin token has expired: create a new one with `afterbell token --admin`") from None
    except jwt.InvalidSignatureError:
        raise OtherSignature("invalid admin token for this installation (InvalidSignatureError)") from None
    except (jwt.InvalidTokenError, *MALFORMED) as error:
        raise Unauthenticated(f"invalid admin token for this installation ({type(error).__name__})") from None
    subject, role = claims["sub"], claims.get("role")
    if not 0 < len(subject) <= ID_CHARS_MAX or not subject.isprintable():
        raise Unauthenticated(f"invalid admin token: claim 'sub' must be 1 to {ID_CHARS_MAX} printable characters")
    if role not in ADMIN_ROLES:
        raise Unauthenticated(f"invalid admin token: claim 'role' must be one of {', '.join(ADMIN_ROLES)}")
    return Admin(subject, role)


class AdminFirst(APIRoute):
    """Knows the administrator before the body is read; only an operator gets past anything but a GET.

    The app's ``state`` has ``admin_secrets``, and ``refusals`` to write down who was turned away.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler, behind the token."""
        handle = super().get_route_handler()

        async def known(request: Request) -> Response:
            tried, refusals = f"{request.method} {request.url.path}", request.app.state.refusals
            try:
                request.state.admin = admin = _authenticated(request)
            except Unauthenticated as error:
                await refusals.of_stranger(tried, str(error))
                raise
            if request.method != "GET" and admin.role != "operator":
                await refusals.of(admin, tried)
                raise Forbidden(f"{admin.actor} has read-only access: use a token with role operator")
            return await handle(request)

        return known


def _authenticated(request: Request) -> Admin:
    # The API server of Kubernetes keeps Authorization to itself; what comes through its proxy has the other header.
    header = request.headers.get("authorization") or request.headers.get("x-afterbell-authorization", "")
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("missing admin token: send Authorization: Bearer <JWT> (`afterbell token --admin`)")
    return admin_of(token.strip(), request.app.state.admin_secrets)
