"""Sends webhook deliveries in the background of the api process: it is there also while no worker is.

It is woken by PostgreSQL when a transaction with a delivery has committed, sleeps until the next one is due otherwise,
and looks by itself now and then in case a notice was lost. Any number of processes send side by side.
"""

import asyncio
import random
from collections.abc import Callable
from datetime import datetime
from typing import Final

import structlog

from afterbell.adapters.db.database import Database
from afterbell.adapters.db.webhooks import deliveries
from afterbell.adapters.db.webhooks.deliveries import DueDelivery
from afterbell.adapters.webhooks.webhook_client import WebhookClient
from afterbell.core.backoff import every
from afterbell.core.errors import StoreUnavailable
from afterbell.core.webhooks.signing import Answer, headers, verdict
from afterbell.observability.metrics import WEBHOOK_ATTEMPTS, WEBHOOK_SECONDS
from afterbell.service import Background, Service, repeat, stop_all

AT_ONCE_MAX: Final = 10
# A notice can be lost with its connection, or to a pooler that knows no LISTEN.
LOOK_EVERY_S: Final = 60.0
AWAY_S: Final = 5.0
# Beyond the timeout of an attempt: whoever claimed a delivery and is silent for longer than that has died.
LEASE_MARGIN_S: Final = 30.0

log = structlog.get_logger(__name__)


class WebhookSender:
    """Claims what is due, sends it, settles it. ``now`` is the wall clock of the signatures."""

    def __init__(
        self, database: Database, client: WebhookClient, *, timeout_s: float, now: Callable[[], datetime]
    ) -> None:
        self._database, self._client, self._now = database, client, now
        self._lease_s = timeout_s + LEASE_MARGIN_S
        self._wake = asyncio.Event()
        self._sending, self._after = 0, deliveries.START
        self._sends = Background("webhook_delivery")
        self._services = [
            Service("webhook_listener", self._listen_forever),
            Service("webhook_sender", self._send_forever),
        ]

    def start(self) -> None:
        """Begin to listen and to send."""
        for service in self._services:
            service.start()

    async def stop(self) -> None:
        """Stop. A delivery that is cut off is sent again by whoever runs next, under the same message id."""
        await stop_all(self._services)
        await self._sends.stop()

    async def _listen_forever(self) -> None:
        await repeat(self._listen, name="webhook_listener", every_s=AWAY_S, backoff=every(AWAY_S))

    async def _listen(self) -> None:
        async with self._database.listening(deliveries.CHANNEL, self._wake.set) as lost:
            self._wake.set()  # whatever was made while nobody listened
            await lost.wait()

    async def _send_forever(self) -> None:
        await repeat(self._send_due, name="webhook_sender", wake=self._wake, backoff=every(AWAY_S))

    async def _send_due(self) -> float:
        """Begin what is due and has room; seconds until the next look."""
        room = AT_ONCE_MAX - self._sending
        if room <= 0:
            return LOOK_EVERY_S  # the end of a delivery wakes us
        async with self._database.transaction() as connection:
            claimed, self._after = await deliveries.claim(
                connection, count=room, lease_s=self._lease_s, after=self._after
            )
            next_s = await deliveries.next_due_s(connection)
        for due in claimed:
            self._begin(due)
        return LOOK_EVERY_S if next_s is None else min(max(next_s, 0.0), LOOK_EVERY_S)

    def _begin(self, due: DueDelivery) -> None:
        self._sending += 1
        self._sends.begin(self._send(due)).add_done_callback(lambda _: self._end())

    def _end(self) -> None:
        self._sending -= 1
        self._wake.set()

    async def _attempt(self, due: DueDelivery) -> Answer:
        """What became of it. A receiver that makes us fail has used an attempt like any other that failed."""
        try:
            signed = headers(due.secrets, due.message_id, int(self._now().timestamp()), due.body)
            with WEBHOOK_SECONDS.time():
                return await self._client.post(due.url, signed, due.body)
        except Exception as error:
            log.exception("webhook_failed", delivery=str(due.delivery_id))
            return Answer(None, f"failed: {type(error).__name__}")

    async def _send(self, due: DueDelivery) -> None:
        answer = await self._attempt(due)
        decided = verdict(due.attempt, answer, chance=random.random())  # noqa: S311  # spreads load, guards nothing
        try:
            async with self._database.transaction() as connection:
                await deliveries.settle(connection, due, answer, decided)
        except StoreUnavailable as error:
            log.warning("webhook_settle_failed", delivery=str(due.delivery_id), error=str(error))
            return
        result = type(decided).__name__.lower()
        WEBHOOK_ATTEMPTS.labels(result).inc()
        log.info(
            "webhook_tried",
            delivery=str(due.delivery_id),
            endpoint=str(due.endpoint_id),
            attempt=due.attempt,
            result=result,
            status=answer.status,
        )
