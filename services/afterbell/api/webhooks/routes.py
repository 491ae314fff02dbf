"""Webhooks of a tenant: endpoints, secrets, and what became of deliveries. For admins; every act is audited."""

import secrets
from typing import Annotated, Any, Final
from uuid import UUID, uuid4

from fastapi import APIRouter, Path, Query, Request

from afterbell.adapters.db import audit
from afterbell.adapters.db.audit import Act
from afterbell.adapters.db.database import Connection
from afterbell.adapters.db.webhooks import deliveries, endpoints
from afterbell.adapters.db.webhooks.endpoints import ENDPOINTS_MAX
from afterbell.api.auth.bearer import CallerFirst, allow
from afterbell.api.schemas import ProblemOut
from afterbell.api.services import services_of
from afterbell.api.webhooks.schemas import (
    DeliveryBegun,
    DeliveryList,
    DeliveryOut,
    EndpointAnswer,
    EndpointChange,
    EndpointIn,
    EndpointList,
    EndpointOut,
    EndpointRemoved,
    EndpointSecret,
    RotateIn,
)
from afterbell.core.access import Caller, actor_of
from afterbell.core.errors import Conflict, NotFound
from afterbell.core.webhooks.signing import SECRET_BYTES, new_secret

router = APIRouter(prefix="/api/webhooks", tags=["webhooks"], route_class=CallerFirst)
EndpointId = Annotated[UUID, Path(description="The id of a webhook endpoint")]
DeliveryId = Annotated[UUID, Path(description="The id of a delivery")]
Reason = Annotated[str | None, Query(max_length=500, pattern=r"^[^\x00]*$", description="Reason, for the audit log")]
_HOUR_S: Final = 3600.0
_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    code: {"model": ProblemOut} for code in (401, 403, 404, 422, 500, 503)
}
_WITH_BODY: Final = _PROBLEMS | {code: {"model": ProblemOut} for code in (400, 413)}


@router.post("", status_code=201, responses=_WITH_BODY | {409: {"model": ProblemOut}})
async def add_webhook(body: EndpointIn, request: Request, reason: Reason = None) -> EndpointSecret:
    """Register a URL for events. The response contains the signing secret, which is not shown again."""
    caller = allow(request, "manage_webhook")
    services = services_of(request)
    await services.webhooks.judged(body.url)
    secret, endpoint_id = new_secret(secrets.token_bytes(SECRET_BYTES)), uuid4()
    async with services.database.transaction() as connection:
        added = await endpoints.add(
            connection,
            caller.tenant,
            endpoint_id,
            url=body.url,
            events=[*body.events],
            secret=secret,
            by=actor_of(caller),
        )
        if not added:
            raise Conflict(f"limit of {ENDPOINTS_MAX} webhooks reached: remove one first")
        await _record(connection, caller, "webhook.add", endpoint_id, reason, url=body.url, events=[*body.events])
        endpoint = await _endpoint_of(connection, caller, endpoint_id)
    return EndpointSecret(webhook=endpoint, secret=secret)


@router.get("", responses=_PROBLEMS)
async def list_webhooks(request: Request) -> EndpointList:
    """List the tenant's webhooks, without their secrets."""
    caller = allow(request, "manage_webhook")
    async with services_of(request).database.transaction() as connection:
        rows = await endpoints.of_tenant(connection, caller.tenant)
    return EndpointList(webhooks=[EndpointOut.of(endpoint) for endpoint in rows])


@router.get("/{endpoint_id}", responses=_PROBLEMS)
async def read_webhook(endpoint_id: EndpointId, request: Request) -> EndpointAnswer:
    """Return one webhook, without its secret."""
    caller = allow(request, "manage_webhook")
    async with services_of(request).database.transaction() as connection:
        return EndpointAnswer(webhook=await _endpoint_of(connection, caller, endpoint_id))


@router.patch("/{endpoint_id}", responses=_WITH_BODY)
async def change_webhook(
    endpoint_id: EndpointId, body: EndpointChange, request: Request, reason: Reason = None
) -> EndpointAnswer:
    """Change URL or events, or enable or disable it. Pending messages are held while it is disabled."""
    caller = allow(request, "manage_webhook")
    services = services_of(request)
    if body.url is not None:
        await services.webhooks.judged(body.url)
    async with services.database.transaction() as connection:
        await endpoints.change(
            connection,
            caller.tenant,
            endpoint_id,
            url=body.url,
            enabled=body.enabled,
            events=None if body.events is None else [*body.events],
        )
        changed = EndpointAnswer(webhook=await _endpoint_of(connection, caller, endpoint_id))
        await _record(connection, caller, "webhook.change", endpoint_id, reason, **body.model_dump(exclude_none=True))
    return changed


