"""The taskiq broker on our queue: ``kiq``, tasks, labels and middlewares stay taskiq's own.

``kick`` is put, ``listen`` yields what the consumer took, the ack is settle. What taskiq cannot express (not every
end is an ack) travels beside it: the middleware writes the outcome on the delivery, and the ack reads it there.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from redis.asyncio import Redis
from taskiq import AckableMessage, TaskiqMessage, TaskiqMiddleware, TaskiqResult
from taskiq.formatters.json_formatter import JSONFormatter
from taskiq.message import BrokerMessage
from taskiq_redis.redis_broker import BaseRedisBroker

from afterbell.adapters.redis.accounting import count_commands_of
from afterbell.adapters.redis.client import CONNECTIONS_MAX, connection_options
from afterbell.adapters.redis.consumer import Consumer, Delivery
from afterbell.adapters.redis.keys import QueueKeys
from afterbell.adapters.redis.queue import Put, Queue, QueueRules
from afterbell.core.jobs import Done, HandBack, Outcome

Decide = Callable[[BaseException, int], Outcome]


class LeaseBroker(BaseRedisBroker):
    """A broker with leases, retries, fair lanes, a limiter and dead letters. ``worker`` names this process."""

    def __init__(
        self,
        url: str,
        *,
        queue_name: str,
        rules: QueueRules,
        worker: str,
        slots: int,
        decide: Decide,
        on_given_up: Callable[[str], Awaitable[None]],
        safety_tick_s: float,
    ) -> None:
        keys = QueueKeys(queue_name)
        super().__init__(
            url,
            queue_name=queue_name,
            max_connection_pool_size=CONNECTIONS_MAX,
            **connection_options(url),
        )
        count_commands_of(self.connection_pool)
        self.formatter = JSONFormatter()
        client: Redis = Redis(connection_pool=self.connection_pool)
        self.queue = Queue(client, keys, rules)
        self.consumer = Consumer(
            client, self.queue, worker=worker, slots=slots, on_given_up=on_given_up, safety_tick_s=safety_tick_s
        )
        self.add_middlewares(_OutcomeMiddleware(self.consumer, decide))

    async def startup(self) -> None:
        """Start the consumer; nothing has to be made in Redis beforehand."""
        await super().startup()
        if self.is_worker_process:
            self.consumer.start()

    async def kick(self, message: BrokerMessage) -> None:
        """Put one job; its id is the task's id. Labels: ``tenant``, ``delay_s``."""
        labels = message.labels
        tenant, delay_s = str(labels.get("tenant", "")), float(labels.get("delay_s", 0))
        await self.queue.put([Put(message.task_id, message.message, delay_s, tenant)])

    async def listen(self) -> AsyncGenerator[AckableMessage, None]:
        """Yield the jobs this worker was granted; when taskiq stops listening, the rest is handed back."""
        try:
            while True:
                delivery = await self.consumer.ready.get()
                if delivery.lost or delivery.outcome is not None:  # stopped before it began
                    await self.consumer.settle(delivery)
                    continue
                yield AckableMessage(data=delivery.grant.payload, ack=self._ack_of(delivery))
        finally:
            await self.consumer.drain()

    async def shutdown(self) -> None:
        """Hand back what did not finish and disconnect."""
        if self.is_worker_process:
            await self.consumer.close()
        await super().shutdown()

    def _ack_of(self, delivery: Delivery) -> Callable[[], Awaitable[None]]:
        async def ack() -> None:
            await self.consumer.settle(delivery)

        return ack


class _OutcomeMiddleware(TaskiqMiddleware):
    """Writes on each delivery what its try led to. taskiq acks failures like successes; the outcome differs."""

    def __init__(self, consumer: Consumer, decide: Decide) -> None:
        super().__init__()
        self._consumer, self._decide = consumer, decide

    def pre_execute(self, message: TaskiqMessage) -> TaskiqMessage:
        delivery = self._consumer.running(message.task_id)
        if delivery is not None:
            delivery.task = asyncio.current_task()
        return message

    def on_error(self, message: TaskiqMessage, result: TaskiqResult[Any], exception: BaseException) -> None:  # noqa: ARG002
        delivery = self._consumer.running(message.task_id)
        if delivery is None or delivery.outcome is not None:
            return
        if isinstance(exception, asyncio.CancelledError):
            delivery.outcome = HandBack()
        else:
            delivery.outcome = self._decide(exception, delivery.grant.failures)

    def post_execute(self, message: TaskiqMessage, result: TaskiqResult[Any]) -> None:
        delivery = self._consumer.running(message.task_id)
        if delivery is not None and delivery.outcome is None and not result.is_err:
            delivery.outcome = Done()
