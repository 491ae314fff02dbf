"""Sessions and their messages: import, append, read. Each function runs inside the caller's transaction."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import DateTime, Text, and_, bindparam, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from afterbell.adapters.db.tables import messages, sessions, tenants
from afterbell.core.errors import Forbidden, NotFound
from afterbell.core.session import Message, Participant, Session

_TEXTS: Final = ("tenant_id", "session_id", "client_id", "sender", "text")


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message as it was committed; ``seq`` counts 1, 2, 3, … in its session without gaps."""

    seq: int
    id: str
    sender: str
    text: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Roster:
    """Who takes part in a session, as of ``edition``: another number wherever that, or what was said, is changed."""

    edition: int
    people: tuple[Participant, ...]
    last_seq: int = 0

    @property
    def ids(self) -> frozenset[str]:
        """Of who takes part."""
        return frozenset(person.id for person in self.people)


@dataclass(frozen=True, slots=True)
class Appended:
    """The message under the id that was asked for, and the session's edition it was stored in.

    ``is_new`` where this call stored it; otherwise it was known, and may differ from what was to be stored.
    """

    message: StoredMessage
    edition: int
    is_new: bool


def _is(tenant_id: str, session_id: str) -> Any:
    return and_(sessions.c.tenant_id == tenant_id, sessions.c.id == session_id)


def _of(tenant_id: str, session_id: str) -> Any:
    return and_(messages.c.tenant_id == tenant_id, messages.c.session_id == session_id)


async def save(
    connection: AsyncConnection,
    tenant_id: str,
    session: Session,
    input_sha256: str,
    *,
    keep_messages: bool,
    keep_consent: bool = False,
) -> bool:
    """Store the session. True where anything changed; the same content again changes nothing.

    Its messages replace the stored ones, unless ``keep_messages``: a platform that chats through Afterbell updates
    a session's facts without sending what was said back. ``keep_consent`` leaves what is stored of
    ``ai_processing_allowed``, so that an update by somebody who does not know of it takes no "no" back.
    """
    await connection.execute(upsert(tenants).values(id=tenant_id).on_conflict_do_nothing())
    values = _values(session, input_sha256)
    if not keep_consent:
        values["ai_processing_allowed"] = session.ai_processing_allowed
    if not keep_messages:
        values["last_seq"] = len(session.messages)
    statement = upsert(sessions).values(tenant_id=tenant_id, id=session.id, **values)
    changed = await connection.scalar(
        statement.on_conflict_do_update(
            index_elements=[sessions.c.tenant_id, sessions.c.id],
            set_=values | {"revision": sessions.c.revision + 1, "updated_at": func.now()},
            where=sessions.c.input_sha256 != input_sha256,
        ).returning(sessions.c.revision)
    )
    if changed is None:
        return False
    if keep_messages:
        return True
    await connection.execute(delete(messages).where(_of(tenant_id, session.id)))
    if session.messages:
        rows = [_row(tenant_id, session.id, seq, message) for seq, message in enumerate(session.messages, start=1)]
        await connection.execute(insert(messages), rows)
    return True


async def load(connection: AsyncConnection, tenant_id: str, session_id: str) -> tuple[Session, int] | None:
    """The session with its messages in order, and its revision; None where there is none."""
    row = (await connection.execute(select(sessions).where(_is(tenant_id, session_id)))).mappings().one_or_none()
    if row is None:
        return None
    said = await read_messages(connection, tenant_id, session_id, after=0, limit=None)
    return _session(row, said), row["revision"]


async def safety_key(connection: AsyncConnection, tenant_id: str) -> bytes:
    """The tenant's own key for what names a student to a provider; the same as long as the tenant is stored."""
    key = await connection.scalar(select(tenants.c.safety_key).where(tenants.c.id == tenant_id))
    return b"" if key is None else bytes(key.bytes)


_ROSTER: Final = select(sessions.c.edition, sessions.c.participants, sessions.c.last_seq)


async def roster(connection: AsyncConnection, tenant_id: str, session_id: str) -> Roster | None:
    """How the session stands now, or None where there is none."""
    row = (await connection.execute(_ROSTER.where(_is(tenant_id, session_id)))).one_or_none()
    return None if row is None else Roster(row.edition, _participants(row.participants), row.last_seq)


_CHANGED: Final = text("""
SELECT asked.tenant_id, asked.id, s.edition, s.participants, s.last_seq
FROM unnest(CAST(:tenant_ids AS text[]), CAST(:ids AS text[]), CAST(:editions AS bigint[]))
    asked (tenant_id, id, edition)
LEFT JOIN sessions s ON s.tenant_id = asked.tenant_id AND s.id = asked.id
WHERE s.edition IS DISTINCT FROM asked.edition
""").columns(participants=JSONB)


async def changed(
    connection: AsyncConnection, known: Mapping[tuple[str, str], int]
) -> dict[tuple[str, str], Roster | None]:
    """Of these (tenant, session), those whose edition is another than the known one; None where there is no session."""
    values = {
        "tenant_ids": [tenant_id for tenant_id, _ in known],
        "ids": [session_id for _, session_id in known],
        "editions": list(known.values()),
    }
    return {
        (row.tenant_id, row.id): None
        if row.edition is None
        else Roster(row.edition, _participants(row.participants), row.last_seq)
        for row in await connection.execute(_CHANGED, values)
    }


