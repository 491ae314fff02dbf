"""What the routes work with, made once at the start."""

from dataclasses import dataclass

from fastapi import Request

from afterbell.adapters.db.database import Database
from afterbell.adapters.db.reports.requests import ReportRequests
from afterbell.adapters.webhooks.webhook_client import WebhookClient
from afterbell.api.auth.bearer import Check
from afterbell.api.reports.outbox import Outbox
from afterbell.api.reports.throughput import Throughput
from afterbell.core.live.stream_limits import StreamLimits
from afterbell.realtime.server import Realtime
from afterbell.settings import ApiSettings


@dataclass(frozen=True, slots=True)
class Services:
    """The stores and settings of this api process."""

    settings: ApiSettings
    database: Database
    requests: ReportRequests
    outbox: Outbox
    verifier: Check
    realtime: Realtime
    webhooks: WebhookClient
    pace: Throughput
    streams: StreamLimits


def services_of(request: Request) -> Services:
    """The services of the app that serves this request."""
    services: Services = request.app.state.services
    return services
