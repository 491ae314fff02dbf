"""python-socketio's server, with what it lacks: limits before parsing, and no search for rooms that are ours."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import socketio

from afterbell.realtime.gate import UNUSABLE, Connection
from afterbell.realtime.wire import Event
from afterbell.settings import RealtimeSettings

NAMESPACE: Final = "/"


class _Manager(socketio.AsyncManager):  # type: ignore[misc]  # python-socketio has no types
    """Rooms are ours (rooms.py): a socket that goes is in no room but its own, and none need be searched."""

    def basic_disconnect(self, sid: str, namespace: str, **kwargs: Any) -> None:
        everybody = self.rooms.get(namespace, {})
        kept = {room: clients for room, clients in everybody.items() if room in (None, sid)} if everybody else {}
        self.rooms[namespace], others = kept, everybody
        super().basic_disconnect(sid, namespace, **kwargs)
        for room in (None, sid):
            others.pop(room, None)
        others.update(self.rooms.get(namespace, {}))
        if others:
            self.rooms[namespace] = others


class _Server(socketio.AsyncServer):  # type: ignore[misc]
    """Asks before a packet is looked at, and closes the connection that sends what is none."""

    admits: Callable[[str, str], str | None]

    async def _handle_eio_message(self, eio_sid: str, data: Any) -> None:
        answer = self.admits(eio_sid, data)
        if answer is not None:
            if answer:
                self._link(eio_sid).push(Event(answer).frame())
            await asyncio.sleep(0)  # a flood is read without a pause: between two of its packets others have their turn
            return
        try:
            await super()._handle_eio_message(eio_sid, data)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            self._link(eio_sid).close(UNUSABLE, "garbage")

    def _link(self, eio_sid: str) -> Connection:
        connection: Connection = self.environ[eio_sid]["asgi.scope"]["afterbell.connection"]
        return connection


def socketio_server(settings: RealtimeSettings, admits: Callable[[str, Any], str | None]) -> Any:
    """The Socket.IO server. ``admits`` is asked about each packet: None, or what to answer instead."""
    server = _Server(
        client_manager=_Manager(),
        async_mode="asgi",
        transports=["websocket"],
        # None checks for the same origin; an empty list would check nothing.
        cors_allowed_origins=list(settings.allowed_origins) or None,
        # One socket's events are handled in the order in which they came, and a flood waits in the kernel.
        async_handlers=False,
        max_http_buffer_size=settings.frame_bytes_max,
        http_compression=False,
        logger=False,
        engineio_logger=False,
    )
    server.admits = admits
    return server
