"""A light Socket.IO client for load: one protocol object a socket, frames counted rather than parsed.

What the generator burns is missing from the servers on shared cores, so it does as little as it can a message.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final

HANDSHAKE: Final = (
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
TEXT: Final = 0x81
LONG, LONGER = 126, 127
MASKED: Final = 0x80


class Socket(asyncio.Protocol):
    """One socket. ``heard`` is called with every event's text; acknowledgements resolve what ``ask`` waits for."""

    def __init__(self, token: str, heard: Callable[["Socket", bytes], None]) -> None:
        self._token, self._heard = token, heard
        self.connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked: dict[int, asyncio.Future[bytes]] = {}
        self._next = 0
        self._rest = b""
        self._upgraded = False
        self.transport: Any = None

    @classmethod
    async def open(cls, port: int, token: str, heard: Callable[["Socket", bytes], None]) -> "Socket":
        """A socket past its token."""
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(lambda: cls(token, heard), "127.0.0.1", port)
        await asyncio.wait_for(made.connected, 20)
        return made

    def connection_made(self, transport: Any) -> None:
        """Ask for the upgrade."""
        self.transport = transport
        transport.write(HANDSHAKE.encode())

    def connection_lost(self, exc: Exception | None) -> None:
        """A socket that goes fails whatever waits for it."""
        waits: list[asyncio.Future[Any]] = [self.connected, *self._asked.values()]
        for waiting in waits:
            if not waiting.done():
                waiting.set_exception(exc or ConnectionError("closed by the server"))

    def data_received(self, data: bytes) -> None:
        """Cut the stream into frames; servers mask nothing."""
        data = self._rest + data if self._rest else data
        at = 0
        if not self._upgraded:
            at = data.find(b"\r\n\r\n") + 4
            if at < 4:
                self._rest = data
                return
            self._upgraded = True
        while len(data) - at >= 2:
            length, head = data[at + 1], 2
            if length == LONG:
                length, head = int.from_bytes(data[at + 2 : at + 4], "big"), 4
            elif length == LONGER:
                length, head = int.from_bytes(data[at + 2 : at + 10], "big"), 10
            if len(data) - at < head + length:
                break
            self._frame(data[at], data[at + head : at + head + length])
            at += head + length
        self._rest = data[at:]

    def emit(self, event: str, payload: dict[str, Any], ack: str = "") -> None:
        """Send one event."""
        self._send(f"42{ack}" + json.dumps([event, payload], separators=(",", ":")))

    async def ask(self, event: str, payload: dict[str, Any]) -> bytes:
        """Send one event and wait for its acknowledgement."""
        self._next += 1
        waiting = self._asked[self._next] = asyncio.get_running_loop().create_future()
        self.emit(event, payload, str(self._next))
        return await asyncio.wait_for(waiting, 30)

    def _frame(self, kind: int, body: bytes) -> None:
        if body.startswith(b"42"):
            self._heard(self, body)
        elif body.startswith(b"43"):
            number, _, _ = body[2:].partition(b"[")
            waiting = self._asked.pop(int(number), None)
            if waiting is not None:
                waiting.set_result(body)
        elif body == b"2":
            self._send("3")
        elif body.startswith(b"0"):
            self._send("40" + json.dumps({"token": self._token}))
        elif body.startswith(b"40") and not self.connected.done():
            self.connected.set_result(None)
        elif kind == 0x89:
            self._send_frame(0x8A, body)

    def _send(self, text: str) -> None:
        self._send_frame(TEXT, text.encode())

    def _send_frame(self, kind: int, body: bytes) -> None:
        # Clients must mask; a mask of zeros changes nothing and costs nothing.
        size = (
            bytes([MASKED | len(body)]) if len(body) < LONG else bytes([MASKED | LONG]) + len(body).to_bytes(2, "big")
        )
        self.transport.write(bytes([kind]) + size + b"\0\0\0\0" + body)
