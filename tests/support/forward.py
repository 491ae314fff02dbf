"""A wire between two networks: takes connections on an inherited socket, passes them on in the network it runs in.

python -m tests.support.forward DESCRIPTOR HOST PORT

HOST may be the path of a Unix socket; PORT is not used then.
"""

import asyncio
import socket
import sys
from contextlib import suppress
from functools import partial


async def link(host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Join a connection with one to host:port, until one of the two ends."""
    try:
        unix = host.startswith("/")
        far_reader, far_writer = await (
            asyncio.open_unix_connection(host) if unix else asyncio.open_connection(host, port)
        )
    except OSError:
        writer.transport.abort()
        return
    await asyncio.gather(_pour(reader, far_writer), _pour(far_reader, writer))
    writer.close()
    far_writer.close()


async def _pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Until the source ends; a broken end breaks the other, so that nobody waits for a server that is gone."""
    try:
        while piece := await source.read(65_536):
            sink.write(piece)
            await sink.drain()
        sink.write_eof()
    except (OSError, NotImplementedError):
        with suppress(OSError):
            sink.transport.abort()


async def main(descriptor: int, host: str, port: int) -> None:
    with socket.socket(fileno=descriptor) as listener:
        server = await asyncio.start_server(partial(link, host, port), sock=listener)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
