"""Asking for a report: the one statement of the hot path, for many requests at once.

Requests that arrive while a commit is under way share the next one (group commit): with one client a request is one
statement, with a hundred the disk still sees a handful of commits. The row with status ``queued`` is the outbox.
"""

import asyncio
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Boolean, Text, Uuid

from afterbell.adapters.db.database import Database
from afterbell.core.queue.outcomes import ReportStatus
from afterbell.service import Background

BATCH_MAX: Final = 200

# One row an input, in input order. A new report is made where there is none, where the last one failed or was
# cancelled, and where the session has changed since the last one was written; otherwise the last one is the answer.
# A concurrent insert of the same version wins quietly (no row in `made`) and is found by asking again.
_REQUEST: Final = text("""
WITH wanted AS (
    SELECT * FROM unnest(:report_ids, :tenant_ids, :session_ids, :subjects, :own_only, :bulk, :traceparents)
        WITH ORDINALITY AS w(report_id, tenant_id, session_id, subject, own_only, bulk, traceparent, nth)
), known AS (
    SELECT w.*, s.revision, last.id AS last_id, last.version, last.status,
           last.id IS NULL OR last.status IN ('failed', 'cancelled')
               OR (last.status = 'succeeded' AND last.revision <> s.revision) AS needs_new
    FROM wanted w
    JOIN sessions s ON s.tenant_id = w.tenant_id AND s.id = w.session_id
    LEFT JOIN LATERAL (
        SELECT id, version, revision, status FROM reports r
        WHERE r.tenant_id = w.tenant_id AND r.session_id = w.session_id
        ORDER BY version DESC LIMIT 1
    ) last ON true
    WHERE NOT w.own_only OR s.participants @> jsonb_build_array(jsonb_build_object('id', w.subject))
), made AS (
    INSERT INTO reports (id, tenant_id, session_id, version, revision, requested_by, bulk, traceparent)
    SELECT report_id, tenant_id, session_id, coalesce(version, 0) + 1, revision, subject, bulk, traceparent
    FROM known WHERE needs_new
    ON CONFLICT (tenant_id, session_id, version) DO NOTHING
    RETURNING id
)
SELECT k.nth, CASE WHEN k.needs_new THEN made.id ELSE k.last_id END AS id,
       CASE WHEN k.needs_new THEN 'queued' ELSE k.status END AS status, k.needs_new AS is_new
FROM known k LEFT JOIN made ON made.id = k.report_id
""").bindparams(
    bindparam("report_ids", type_=ARRAY(Uuid())),
    bindparam("tenant_ids", type_=ARRAY(Text())),
    bindparam("session_ids", type_=ARRAY(Text())),
    bindparam("subjects", type_=ARRAY(Text())),
    bindparam("own_only", type_=ARRAY(Boolean())),
    bindparam("bulk", type_=ARRAY(Boolean())),
    bindparam("traceparents", type_=ARRAY(Text())),
)


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """Who asks for which session's report. ``own_only``: the asker must take part in the session."""

    report_id: UUID
    tenant_id: str
    session_id: str
    subject: str
    own_only: bool
    bulk: bool = False
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class RequestedReport:
    """The report that answers a request; ``is_new`` where this request made it."""

    report_id: UUID
    status: ReportStatus
    is_new: bool


_Waiting = tuple[ReportRequest, "asyncio.Future[RequestedReport | None]"]


class ReportRequests:
    """Commits requests in shared batches, one batch at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[_Waiting] = []
        self._commits = Background("report_requests")
        self._is_committing = False

    async def request(self, request: ReportRequest) -> RequestedReport | None:
        """The report for ``request``, committed; None where there is no such session for this asker.

        Raises StoreUnavailable while PostgreSQL is away.
        """
        answer: asyncio.Future[RequestedReport | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, answer))
        if not self._is_committing:
            self._is_committing = True
            self._commits.begin(self._commit_waiting())
        return await answer

    async def _commit_waiting(self) -> None:
        try:
            while self._waiting:
                batch = self._next_batch()
                try:
                    answers = await self._commit([request for request, _ in batch])
                except Exception as error:  # each asker gets it
                    _fail(batch, error)
                    continue
                for nth, (request, answer) in enumerate(batch):
                    if nth in answers and answers[nth] is None:
                        self._waiting.append((request, answer))
                    elif not answer.done():
                        answer.set_result(answers.get(nth))
        finally:
            self._is_committing = False

    def _next_batch(self) -> list[_Waiting]:
        """Up to BATCH_MAX requests of different sessions: two of one session would both want the next version."""
        batch: list[_Waiting] = []
        later: list[_Waiting] = []
        sessions_taken: set[tuple[str, str]] = set()
        for entry in self._waiting:
            session = (entry[0].tenant_id, entry[0].session_id)
            if len(batch) < BATCH_MAX and session not in sessions_taken:
                sessions_taken.add(session)
                batch.append(entry)
            else:
                later.append(entry)
        self._waiting = later
        return batch

    async def _commit(self, batch: list[ReportRequest]) -> dict[int, RequestedReport | None]:
        """By place in ``batch``: the answer, None to ask again; no key where there is no such session."""
        async with self._database.statement() as connection:
            rows = await connection.execute(
                _REQUEST,
                {
                    "report_ids": [request.report_id for request in batch],
                    "tenant_ids": [request.tenant_id for request in batch],
                    "session_ids": [request.session_id for request in batch],
                    "subjects": [request.subject for request in batch],
                    "own_only": [request.own_only for request in batch],
                    "bulk": [request.bulk for request in batch],
                    "traceparents": [request.traceparent for request in batch],
                },
            )
            return {
                row.nth - 1: None if row.id is None else RequestedReport(row.id, row.status, row.is_new) for row in rows
            }


def _fail(batch: list[_Waiting], error: Exception) -> None:
    for _, answer in batch:
        if not answer.done():
            answer.set_exception(error)
