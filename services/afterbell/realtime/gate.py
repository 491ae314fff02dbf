"""The gate: every WebSocket passes here, before and below Socket.IO. Caps, garbage, and closing for certain."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from afterbell.observability import metrics
from afterbell.realtime import other_transports
from afterbell.realtime.protocol import WIRE
from afterbell.service import Background

PATH: Final = "/socket.io/"
NORMAL, UNUSABLE, POLICY, GOING_AWAY = 1000, 1003, 1008, 1012
# What a client may send over a WebSocket: Engine.IO's close and pong, Socket.IO's CONNECT, DISCONNECT, EVENT and ACK.
# Everything else would be parsed deep inside, and fail there.
_PACKETS: Final = ("1", "3", "40", "41", "42", "43")
ENGINE_CLOSE: Final = "1"
# Time for the client's own close frame; then the connection is cut, also under a reader that reads nothing.
CLOSE_GRACE_S: Final = 1.0
# Most that may wait in this process for one reader.
UNREAD_BYTES_MAX: Final = 1024 * 1024
# A reader that has so much unread, and takes none of it for so long, has stopped.
STALLED_BYTES: Final = 32 * 1024
STALLED_S: Final = 8.0

log = structlog.get_logger(__name__)


class Wire(Protocol):
    """What a connection needs of the protocol under it."""

    def send_frame(self, frame: bytes) -> None:
        """Send a whole frame."""

    def unread_bytes(self) -> int:
        """What was sent and not taken."""

    def abort(self) -> None:
        """Cut the connection."""


@dataclass(slots=True, eq=False)
class Connection:
    """One WebSocket. ``connected`` once Socket.IO has accepted its token."""

    opened_at: float
    send: Send = field(repr=False)
    wire: Wire = field(repr=False)
    connected: bool = False
    closing: bool = False
    _unread: int = 0
    _taken_at: float = 0.0
    _closes: Background = field(default_factory=lambda: Background("socket_close"), repr=False)

    def push(self, frame: bytes) -> None:
        """Send a frame past every queue; a reader that is too slow for it is closed."""
        if self.closing:
            return
        if self.wire.unread_bytes() > UNREAD_BYTES_MAX:
            self.close(POLICY, "slow_consumer")
            return
        self.wire.send_frame(frame)

    def watch(self, now: float) -> int:
        """Bytes unread, once a second; a reader that takes nothing for STALLED_S seconds is closed."""
        unread, before = self.wire.unread_bytes(), self._unread
        self._unread = unread
        if unread < STALLED_BYTES or unread < before:
            self._taken_at = now
        elif now - self._taken_at > STALLED_S:
            self.close(POLICY, "slow_consumer")
        return unread

    def close(self, code: int, reason: str) -> None:
        """Close with a code; certain within a second, whatever the client does."""
        if self.closing:
            return
        self.closing = True
        metrics.RT_CLOSED.labels(reason).inc()
        log.info("socket_closed", reason=reason, code=code)
        self._closes.begin(self._close(code, reason))
        asyncio.get_running_loop().call_later(CLOSE_GRACE_S, self.wire.abort)

    async def _close(self, code: int, reason: str) -> None:
        try:
            await self.send({"type": "websocket.close", "code": code, "reason": reason})
        except Exception:
            return  # it was closed already; only the code could not be told


class Gate:
    """Lets WebSockets on PATH through to Socket.IO while there is room, and everything else to ``app``."""

    def __init__(self, app: ASGIApp, socketio: ASGIApp, *, sockets_max: int) -> None:
        self._app, self._socketio, self._sockets_max = app, socketio, sockets_max
        self.connections: set[Connection] = set()
        self.shut = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection or request."""
        if not (scope.get("path", "") + "/").startswith(PATH):
            await self._app(scope, receive, send)
        elif scope["type"] != "websocket":
            await other_transports.answer_polling(scope, send)
        elif self.shut or len(self.connections) >= self._sockets_max:
            metrics.RT_HANDSHAKES.labels("draining" if self.shut else "full").inc()
            await _no_room(send)
        elif other_transports.is_old(scope):
            metrics.RT_HANDSHAKES.labels("protocol_too_old").inc()
            await other_transports.answer_old_socket(receive, send)
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        now = asyncio.get_running_loop().time()
        connection = Connection(now, send, scope["extensions"][WIRE], _taken_at=now)
        scope["afterbell.connection"] = connection
        self.connections.add(connection)
        metrics.RT_SOCKETS.set(len(self.connections))

        async def usable() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive" and not _is_packet(message.get("text")):
                connection.close(UNUSABLE, "garbage")
                return {"type": "websocket.disconnect", "code": UNUSABLE}
            if message.get("text") == ENGINE_CLOSE:
                connection.close(NORMAL, "goodbye")
                return {"type": "websocket.disconnect", "code": NORMAL}
            if connection.closing and message["type"] == "websocket.receive":
                return {"type": "websocket.disconnect", "code": GOING_AWAY}
            return message

        try:
            await self._socketio(scope, usable, send)
        finally:
            self.connections.discard(connection)
            metrics.RT_SOCKETS.set(len(self.connections))


def _is_packet(text: Any) -> bool:
    return isinstance(text, str) and text.startswith(_PACKETS)


async def _no_room(send: Send) -> None:
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"retry-after", b"5"),
    ]
    await send({"type": "websocket.http.response.start", "status": 503, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": b"no room here now: try again\n"})
