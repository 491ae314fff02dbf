"""Sends webhook deliveries in the background of the api process: it is there also while no worker is.

It is woken by PostgreSQL when a transaction with a delivery has committed, sleeps until the next one is due otherwise,
and looks by itself now and then in case a notice was lost. Any number of processes send side by side.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog

from afterbell.adapters.db import deliveries
from afterbell.adapters.db.deliveries import Due
from afterbell.adapters.db.engine import Database
from afterbell.adapters.webhooks.client import WebhookClient
from afterbell.core.errors import StoreUnavailable
from afterbell.core.webhooks import headers, verdict
from afterbell.observability.metrics import WEBHOOK_ATTEMPTS, WEBHOOK_SECONDS

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
        self._sending: dict[UUID, asyncio.Task[None]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to listen and to send."""
        self._tasks = [asyncio.create_task(self._listen_forever()), asyncio.create_task(self._send_forever())]

    async def stop(self) -> None:
        """Stop. A delivery that is cut off is sent again by whoever runs next, under the same message id."""
        tasks = [*self._tasks, *self._sending.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen_forever(self) -> None:
        while True:
            try:
                async with self._database.listening(deliveries.CHANNEL, self._wake.set) as lost:
                    self._wake.set()  # whatever was made while nobody listened
                    await lost.wait()
            except StoreUnavailable as error:
                log.warning("webhooks_unheard", error=str(error))
            except Exception:  # what goes wrong here is made up for by looking
                log.exception("webhook_listening_failed")
            await asyncio.sleep(AWAY_S)

    async def _send_forever(self) -> None:
        while True:
            self._wake.clear()
            try:
                wait_s = await self._send_due()
            except StoreUnavailable as error:
                log.warning("webhooks_wait", error=str(error))
                wait_s = AWAY_S
            except Exception:  # a process that stopped sending would say nothing
                log.exception("webhook_sending_failed")
                wait_s = AWAY_S
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()

    async def _send_due(self) -> float:
        """Begin what is due and has room; seconds until the next look."""
        room = AT_ONCE_MAX - len(self._sending)
        if room <= 0:
            return LOOK_EVERY_S  # the end of a delivery wakes us
        busy = list(self._sending)
        async with self._database.transaction() as connection:
            found = await deliveries.claim(connection, busy=busy, count=room, lease_s=self._lease_s)
            busy += [due.endpoint_id for due in found]
            next_s = await deliveries.next_due_s(connection, busy=busy)
        for due in found:
            self._begin(due)
        return LOOK_EVERY_S if next_s is None else min(max(next_s, 0.0), LOOK_EVERY_S)

    def _begin(self, due: Due) -> None:
        task = asyncio.create_task(self._send(due))
        self._sending[due.endpoint_id] = task
        task.add_done_callback(lambda _: self._end(due))

    def _end(self, due: Due) -> None:
        self._sending.pop(due.endpoint_id, None)
        self._wake.set()

    async def _send(self, due: Due) -> None:
        try:
            signed = headers(due.secrets, due.message_id, int(self._now().timestamp()), due.body)
            with WEBHOOK_SECONDS.time():
                answer = await self._client.post(due.url, signed, due.body)
            decided = verdict(due.attempt, answer, chance=random.random())  # noqa: S311  # spreads load, guards nothing
            async with self._database.transaction() as connection:
                await deliveries.settle(connection, due, answer, decided)
        except StoreUnavailable as error:
            log.warning("webhook_unsettled", delivery=str(due.delivery_id), error=str(error))
            return
        except Exception:  # its lease ends, and it is tried again
            log.exception("webhook_failed", delivery=str(due.delivery_id))
            return
        result = type(decided).__name__.lower()
        WEBHOOK_ATTEMPTS.labels(result).inc()
        log.info("webhook_tried", delivery=str(due.delivery_id), endpoint=str(due.endpoint_id), attempt=due.attempt,
                 result=result, status=answer.status)  # fmt: skip
