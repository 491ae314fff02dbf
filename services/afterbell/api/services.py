"""What the routes work with, made once at the start."""

from dataclasses import dataclass

from fastapi import Request

from afterbell.adapters.db.engine import Database
from afterbell.adapters.db.requests import ReportRequests
from afterbell.adapters.webhooks.client import WebhookClient
from afterbell.api.auth import Check
from afterbell.api.outbox import Outbox
from afterbell.api.pace import Pace
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
    pace: Pace


def services_of(request: Request) -> Services:
    """The services of the app that serves this request."""
    found: Services = request.app.state.services
    return found
