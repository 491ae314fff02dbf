"""Sockets that have shown a token, and the rooms they are in, in this process.

Rooms are kept here and not in python-socketio: it starts a task for every recipient of every message (twice the CPU of
building one frame and writing it to every connection) and walks every room when a socket goes.
"""

from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

from afterbell.core.access import Caller
from afterbell.core.pacing import Bucket
from afterbell.core.session import Participant
from afterbell.observability import metrics
from afterbell.realtime.links import Link
from afterbell.realtime.wire import Event

# A reader with so much unread gets no outdated progress on top of it.
LAGGING_BYTES: Final = 16 * 1024


@dataclass(slots=True, eq=False)
class Member:
    """One socket of one caller; ``eio_sid`` is its name in python-engineio."""

    sid: str
    caller: Caller
    expires_at: float
    link: Link
    eio_sid: str
    bucket: Bucket = field(repr=False)
    rooms: dict[str, tuple[Participant, ...]] = field(default_factory=dict)
    watches: set[str] = field(default_factory=set)
    warned: bool = False
    expired: bool = False
    typed_at: float = 0.0

    def tell(self, event: Event) -> None:
        """Send an event to this socket alone."""
        metrics.RT_DELIVERED.inc()
        self.link.push(event.frame())

    @property
    def lags(self) -> bool:
        """Whether much is unread."""
        return self.link.wire.unread_bytes() > LAGGING_BYTES


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

    def of(self, room: str) -> list[Member]:
        """Its members here."""
        return list(self._rooms.get(room, ()))

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
        """Send one frame to every member, without a task or a wait."""
        found = self._rooms.get(room)
        if not found:
            return
        began, frame = perf_counter(), event.frame()
        for member in found:
            if member is not skip:
                member.link.push(frame)
        metrics.RT_EMIT_SECONDS.observe(perf_counter() - began)
        metrics.RT_DELIVERED.inc(len(found))
        metrics.RT_FANOUT.observe(len(found))


def room_of(tenant: str, session_id: str) -> str:
    """The room of a session's chat. A line break is in neither name, so no two sessions share a room."""
    return f"{tenant}\n{session_id}"


def session_of(room: str) -> str:
    """The session's id, as clients know it."""
    return room.partition("\n")[2]
