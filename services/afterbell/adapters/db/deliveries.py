"""Webhook deliveries: rows made with the report they tell of, claimed by one sender at a time, settled.

A claim raises ``attempt`` and moves ``due_at`` behind the attempt's end. A sender that dies leaves the row to the next
one, and what it still reports under its own attempt matches no row.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import Uuid, and_, bindparam, func, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from afterbell.adapters.db.tables import webhook_deliveries, webhook_endpoints
from afterbell.core.jobs import job_id_of
from afterbell.core.webhooks import TEST_EVENT, Answer, Delivered, Event, GivenUp, Verdict

CHANNEL: Final = "afterbell_webhooks"
"""NOTIFY on it says that a delivery is due; it is heard when the transaction that made the delivery has committed."""

_ANNOUNCE: Final = text("""
WITH made AS (
    INSERT INTO webhook_deliveries (endpoint_id, report_id, event, body)
    SELECT e.id, CAST(:report_id AS uuid), CAST(:event AS text),
           json_build_object('type', CAST(:event AS text),
                             'timestamp', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                             'data', CAST(:data AS json))::text
    FROM webhook_endpoints e
    WHERE e.tenant_id = :tenant_id AND e.disabled_at IS NULL AND CAST(:event AS text) = ANY(e.events)
    RETURNING id
)
SELECT pg_notify(:channel, '') FROM made LIMIT 1
""").bindparams(bindparam("report_id", type_=Uuid()))

_ANNOUNCE_TEST: Final = text("""
INSERT INTO webhook_deliveries (endpoint_id, event, body)
SELECT :endpoint_id, CAST(:event AS text),
       json_build_object('type', CAST(:event AS text),
                         'timestamp', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                         'data', CAST(:data AS json))::text
FROM pg_notify(:channel, '')
RETURNING id
""").bindparams(bindparam("endpoint_id", type_=Uuid()))

# One at a time for each endpoint: a slow one holds up nobody else, and gets its messages in order while it takes them.
_CLAIM: Final = text("""
WITH first AS (
    SELECT DISTINCT ON (d.endpoint_id) d.id
    FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = d.endpoint_id AND e.disabled_at IS NULL
    WHERE d.status = 'pending' AND d.due_at <= now() AND d.endpoint_id <> ALL(:busy)
    ORDER BY d.endpoint_id, d.due_at LIMIT :count
), locked AS (
    SELECT id FROM webhook_deliveries
    WHERE id IN (SELECT id FROM first) AND status = 'pending' AND due_at <= now()
    FOR UPDATE SKIP LOCKED
)
UPDATE webhook_deliveries d SET attempt = d.attempt + 1, due_at = now() + make_interval(secs => :lease_s)
FROM locked, webhook_endpoints e
WHERE d.id = locked.id AND e.id = d.endpoint_id
RETURNING d.id, d.endpoint_id, d.attempt, d.body, e.url, e.secret,
          CASE WHEN e.previous_until > now() THEN e.previous_secret END AS previous_secret
""").bindparams(bindparam("busy", type_=ARRAY(Uuid())))

_NEXT_DUE: Final = text("""
SELECT extract(epoch FROM min(d.due_at) - now())::float
FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = d.endpoint_id AND e.disabled_at IS NULL
WHERE d.status = 'pending' AND d.endpoint_id <> ALL(:busy)
""").bindparams(bindparam("busy", type_=ARRAY(Uuid())))

_DISABLE: Final = text("""
WITH disabled AS (
    UPDATE webhook_endpoints SET disabled_at = now(), disabled_because = :because, updated_at = now()
    WHERE id = :endpoint_id AND disabled_at IS NULL
)
UPDATE webhook_deliveries SET status = 'failed', ended_at = now(), error = 'the endpoint was disabled: ' || :because
WHERE endpoint_id = :endpoint_id AND status = 'pending'
""").bindparams(bindparam("endpoint_id", type_=Uuid()))


@dataclass(frozen=True, slots=True)
class Due:
    """A message to send now. ``secrets``: the current one, and the one before it while a rotation lasts."""

    delivery_id: UUID
    endpoint_id: UUID
    attempt: int
    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def message_id(self) -> str:
        """The same at every attempt, so that a receiver can tell that it knows the message."""
        return f"msg_{self.delivery_id.hex}"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery as its owner sees it."""

    id: UUID
    event: str
    status: str
    attempt: int
    created_at: datetime
    due_at: datetime
    ended_at: datetime | None
    answer_status: int | None
    error: str | None


