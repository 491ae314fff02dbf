"""What the record says of the sessions that people here hear of: who takes part in them, and in which edition.

PostgreSQL alone decides, and no pod need be told by another. Three things keep what is known here true:

- The trigger that gives a session its new edition tells every pod at once (``look_at``).
- Twice a second one query asks for all of them which editions are others, since a hint may be lost.
- Every message carries the edition it was stored in, given by the statement that stored it. One of a later edition
  than is known here waits until its readers were judged by that one, so no hint is needed for it to reach nobody whom
  the record had taken out before it was written. One of an earlier edition is left out: whoever may, reads the session
  anew, and has it from the record as it is now.

So a message costs no query, and Redis, which only carries copies, can be away or hang.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from afterbell.adapters.db import sessions
from afterbell.adapters.db.database import Database
from afterbell.adapters.db.sessions import Roster
from afterbell.core.backoff import Backoff
from afterbell.realtime.rooms import key_of, room_of
from afterbell.service import Service, repeat, wait_until

ASKED_EVERY_S: Final = 0.5
ASKED_AT_ONCE_MAX: Final = 1_000
# Messages of one room that wait for an edition; more are left to the clients' catching up.
HELD_MAX: Final = 1_000
UNKNOWN: Final = -1
"""No session has this edition, so that of one that is asked for with it the record always says something."""
SOON: Final = Backoff(first_s=0.1, longest_s=1.0, jitter=0.5)

# The room, how it stands now (None: there is no such session), and whether an earlier edition was known here.
Changed = Callable[[str, Roster | None, bool], None]


class Authority:
    """The rooms that ``wanted`` names are kept true; ``changed`` is called for each that has another edition."""

    def __init__(self, database: Database, wanted: Callable[[], set[str]], changed: Changed) -> None:
        self._database, self._wanted, self._changed = database, wanted, changed
        self._rosters: dict[str, Roster] = {}
        self._held: dict[str, list[tuple[int, Callable[[], None]]]] = {}
        self._doubted: set[str] = set()
        self._stir = asyncio.Event()
        self._all_due_at = 0.0
        self._service = Service("authority", self._run)

    def start(self) -> None:
        """Begin to ask."""
        self._service.start()

    async def stop(self) -> None:
        """Ask no more."""
        await self._service.stop()

    async def roster_of(self, room: str) -> Roster | None:
        """How the session stands now, by the record. Raises StoreUnavailable."""
        async with self._database.statement() as connection:
            return await sessions.roster(connection, *key_of(room))

    def learn(self, room: str, roster: Roster) -> Roster:
        """What is known of the room once this was read of it: an answer may be overtaken by a later one."""
        known = self._rosters.get(room)
        if known is None:
            self._rosters[room] = roster
        elif known.edition < roster.edition:
            self.look_at(room)
        return known if known is not None and known.edition > roster.edition else roster

    def known(self, room: str) -> Roster | None:
        """What was last heard of the record, half a second old at the most while PostgreSQL answers."""
        return self._rosters.get(room)

    def look_at(self, room: str) -> None:
        """Something says that this room may have another edition."""
        self._doubted.add(room)
        self._stir.set()

    def look_at_all(self) -> None:
        """Hints may have been missed."""
        self._all_due_at = 0.0
        self._stir.set()

    def deliver(self, room: str, edition: int, act: Callable[[], None]) -> None:
        """Call ``act`` once the people of the room were judged by this edition: as a rule at once."""
        known = self._rosters.get(room)
        if known is not None and edition <= known.edition:
            if edition == known.edition:
                act()
            return
        held = self._held.setdefault(room, [])
        if len(held) < HELD_MAX:
            held.append((edition, act))
        self.look_at(room)

    async def ask(self, rooms: Iterable[str]) -> None:
        """Ask the record for these rooms now, and act on what it says. Raises StoreUnavailable."""
        asked = list(rooms)
        for first in range(0, len(asked), ASKED_AT_ONCE_MAX):
            some = asked[first : first + ASKED_AT_ONCE_MAX]
            known = {key_of(room): self._edition_of(room) for room in some}
            async with self._database.statement() as connection:
                answers = await sessions.changed(connection, known)
            for key, roster in answers.items():
                self._take(room_of(*key), roster)

    def _edition_of(self, room: str) -> int:
        known = self._rosters.get(room)
        return UNKNOWN if known is None else known.edition

    def _take(self, room: str, roster: Roster | None) -> None:
        known = self._rosters.get(room)
        if roster is not None and known is not None and roster.edition <= known.edition:
            return  # asked before what is known, answered after it
        if roster is None:
            self._rosters.pop(room, None)
        else:
            self._rosters[room] = roster
        self._changed(room, roster, known is not None)
        for edition, act in self._held.pop(room, ()):
            if roster is not None:
                self.deliver(room, edition, act)

    async def _run(self) -> None:
        await repeat(self._next_round, name="authority", backoff=SOON)

    async def _next_round(self) -> None:
        await wait_until(self._stir, max(self._all_due_at - self._now(), 0.0))
        self._stir.clear()
        wanted, now = self._wanted(), self._now()
        doubted, self._doubted = self._doubted & wanted, set()
        ask_all = now >= self._all_due_at
        try:
            await self.ask(wanted if ask_all else doubted)
        except BaseException:
            self._doubted |= doubted
            raise
        if ask_all:
            self._all_due_at = now + ASKED_EVERY_S
            self._forget_all_but(wanted | self._wanted())

    def _forget_all_but(self, wanted: set[str]) -> None:
        for room in self._rosters.keys() - wanted:
            del self._rosters[room]
        for room in self._held.keys() - wanted:
            del self._held[room]

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
