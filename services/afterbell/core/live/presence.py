"""Who is in which room, on all pods: each pod tells the others of its own people, and is believed while it lives.

Nothing is kept in a store. A pod knows its own sockets; of the others it knows what they said, until they say
otherwise, or have been silent for longer than ``SILENT_S``. Time is an argument.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

GRACE_S: Final = 5.0
"""Somebody whose last socket went away counts as present for so long: reloading a page is no departure."""
SILENT_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Change:
    """Who came into a room and who left it, as somebody in that room sees it."""

    room: str
    joined: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.joined or self.left)


class Presence:
    """The people of every room. Users are ids; one may hold many sockets."""

    def __init__(self) -> None:
        self._sockets: dict[str, dict[str, int]] = {}
        self._leaving: dict[tuple[str, str], float] = {}
        self._others: dict[str, dict[str, set[str]]] = {}
        self._heard_at: dict[str, float] = {}

    def here(self, room: str) -> set[str]:
        """People of this pod, those in their grace included."""
        return set(self._sockets.get(room, ()))

    def online(self, room: str) -> set[str]:
        """People of all pods."""
        return self.here(room) | self.elsewhere(room)

    def elsewhere(self, room: str) -> set[str]:
        """People of the other pods."""
        return set[str]().union(*(rooms.get(room, ()) for rooms in self._others.values()))

    @property
    def rooms(self) -> list[str]:
        """Rooms with people of this pod."""
        return list(self._sockets)

    def enter(self, room: str, user: str) -> Change:
        """One more socket of ``user``. The change is what the other pods must be told."""
        people = self._sockets.setdefault(room, {})
        self._leaving.pop((room, user), None)
        is_new = user not in people
        people[user] = people.get(user, 0) + 1
        return Change(room, joined=(user,)) if is_new else Change(room)

    def leave(self, room: str, user: str, now: float) -> None:
        """One socket fewer. With the last one the grace begins, which ``departed`` ends."""
        people = self._sockets.get(room, {})
        if people.get(user, 0) > 0:
            people[user] -= 1
            if people[user] == 0:
                self._leaving[room, user] = now + GRACE_S

    def departed(self, now: float) -> list[Change]:
        """Those whose grace is over: the other pods must be told."""
        gone: dict[str, list[str]] = defaultdict(list)
        for (room, user), until in list(self._leaving.items()):
            if until <= now:
                del self._leaving[room, user]
                gone[room].append(user)
                self._forget(room, user)
        return [Change(room, left=tuple(users)) for room, users in gone.items()]

    def heard(self, pod: str, change: Change, now: float) -> Change:
        """Another pod told of a change: what of it is new to the people here."""
        self._heard_at[pod] = now
        before = self.online(change.room)
        rooms = self._others.setdefault(pod, {})
        people = (rooms.get(change.room, set()) | set(change.joined)) - set(change.left)
        if people:
            rooms[change.room] = people
        else:
            rooms.pop(change.room, None)
        return self._difference(change.room, before)

    def heard_all(
        self, pod: str, rooms: Mapping[str, Iterable[str]], now: float, *, of: Callable[[str], bool]
    ) -> list[Change]:
        """Another pod told of everybody it has in rooms ``of`` this kind: in those it did not name, nobody."""
        changes = []
        for room in {*rooms, *(room for room in self._others.get(pod, ()) if of(room))}:
            known = self._others.get(pod, {}).get(room, set())
            now_there = set(rooms.get(room, ()))
            changes.append(self.heard(pod, Change(room, tuple(now_there - known), tuple(known - now_there)), now))
        return [change for change in changes if change]

    def alive(self, pod: str, now: float) -> bool:
        """Another pod gave a heartbeat. False where nothing is known of it: ask it who is there."""
        known = pod in self._heard_at
        self._heard_at[pod] = now
        return known

    def silent(self, now: float) -> list[Change]:
        """Forget the pods that went silent: their people are gone, or will be told of again."""
        changes = []
        for pod in [pod for pod, at in self._heard_at.items() if now - at > SILENT_S]:
            changes += self.gone(pod)
        return changes

    def gone(self, pod: str) -> list[Change]:
        """Another pod said good-bye or went silent."""
        self._heard_at.pop(pod, None)
        rooms = self._others.get(pod, {})
        before = {room: self.online(room) for room in rooms}
        self._others.pop(pod, None)
        changes = [self._difference(room, people) for room, people in before.items()]
        return [change for change in changes if change]

    def _forget(self, room: str, user: str) -> None:
        people = self._sockets.get(room, {})
        people.pop(user, None)
        if not people:
            self._sockets.pop(room, None)

    def _difference(self, room: str, before: set[str]) -> Change:
        after = self.online(room)
        return Change(room, tuple(sorted(after - before)), tuple(sorted(before - after)))
