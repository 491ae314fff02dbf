"""The door: every WebSocket passes here, before and below Socket.IO. Caps, garbage, and closing for certain."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from afterbell.observability import metrics
from afterbell.realtime.protocol import ABORT

PATH: Final = "/socket.io/"
UNUSABLE, POLICY, GOING_AWAY = 1003, 1008, 1012
# What a client may send over a WebSocket: Engine.IO's close and pong, Socket.IO's CONNECT, DISCONNECT, EVENT and ACK.
# Everything else would be parsed deep inside, and fail there.
_PACKETS: Final = ("1", "3", "40", "41", "42", "43")
# Time for the client's own close frame; then the connection is cut, also under a reader that reads nothing.
CLOSE_GRACE_S: Final = 1.0

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Link:
    """One WebSocket. ``connected`` once Socket.IO has accepted its token."""

    opened_at: float
    send: Send = field(repr=False)
    abort: Callable[[], None] = field(repr=False)
    connected: bool = False
    closing: bool = False
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set, repr=False)

    def close(self, code: int, reason: str) -> None:
        """Close with a code; certain within a second, whatever the client does."""
        if self.closing:
            return
        self.closing = True
        metrics.RT_CLOSED.labels(reason).inc()
        log.info("socket_closed", reason=reason, code=code)
        task = asyncio.create_task(self._close(code, reason))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        asyncio.get_running_loop().call_later(CLOSE_GRACE_S, self.abort)

    async def _close(self, code: int, reason: str) -> None:
        try:
            await self.send({"type": "websocket.close", "code": code, "reason": reason})
        except Exception:
            return  # it was closed already; only the code could not be told


class Door:
    """Lets WebSockets on PATH through to Socket.IO while there is room, and everything else to ``app``."""

    def __init__(self, app: ASGIApp, socketio: ASGIApp, *, sockets_max: int) -> None:
        self._app, self._socketio, self._sockets_max = app, socketio, sockets_max
        self.links: set[Link] = set()
        self.shut = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection or request."""
        if not (scope.get("path", "") + "/").startswith(PATH):
            await self._app(scope, receive, send)
        elif scope["type"] != "websocket":
            await _answer(send, "http.response", 400, b"long polling is off: use the WebSocket transport\n")
        elif self.shut or len(self.links) >= self._sockets_max:
            metrics.RT_HANDSHAKES.labels("draining" if self.shut else "full").inc()
            await _answer(send, "websocket.http.response", 503, b"no room here now: try again\n")
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        link = Link(asyncio.get_running_loop().time(), send, scope["extensions"].get(ABORT, _nothing))
        scope["afterbell.link"] = link
        self.links.add(link)
        metrics.RT_SOCKETS.set(len(self.links))

        async def usable() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive" and not _is_packet(message.get("text")):
                link.close(UNUSABLE, "garbage")
                return {"type": "websocket.disconnect", "code": UNUSABLE}
            if link.closing and message["type"] == "websocket.receive":
                return {"type": "websocket.disconnect", "code": GOING_AWAY}
            return message

        try:
            await self._socketio(scope, usable, send)
        finally:
            self.links.discard(link)
            metrics.RT_SOCKETS.set(len(self.links))


def _is_packet(text: Any) -> bool:
    return isinstance(text, str) and text.startswith(_PACKETS)


def _nothing() -> None:
    """A server that cannot abort a connection."""


async def _answer(send: Send, kind: str, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
    if status == 503:
        headers.append((b"retry-after", b"5"))
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})
