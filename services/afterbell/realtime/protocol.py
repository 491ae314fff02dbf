"""uvicorn's WebSockets, with what ASGI has no word for: whole frames, giving a connection up, what is still unread."""

import socket
from asyncio import BaseTransport
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import OPEN

WIRE: Final = "afterbell.wire"
"""Extension of a WebSocket's scope: the protocol itself, for ``send_frame``, ``unread_bytes`` and ``abort``."""
# Left to itself the kernel keeps up to 4 MB for a reader that has stopped.
SEND_BUFFER_BYTES: Final = 128 * 1024


class WebSockets(WebSocketsSansIOProtocol):
    """Closing waits until what was sent has been read, so a stalled reader would keep its buffers for minutes."""

    on_lost: Callable[[], None] | None = None
    """Called once it is gone: gives the connection's place back."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Clean up."""
        super().connection_lost(exc)
        if self.on_lost is not None:
            self.on_lost()

    def connection_made(self, transport: BaseTransport) -> None:
        """Take over a connection on which a handshake has begun."""
        super().connection_made(transport)
        raw_socket = transport.get_extra_info("socket")
        if raw_socket is not None:
            raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    def handle_connect(self, event: Request) -> None:
        """Start serving one handshake."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions: Any = self.scope["extensions"]
            extensions[WIRE] = self

    def send_frame(self, frame: bytes) -> None:
        """Send a frame that was built before, once for all who get it. One that comes after the end is left out.

        A connection that broke is OPEN to the protocol until its own task has run; uvloop raises at a write to it.
        """
        if self.handshake_complete and not self.close_sent and self.conn.state is OPEN and not self._gone:
            self.transport.write(frame)

    def unread_bytes(self) -> int:
        """What the reader and the kernel have not taken yet."""
        return 0 if self._gone else self.transport.get_write_buffer_size()

    @property
    def _gone(self) -> bool:
        return bool(self.transport.is_closing())

    def abort(self) -> None:
        """Cut the connection, also under a reader that reads nothing."""
        self.transport.abort()

    async def send(self, message: Any) -> None:
        """Send as uvicorn does, which takes a handshake refused with a status for one that was forgotten."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True
