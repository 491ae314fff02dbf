"""CORS: pages of the allowed origins may use the REST API and the progress streams, as they may connect a socket."""

from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE")
_SENT: Final = ("Authorization", "Content-Type", "Last-Event-ID", "X-Request-ID", "traceparent")
_READ: Final = ("X-Request-ID", "Retry-After", "Content-Language", "Location")
PREFLIGHT_KEPT_S: Final = 600


def for_origins(app: ASGIApp, origins: tuple[str, ...]) -> ASGIApp:
    """``app`` as pages of these origins may read it; its own pages need no leave.

    Tokens are in a header that a page must have, never in a cookie, so no page gets in by whoever looks at it.
    """
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=_METHODS,
        allow_headers=_SENT,
        expose_headers=_READ,
        max_age=PREFLIGHT_KEPT_S,
    )
