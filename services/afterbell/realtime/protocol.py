"""uvicorn's WebSockets, with one thing ASGI has no word for: giving a connection up."""

from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

ABORT: Final = "afterbell.abort"
"""Extension of a WebSocket's scope: a function that cuts the connection, also under a reader that reads nothing."""


class WebSockets(WebSocketsSansIOProtocol):
    """Closing waits until what was sent has been read, so a stalled reader would keep its buffers for minutes."""

    def handle_connect(self, event: Request) -> None:
        """Start serving one handshake."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions: Any = self.scope["extensions"]
            extensions[ABORT] = self.transport.abort