async def announce(
    connection: AsyncConnection, tenant_id: str, event: Event, *, report_id: UUID, session_id: str, version: int
) -> None:
    """Make a delivery for every endpoint of the tenant that asked for this event. Ids only: no word of the report."""
    data = {"jobId": job_id_of(report_id), "sessionId": session_id, "version": version,
            "statusUrl": f"/api/reports/session/{session_id}/status"}  # fmt: skip
    values = {"tenant_id": tenant_id, "event": event, "report_id": report_id, "channel": CHANNEL,
              "data": orjson.dumps(data).decode()}  # fmt: skip
    await connection.execute(_ANNOUNCE, values)


async def announce_test(connection: AsyncConnection, endpoint_id: UUID, tried_by: str) -> UUID:
    """Make a ``webhook.test`` delivery for one endpoint, whatever events it asked for; its id."""
    values = {"endpoint_id": endpoint_id, "event": TEST_EVENT, "channel": CHANNEL,
              "data": orjson.dumps({"triedBy": tried_by}).decode()}  # fmt: skip
    return UUID(str(await connection.scalar(_ANNOUNCE_TEST, values)))


async def claim(connection: AsyncConnection, *, busy: list[UUID], count: int, lease_s: float) -> list[Due]:
    """Up to ``count`` messages that are due, of as many endpoints, none of them ``busy``; ours for ``lease_s``."""
    rows = await connection.execute(_CLAIM, {"busy": busy, "count": count, "lease_s": lease_s})
    return [
        Due(row.id, row.endpoint_id, row.attempt, row.url, tuple(filter(None, (row.secret, row.previous_secret))),
            row.body.encode())
        for row in rows
    ]  # fmt: skip


async def next_due_s(connection: AsyncConnection, *, busy: list[UUID]) -> float | None:
    """Seconds until the next delivery is due, negative where it is; None where none waits."""
    found: float | None = await connection.scalar(_NEXT_DUE, {"busy": busy})
    return found


async def settle(connection: AsyncConnection, due: Due, answer: Answer, verdict: Verdict) -> bool:
    """Record what came of the attempt. False, and nothing changed, where a later attempt has begun."""
    values: dict[str, Any] = {"answer_status": answer.status, "error": answer.error}
    match verdict:
        case Delivered():
            values |= {"status": "delivered", "ended_at": func.now()}
        case GivenUp():
            values |= {"status": "failed", "ended_at": func.now()}
        case _:
            values["due_at"] = func.now() + func.make_interval(0, 0, 0, 0, 0, 0, verdict.delay_s)
    this = and_(webhook_deliveries.c.id == due.delivery_id, webhook_deliveries.c.attempt == due.attempt,
                webhook_deliveries.c.status == "pending")  # fmt: skip
    made_at = await connection.scalar(
        update(webhook_deliveries).where(this).values(values).returning(webhook_deliveries.c.created_at)
    )
    if made_at is None:
        return False
    await _judge_endpoint(connection, due.endpoint_id, verdict, made_at)
    return True


async def _judge_endpoint(connection: AsyncConnection, endpoint_id: UUID, verdict: Verdict, made_at: datetime) -> None:
    this = webhook_endpoints.c.id == endpoint_id
    if isinstance(verdict, Delivered):
        await connection.execute(update(webhook_endpoints).where(this).values(accepted_at=func.now()))
    elif isinstance(verdict, GivenUp):
        because = "it answered 410 Gone"
        if not verdict.gone:
            accepted_at = await connection.scalar(select(webhook_endpoints.c.accepted_at).where(this))
            if accepted_at is not None and accepted_at > made_at:
                return
            because = "it accepted nothing for as long as a message was tried"
        await connection.execute(_DISABLE, {"endpoint_id": endpoint_id, "because": because})


async def of_endpoint(connection: AsyncConnection, endpoint_id: UUID, limit: int = 100) -> list[Delivery]:
    """The newest deliveries of an endpoint, newest first."""
    table = webhook_deliveries
    rows = await connection.execute(
        select(table.c.id, table.c.event, table.c.status, table.c.attempt, table.c.created_at, table.c.due_at,
               table.c.ended_at, table.c.answer_status, table.c.error)
        .where(table.c.endpoint_id == endpoint_id)
        .order_by(table.c.created_at.desc(), table.c.id)
        .limit(limit)
    )  # fmt: skip
    return [Delivery(*row) for row in rows]


async def send_again(connection: AsyncConnection, endpoint_id: UUID, delivery_id: UUID) -> bool:
    """Begin a delivery that has ended anew, under its old message id. False where there is none."""
    statement = (
        update(webhook_deliveries)
        .where(webhook_deliveries.c.id == delivery_id, webhook_deliveries.c.endpoint_id == endpoint_id)
        .where(webhook_deliveries.c.status != "pending")
        .values(status="pending", attempt=0, due_at=func.now(), ended_at=None, error=None, answer_status=None)
    )
    found = (await connection.execute(statement)).rowcount == 1
    if found:
        await connection.execute(select(func.pg_notify(CHANNEL, "")))
    return found