@router.delete("/{endpoint_id}", responses=_PROBLEMS)
async def remove_webhook(endpoint_id: EndpointId, request: Request, reason: Reason = None) -> EndpointRemoved:
    """Remove a webhook and its pending messages."""
    caller = allow(request, "manage_webhook")
    async with services_of(request).database.transaction() as connection:
        await _endpoint_of(connection, caller, endpoint_id)
        await endpoints.remove(connection, caller.tenant, endpoint_id)
        await _record(connection, caller, "webhook.remove", endpoint_id, reason)
    return EndpointRemoved(removed=endpoint_id)


@router.post("/{endpoint_id}/rotate", responses=_WITH_BODY)
async def rotate_secret(
    endpoint_id: EndpointId, body: RotateIn, request: Request, reason: Reason = None
) -> EndpointSecret:
    """Sign with a new secret. The old one keeps signing for a while, so that receivers can switch."""
    caller = allow(request, "manage_webhook")
    secret = new_secret(secrets.token_bytes(SECRET_BYTES))
    async with services_of(request).database.transaction() as connection:
        await endpoints.rotate(connection, caller.tenant, endpoint_id, secret, overlap_s=body.overlap_hours * _HOUR_S)
        rotated = EndpointSecret(webhook=await _endpoint_of(connection, caller, endpoint_id), secret=secret)
        await _record(connection, caller, "webhook.rotate", endpoint_id, reason, overlap_hours=body.overlap_hours)
    return rotated


@router.post("/{endpoint_id}/test", status_code=202, responses=_PROBLEMS)
async def try_webhook(endpoint_id: EndpointId, request: Request) -> DeliveryBegun:
    """Send a `webhook.test` event. The list of deliveries shows its result."""
    caller = allow(request, "manage_webhook")
    async with services_of(request).database.transaction() as connection:
        await _endpoint_of(connection, caller, endpoint_id)
        delivery_id = await deliveries.announce_test(connection, endpoint_id, actor_of(caller))
    return DeliveryBegun(deliveryId=delivery_id)


@router.get("/{endpoint_id}/deliveries", responses=_PROBLEMS)
async def list_deliveries(endpoint_id: EndpointId, request: Request) -> DeliveryList:
    """List the newest 100 deliveries of a webhook with their status."""
    caller = allow(request, "manage_webhook")
    async with services_of(request).database.transaction() as connection:
        await _endpoint_of(connection, caller, endpoint_id)
        rows = await deliveries.of_endpoint(connection, endpoint_id)
    return DeliveryList(deliveries=[DeliveryOut.of(delivery) for delivery in rows])


@router.post(
    "/{endpoint_id}/deliveries/{delivery_id}/resend",
    status_code=202,
    responses=_PROBLEMS | {409: {"model": ProblemOut}},
)
async def resend_delivery(endpoint_id: EndpointId, delivery_id: DeliveryId, request: Request) -> DeliveryBegun:
    """Resend a finished delivery with the same message id."""
    caller = allow(request, "manage_webhook")
    async with services_of(request).database.transaction() as connection:
        await _endpoint_of(connection, caller, endpoint_id)
        if not await deliveries.send_again(connection, endpoint_id, delivery_id):
            raise Conflict(f"delivery {delivery_id} is still pending, or belongs to another webhook")
        await _record(connection, caller, "webhook.resend", endpoint_id, None, delivery=str(delivery_id))
    return DeliveryBegun(deliveryId=delivery_id)


async def _endpoint_of(connection: Connection, caller: Caller, endpoint_id: UUID) -> EndpointOut:
    endpoint = await endpoints.find(connection, caller.tenant, endpoint_id)
    if endpoint is None:
        raise NotFound(f"webhook {endpoint_id} not found")
    return EndpointOut.of(endpoint)


async def _record(
    connection: Connection, caller: Caller, action: str, endpoint_id: UUID, reason: str | None, **details: Any
) -> None:
    act = Act(caller.tenant, actor_of(caller), action, str(endpoint_id), reason, details)
    await audit.record(connection, act)
