"""Sockets that have shown a token, and the rooms they are in, in this process.

Rooms are kept here and not in python-socketio: it starts a task for every recipient of every message (twice the CPU of
putting the packet into the recipient's queue) and walks every room when a socket goes.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

from afterbell.core.access import Caller
from afterbell.core.pacing import Bucket
from afterbell.core.session import Participant
from afterbell.observability import metrics
from afterbell.realtime.links import Link
from afterbell.realtime.wire import EncodedPacket, Event

QUEUE_MAX: Final = 256
QUEUE_CHARS_MAX: Final = 1024 * 1024
# A reader with so much unread gets no outdated progress on top of it.
QUEUE_LONG: Final = 16


@dataclass(slots=True, eq=False)
class Member:
    """One socket of one caller. ``eio`` is python-engineio's socket, whose queue its writer empties."""

    sid: str
    caller: Caller
    expires_at: float
    link: Link
    eio: Any = field(repr=False)
    bucket: Bucket = field(repr=False)
    rooms: dict[str, tuple[Participant, ...]] = field(default_factory=dict)
    watches: set[str] = field(default_factory=set)
    warned: bool = False
    expired: bool = False
    typed_at: float = 0.0

    def push(self, packet: EncodedPacket, size: int) -> None:
        """Put a packet into the socket's queue; a reader that is too slow for it is closed."""
        queue: asyncio.Queue[Any] = self.eio.queue
        waiting = queue.qsize()
        if waiting >= QUEUE_MAX or (waiting > QUEUE_LONG and waiting * size > QUEUE_CHARS_MAX):
            self.link.close(1008, "slow_consumer")
            return
        if not self.link.closing:
            queue.put_nowait(packet)

    def tell(self, event: Event) -> None:
        """Send an event to this socket alone."""
        metrics.RT_DELIVERED.inc()
        self.push(event.packet(), len(event.text))

    @property
    def lags(self) -> bool:
        """Whether much is unread."""
        return bool(self.eio.queue.qsize() > QUEUE_LONG)


class Rooms:
    """Members by room. Names are made by the server alone."""

    def __init__(self) -> None:
        self._rooms: dict[str, dict[Member, None]] = {}
        self.members: dict[str, Member] = {}
        metrics.RT_ROOMS.set_function(lambda: len(self._rooms))

    def __contains__(self, room: str) -> bool:
        return room in self._rooms

    def names(self) -> list[str]:
        """Rooms with a member here."""
        return list(self._rooms)

    def sockets_of(self, caller: Caller) -> int:
        """How many sockets this user has here."""
        same = (caller.tenant, caller.subject)
        return sum((one.caller.tenant, one.caller.subject) == same for one in self.members.values())

    def enter(self, room: str, member: Member) -> None:
        """Put a member into a room."""
        self._rooms.setdefault(room, {})[member] = None

    def leave(self, room: str, member: Member) -> None:
        """Take a member out; an empty room is gone."""
        found = self._rooms.get(room)
        if found is not None:
            found.pop(member, None)
            if not found:
                del self._rooms[room]

    def deliver(self, room: str, event: Event, *, skip: Member | None = None) -> None:
        """Hand one packet to every member, without a task or a wait."""
        found = self._rooms.get(room)
        if not found:
            return
        packet, size = event.packet(), len(event.text)
        for member in found:
            if member is not skip:
                member.push(packet, size)
        metrics.RT_DELIVERED.inc(len(found))


def room_of(tenant: str, session_id: str) -> str:
    """The room of a session's chat. A line break is in neither name, so no two sessions share a room."""
    return f"{tenant}\n{session_id}"


def session_of(room: str) -> str:
    """The session's id, as clients know it."""
    return room.partition("\n")[2]
