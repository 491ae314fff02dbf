"""A store that goes away and comes back: a door in front of a real server, which the test shuts and opens."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal


class Door:
    """Forwards a unix socket to another while it is open; shut, it drops every connection and takes none."""

    def __init__(self, portal: BlockingPortal, door: Path, server: Path) -> None:
        self._portal, self._door, self._server_path = portal, door, server
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.StreamWriter] = set()

    def open(self) -> None:
        self._portal.call(self._open)

    def shut(self) -> None:
        self._portal.call(self._shut)

    def cut(self) -> None:
        """Drop every connection; the next one is let in."""
        self._portal.call(self._cut)

    async def _open(self) -> None:
        self._server = await asyncio.start_unix_server(self._link, self._door)

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._door.unlink(missing_ok=True)
            await self._cut()
            self._server = None

    async def _cut(self) -> None:
        for writer in list(self._links):
            writer.transport.abort()
        await asyncio.sleep(0.01)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_unix_connection(self._server_path)
        both = {writer, server_writer}
        self._links |= both
        try:
            await asyncio.gather(_pour(reader, server_writer), _pour(server_reader, writer))
        finally:
            self._links -= both


async def _pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while piece := await source.read(65_536):
            sink.write(piece)
            await sink.drain()
    except OSError:
        pass
    finally:
        sink.transport.abort()


@contextmanager
def door_to(server: Path, door: Path) -> Iterator[Door]:
    """An open door at ``door`` to the socket ``server``."""
    with start_blocking_portal() as portal:
        opened = Door(portal, door, server)
        opened.open()
        try:
            yield opened
        finally:
            opened.shut()


def redis_socket(url: str) -> Path:
    """The socket of a private Valkey's URL; skips where the tests were given a server over TCP."""
    return _socket(urlsplit(url).path, url)


def postgres_socket(url: str) -> Path:
    """The socket of a private PostgreSQL's URL; skips as above."""
    folder = parse_qs(url.partition("?")[2]).get("host", [""])[0]
    return _socket(f"{folder}/.s.PGSQL.5432" if folder else "", url)


def _socket(path: str, url: str) -> Path:
    if not path.startswith("/") or not Path(path).is_socket():
        pytest.skip(f"needs a server on a unix socket, not {urlsplit(url).scheme} over TCP")
    return Path(path)
