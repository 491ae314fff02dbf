"""Webhook endpoints of a tenant: where its events go and with which secret they are signed."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import and_, case, delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from afterbell.adapters.db.tables import webhook_endpoints
from afterbell.adapters.db.webhooks.deliveries import CHANNEL

ENDPOINTS_MAX: Final = 20
_TABLE: Final = webhook_endpoints
_SHOWN: Final = (
    _TABLE.c.id,
    _TABLE.c.url,
    _TABLE.c.events,
    _TABLE.c.created_by,
    _TABLE.c.created_at,
    _TABLE.c.accepted_at,
    case((_TABLE.c.previous_until > func.now(), _TABLE.c.previous_until)),
    _TABLE.c.disabled_at,
    _TABLE.c.disabled_because,
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint without its secret. ``rotates_until``: how long the secret before the current one signs as well."""

    id: UUID
    url: str = field(repr=False)
    events: list[str]
    created_by: str
    created_at: datetime
    accepted_at: datetime | None
    rotates_until: datetime | None
    disabled_at: datetime | None
    disabled_because: str | None


async def add(
    connection: AsyncConnection, tenant_id: str, endpoint_id: UUID, *, url: str, events: list[str], secret: str, by: str
) -> bool:
    """Store an endpoint. False where the tenant has ENDPOINTS_MAX already."""
    await connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"afterbell.webhooks.{tenant_id}"}
    )
    count = await connection.scalar(select(func.count()).select_from(_TABLE).where(_TABLE.c.tenant_id == tenant_id))
    if count is not None and count >= ENDPOINTS_MAX:
        return False
    values = {
        "id": endpoint_id,
        "tenant_id": tenant_id,
        "url": url,
        "events": events,
        "secret": secret,
        "created_by": by,
    }
    await connection.execute(insert(_TABLE).values(values))
    return True


async def of_tenant(connection: AsyncConnection, tenant_id: str) -> list[Endpoint]:
    """The tenant's endpoints, oldest first."""
    rows = await connection.execute(
        select(*_SHOWN).where(_TABLE.c.tenant_id == tenant_id).order_by(_TABLE.c.created_at, _TABLE.c.id)
    )
    return [Endpoint(*row) for row in rows]


async def find(connection: AsyncConnection, tenant_id: str, endpoint_id: UUID) -> Endpoint | None:
    """One endpoint of the tenant, or None."""
    row = (await connection.execute(select(*_SHOWN).where(_is(tenant_id, endpoint_id)))).one_or_none()
    return None if row is None else Endpoint(*row)


async def change(
    connection: AsyncConnection,
    tenant_id: str,
    endpoint_id: UUID,
    *,
    url: str | None,
    events: list[str] | None,
    enabled: bool | None,
) -> bool:
    """Change what is given. Disabled, it gets no new messages, and those that wait are held. False: no such one."""
    values: dict[str, Any] = {"updated_at": func.now()}
    if url is not None:
        values["url"] = url
    if events is not None:
        values["events"] = events
    if enabled is not None:
        values |= {
            "disabled_at": None if enabled else func.coalesce(_TABLE.c.disabled_at, func.now()),
            "disabled_because": None if enabled else "it was switched off",
        }
    await connection.execute(select(func.pg_notify(CHANNEL, "")))  # what was held may be sent now
    return (await connection.execute(update(_TABLE).where(_is(tenant_id, endpoint_id)).values(values))).rowcount == 1


async def rotate(
    connection: AsyncConnection, tenant_id: str, endpoint_id: UUID, secret: str, *, overlap_s: float
) -> bool:
    """Sign with ``secret`` from now on, and with the one before it as well for ``overlap_s``. False: no such one."""
    values = {
        "secret": secret,
        "previous_secret": _TABLE.c.secret,
        "updated_at": func.now(),
        "previous_until": func.now() + func.make_interval(0, 0, 0, 0, 0, 0, overlap_s),
    }
    return (await connection.execute(update(_TABLE).where(_is(tenant_id, endpoint_id)).values(values))).rowcount == 1


async def remove(connection: AsyncConnection, tenant_id: str, endpoint_id: UUID) -> bool:
    """Delete an endpoint with its deliveries. False: no such one."""
    return (await connection.execute(delete(_TABLE).where(_is(tenant_id, endpoint_id)))).rowcount == 1


def _is(tenant_id: str, endpoint_id: UUID) -> Any:
    return and_(_TABLE.c.tenant_id == tenant_id, _TABLE.c.id == endpoint_id)
