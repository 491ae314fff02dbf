"""Webhook deliveries: rows made with the report they tell of, claimed by one sender at a time, settled.

A claim raises ``attempt``, moves ``due_at`` behind the attempt's end, and leases the endpoint: one message of it is on
its way at a time, over all processes. A sender that dies leaves both to the next one, and what it still reports under
its own attempt matches no row.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import Boolean, Uuid, and_, bindparam, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from afterbell.adapters.db.tables import webhook_deliveries, webhook_endpoints
from afterbell.core.queue.outcomes import job_id_of
from afterbell.core.webhooks.signing import TEST_EVENT, Answer, Delivered, Event, GivenUp, Verdict

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
      AND NOT (:once AND EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.endpoint_id = e.id
                                 AND d.report_id = CAST(:report_id AS uuid) AND d.event = CAST(:event AS text)))
    RETURNING id
)
SELECT pg_notify(:channel, '') FROM made LIMIT 1
""").bindparams(bindparam("report_id", type_=Uuid()), bindparam("once", type_=Boolean()))

_ANNOUNCE_TEST: Final = text("""
INSERT INTO webhook_deliveries (endpoint_id, event, body)
SELECT :endpoint_id, CAST(:event AS text),
       json_build_object('type', CAST(:event AS text),
                         'timestamp', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                         'data', CAST(:data AS json))::text
FROM pg_notify(:channel, '')
RETURNING id
""").bindparams(bindparam("endpoint_id", type_=Uuid()))

# So many pending deliveries are looked at: of one endpoint, for the one made first; of all, for when to look again.
LOOKED_AT_MAX: Final = 200
START: Final = UUID(int=0)
# From endpoint to endpoint by one step of the index each, however many messages wait for it, and only until there are
# enough: everybody has their turn, and one message in it. Of those that are due the one made first: after a sender that
# died, what it sent is due later than what was made meanwhile.
_CLAIM: Final = text("""
WITH RECURSIVE waiting AS (
    (SELECT endpoint_id, due_at FROM webhook_deliveries WHERE status = 'pending' AND endpoint_id > :after
     ORDER BY endpoint_id, due_at LIMIT 1)
    UNION ALL
    SELECT following.endpoint_id, following.due_at FROM waiting, LATERAL (
        SELECT endpoint_id, due_at FROM webhook_deliveries
        WHERE status = 'pending' AND endpoint_id > waiting.endpoint_id
        ORDER BY endpoint_id, due_at LIMIT 1) AS following
), free AS MATERIALIZED (
    SELECT leased.id FROM waiting, LATERAL (
        SELECT e.id FROM webhook_endpoints e
        WHERE e.id = waiting.endpoint_id AND waiting.due_at <= now() AND e.disabled_at IS NULL
          AND (e.sending_until IS NULL OR e.sending_until <= now()
               OR e.sending_until > now() + make_interval(secs => :lease_s) + interval '1 minute')
        FOR UPDATE SKIP LOCKED) AS leased
    LIMIT :count
), first AS MATERIALIZED (
    SELECT one.id, one.attempt FROM free, LATERAL (
        SELECT id, attempt FROM (
            SELECT id, attempt, created_at, due_at FROM webhook_deliveries
            WHERE endpoint_id = free.id AND status = 'pending' AND due_at <= now()
            ORDER BY due_at LIMIT :looked_at) AS due
        ORDER BY created_at, due_at, id LIMIT 1) AS one
), taken AS (
    UPDATE webhook_deliveries d SET attempt = d.attempt + 1, due_at = now() + make_interval(secs => :lease_s)
    FROM first WHERE d.id = first.id AND d.attempt = first.attempt AND d.ended_at IS NULL
    RETURNING d.id, d.endpoint_id, d.attempt, d.body
)
UPDATE webhook_endpoints e SET sending_until = now() + make_interval(secs => :lease_s)
FROM taken WHERE e.id = taken.endpoint_id
RETURNING taken.id, taken.endpoint_id, taken.attempt, taken.body, e.url, e.secret,
          CASE WHEN e.previous_until > now() THEN e.previous_secret END AS previous_secret
""").bindparams(bindparam("after", type_=Uuid()))
_NEXT_DUE: Final = text("""
SELECT extract(epoch FROM min(greatest(due_at, sending_until)) - now())::float FROM (
    SELECT d.due_at, e.sending_until
    FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = d.endpoint_id AND e.disabled_at IS NULL
    WHERE d.status = 'pending' AND d.attempt >= 0 ORDER BY d.due_at LIMIT :looked_at) AS pending
""")

_DISABLE: Final = text("""
WITH disabled AS (
    UPDATE webhook_endpoints SET disabled_at = now(), disabled_because = :because, updated_at = now()
    WHERE id = :endpoint_id AND disabled_at IS NULL
)
UPDATE webhook_deliveries SET status = 'failed', ended_at = now(), error = 'the endpoint was disabled: ' || :because
WHERE endpoint_id = :endpoint_id AND status = 'pending'
""").bindparams(bindparam("endpoint_id", type_=Uuid()))


@dataclass(frozen=True, slots=True)
class DueDelivery:
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
class WebhookDelivery:
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
    connection: AsyncConnection,
    tenant_id: str,
    event: Event,
    *,
    report_id: UUID,
    session_id: str,
    version: int,
    once: bool = False,
) -> None:
    """Make a delivery for every endpoint of the tenant that asked for this event. Ids only: no word of the report.

    ``once``: not again where the endpoint has been told this of the report, by an earlier try, say.
    """
    data = {
        "jobId": job_id_of(report_id),
        "sessionId": session_id,
        "version": version,
        "statusUrl": f"/api/reports/session/{session_id}/status",
    }
    values = {
        "tenant_id": tenant_id,
        "event": event,
        "once": once,
        "report_id": report_id,
        "channel": CHANNEL,
        "data": orjson.dumps(data).decode(),
    }
    await connection.execute(_ANNOUNCE, values)


