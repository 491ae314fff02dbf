"""Sockets that have shown a token, and the rooms they are in, in this process.

Rooms are kept here and not in python-socketio: it starts a task for every recipient of every message (twice the CPU of
building one frame and writing it to every connection) and walks every room when a socket goes.
"""

from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

from afterbell.core.access import Caller
from afterbell.observability import metrics
from afterbell.realtime.gate import Connection
from afterbell.realtime.wire import Event

# A reader with so much unread gets no outdated progress on top of it.
LAGGING_BYTES: Final = 16 * 1024


@dataclass(slots=True, eq=False)
class Client:
    """One socket of one caller; ``eio_sid`` is its name in python-engineio."""

    sid: str
    caller: Caller
    expires_at: float
    connection: Connection
    eio_sid: str
    rooms: set[str] = field(default_factory=set)
    watches: set[str] = field(default_factory=set)
    warned: bool = False
    expired: bool = False

    @property
    def person(self) -> tuple[str, str]:
        """Whose socket it is: limits are theirs, not the socket's."""
        return self.caller.tenant, self.caller.subject

    def tell(self, event: Event) -> None:
        """Send an event to this socket alone."""
        metrics.RT_DELIVERED.inc()
        self.connection.push(event.frame())

    @property
    def lags(self) -> bool:
        """Whether much is unread."""
        return self.connection.wire.unread_bytes() > LAGGING_BYTES


class Rooms:
    """Clients by room. Names are made by the server alone."""

    def __init__(self) -> None:
        self._rooms: dict[str, dict[Client, None]] = {}
        self.clients: dict[str, Client] = {}
        metrics.RT_ROOMS.set_function(lambda: len(self._rooms))

    def __contains__(self, room: str) -> bool:
        return room in self._rooms

    def names(self) -> list[str]:
        """Rooms with a client here."""
        return list(self._rooms)

    def sockets_of(self, caller: Caller) -> int:
        """How many sockets this user has here."""
        same = (caller.tenant, caller.subject)
        return sum(client.person == same for client in self.clients.values())

    def of(self, room: str) -> list[Client]:
        """Its clients here."""
        return list(self._rooms.get(room, ()))

    def enter(self, room: str, client: Client) -> None:
        """Put a client into a room."""
        self._rooms.setdefault(room, {})[client] = None

    def leave(self, room: str, client: Client) -> None:
        """Take a client out; an empty room is gone."""
        clients = self._rooms.get(room)
        if clients is not None:
            clients.pop(client, None)
            if not clients:
                del self._rooms[room]

    def deliver(self, room: str, event: Event, *, skip: Client | None = None) -> None:
        """Send one frame to every client, without a task or a wait."""
        clients = self._rooms.get(room)
        if not clients:
            return
        began, frame = perf_counter(), event.frame()
        for client in clients:
            if client is not skip:
                client.connection.push(frame)
        metrics.RT_EMIT_SECONDS.observe(perf_counter() - began)
        metrics.RT_DELIVERED.inc(len(clients))
        metrics.RT_FANOUT.observe(len(clients))


def room_of(tenant: str, session_id: str) -> str:
    """The room of a session's chat. A line break is in neither name, so no two sessions share a room."""
    return f"{tenant}\n{session_id}"


def key_of(room: str) -> tuple[str, str]:
    """The tenant and the session."""
    tenant, _, session_id = room.partition("\n")
    return tenant, session_id


def session_of(room: str) -> str:
    """The session's id, as clients know it."""
    return key_of(room)[1]
