"""Joining a session and speaking in it: stored first, acknowledged, then broadcast."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from afterbell.adapters.db import sessions
from afterbell.adapters.db.engine import Database
from afterbell.adapters.db.sessions import StoredMessage
from afterbell.core.access import may, takes_part
from afterbell.core.session import MESSAGES_MAX, Message, Participant
from afterbell.observability import metrics
from afterbell.realtime.hub import Hub
from afterbell.realtime.rooms import Member, room_of
from afterbell.realtime.wire import PAGE_MAX, Event, History, Join, Of, Refused, Send, Typing, moment, parsed

Handler = Callable[[Member, object], Awaitable[dict[str, Any]]]
PAGE_CHARS_MAX: Final = 256 * 1024


def said(message: StoredMessage) -> dict[str, Any]:
    """A message as clients get it."""
    return {"seq": message.seq, "id": message.id, "sender": message.sender, "text": message.text,
            "at": moment(message.at)}  # fmt: skip


class Chat:
    """The handlers of ``session:…`` and ``chat:…``. Each returns the acknowledgement or raises Refused."""

    def __init__(self, database: Database, hub: Hub, *, rooms_max: int) -> None:
        self._database, self._hub, self._rooms_max = database, hub, rooms_max
        self.handlers: dict[str, Handler] = {
            "session:join": self.join,
            "session:leave": self.leave,
            "chat:send": self.send,
            "chat:history": self.history,
            "chat:typing": self.typing,
        }

    async def join(self, member: Member, payload: object) -> dict[str, Any]:
        """Authorised anew by the record; subscribed before the messages are read, so that none falls between."""
        asked: Join = parsed(Join, payload)
        caller = member.caller
        if not may(caller, "read_messages"):
            raise Refused("forbidden", f"role {caller.role} may not read messages")
        room = room_of(caller.tenant, asked.session)
        if room not in member.rooms and len(member.rooms) + len(member.watches) >= self._rooms_max:
            raise Refused("too_many_rooms", f"this socket is in {self._rooms_max} sessions, the limit: leave one")
        people = await self.people(caller.tenant, asked.session)
        if not takes_part(caller, (person.id for person in people)):
            raise no_session(asked.session)
        if room not in member.rooms:
            member.rooms[room] = people
            await self._hub.enter(room, member)
        member.rooms[room] = people
        return await self._joined(member, room, asked, people)

    async def people(self, tenant: str, session_id: str) -> tuple[Participant, ...]:
        """Who takes part in a session. Raises Refused ``not_found`` where there is none."""
        async with self._database.statement() as connection:
            found = await sessions.participants(connection, tenant, session_id)
        if found is None:
            raise no_session(session_id)
        return found

    async def leave(self, member: Member, payload: object) -> dict[str, Any]:
        """Stop hearing a session."""
        room = room_of(member.caller.tenant, parsed(Of, payload).session)
        if member.rooms.pop(room, None) is not None:
            self._hub.leave(room, member)
        return {}

    async def send(self, member: Member, payload: object) -> dict[str, Any]:
        """Commit one message, then hand it to everybody. The same id again gives back what was stored."""
        asked: Send = parsed(Send, payload)
        self._speaks_in(member, asked.session)
        caller = member.caller
        message = Message(asked.id, caller.subject, asked.text, datetime.now(UTC))
        stored, is_new = await self._store(caller.tenant, asked.session, message)
        if stored is None:
            raise Refused("session_full", f"session {asked.session} holds {MESSAGES_MAX} messages, the limit")
        if (stored.sender, stored.text) != (caller.subject, asked.text):
            raise Refused("conflict", f"message id {asked.id} was used before for another message")
        if is_new:
            self.broadcast(caller.tenant, asked.session, stored)
        return {"id": stored.id, "seq": stored.seq, "at": moment(stored.at), "known": not is_new}

    def broadcast(self, tenant: str, session_id: str, stored: StoredMessage) -> None:
        """Tell everybody of a committed message, however it came."""
        event = Event.of("chat:message", {"session": session_id, **said(stored)})
        self._hub.emit(room_of(tenant, session_id), event)

    async def history(self, member: Member, payload: object) -> dict[str, Any]:
        """A page of what was said."""
        asked: History = parsed(History, payload)
        self._joined_room(member, asked.session)
        if asked.after is not None and asked.before is not None:
            raise Refused("invalid_input", "send after or before, not both", field="before")
        tenant = member.caller.tenant
        async with self._database.statement() as connection:
            if asked.before is None:
                return await _page(connection, tenant, asked.session, asked.after or 0, asked.limit)
            found = await sessions.read_before(
                connection, tenant, asked.session, before=asked.before, limit=asked.limit
            )
        page = found[len(found) - _fitting(found[::-1]) :]
        metrics.RT_CATCHUPS.inc()
        metrics.RT_CATCHUP_ROWS.inc(len(page))
        return {"messages": [said(one) for one in page], "nextAfter": None}

    async def typing(self, member: Member, payload: object) -> dict[str, Any]:
        """Tell the others that the caller writes, or does no more."""
        asked: Typing = parsed(Typing, payload)
        room = self._speaks_in(member, asked.session)
        event = {"session": asked.session, "user": member.caller.subject, "typing": asked.typing}
        self._hub.emit(room, Event.of("chat:typing", event), skip=member)
        return {}

    async def _joined(
        self, member: Member, room: str, asked: Join, people: tuple[Participant, ...]
    ) -> dict[str, Any]:  # fmt: skip
        tenant = member.caller.tenant
        async with self._database.statement() as connection:
            last_seq = await sessions.count_messages(connection, tenant, asked.session)
            page = await _page(connection, tenant, asked.session, asked.after, PAGE_MAX)
        return {
            "session": asked.session,
            "you": member.caller.subject,
            "participants": [{"id": one.id, "role": one.role, "displayName": one.display_name} for one in people],
            "online": sorted(self._hub.presence.online(room)),
            "lastSeq": max([last_seq, *(one["seq"] for one in page["messages"])]),
            **page,
        }

    async def _store(self, tenant: str, session_id: str, message: Message) -> tuple[StoredMessage | None, bool]:
        """(what is stored under the id, whether this call stored it)."""
        async with self._database.statement() as connection:
            stored = await sessions.append_new(connection, tenant, session_id, message, MESSAGES_MAX)
        if stored is not None:
            return stored, True
        async with self._database.transaction() as connection:
            stored = await sessions.append(connection, tenant, session_id, message, MESSAGES_MAX)
        return stored, stored is not None and stored.at == message.at  # our own, not one that was known

    @staticmethod
    def _joined_room(member: Member, session_id: str) -> str:
        room = room_of(member.caller.tenant, session_id)
        if room not in member.rooms:
            raise Refused("not_joined", f"session:join {session_id} first")
        return room

    def _speaks_in(self, member: Member, session_id: str) -> str:
        room = self._joined_room(member, session_id)
        caller = member.caller
        if not may(caller, "send_message") or caller.subject not in {one.id for one in member.rooms[room]}:
            raise Refused("forbidden", f"{caller.subject} is not among the participants of session {session_id}")
        return room


def no_session(session_id: str) -> Refused:
    """The same answer for none, and for one that is not the caller's to see."""
    return Refused("not_found", f"no session {session_id} that you may see")


async def _page(connection: Any, tenant: str, session_id: str, after: int, limit: int) -> dict[str, Any]:
    found = await sessions.read_messages(connection, tenant, session_id, after=after, limit=limit + 1)
    page = found[: _fitting(found[:limit])]
    metrics.RT_CATCHUPS.inc()
    metrics.RT_CATCHUP_ROWS.inc(len(page))
    return {"messages": [said(one) for one in page], "nextAfter": page[-1].seq if len(found) > len(page) else None}


def _fitting(found: list[StoredMessage]) -> int:
    """How many fit into one acknowledgement, at least one: a slow reader must not be sent megabytes at once."""
    chars = 0
    for number, one in enumerate(found):
        chars += len(one.text)
        if chars > PAGE_CHARS_MAX:
            return max(number, 1)
    return len(found)
