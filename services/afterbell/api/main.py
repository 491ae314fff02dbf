"""The api process: the public app, the internal one, the outbox between them and the queue."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog
from fastapi import FastAPI

from afterbell import __version__
from afterbell.adapters.breaker.breaker import Breaker
from afterbell.adapters.bus.fanout import RedisBus
from afterbell.adapters.db import revision
from afterbell.adapters.db.database import Database
from afterbell.adapters.db.reports.requests import ReportRequests
from afterbell.adapters.queue.keys import QueueKeys
from afterbell.adapters.queue.redis_queue import Queue, QueueRules
from afterbell.adapters.redis import connections
from afterbell.adapters.webhooks.webhook_client import WebhookClient
from afterbell.api import classroom, cross_origin, openapi, problems
from afterbell.api.admin.admin_service import AdminService
from afterbell.api.admin.limits import limits_of
from afterbell.api.admin.routes import ADMIN_BODY_BYTES_MAX, create_admin_app
from afterbell.api.auth.bearer import Check, Verifier
from afterbell.api.envelope import Envelope
from afterbell.api.queue_gauges import QueueGauges
from afterbell.api.reports import event_stream as events
from afterbell.api.reports import routes as reports
from afterbell.api.reports.outbox import Outbox
from afterbell.api.reports.sweeper import Sweeper, SweepRules
from afterbell.api.reports.throughput import Throughput
from afterbell.api.services import Services
from afterbell.api.sessions import routes as sessions
from afterbell.api.sessions import student_data as privacy
from afterbell.api.webhooks import routes as webhooks
from afterbell.api.webhooks.sender import WebhookSender
from afterbell.core.errors import StoreUnavailable
from afterbell.core.live.stream_limits import StreamLimits
from afterbell.core.webhooks.destinations import networks_of
from afterbell.http_protocol import HttpLimits
from afterbell.observability.export import exporting
from afterbell.observability.internal_app import create_internal_app
from afterbell.observability.metrics import BUILD
from afterbell.realtime.bus import Bus, NoBus
from afterbell.realtime.protocol import WebSockets
from afterbell.realtime.server import Realtime
from afterbell.serving import Serving, bind, port_of, room_for
from afterbell.settings import ApiSettings, required
from afterbell.settings.auth import ANY_AUDIENCE

if TYPE_CHECKING:
    from afterbell.api.auth.signing_keys import SigningKeys

log = structlog.get_logger(__name__)


def create_app(services: Services) -> FastAPI:
    """The public REST API on ``services``."""
    app = FastAPI(
        title="Afterbell",
        version=__version__,
        description="Reports on tutoring sessions: request, follow, read.",
        docs_url=None if services.settings.production else "/docs",
        redoc_url=None,
        redirect_slashes=False,  # a redirect names the scheme and host it sees, which behind a proxy are the wrong ones
    )
    app.state.services = services
    app.state.verifier = services.verifier
    problems.install(app)
    app.include_router(events.router)
    app.include_router(reports.router)
    app.include_router(sessions.router)
    app.include_router(webhooks.router)
    app.include_router(privacy.router)
    if services.settings.serves_classroom:
        classroom.install(app, services.settings)
    openapi.describe(app)
    app.add_middleware(Envelope)
    return app


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the process listens."""

    port: int
    internal_port: int


