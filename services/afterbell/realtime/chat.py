"""Joining a session and speaking in it: stored first, acknowledged, then broadcast."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from afterbell.adapters.db import sessions
from afterbell.adapters.db.database import Database
from afterbell.adapters.db.sessions import Appended, Roster, StoredMessage
from afterbell.core.access import Action, Caller, may, may_in
from afterbell.core.errors import Forbidden, NotFound
from afterbell.core.session import MESSAGES_MAX, Message
from afterbell.observability import metrics
from afterbell.realtime.authority import Authority
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
PAGE_BYTES_MAX: Final = 128 * 1024


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

    def __init__(self, database: Database, hub: Hub, authority: Authority, *, rooms_max: int) -> None:
        self._database, self._hub, self._authority, self._rooms_max = database, hub, authority, rooms_max
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
        judged(await self._authority.roster_of(room), caller, "read_messages", asked.session)
        if room not in client.rooms:
            client.rooms.add(room)
            await self._hub.enter(room, client)
        try:
            return await self._joined(client, room, asked)
        except Refused:
            self.take_out(client, room)
            raise

    async def leave(self, client: Client, payload: object) -> dict[str, Any]:
        """Stop hearing a session."""
        room = room_of(client.caller.tenant, parsed(SessionRequest, payload).session)
        self.take_out(client, room)
        return {}

    def take_out(self, client: Client, room: str) -> None:
        """This client hears the room no more."""
        if room in client.rooms:
            client.rooms.discard(room)
            self._hub.leave(room, client)

    async def send(self, client: Client, payload: object) -> dict[str, Any]:
        """Commit one message, then hand it to everybody. The same id again gives back what was stored."""
        asked: SendRequest = parsed(SendRequest, payload)
        room, caller = self._joined_room(client, asked.session), client.caller
        if not may(caller, "send_message"):
            raise Refused("forbidden", f"role {caller.role} may not send messages")
        message = Message(asked.id, caller.subject, asked.text, datetime.now(UTC))
        try:
            appended = await self._store(caller.tenant, asked.session, message)
        except (Forbidden, NotFound):
            self._authority.look_at(room)
            raise
        if appended is None:
            raise Refused(
                "session_full", f"session {asked.session} is full: it has {MESSAGES_MAX} messages, the maximum"
            )
        stored = appended.message
        if (stored.sender, stored.text) != (caller.subject, asked.text):
            raise Refused("conflict", f"message id {asked.id} is already used by a different message")
        if appended.is_new:
            self.broadcast(caller.tenant, asked.session, appended)
        return {"id": stored.id, "seq": stored.seq, "at": moment(stored.at), "known": not appended.is_new}

    def broadcast(self, tenant: str, session_id: str, appended: Appended) -> None:
        """Tell everybody who takes part of a committed message, however it came."""
        event = Event.of("chat:message", {"session": session_id, **said(appended.message)})
        self._hub.emit_stored(room_of(tenant, session_id), event, appended.edition)

    async def history(self, client: Client, payload: object) -> dict[str, Any]:
        """A page of what was said."""
        asked: HistoryRequest = parsed(HistoryRequest, payload)
        self._joined_room(client, asked.session)
        caller = client.caller
        if asked.after is not None and asked.before is not None:
            raise Refused("invalid_input", "send either after or before, not both", field="before")
        async with self._database.statement() as connection:
            roster = await sessions.roster(connection, caller.tenant, asked.session)
            edition = judged(roster, caller, "read_messages", asked.session).edition
            if asked.before is None:
                page = await _page(connection, caller.tenant, asked.session, asked.after or 0, asked.limit)
                return {"edition": edition, **page}
            earlier = await sessions.read_before(
                connection, caller.tenant, asked.session, before=asked.before, limit=asked.limit
            )
        page_before = earlier[len(earlier) - _fitting(earlier[::-1]) :]
        metrics.RT_CATCHUPS.inc()
        metrics.RT_CATCHUP_ROWS.inc(len(page_before))
        return {"edition": edition, "messages": [said(message) for message in page_before], "nextAfter": None}

    async def typing(self, client: Client, payload: object) -> dict[str, Any]:
        """Tell the others that the caller writes, or does no more."""
        asked: TypingRequest = parsed(TypingRequest, payload)
        room = self._speaks_in(client, asked.session)
        event = {"session": asked.session, "user": client.caller.subject, "typing": asked.typing}
        self._hub.emit(room, Event.of("chat:typing", event), skip=client)
        return {}

    async def _joined(self, client: Client, room: str, asked: JoinRequest) -> dict[str, Any]:
        """Judged again by what is read once the room is entered: whatever changes later is heard of."""
        caller = client.caller
        async with self._database.statement() as connection:
            read = await sessions.roster(connection, caller.tenant, asked.session)
            edition = judged(read, caller, "read_messages", asked.session).edition
            page = await _page(connection, caller.tenant, asked.session, asked.after, PAGE_MAX)
        # Changed again since it was read: judged by the later one, while the page says of which edition it is.
        roster = judged(read and self._authority.learn(room, read), caller, "read_messages", asked.session)
        return {
            "session": asked.session,
            "you": caller.subject,
            "edition": edition,
            "participants": [
                {"id": person.id, "role": person.role, "displayName": person.display_name} for person in roster.people
            ],
            "online": sorted(self._hub.presence.online(room)),
            "lastSeq": max([roster.last_seq, *(message["seq"] for message in page["messages"])]),
            **page,
        }

    async def _store(self, tenant: str, session_id: str, message: Message) -> Appended | None:
        """What is stored under the id; None where the session is full. Raises NotFound, Forbidden."""
        async with self._database.statement() as connection:
            appended = await sessions.append_new(connection, tenant, session_id, message, MESSAGES_MAX)
        if appended is not None:
            return appended
        async with self._database.transaction() as connection:
            return await sessions.append(connection, tenant, session_id, message, MESSAGES_MAX)

    @staticmethod
    def _joined_room(client: Client, session_id: str) -> str:
        room = room_of(client.caller.tenant, session_id)
        if room not in client.rooms:
            raise Refused("not_joined", f"join session {session_id} with session:join first")
        return room

    def _speaks_in(self, client: Client, session_id: str) -> str:
        room = self._joined_room(client, session_id)
        roster = self._authority.known(room)
        if roster is None or not may_in(client.caller, "send_message", roster.ids):
            raise Refused("forbidden", f"{client.caller.subject} is not a participant of session {session_id}")
        return room


def judged(roster: Roster | None, caller: Caller, action: Action, session_id: str) -> Roster:
    """The roster, where the caller may do this in it. Raises Refused, the same for none and for one not theirs."""
    if roster is None or not may_in(caller, action, roster.ids):
        raise Refused("not_found", f"session {session_id} not found, or not accessible to you")
    return roster


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
    size = 0
    for number, message in enumerate(messages):
        size += len(message.text.encode())
        if size > PAGE_BYTES_MAX:
            return max(number, 1)
    return len(messages)
