"""Sessions: import one, append a message, read what was said."""

import hashlib
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request

from afterbell.adapters.db import sessions
from afterbell.adapters.db.sessions import Roster, StoredMessage
from afterbell.api.auth.bearer import CallerFirst, allow
from afterbell.api.schemas import Id, MessageOut, MessagePage, MessageSend, ProblemOut, SessionIn, SessionStored
from afterbell.api.services import services_of
from afterbell.core.access import Caller, sees_whole_tenant, takes_part
from afterbell.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from afterbell.core.session import MESSAGES_MAX, Message

router = APIRouter(prefix="/api/sessions", tags=["sessions"], route_class=CallerFirst)
SessionId = Annotated[Id, Path(description="The platform's session id")]
PAGE_MAX: Final = 500
SEQ_MAX: Final = 2**31 - 1
_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    code: {"model": ProblemOut} for code in (401, 403, 404, 422, 500, 503)
}
_WITH_BODY: Final = _PROBLEMS | {code: {"model": ProblemOut} for code in (400, 413)}


@router.put("/{session_id}", responses=_WITH_BODY)
async def import_session(session_id: SessionId, body: SessionIn, request: Request) -> SessionStored:
    """Store or update a session. Sending the same content again changes nothing."""
    caller = allow(request, "import_session")
    if body.id is not None and body.id != session_id:
        raise InvalidInput(f"session id mismatch: the body says {body.id}, the path says {session_id}", field="id")
    session = body.to_core(session_id)
    if not takes_part(caller, (person.id for person in session.participants)):
        raise Forbidden(f"role {caller.role} may import only its own sessions: {caller.subject} is not a participant")
    # What came later than sessions that are stored already counts where it says something.
    later = {name for name in ("report_language", "time_zone") if getattr(body, name) is None}
    digest = hashlib.sha256(body.model_dump_json(exclude={"id", *later}).encode()).hexdigest()
    async with services_of(request).database.transaction() as connection:
        known = await sessions.roster(connection, caller.tenant, session_id)
        if known is not None:
            _visible(known, caller, session_id)
        changed = await sessions.save(
            connection,
            caller.tenant,
            session,
            digest,
            keep_messages=body.messages is None,
            keep_consent=body.ai_processing_allowed is None,
        )
        stored = await sessions.roster(connection, caller.tenant, session_id)
    if changed and known is not None:
        services_of(request).realtime.session_changed(caller.tenant, session_id)
    return SessionStored(sessionId=session_id, changed=changed, messages=stored.last_seq if stored else 0)


@router.post("/{session_id}/messages", status_code=201, responses=_WITH_BODY | {409: {"model": ProblemOut}})
async def send_message(session_id: SessionId, body: MessageSend, request: Request) -> MessageOut:
    """Append one message. Sending the same id again returns the stored message."""
    caller = allow(request, "send_message")
    sender = body.sender or caller.subject
    if sender != caller.subject and not sees_whole_tenant(caller):
        raise Forbidden(f"role {caller.role} may send messages only as itself, not as {sender}")
    # When somebody spoke is the server's to say; only a platform that brings what was said elsewhere knows better.
    at = body.at if body.at is not None and sees_whole_tenant(caller) else datetime.now(UTC)
    message = Message(body.id, sender, body.text, at)
    async with services_of(request).database.transaction() as connection:
        roster = _visible(await sessions.roster(connection, caller.tenant, session_id), caller, session_id)
        if sender not in roster.ids:
            raise InvalidInput(f"{sender!r} is not a participant of session {session_id}", field="sender")
        appended = await sessions.append(connection, caller.tenant, session_id, message, MESSAGES_MAX)
    if appended is None:
        raise InvalidInput(
            f"session {session_id} is full: it has {MESSAGES_MAX} messages, the maximum", field="messages"
        )
    stored = appended.message
    if (stored.sender, stored.text) != (sender, body.text):
        raise Conflict(f"message id {body.id} is already used by a different message in session {session_id}")
    if appended.is_new:
        services_of(request).realtime.message_stored(caller.tenant, session_id, appended)
    return _out(stored)


@router.get("/{session_id}/messages", responses=_PROBLEMS)
async def read_messages(
    session_id: SessionId,
    request: Request,
    after: Annotated[int, Query(ge=0, le=SEQ_MAX, description="only messages with a greater seq")] = 0,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX, description="page size")] = 100,
) -> MessagePage:
    """Return the messages after ``seq``, in order. ``nextAfter`` is set if there are more."""
    caller = allow(request, "read_messages")
    async with services_of(request).database.transaction() as connection:
        roster = _visible(await sessions.roster(connection, caller.tenant, session_id), caller, session_id)
        said = await sessions.read_messages(connection, caller.tenant, session_id, after=after, limit=limit + 1)
    page = said[:limit]
    return MessagePage(
        edition=roster.edition,
        messages=[_out(message) for message in page],
        nextAfter=page[-1].seq if len(said) > limit else None,
    )


def _visible(roster: Roster | None, caller: Caller, session_id: str) -> Roster:
    if roster is None or not takes_part(caller, roster.ids):
        raise NotFound(f"session {session_id} not found, or not accessible to you")
    return roster


def _out(stored: StoredMessage) -> MessageOut:
    return MessageOut(seq=stored.seq, id=stored.id, sender=stored.sender, text=stored.text, at=stored.at)
