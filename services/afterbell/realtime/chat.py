"""Joining a session and speaking in it: stored first, acknowledged, then broadcast."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from afterbell.adapters.db import sessions
from afterbell.adapters.db.database import Database
from afterbell.adapters.db.sessions import StoredMessage
from afterbell.core.access import may, takes_part
from afterbell.core.session import MESSAGES_MAX, Message, Participant
from afterbell.observability import metrics
from afterbell.realtime.hub import Hub
from afterbell.realtime.rooms import Client, room_of
from afterbell.realtime.wire import (
    PAGE_MAX,
    Event,
    HistoryRequest,
    JoinRequest,
    Refused,
    SendRequest,
    SessionRequest,
    TypingRequest,
    moment,
    parsed,
)

Handler = Callable[[Client, object], Awaitable[dict[str, Any]]]
PAGE_CHARS_MAX: Final = 256 * 1024


def said(message: StoredMessage) -> dict[str, Any]:
    """A message as clients get it."""
    return {
        "seq": message.seq,
        "id": message.id,
        "sender": message.sender,
        "text": message.text,
        "at": moment(message.at),
    }


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

    async def join(self, client: Client, payload: object) -> dict[str, Any]:
        """Authorised anew by the record; subscribed before the messages are read, so that none falls between."""
        asked: JoinRequest = parsed(JoinRequest, payload)
        caller = client.caller
        if not may(caller, "read_messages"):
            raise Refused("forbidden", f"role {caller.role} may not read messages")
        room = room_of(caller.tenant, asked.session)
        if room not in client.rooms and len(client.rooms) + len(client.watches) >= self._rooms_max:
            raise Refused("too_many_rooms", f"limit of {self._rooms_max} sessions per socket reached: leave one first")
        people = await self.people(caller.tenant, asked.session)
        if not takes_part(caller, (person.id for person in people)):
            raise no_session(asked.session)
        if room not in client.rooms:
            client.rooms[room] = people
            await self._hub.enter(room, client)
        client.rooms[room] = people
        return await self._joined(client, room, asked, people)

    async def people(self, tenant: str, session_id: str) -> tuple[Participant, ...]:
        """Who takes part in a session. Raises Refused ``not_found`` where there is none."""
        async with self._database.statement() as connection:
            people = await sessions.participants(connection, tenant, session_id)
        if people is None:
            raise no_session(session_id)
        return people

    async def leave(self, client: Client, payload: object) -> dict[str, Any]:
        """Stop hearing a session."""
        room = room_of(client.caller.tenant, parsed(SessionRequest, payload).session)
        if client.rooms.pop(room, None) is not None:
            self._hub.leave(room, client)
        return {}

    async def send(self, client: Client, payload: object) -> dict[str, Any]:
        """Commit one message, then hand it to everybody. The same id again gives back what was stored."""
        asked: SendRequest = parsed(SendRequest, payload)
        self._speaks_in(client, asked.session)
        caller = client.caller
        message = Message(asked.id, caller.subject, asked.text, datetime.now(UTC))
        stored, is_new = await self._store(caller.tenant, asked.session, message)
        if stored is None:
            raise Refused(
                "session_full", f"session {asked.session} is full: it has {MESSAGES_MAX} messages, the maximum"
            )
        if (stored.sender, stored.text) != (caller.subject, asked.text):
            raise Refused("conflict", f"message id {asked.id} is already used by a different message")
        if is_new:
            self.broadcast(caller.tenant, asked.session, stored)
        return {"id": stored.id, "seq": stored.seq, "at": moment(stored.at), "known": not is_new}

    def broadcast(self, tenant: str, session_id: str, stored: StoredMessage) -> None:
        """Tell everybody of a committed message, however it came."""
        event = Event.of("chat:message", {"session": session_id, **said(stored)})
        self._hub.emit(room_of(tenant, session_id), event)

    async def history(self, client: Client, payload: object) -> dict[str, Any]:
        """A page of what was said."""
        asked: HistoryRequest = parsed(HistoryRequest, payload)
        self._joined_room(client, asked.session)
        if asked.after is not None and asked.before is not None:
            raise Refused("invalid_input", "send either after or before, not both", field="before")
        tenant = client.caller.tenant
        async with self._database.statement() as connection:
            if asked.before is None:
                return await _page(connection, tenant, asked.session, asked.after or 0, asked.limit)
            earlier = await sessions.read_before(
                connection, tenant, asked.session, before=asked.before, limit=asked.limit
            )
        page = earlier[len(earlier) - _fitting(earlier[::-1]) :]
        metrics.RT_CATCHUPS.inc()
        metrics.RT_CATCHUP_ROWS.inc(len(page))
        return {"messages": [said(message) for message in page], "nextAfter": None}

    async def typing(self, client: Client, payload: object) -> dict[str, Any]:
        """Tell the others that the caller writes, or does no more."""
        asked: TypingRequest = parsed(TypingRequest, payload)
        room = self._speaks_in(client, asked.session)
        event = {"session": asked.session, "user": client.caller.subject, "typing": asked.typing}
        self._hub.emit(room, Event.of("chat:typing", event), skip=client)
        return {}

    async def _joined(
        self, client: Client, room: str, asked: JoinRequest, people: tuple[Participant, ...]
    ) -> dict[str, Any]:
        tenant = client.caller.tenant
        async with self._database.statement() as connection:
            last_seq = await sessions.count_messages(connection, tenant, asked.session)
            page = await _page(connection, tenant, asked.session, asked.after, PAGE_MAX)
        return {
            "session": asked.session,
            "you": client.caller.subject,
            "participants": [
                {"id": person.id, "role": person.role, "displayName": person.display_name} for person in people
            ],
            "online": sorted(self._hub.presence.online(room)),
            "lastSeq": max([last_seq, *(message["seq"] for message in page["messages"])]),
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
    def _joined_room(client: Client, session_id: str) -> str:
        room = room_of(client.caller.tenant, session_id)
        if room not in client.rooms:
            raise Refused("not_joined", f"join session {session_id} with session:join first")
        return room

    def _speaks_in(self, client: Client, session_id: str) -> str:
        room = self._joined_room(client, session_id)
        caller = client.caller
        if not may(caller, "send_message") or caller.subject not in {person.id for person in client.rooms[room]}:
            raise Refused("forbidden", f"{caller.subject} is not a participant of session {session_id}")
        return room


def no_session(session_id: str) -> Refused:
    """The same answer for none, and for one that is not the caller's to see."""
    return Refused("not_found", f"session {session_id} not found, or not accessible to you")


async def _page(connection: Any, tenant: str, session_id: str, after: int, limit: int) -> dict[str, Any]:
    messages = await sessions.read_messages(connection, tenant, session_id, after=after, limit=limit + 1)
    page = messages[: _fitting(messages[:limit])]
    metrics.RT_CATCHUPS.inc()
    metrics.RT_CATCHUP_ROWS.inc(len(page))
    return {
        "messages": [said(message) for message in page],
        "nextAfter": page[-1].seq if len(messages) > len(page) else None,
    }


def _fitting(messages: list[StoredMessage]) -> int:
    """How many fit into one acknowledgement, at least one: a slow reader must not be sent megabytes at once."""
    chars = 0
    for number, message in enumerate(messages):
        chars += len(message.text)
        if chars > PAGE_CHARS_MAX:
            return max(number, 1)
    return len(messages)
