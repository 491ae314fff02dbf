"""The taskiq broker on our queue: ``kiq``, tasks, labels and middlewares stay taskiq's own.

``kick`` is put, ``listen`` yields what the consumer took, the ack is settle. What taskiq cannot express (not every
end is an ack) travels beside it: the middleware writes the outcome on the delivery, and the ack reads it there.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from redis.asyncio import Redis
from taskiq import AckableMessage, TaskiqMessage, TaskiqMiddleware, TaskiqResult
from taskiq.abc.broker import AsyncBroker
from taskiq.formatters.json_formatter import JSONFormatter
from taskiq.message import BrokerMessage
from taskiq_redis import RedisStreamBroker

from afterbell.adapters.redis.client import CONNECTIONS_MAX, connection_options
from afterbell.adapters.redis.consumer import Consumer, Delivery
from afterbell.adapters.redis.keys import GROUP, QueueKeys
from afterbell.adapters.redis.queue import Put, Queue, QueueRules
from afterbell.core.jobs import Done, HandBack, Outcome

Decide = Callable[[BaseException, int], Outcome]


def report_message(task_name: str, job_id: str) -> bytes:
    """The wire form of a job: the task's name and id. What to do is in PostgreSQL, under that id."""
    message = TaskiqMessage(
        task_id=job_id, task_name=task_name, labels={}, labels_types={}, args=[], kwargs={"job_id": job_id}
    )
    return JSONFormatter().dumps(message).message


class LeaseBroker(RedisStreamBroker):
    """A stream broker with leases, retries, a limiter and dead letters. ``worker`` names this process."""

    def __init__(
        self,
        url: str,
        *,
        queue_name: str,
        rules: QueueRules,
        worker: str,
        slots: int,
        decide: Decide,
        on_buried: Callable[[str], Awaitable[None]],
        safety_tick_s: float,
    ) -> None:
        keys = QueueKeys(queue_name)
        super().__init__(
            url,
            queue_name=keys.ready,
            consumer_group_name=GROUP,
            consumer_name=worker,
            max_connection_pool_size=CONNECTIONS_MAX,
            **connection_options(),
        )
        self.formatter = JSONFormatter()
        client: Redis = Redis(connection_pool=self.connection_pool)
        self.queue = Queue(client, keys, rules)
        self.consumer = Consumer(
            client, self.queue, worker=worker, slots=slots, on_buried=on_buried, safety_tick_s=safety_tick_s
        )
        self.add_middlewares(_OutcomeMiddleware(self.consumer, decide))

    async def startup(self) -> None:
        """Start the consumer. The stream's group is made by the scripts, also after Redis was emptied."""
        await AsyncBroker.startup(self)
        if self.is_worker_process:
            self.consumer.start()

    async def kick(self, message: BrokerMessage) -> None:
        """Put one job; its id is the task's id."""
        delay_s = float(message.labels.get("delay_s", 0))
        await self.queue.put([Put(message.task_id, message.message, delay_s)])

    async def listen(self) -> AsyncGenerator[AckableMessage, None]:
        """Yield the jobs this worker was granted; when taskiq stops listening, the rest is handed back."""
        try:
            while True:
                delivery = await self.consumer.ready.get()
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
