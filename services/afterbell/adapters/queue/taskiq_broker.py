"""The taskiq broker on our queue: ``kiq``, tasks, labels and middlewares stay taskiq's own.

``kick`` is enqueue, ``listen`` yields what the consumer polled, the ack is settle. A task finds its delivery in
the label ``DELIVERY`` of its message. It may return an ``Outcome``, which is what the queue then hears; anything else
means done, and ``decide`` says what an exception leads to.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from taskiq import AckableMessage, TaskiqMessage, TaskiqMiddleware, TaskiqResult
from taskiq.formatters.json_formatter import JSONFormatter
from taskiq.message import BrokerMessage
from taskiq_redis.redis_broker import BaseRedisBroker

from afterbell.adapters.queue.consumer import Consumer, Delivery
from afterbell.adapters.queue.keys import QueueKeys
from afterbell.adapters.queue.redis_queue import NewJob, Queue, QueueRules
from afterbell.adapters.redis.accounting import count_commands_of
from afterbell.adapters.redis.connections import CONNECTIONS_MAX, connection_options
from afterbell.core.queue.outcomes import Done, HandBack, Outcome

# The label under which a running task finds its ``Delivery``: put there in this process, never sent.
DELIVERY: Final = "afterbell_delivery"
# What becomes of a job whose task raised, after so many failed tries before it.
Decide = Callable[[BaseException, int], Outcome]

log = structlog.get_logger(__name__)


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
        self.client, self.queue = client, Queue(client, keys, rules)
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
        """Enqueue one job; its id is the task's id. Labels: ``tenant``, ``delay_s``."""
        labels = message.labels
        tenant, delay_s = str(labels.get("tenant", "")), float(labels.get("delay_s", 0))
        await self.queue.enqueue([NewJob(message.task_id, message.message, delay_s, tenant)])

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
    """Gives each message its delivery, and the delivery its outcome. taskiq acks failures like successes."""

    def __init__(self, consumer: Consumer, decide: Decide) -> None:
        super().__init__()
        self._consumer, self._decide = consumer, decide

    def pre_execute(self, message: TaskiqMessage) -> TaskiqMessage:
        delivery = self._consumer.running(message.task_id)
        if delivery is not None:
            delivery.task = asyncio.current_task()
            message.labels[DELIVERY] = delivery
        return message

    def post_execute(self, message: TaskiqMessage, result: TaskiqResult[Any]) -> None:
        delivery: Delivery | None = message.labels.get(DELIVERY)
        # One that was stopped meanwhile has its outcome already.
        if delivery is not None and delivery.outcome is None:
            delivery.outcome = self._outcome_of(result, delivery.grant.failures)

    def _outcome_of(self, result: TaskiqResult[Any], failures: int) -> Outcome:
        error = result.error
        if error is None:
            return result.return_value if isinstance(result.return_value, Outcome) else Done()
        if isinstance(error, asyncio.CancelledError):
            return HandBack()
        log.error("task_failed", exc_info=error)
        return self._decide(error, failures)
