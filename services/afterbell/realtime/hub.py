"""What happens in a room reaches everybody in it: the clients here at once, those of other pods over the bus.

Messages between pods are JSON lists, the first word says what they are:
    ["event", room, packet]                 a Socket.IO packet for the room
    ["event", room, packet, edition]        the same, for people who were judged by this edition (authority.py)
    ["presence", room, [joined], [left]]    a pod's people came or went
    ["who", shard]                          tell everybody you have in this shard's rooms
    ["here", shard, {room: [users]}]        the answer
    ["changed", room]                       the record of a session was changed: look at it
    ["alive"]  ["bye"]  ["missed", shard]   a heartbeat, the last one, and: some of mine did not reach you
    ["alive", pod, sockets, most, draining] a heartbeat that the operator reads as well (core/live/heartbeat.py)
    ["drain"]  ["undrain"]                  the operator to one pod: send your sockets away, take some again
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import orjson
import structlog

from afterbell.core.errors import MALFORMED
from afterbell.core.live.heartbeat import PodVerb
from afterbell.core.live.presence import Change, Presence
from afterbell.realtime.authority import Authority
from afterbell.realtime.bus import SHARDS, Bus, shard_of
from afterbell.realtime.rooms import Client, Rooms, session_of
from afterbell.realtime.wire import Event

log = structlog.get_logger(__name__)


class Hub:
    """Fan-out and presence of this pod on one bus."""

    def __init__(self, rooms: Rooms, bus: Bus, authority: Authority) -> None:
        self._rooms, self._bus, self._authority = rooms, bus, authority
        self.presence = Presence()
        self._on_steered: Callable[[PodVerb], None] = lambda _verb: None

    @property
    def connected(self) -> bool:
        """Whether other pods are within reach."""
        return self._bus.connected

    def start(
        self,
        steered: Callable[[PodVerb], None],
        sign: Callable[[], list[Any]] | None,
    ) -> None:
        """Begin to hear the other pods. ``steered`` gets what the operator asks; ``sign`` is what heartbeats say
        besides. None: they say nothing, and are given only while somebody is here."""
        self._on_steered = steered
        self._bus.start(self._heard, self._turned, sign)

    def say_alive(self) -> None:
        """Give a heartbeat now."""
        self._bus.say_alive()

    async def stop(self) -> None:
        """Say good-bye to the other pods."""
        for shard in {shard_of(room) for room in self.presence.rooms}:
            self._bus.publish(shard, orjson.dumps(["bye"]))
        await self._bus.stop()

    def emit(self, room: str, event: Event, *, skip: Client | None = None) -> None:
        """Hand an event to everybody in the room, on every pod. Never waits, never raises."""
        self._rooms.deliver(room, event, skip=skip)
        self._bus.publish(shard_of(room), orjson.dumps(["event", room, event.text]))

    def emit_stored(self, room: str, event: Event, edition: int) -> None:
        """The same for what the record has stored in this edition: only those hear it who take part in that one."""
        self._deliver_stored(room, event, edition)
        self._bus.publish(shard_of(room), orjson.dumps(["event", room, event.text, edition]))

    def _deliver_stored(self, room: str, event: Event, edition: int) -> None:
        if room in self._rooms:
            self._authority.deliver(room, edition, partial(self._rooms.deliver, room, event))

    def change(self, room: str) -> None:
        """Tell every pod, this one included, that the record of a session was changed."""
        self._authority.look_at(room)
        self._bus.publish(shard_of(room), orjson.dumps(["changed", room]))

    async def enter(self, room: str, client: Client) -> None:
        """A client comes in: from now on it hears the room, and the others hear of it."""
        known = room in self._rooms
        self._rooms.enter(room, client)
        self._tell(self.presence.enter(room, client.caller.subject), skip=client)
        shard = shard_of(room)
        self._bus.want(self._shards())
        await self._bus.heard_from(shard)
        if not known:
            self._bus.publish(shard, orjson.dumps(["who", shard]))

    def leave(self, room: str, client: Client) -> None:
        """A client goes; the others hear of it if it does not come back soon."""
        self._rooms.leave(room, client)
        self.presence.leave(room, client.caller.subject, self._now())

    def tick(self) -> None:
        """Once a second: graces that are over, pods that went silent, shards nobody here needs any more."""
        now = self._now()
        for change in self.presence.departed(now):
            self._tell(change)
        for change in self.presence.silent(now):
            self._show(change)
        self._bus.want(self._shards())

    def _shards(self) -> set[int]:
        return {shard_of(room) for room in self._rooms.names()}

    def _tell(self, change: Change, *, skip: Client | None = None) -> None:
        """Our own people changed: tell the pods, and show it here unless somebody is on another pod as well."""
        if not change:
            return
        message = orjson.dumps(["presence", change.room, change.joined, change.left])
        self._bus.publish(shard_of(change.room), message)
        elsewhere = self.presence.elsewhere(change.room)
        joined, left = (
            tuple(user for user in users if user not in elsewhere) for users in (change.joined, change.left)
        )
        self._show(Change(change.room, joined, left), skip=skip)

    def _show(self, change: Change, *, skip: Client | None = None) -> None:
        if change:
            payload = {"session": session_of(change.room), "joined": change.joined, "left": change.left}
            self._rooms.deliver(change.room, Event.of("presence", payload), skip=skip)

    def _heard(self, body: bytes) -> None:
        pod, _, messages = body.partition(b"\n")
        try:
            batch = list(orjson.loads(messages))
        except MALFORMED as error:
            log.warning("bus_message_unreadable", length=len(body), error=type(error).__name__)
            return
        for message in batch:
            try:
                self._obey(pod.decode(), message)
            except Exception as error:  # one that cannot be obeyed must cost neither the next ones nor the listener
                log.warning("bus_message_unreadable", length=len(body), error=type(error).__name__)

    def _obey(self, pod: str, message: list[Any]) -> None:
        kind = message[0]
        if kind == "event" and len(message) > 3:
            self._deliver_stored(message[1], Event(message[2]), int(message[3]))
        elif kind == "event":
            self._rooms.deliver(message[1], Event(message[2]))
        elif kind == "changed":
            self._authority.look_at(message[1])
        elif kind == "missed":
            self._resync(None if message[1] == "pods" else int(message[1]), "overflow")
        elif kind == "who":
            self._answer(int(message[1]))
        elif kind in ("drain", "undrain"):
            self._on_steered(kind)
        else:
            self._obey_presence(pod, message)

    def _obey_presence(self, pod: str, message: list[Any]) -> None:
        kind = message[0]
        if kind == "presence":
            self._show(self.presence.heard(pod, Change(message[1], tuple(message[2]), tuple(message[3])), self._now()))
        elif kind == "here":
            shard = int(message[1])
            of = lambda room: shard_of(room) == shard  # noqa: E731
            for change in self.presence.heard_all(pod, message[2], self._now(), of=of):
                self._show(change)
        elif kind == "bye":
            for change in self.presence.gone(pod):
                self._show(change)
        elif not self.presence.alive(pod, self._now()):
            self._ask()

    def _answer(self, shard: int) -> None:
        people = {room: sorted(self.presence.here(room)) for room in self.presence.rooms if shard_of(room) == shard}
        self._bus.publish(shard, orjson.dumps(["here", shard, people]))

    def _ask(self) -> None:
        for shard in self._shards():
            self._bus.publish(shard, orjson.dumps(["who", shard]))

    def _turned(self) -> None:
        """The bus was lost or is back. Back: everybody here may have missed something, and so may we of the pods."""
        connected = self._bus.connected
        log.info("bus_connection_changed", connected=connected)
        event = Event.of("rt:degraded", {"degraded": not connected})
        for client in self._rooms.clients.values():
            client.tell(event)
        if connected:
            self._resync(None, "bus")
            self._ask()
            for shard in range(SHARDS):
                self._answer(shard)

    def _resync(self, shard: int | None, reason: str) -> None:
        if shard is None:
            event = Event.of("rt:resync", {"reason": reason})
            for client in self._rooms.clients.values():
                client.tell(event)
            return
        for room in self._rooms.names():
            if shard_of(room) == shard:
                self._rooms.deliver(room, Event.of("rt:resync", {"session": session_of(room), "reason": reason}))

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