async def append(
    connection: AsyncConnection, tenant_id: str, session_id: str, message: Message, count_max: int
) -> Appended | None:
    """Commit one message under the next ``seq``; a known id gives back what was stored under it.

    None where the session already holds ``count_max`` messages. The session's row is locked, so that the sequence
    has no gap and messages of one session are numbered in the order in which they are committed. Raises NotFound
    where there is no such session, Forbidden where the sender takes no part in it any more: whoever was erased or
    taken out writes nothing, whatever their open connections remember.
    """
    facts = select(sessions.c.last_seq, sessions.c.participants, sessions.c.edition).where(_is(tenant_id, session_id))
    row_of_session = (await connection.execute(facts.with_for_update())).one_or_none()
    if row_of_session is None:
        raise NotFound(f"session {session_id} not found, or not accessible to you")
    last_seq, people, edition = row_of_session
    if message.sender not in {person["id"] for person in people}:
        raise Forbidden(f"{message.sender} is not a participant of session {session_id}")
    known = await connection.execute(
        select(messages).where(_of(tenant_id, session_id), messages.c.client_id == message.id)
    )
    if (row := known.mappings().one_or_none()) is not None:
        return Appended(_stored(row), edition, is_new=False)
    if last_seq >= count_max:
        return None
    seq = last_seq + 1
    await connection.execute(insert(messages).values(_row(tenant_id, session_id, seq, message)))
    await connection.execute(
        update(sessions)
        .where(_is(tenant_id, session_id))
        .values(last_seq=seq, revision=sessions.c.revision + 1, input_sha256="", updated_at=func.now())
    )
    return Appended(_numbered(message, seq), edition, is_new=True)


# One round trip under one row lock, where `append` takes five: it is what a chat waits for.
_APPEND: Final = text(
    """
    WITH counted AS (
      UPDATE sessions SET last_seq = last_seq + 1, revision = revision + 1, input_sha256 = '', updated_at = now()
      WHERE tenant_id = :tenant_id AND id = :session_id AND last_seq < :count_max
        AND participants @> jsonb_build_array(jsonb_build_object('id', CAST(:sender AS text))) AND NOT EXISTS (
        SELECT 1 FROM messages WHERE tenant_id = :tenant_id AND session_id = :session_id AND client_id = :client_id)
      RETURNING last_seq, edition)
    INSERT INTO messages (tenant_id, session_id, seq, client_id, sender, text, at)
    SELECT :tenant_id, :session_id, last_seq, :client_id, :sender, :text, :at FROM counted
    RETURNING seq, (SELECT edition FROM counted)
    """
).bindparams(bindparam("at", type_=DateTime(timezone=True)), *(bindparam(name, type_=Text) for name in _TEXTS))


async def append_new(
    connection: AsyncConnection, tenant_id: str, session_id: str, message: Message, count_max: int
) -> Appended | None:
    """As ``append`` in one statement, for a message nobody has sent before; None where ``append`` must decide."""
    values = {
        "tenant_id": tenant_id,
        "session_id": session_id,
        "client_id": message.id,
        "sender": message.sender,
        "text": message.text,
        "at": message.at,
        "count_max": count_max,
    }
    try:
        row = (await connection.execute(_APPEND, values)).one_or_none()
    except IntegrityError:  # the same id from two sockets at once: the other one was first
        return None
    return None if row is None else Appended(_numbered(message, row.seq), row.edition, is_new=True)


async def read_before(
    connection: AsyncConnection, tenant_id: str, session_id: str, *, before: int, limit: int
) -> list[StoredMessage]:
    """The last ``limit`` messages with ``seq < before``, in order."""
    statement = select(messages).where(_of(tenant_id, session_id), messages.c.seq < before)
    rows = await connection.execute(statement.order_by(messages.c.seq.desc()).limit(limit))
    return [_stored(row) for row in rows.mappings()][::-1]


async def read_messages(
    connection: AsyncConnection, tenant_id: str, session_id: str, *, after: int, limit: int | None
) -> list[StoredMessage]:
    """Messages with ``seq > after``, in order, at most ``limit``."""
    statement = select(messages).where(_of(tenant_id, session_id), messages.c.seq > after).order_by(messages.c.seq)
    rows = await connection.execute(statement.limit(limit))
    return [_stored(row) for row in rows.mappings()]


def _values(session: Session, input_sha256: str) -> dict[str, Any]:
    return {
        "subject": session.subject,
        "level": session.level,
        "language": session.language,
        "report_language": session.report_language,
        "time_zone": session.time_zone,
        "goals": list(session.goals),
        "participants": [asdict(person) for person in session.participants],
        "started_at": session.started_at,
        "ended_at": session.ended_at,
        "input_sha256": input_sha256,
    }


def _row(tenant_id: str, session_id: str, seq: int, message: Message) -> dict[str, Any]:
    return {
        "tenant_id": tenant_id,
        "session_id": session_id,
        "seq": seq,
        "client_id": message.id,
        "sender": message.sender,
        "text": message.text,
        "at": message.at,
    }


def _numbered(message: Message, seq: int) -> StoredMessage:
    return StoredMessage(seq, message.id, message.sender, message.text, message.at)


def _stored(row: Mapping[Any, Any]) -> StoredMessage:
    return StoredMessage(row["seq"], row["client_id"], row["sender"], row["text"], row["at"])


def _participants(people: list[dict[str, Any]]) -> tuple[Participant, ...]:
    return tuple(Participant(person["id"], person["role"], person["display_name"]) for person in people)


def _session(row: Mapping[Any, Any], said: list[StoredMessage]) -> Session:
    return Session(
        id=row["id"],
        subject=row["subject"],
        participants=_participants(row["participants"]),
        messages=tuple(Message(message.id, message.sender, message.text, message.at) for message in said),
        level=row["level"],
        language=row["language"],
        goals=tuple(row["goals"]),
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        ai_processing_allowed=row["ai_processing_allowed"],
        report_language=row["report_language"],
        time_zone=row["time_zone"],
    )
