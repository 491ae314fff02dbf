"""All that is kept about one student: handed out, or erased. Each function runs inside the caller's transaction."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import and_, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from afterbell.adapters.db import audit
from afterbell.adapters.db.audit import Act
from afterbell.adapters.db.tables import messages, reports, sessions
from afterbell.core.privacy.erasure import ERASED_NAME, ERASED_TEXT, finder_of, without
from afterbell.core.privacy.names import NameFinder

_FACTS: Final = (
    *("id", "subject", "level", "language", "report_language", "time_zone", "goals"),
    *("started_at", "ended_at", "created_at", "updated_at"),
)
_REPORT: Final = (reports.c.version, reports.c.status, reports.c.created_at, reports.c.finished_at, reports.c.content)


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure did. In ``sessions_kept`` other students took part; there the student is unknown now."""

    sessions_deleted: int = 0
    sessions_kept: int = 0
    messages_blanked: int = 0
    messages_redacted: int = 0
    reports_deleted: int = 0
    session_ids: tuple[str, ...] = field(default=(), compare=False)

    @property
    def counts(self) -> dict[str, int]:
        """How many of each."""
        return {
            "sessions_deleted": self.sessions_deleted,
            "sessions_kept": self.sessions_kept,
            "messages_blanked": self.messages_blanked,
            "messages_redacted": self.messages_redacted,
            "reports_deleted": self.reports_deleted,
        }


async def export(connection: AsyncConnection, tenant: str, student_id: str, *, by: str, reason: str) -> dict[str, Any]:
    """All that is kept about a student, ready for JSON but for its times; recorded in the audit log.

    It has every session they take part in or ever wrote in.
    Of the others in a session it holds ids and roles, neither names nor words. ``shared`` marks sessions with other
    students: what their reports say may be about those.
    """
    rows = await _sessions_of(connection, tenant, student_id)
    parts = [await _exported(connection, tenant, student_id, row) for row in rows]
    act = Act(tenant, by, "student.export", student_id, reason, {"sessions": len(parts)})
    await audit.record(connection, act)
    return {"student": student_id, "tenant": tenant, "sessions": parts}


async def erase(connection: AsyncConnection, tenant: str, student_id: str, *, by: str, reason: str) -> Erased:
    """Erase a student; recorded in the audit log, also where nothing was found.

    A session with no other student goes with all that belongs to it. In the others the student's words and name go,
    as do the session's reports: any sentence of theirs may be about the student. They can be asked for again.
    Sessions they have left count too: the names they go by elsewhere are looked for there.
    """
    deleted = blanked = redacted = reports_deleted = 0
    rows = await _sessions_of(connection, tenant, student_id)
    names = finder_of(
        sorted({person["display_name"] for row in rows for person in _own(row["participants"], student_id)})
    )
    for row in rows:
        reports_deleted += await _delete_reports(connection, tenant, row["id"])
        if not _others(row["participants"], student_id):
            await connection.execute(delete(sessions).where(_is(tenant, row["id"])))
            deleted += 1
        else:
            own, others = await _forget(connection, tenant, student_id, row, names)
            blanked, redacted = blanked + own, redacted + others
    touched = tuple(row["id"] for row in rows)
    erased = Erased(deleted, len(rows) - deleted, blanked, redacted, reports_deleted, touched)
    await audit.record(connection, Act(tenant, by, "student.erase", student_id, reason, erased.counts))
    return erased


async def _sessions_of(connection: AsyncConnection, tenant: str, student_id: str) -> Sequence[Mapping[Any, Any]]:
    """The sessions a student takes part in as one or wrote in before they left, locked so that nobody adds to them."""
    people = sessions.c.participants
    wrote = select(messages.c.session_id).where(messages.c.tenant_id == tenant, messages.c.sender == student_id)
    has_left = and_(sessions.c.id.in_(wrote), ~people.contains([{"id": student_id}]))
    concerned = or_(people.contains([{"id": student_id, "role": "student"}]), has_left)
    statement = select(sessions).where(sessions.c.tenant_id == tenant, concerned).order_by(sessions.c.id)
    return (await connection.execute(statement.with_for_update())).mappings().all()


async def _exported(
    connection: AsyncConnection, tenant: str, student_id: str, row: Mapping[Any, Any]
) -> dict[str, Any]:
    said = await connection.execute(
        select(messages.c.seq, messages.c.text, messages.c.at)
        .where(_of(tenant, row["id"]), messages.c.sender == student_id)
        .order_by(messages.c.seq)
    )
    written = await connection.execute(
        select(*_REPORT)
        .where(reports.c.tenant_id == tenant, reports.c.session_id == row["id"])
        .order_by(reports.c.version)
    )
    people = row["participants"]
    return {
        "session": {name: row[name] for name in _FACTS},
        "shared": bool(_others(people, student_id)),
        "participants": [
            person if person["id"] == student_id else {"id": person["id"], "role": person["role"]} for person in people
        ],
        "messages": [_plain(message) for message in said.mappings()],
        "reports": [_plain(report) for report in written.mappings()],
    }


async def _delete_reports(connection: AsyncConnection, tenant: str, session_id: str) -> int:
    ours = and_(reports.c.tenant_id == tenant, reports.c.session_id == session_id)
    return (await connection.execute(delete(reports).where(ours))).rowcount


async def _forget(
    connection: AsyncConnection, tenant: str, student_id: str, row: Mapping[Any, Any], names: NameFinder
) -> tuple[int, int]:
    """Make the student unknown in a session of several; how many messages were theirs, and how many named them."""
    unknown = f"erased-{uuid.uuid4().hex[:12]}"
    people = row["participants"]
    kept = [
        person | {"id": unknown, "display_name": ERASED_NAME} if person["id"] == student_id else person
        for person in people
    ]
    values = {
        "participants": kept,
        "goals": [without(names, goal) for goal in row["goals"]],
        "input_sha256": "",
        "subject": without(names, row["subject"]),
        "revision": sessions.c.revision + 1,
    }
    await connection.execute(update(sessions).where(_is(tenant, row["id"])).values(values))
    theirs = and_(_of(tenant, row["id"]), messages.c.sender == student_id)
    blank = {"sender": unknown, "text": ERASED_TEXT, "client_id": func.concat(unknown, "-", messages.c.seq)}
    own = (await connection.execute(update(messages).where(theirs).values(blank))).rowcount
    others = 0
    for message in (await connection.execute(select(messages).where(_of(tenant, row["id"])))).mappings().all():
        text = without(names, message["text"])
        if text != message["text"]:
            this = and_(_of(tenant, row["id"]), messages.c.seq == message["seq"])
            await connection.execute(update(messages).where(this).values(text=text))
            others += 1
    return own, others


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Its keys as plain strings: SQLAlchemy's own are a subclass that orjson refuses."""
    return {str(name): value for name, value in row.items()}


def _own(people: list[dict[str, Any]], student_id: str) -> list[dict[str, Any]]:
    return [person for person in people if person["id"] == student_id]


def _others(people: list[dict[str, Any]], student_id: str) -> list[dict[str, Any]]:
    """The students of a session but for one."""
    return [person for person in people if person["role"] == "student" and person["id"] != student_id]


def _is(tenant: str, session_id: str) -> Any:
    return and_(sessions.c.tenant_id == tenant, sessions.c.id == session_id)


def _of(tenant: str, session_id: str) -> Any:
    return and_(messages.c.tenant_id == tenant, messages.c.session_id == session_id)
