"""uvicorn's WebSockets, with what ASGI has no word for: giving a connection up, and little memory for slow readers."""

import socket
from asyncio import BaseTransport
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

ABORT: Final = "afterbell.abort"
"""Extension of a WebSocket's scope: a function that cuts the connection, also under a reader that reads nothing."""
# Left to itself the kernel keeps up to 4 MB for a reader that has stopped.
SEND_BUFFER_BYTES: Final = 128 * 1024


class WebSockets(WebSocketsSansIOProtocol):
    """Closing waits until what was sent has been read, so a stalled reader would keep its buffers for minutes."""

    def connection_made(self, transport: BaseTransport) -> None:
        """Take over a connection on which a handshake has begun."""
        super().connection_made(transport)
        found = transport.get_extra_info("socket")
        if found is not None:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    def handle_connect(self, event: Request) -> None:
        """Start serving one handshake."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions: Any = self.scope["extensions"]
            extensions[ABORT] = self.transport.abort

    async def send(self, message: Any) -> None:
        """Send as uvicorn does, which takes a handshake refused with a status for one that was forgotten."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True
