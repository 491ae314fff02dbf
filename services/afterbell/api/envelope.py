"""Around every request: its id, its trace, its time in the metrics."""

import re
import secrets
import uuid
from time import perf_counter, time_ns
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from afterbell.api.problems import unexpected
from afterbell.core import trace
from afterbell.core.trace import Trace
from afterbell.observability import spans
from afterbell.observability.metrics import HTTP_REQUESTS
from afterbell.observability.spans import Span

_CLIENT_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_HEADER: Final = b"x-request-id"
_TRACE_HEADER: Final = b"traceparent"

log = structlog.get_logger(__name__)


class Envelope:
    """Pure ASGI, because a middleware that wraps requests in objects costs more than the route."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        caller = _callers_trace(scope)
        traced = _step(caller)
        scope["request_id"], scope["trace"] = request_id, traced
        started, began_ns, status, started_to_answer = perf_counter(), time_ns(), 500, False

        async def send_with_id(message: Message) -> None:
            nonlocal status, started_to_answer
            if message["type"] == "http.response.start":
                status, started_to_answer = message["status"], True
                message.setdefault("headers", []).append((_HEADER, request_id.encode()))
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id, trace_id=traced.trace_id):
            try:
                await self._app(scope, receive, send_with_id)
            except Exception:
                log.exception("request_failed", path=scope["path"])
                if started_to_answer:
                    raise  # the server cuts the connection, so that half an answer is not taken for a whole one
                await unexpected(request_id)(scope, receive, send_with_id)
            finally:
                route = getattr(scope.get("route"), "path", "unknown")
                HTTP_REQUESTS.labels(scope["method"], route, status).observe(perf_counter() - started)
                spans.tell(_span(scope["method"], route, status, traced, caller, began_ns))


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == _HEADER and _CLIENT_ID.fullmatch(value):
            return str(value.decode())
    return uuid.uuid4().hex


def _callers_trace(scope: Scope) -> Trace | None:
    for name, value in scope["headers"]:
        if name == _TRACE_HEADER and (parent := trace.read(value.decode("latin-1"))) is not None:
            return parent
    return None


def _step(caller: Trace | None) -> Trace:
    """The request as a step of the caller's trace, or of a new one."""
    if caller is not None:
        return caller.child(secrets.token_bytes(trace.SPAN_BYTES))
    return trace.begun(secrets.token_bytes(trace.TRACE_BYTES + trace.SPAN_BYTES))


def _span(method: str, route: str, status: int, traced: Trace, caller: Trace | None, began_ns: int) -> Span:
    facts = {"http.request.method": method, "http.route": route, "http.response.status_code": status}
    failed = "server error" if status >= 500 else None
    return Span(f"{method} {route}", "server", traced, caller, began_ns, time_ns(), failed, facts)
