"""Around every request: its id, its size limit before anything is parsed, its time in the metrics."""

import re
import uuid
from time import perf_counter
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from afterbell.api.problems import problem
from afterbell.observability.metrics import HTTP_REQUESTS

_CLIENT_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_HEADER: Final = b"x-request-id"


class _TooLarge(Exception):
    pass


class Envelope:
    """Pure ASGI, because a middleware that wraps requests in objects costs more than the route."""

    def __init__(self, app: ASGIApp, *, body_bytes_max: int) -> None:
        self._app, self._body_bytes_max = app, body_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope["request_id"] = request_id
        started, status = perf_counter(), 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message.setdefault("headers", []).append((_HEADER, request_id.encode()))
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._limited(scope, receive, send_with_id)
            finally:
                route = getattr(scope.get("route"), "path", "unknown")
                HTTP_REQUESTS.labels(scope["method"], route, status).observe(perf_counter() - started)

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _announced_length(scope) > self._body_bytes_max:
            await self._refuse(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._body_bytes_max:
                raise _TooLarge
            return message

        try:
            await self._app(scope, counted, send)
        except _TooLarge:
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        detail = f"the body is larger than {self._body_bytes_max} bytes (AFTERBELL_BODY_BYTES_MAX)"
        answer = problem(413, "payload_too_large", detail, request_id=scope["request_id"],
                         headers={"Connection": "close"}, limit=self._body_bytes_max)  # fmt: skip
        await answer(scope, receive, send)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == _HEADER and _CLIENT_ID.fullmatch(value):
            return str(value.decode())
    return uuid.uuid4().hex


def _announced_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
