"""Webhook endpoints and deliveries as JSON."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from afterbell.adapters.db.webhooks.deliveries import WebhookDelivery
from afterbell.adapters.db.webhooks.endpoints import Endpoint
from afterbell.core.webhooks.destinations import URL_CHARS_MAX
from afterbell.core.webhooks.signing import DEFAULT_EVENTS, ReportEvent

Url = Annotated[str, Field(min_length=1, max_length=URL_CHARS_MAX, description="https, port 443 or 8443")]
Events = Annotated[list[ReportEvent], Field(min_length=1, max_length=10)]
OVERLAP_HOURS_MAX = 168


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class EndpointIn(_Body):
    """An endpoint to send events to."""

    url: Url
    events: Events = Field(default_factory=lambda: [*DEFAULT_EVENTS])


class EndpointChange(_Body):
    """What is given is changed."""

    url: Url | None = None
    events: Events | None = None
    enabled: bool | None = None


class RotateIn(_Body):
    """For how long the old secret signs beside the new one."""

    overlap_hours: Annotated[float, Field(ge=0, le=OVERLAP_HOURS_MAX)] = 24.0


class EndpointOut(BaseModel):
    """An endpoint. Its secret is shown when it is made and when it is rotated, and never again."""

    id: UUID
    url: str
    events: list[str]
    enabled: bool
    disabledBecause: str | None  # noqa: N815  # the wire's name
    createdBy: str  # noqa: N815  # the wire's name
    createdAt: datetime  # noqa: N815  # the wire's name
    lastAcceptedAt: datetime | None  # noqa: N815  # the wire's name
    rotatesUntil: datetime | None  # noqa: N815  # the wire's name

    @classmethod
    def of(cls, endpoint: Endpoint) -> "EndpointOut":
        """As it is stored."""
        return cls(
            id=endpoint.id,
            url=endpoint.url,
            events=endpoint.events,
            enabled=endpoint.disabled_at is None,
            disabledBecause=endpoint.disabled_because,
            createdBy=endpoint.created_by,
            createdAt=endpoint.created_at,
            lastAcceptedAt=endpoint.accepted_at,
            rotatesUntil=endpoint.rotates_until,
        )


class EndpointAnswer(BaseModel):
    """One endpoint."""

    success: Literal[True] = True
    webhook: EndpointOut


class EndpointSecret(EndpointAnswer):
    """One endpoint and its new secret: keep it, it is not shown again."""

    secret: str


class EndpointList(BaseModel):
    """The tenant's endpoints, oldest first."""

    success: Literal[True] = True
    webhooks: list[EndpointOut]


class EndpointRemoved(BaseModel):
    """The endpoint and its deliveries are gone."""

    success: Literal[True] = True
    removed: UUID


class DeliveryOut(BaseModel):
    """One message to one endpoint. ``attempts`` have begun; ``nextAttemptAt`` while it is pending."""

    id: UUID
    messageId: str  # noqa: N815  # the wire's name
    event: str
    status: Literal["pending", "delivered", "failed"]
    attempts: int
    createdAt: datetime  # noqa: N815  # the wire's name
    nextAttemptAt: datetime | None  # noqa: N815  # the wire's name
    endedAt: datetime | None  # noqa: N815  # the wire's name
    answerStatus: int | None  # noqa: N815  # the wire's name
    error: str | None

    @classmethod
    def of(cls, delivery: WebhookDelivery) -> "DeliveryOut":
        """As it is stored."""
        return cls.model_validate(
            {
                "id": delivery.id,
                "messageId": f"msg_{delivery.id.hex}",
                "event": delivery.event,
                "status": delivery.status,
                "attempts": delivery.attempt,
                "createdAt": delivery.created_at,
                "nextAttemptAt": delivery.due_at if delivery.status == "pending" else None,
                "endedAt": delivery.ended_at,
                "answerStatus": delivery.answer_status,
                "error": delivery.error,
            }
        )


class DeliveryList(BaseModel):
    """The newest deliveries of an endpoint, newest first."""

    success: Literal[True] = True
    deliveries: list[DeliveryOut]


class DeliveryBegun(BaseModel):
    """A delivery that will be sent at once."""

    success: Literal[True] = True
    deliveryId: UUID  # noqa: N815  # the wire's name
