"""A receiver of webhooks: a real HTTP server that keeps what it got and answers as it was told."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

OK = "HTTP/1.1 204 No Content\r\n\r\n"


def answer(status: int, *headers: str) -> str:
    return "\r\n".join([f"HTTP/1.1 {status} Whatever", "Content-Length: 0", *headers, "", ""])


@dataclass(slots=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Receiver:
    """``answers`` are given in turn, OK after them; an empty one is silence."""

    port: int = 0
    got: list[Received] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/hook?a=1"

    async def until(self, count: int, *, within_s: float = 30) -> None:
        async with asyncio.timeout(within_s):
            while len(self.got) < count:
                await asyncio.sleep(0.01)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.got.append(Received(head[0].split()[1], headers, body))
            said = self.answers.pop(0) if self.answers else OK
            if not said:
                await asyncio.sleep(60)
            writer.write(said.encode())
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiver(tls: ssl.SSLContext | None = None, **given: list[str]) -> AsyncIterator[Receiver]:
    started = Receiver(scheme="https" if tls else "http", **given)  # type: ignore[arg-type]
    server = await asyncio.start_server(started.serve, "127.0.0.1", 0, ssl=tls)
    started.port = server.sockets[0].getsockname()[1]
    try:
        yield started
    finally:
        server.close()
