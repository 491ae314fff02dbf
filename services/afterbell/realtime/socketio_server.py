"""python-socketio's server, with what it lacks: limits before parsing, and no search for rooms that are ours."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import orjson
import socketio
from socketio.packet import ACK, CONNECT_ERROR, Packet

from afterbell.realtime.gate import NORMAL, UNUSABLE, Connection
from afterbell.realtime.wire import Event
from afterbell.settings import RealtimeSettings

NAMESPACE: Final = "/"
UNNAMED: Final = ""
"""Stands for what a client may not call an event: there is no handler for it."""


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
    welcome: Callable[[str], None]

    async def _handle_connect(self, eio_sid: str, namespace: str | None, data: Any) -> None:
        """There is one namespace; whoever asks for another is told so in words it can read."""
        if (namespace or NAMESPACE) == NAMESPACE:
            await super()._handle_connect(eio_sid, namespace, data)
            self.welcome(eio_sid)
            return
        refusal = {"code": "unknown_namespace", "message": f"connect to the namespace {NAMESPACE}"}
        body = {"message": "Invalid namespace", "data": refusal}
        await self._send_packet(eio_sid, Packet(CONNECT_ERROR, data=body, namespace=namespace))

    async def _handle_event(self, eio_sid: str, namespace: str | None, id: int | None, data: list[Any]) -> None:  # noqa: A002
        """What a client calls an event never reaches the handlers of the server's own, nor one that is no name."""
        if not isinstance(data[0], str) or data[0] in ("*", *self.reserved_events):
            data = [UNNAMED, *data[1:]]
        await super()._handle_event(eio_sid, namespace, id, data)

    async def _handle_disconnect(self, eio_sid: str, namespace: str | None, reason: str | None = None) -> None:
        """Whoever says goodbye is gone, and its connection with it."""
        await super()._handle_disconnect(eio_sid, namespace, reason)
        if reason == self.reason.CLIENT_DISCONNECT:
            self._close(eio_sid, NORMAL, "goodbye")

    async def _send_packet(self, eio_sid: str, pkt: Any) -> None:
        """Everything goes the way of events, not past them: what was told before an acknowledgement is in it."""
        if pkt.packet_type == ACK:  # python-socketio's JSON is twice as long, where somebody writes Cyrillic
            answer = orjson.dumps(pkt.data, default=str, option=orjson.OPT_UTC_Z).decode()
            text = f"{ACK}{pkt.id}{answer}"
        else:
            text = pkt.encode()
        self._push(eio_sid, text)

    async def _handle_eio_message(self, eio_sid: str, data: Any) -> None:
        answer = self.admits(eio_sid, data)
        if answer is not None:
            if answer:
                self._push(eio_sid, answer)
            await asyncio.sleep(0)  # a flood is read without a pause: between two of its packets others have their turn
            return
        try:
            await super()._handle_eio_message(eio_sid, data)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            self._close(eio_sid, UNUSABLE, "garbage")

    def _push(self, eio_sid: str, text: str) -> None:
        if (connection := self._connection_of(eio_sid)) is not None:
            connection.push(Event(text).frame())

    def _close(self, eio_sid: str, code: int, reason: str) -> None:
        if (connection := self._connection_of(eio_sid)) is not None:
            connection.close(code, reason)

    def _connection_of(self, eio_sid: str) -> Connection | None:
        """None where it went while its event was worked on."""
        environ = self.environ.get(eio_sid)
        return None if environ is None else environ["asgi.scope"]["afterbell.connection"]


def socketio_server(
    settings: RealtimeSettings, admits: Callable[[str, Any], str | None], welcome: Callable[[str], None]
) -> Any:
    """The Socket.IO server. ``admits`` is asked about each packet: None, or what to answer instead; ``welcome`` is
    called once somebody was answered to their CONNECT."""
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
    server.admits, server.welcome = admits, welcome
    return server