@asynccontextmanager
async def running(settings: ApiSettings) -> AsyncIterator[Ports]:
    """Serve until the block ends. Raises SettingsError for a taken port or bad URL."""
    database = Database.of(settings)
    url = required(settings.redis_url, "REDIS_URL")
    redis = connections.connect(url)
    queue = Queue(redis, QueueKeys(settings.queue), QueueRules.of(settings))
    sweep = SweepRules(settings.sweep_s, settings.pending_s, settings.waiting_s, settings.silent_s, settings.upgrade_s)
    outbox = Outbox(database, queue)
    sweeper = Sweeper(database, outbox, sweep)
    keys = _signing_keys(settings)
    verifier = _verifier(settings, keys)
    realtime = _realtime(settings, database, queue.keys.prefix, verifier)
    client = WebhookClient(allowed=networks_of(settings.webhook_allow), timeout_s=settings.webhook_timeout_s)
    sender = WebhookSender(database, client, timeout_s=settings.webhook_timeout_s, now=_utc_now)
    streams = StreamLimits(settings.sockets_max, settings.streams_per_tenant, settings.streams_per_user)
    pace = Throughput(database, settings)
    services = Services(settings, database, ReportRequests(database), outbox, verifier, realtime, client, pace, streams)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(redis.aclose)
        stack.push_async_callback(database.close)
        stack.push_async_callback(client.aclose)
        if keys is not None:
            stack.push_async_callback(keys.aclose)
        public = stack.enter_context(bind(settings.bind, settings.port, variable="PORT"))
        internal = stack.enter_context(bind(settings.bind, settings.internal_port, variable="AFTERBELL_INTERNAL_PORT"))
        await database.check()
        if (reason := await connections.away(redis, url)) is not None:
            # Not a reason to stay down: reports are committed and put later, sockets go on within the pod.
            log.warning("redis_away", error=reason)
        for risk in await connections.risks(redis):
            log.warning("redis_at_risk", risk=risk)
        for background in (outbox, sweeper, sender, QueueGauges(database, now=_utc_now)):
            background.start()
            stack.push_async_callback(background.stop)
        internal_app = create_internal_app(_readiness(database, realtime), drain=_drain(settings, realtime))
        if admin_keys := settings.admin_keys:
            service = AdminService(database, queue, Breaker(redis, queue.keys), outbox, limits_of(settings))
            internal_app.mount("/", create_admin_app(service, admin_keys))
        public_app = cross_origin.for_origins(realtime.beside(create_app(services)), settings.allowed_origins)
        for serving in (
            Serving(
                public_app,
                public,
                websockets=WebSockets,
                frame_bytes_max=settings.frame_bytes_max,
                limits=_limits(settings),
            ),
            Serving(internal_app, internal, limits=HttpLimits(body_bytes=ADMIN_BODY_BYTES_MAX)),
        ):
            await stack.enter_async_context(serving)
        realtime.start()
        # Sockets are sent away while both ports still answer.
        stack.push_async_callback(realtime.stop, settings.drain_window_s if settings.production else 0.0)
        BUILD.labels(__version__, "api").set(1)
        ports = Ports(port_of(public), port_of(internal))
        log.info("api_up", port=ports.port, internal_port=ports.internal_port)
        yield ports
        log.info("api_stopping")


@asynccontextmanager
async def process(settings: ApiSettings) -> AsyncIterator[None]:
    """The api process, for ``serving.serve``."""
    with exporting(settings, "afterbell-api"):
        async with running(settings):
            yield


def _signing_keys(settings: ApiSettings) -> "SigningKeys | None":
    if not settings.jwks_url:
        return None
    from afterbell.api.auth.signing_keys import (
        SigningKeys,  # with an HTTP client, which nothing else here needs at first
    )

    return SigningKeys(settings.jwks_url)


def _verifier(settings: ApiSettings, keys: "SigningKeys | None") -> Check:
    if keys is not None:
        from afterbell.api.auth.signing_keys import KeyVerifier

        audience = None if settings.jwt_audience == ANY_AUDIENCE else settings.jwt_audience
        return KeyVerifier(keys, audience, settings.jwt_issuer)
    return Verifier(settings.jwt_keys, settings.jwt_audience)


def _realtime(settings: ApiSettings, database: Database, prefix: str, verifier: Check) -> Realtime:
    url = required(settings.database_url, "DATABASE_URL")
    live = required(settings.live_redis_url or settings.redis_url, "REDIS_URL")
    bus: Bus = NoBus() if live == "none" else RedisBus(live, prefix)
    return Realtime(database, url, bus, settings, verifier.check)


def _limits(settings: ApiSettings) -> HttpLimits:
    return HttpLimits(
        connections=room_for(settings.connections_max),
        connections_per_address=settings.connections_per_address,
        body_bytes=settings.body_bytes_max,
    )


def _drain(settings: ApiSettings, realtime: Realtime) -> Any:
    async def drain() -> dict[str, Any]:
        """Returns when the last socket was sent away: a preStop hook waits for it."""
        return {"draining": True, "sent_away": await realtime.drain(settings.drain_window_s)}

    return drain


def _readiness(database: Database, realtime: Realtime) -> Any:
    async def readiness() -> dict[str, Any]:
        """Without PostgreSQL no request can be answered. Redis may be away: reports are committed and made later,
        sockets go on within their pod."""
        facts = realtime.facts
        try:
            await database.check()
            async with database.statement() as connection:
                await revision.check(connection)
        except StoreUnavailable as error:
            reason = str(error).removeprefix("PostgreSQL does not answer: ")
            return {"ready": False, "postgresql": "away", "reason": reason, **facts}
        return {"ready": not realtime.draining, "postgresql": "ok", **facts}

    return readiness


def _utc_now() -> datetime:
    return datetime.now(UTC)