async def announce_test(connection: AsyncConnection, endpoint_id: UUID, tried_by: str) -> UUID:
    """Make a ``webhook.test`` delivery for one endpoint, whatever events it asked for; its id."""
    values = {
        "endpoint_id": endpoint_id,
        "event": TEST_EVENT,
        "channel": CHANNEL,
        "data": orjson.dumps({"triedBy": tried_by}).decode(),
    }
    return UUID(str(await connection.scalar(_ANNOUNCE_TEST, values)))


async def claim(
    connection: AsyncConnection, *, count: int, lease_s: float, after: UUID = START
) -> tuple[list[DueDelivery], UUID]:
    """Up to ``count`` messages that are due, of as many endpoints that nobody sends to, ours for ``lease_s``; and the
    endpoint ``after`` which the next claim goes on, so that all have their turn."""
    given = {"count": count, "lease_s": lease_s, "looked_at": LOOKED_AT_MAX}
    rows = list(await connection.execute(_CLAIM, given | {"after": after}))
    last = rows
    if after != START and len(rows) < count:
        last = list(await connection.execute(_CLAIM, given | {"after": START, "count": count - len(rows)}))
        rows += last
    return [_due(row) for row in rows], max((row.endpoint_id for row in last), default=START)


def _due(row: Any) -> DueDelivery:
    secrets = tuple(filter(None, (row.secret, row.previous_secret)))
    return DueDelivery(row.id, row.endpoint_id, row.attempt, row.url, secrets, row.body.encode())


async def next_due_s(connection: AsyncConnection) -> float | None:
    """Seconds until the next delivery is due and its endpoint is free, negative where that is now; None where none
    waits. Of the ``LOOKED_AT_MAX`` that are due first."""
    due_in_s: float | None = await connection.scalar(_NEXT_DUE, {"looked_at": LOOKED_AT_MAX})
    return due_in_s


async def settle(connection: AsyncConnection, due: DueDelivery, answer: Answer, verdict: Verdict) -> bool:
    """Record what came of the attempt. False, and nothing changed, where a later attempt has begun."""
    values: dict[str, Any] = {"answer_status": answer.status, "error": answer.error}
    match verdict:
        case Delivered():
            values |= {"status": "delivered", "ended_at": func.now()}
        case GivenUp():
            values |= {"status": "failed", "ended_at": func.now()}
        case _:
            values["due_at"] = func.now() + func.make_interval(0, 0, 0, 0, 0, 0, verdict.delay_s)
    this = and_(
        webhook_deliveries.c.id == due.delivery_id,
        webhook_deliveries.c.attempt == due.attempt,
        webhook_deliveries.c.status == "pending",
    )
    made_at = await connection.scalar(
        update(webhook_deliveries).where(this).values(values).returning(webhook_deliveries.c.created_at)
    )
    if made_at is None:
        return False
    free: dict[str, Any] = {"sending_until": None}
    if isinstance(verdict, Delivered):
        free["accepted_at"] = func.now()
    await connection.execute(update(webhook_endpoints).where(webhook_endpoints.c.id == due.endpoint_id).values(free))
    if isinstance(verdict, GivenUp):
        await _judge_endpoint(connection, due.endpoint_id, verdict, made_at)
    return True


async def _judge_endpoint(connection: AsyncConnection, endpoint_id: UUID, verdict: GivenUp, made_at: datetime) -> None:
    because = "it answered 410 Gone"
    if not verdict.gone:
        accepted_at = await connection.scalar(
            select(webhook_endpoints.c.accepted_at).where(webhook_endpoints.c.id == endpoint_id)
        )
        if accepted_at is not None and accepted_at > made_at:
            return
        because = "it accepted nothing for as long as a message was tried"
    await connection.execute(_DISABLE, {"endpoint_id": endpoint_id, "because": because})


async def of_endpoint(connection: AsyncConnection, endpoint_id: UUID, limit: int = 100) -> list[WebhookDelivery]:
    """The newest deliveries of an endpoint, newest first."""
    table = webhook_deliveries
    rows = await connection.execute(
        select(
            table.c.id,
            table.c.event,
            table.c.status,
            table.c.attempt,
            table.c.created_at,
            table.c.due_at,
            table.c.ended_at,
            table.c.answer_status,
            table.c.error,
        )
        .where(table.c.endpoint_id == endpoint_id)
        .order_by(table.c.created_at.desc(), table.c.id)
        .limit(limit)
    )
    return [WebhookDelivery(*row) for row in rows]


async def send_again(connection: AsyncConnection, endpoint_id: UUID, delivery_id: UUID) -> bool:
    """Begin a delivery that has ended anew, under its old message id. False where there is none."""
    statement = (
        update(webhook_deliveries)
        .where(webhook_deliveries.c.id == delivery_id, webhook_deliveries.c.endpoint_id == endpoint_id)
        .where(webhook_deliveries.c.status != "pending")
        .values(status="pending", attempt=0, due_at=func.now(), ended_at=None, error=None, answer_status=None)
    )
    began = (await connection.execute(statement)).rowcount == 1
    if began:
        await connection.execute(select(func.pg_notify(CHANNEL, "")))
    return began
