"""The one page of a kubelet's own server that is needed here: a container's log, for `kubectl logs`."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

PORT = 10250
_FOLLOW_S = 0.2
# (namespace, pod, container, whether its previous life) → the file, and whether it is still written to
Find = Callable[[str, str, str, bool], tuple[Path, Callable[[], bool]] | None]


async def serve_logs(host: str, certificate: Path, key: Path, find: Find) -> None:
    """Serve for ever, over TLS as the API server expects it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            target = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
            await _answer(writer, target, find)
            writer.close()
            await writer.wait_closed()
        except (OSError, asyncio.IncompleteReadError):
            writer.transport.abort()

    server = await asyncio.start_server(answer, host, PORT, ssl=context)
    await server.serve_forever()


async def _answer(writer: asyncio.StreamWriter, target: str, find: Find) -> None:
    address = urlsplit(target)
    asked = {key: values[0] for key, values in parse_qs(address.query).items()}
    words = [unquote(word) for word in address.path.strip("/").split("/")]
    log = None
    if words[0] == "containerLogs" and len(words) == 4:
        log = find(words[1], words[2], words[3], asked.get("previous") == "true")
    head = "HTTP/1.1 {}\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
    if log is None:
        writer.write(head.format("404 Not Found").encode() + b"no such log")
        return
    writer.write(head.format("200 OK").encode())
    await _pour(writer, *log, tail=asked.get("tailLines"), follow=asked.get("follow") == "true")


async def _pour(
    writer: asyncio.StreamWriter, path: Path, running: Callable[[], bool], *, tail: str | None, follow: bool
) -> None:
    said = _from(path, 0)
    lines = said.splitlines(keepends=True)
    writer.write(b"".join(lines[max(0, len(lines) - int(tail)) :] if tail is not None else lines))
    at, more = len(said), follow
    while more:
        more = running()  # asked before the file is read, so that nothing said at the end is missed
        await writer.drain()
        piece = _from(path, at)
        writer.write(piece)
        at += len(piece)
        await asyncio.sleep(_FOLLOW_S if more else 0)
    await writer.drain()


def _from(path: Path, at: int) -> bytes:
    if not path.exists():
        return b""
    with path.open("rb") as log:
        log.seek(at)
        return log.read()
