"""Listening: sockets bound before anything starts, uvicorn without its own signal handling, SIGTERM told once."""

import asyncio
import errno
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial
from typing import Any, Final, Self, cast

import uvicorn
from starlette.types import ASGIApp

from afterbell.core.errors import SettingsError
from afterbell.http_protocol import HttpLimits, LimitedHttp, OpenConnections
from afterbell.service import Service
from afterbell.startup import started

BACKLOG: Final = 2048
LOOPBACK: Final = "127.0.0.1"
# File descriptors for everything but clients: stores, files, the other port.
DESCRIPTORS_APART: Final = 512


def bind(host: str, port: int, *, variable: str) -> socket.socket:
    """A listening socket. Raises SettingsError with the variable to change where the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except (OSError, UnicodeError) as error:
        listening.close()
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        advice = (
            f"stop the process that uses it, or set {variable} to another port"
            if taken
            else f"check AFTERBELL_HOST and {variable}"
        )
        reason = error.strerror if isinstance(error, OSError) else "not a host name"
        raise SettingsError(
            f"{variable}: cannot listen on {host} port {port} ({reason}): {advice}", field=variable
        ) from None
    listening.listen(BACKLOG)
    listening.setblocking(False)
    return listening


def port_of(listening: socket.socket) -> int:
    """The port a socket got; useful after asking for port 0."""
    port: int = listening.getsockname()[1]
    return port


def room_for(connections: int) -> int:
    """How many of ``connections`` this process can hold, after asking the system for as many descriptors as it gives.

    Without a descriptor for it, a connection can be neither served nor refused.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + DESCRIPTORS_APART
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return min(connections, max(soft - DESCRIPTORS_APART, soft // 2))


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, open_connections: OpenConnections) -> None:
        super().__init__(config)
        self._open_connections = open_connections

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        if counter % 10 == 0:
            self._open_connections.tick(asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to ``until_signalled``: one process may run several servers."""
        yield

    def end(self) -> None:
        """Accept nothing more and let requests end."""
        self.should_exit = True


class Serving:
    """One ASGI app on one socket, inside the running event loop. ``websockets``: their protocol class, if any."""

    def __init__(
        self,
        app: ASGIApp,
        listening: socket.socket,
        *,
        grace_s: int = 10,
        websockets: type[asyncio.Protocol] | None = None,
        frame_bytes_max: int = 0,
        limits: HttpLimits | None = None,
    ) -> None:
        self._socket = listening
        open_connections = OpenConnections(limits or HttpLimits())
        protocol: Any = partial(LimitedHttp, open_connections=open_connections)
        self._server = _Server(
            uvicorn.Config(
                cast("Any", app),  # uvicorn types ASGI more narrowly than starlette does
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=True,
                timeout_graceful_shutdown=grace_s,
                lifespan="off",
                http=protocol,
                ws=websockets or "none",
                ws_max_size=frame_bytes_max,
                ws_per_message_deflate=False,  # doubles a socket's memory for messages of 200 bytes
            ),
            open_connections,
        )
        self._service = Service("http_server", self._serve, finish=self._server.end)

    async def __aenter__(self) -> Self:
        """Start for the block."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop after it."""
        await self.stop()

    async def start(self) -> None:
        """Return once requests are accepted."""
        self._service.start()
        while not self._server.started and not self._service.ended:  # uvicorn tells it by this flag only
            await asyncio.sleep(0.005)
        if self._service.failure is not None:
            raise self._service.failure

    async def stop(self) -> None:
        """Stop accepting, let requests end within the grace period."""
        await self._service.stop()

    async def _serve(self) -> None:
        await self._server.serve(sockets=[self._socket])


async def serve(process: AbstractAsyncContextManager[object]) -> None:
    """Run ``process``, which is up once its block is entered, until SIGTERM or SIGINT."""
    async with process:
        started()
        await until_signalled()


async def until_signalled() -> None:
    """Return at the first SIGTERM or SIGINT. A second one ends the process the usual way."""
    loop = asyncio.get_running_loop()
    signalled = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled.set)
    try:
        await signalled.wait()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
