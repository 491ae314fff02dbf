"""The worker process: one event loop, one taskiq receiver with a few slots, the internal port."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from taskiq.receiver import Receiver

from afterbell import __version__
from afterbell.adapters.breaker.breaker import Breaker
from afterbell.adapters.breaker.provider_gate import ProviderGate, ProviderRules
from afterbell.adapters.db.database import Database
from afterbell.adapters.db.waiting import until_it_has_tables
from afterbell.adapters.models import price_file
from afterbell.adapters.queue.redis_queue import QueueRules
from afterbell.adapters.queue.taskiq_broker import LeaseBroker
from afterbell.adapters.redis import connections
from afterbell.core.queue.outcomes import Outcome
from afterbell.core.queue.retry_policy import outcome_of
from afterbell.observability.export import exporting
from afterbell.observability.internal_app import create_internal_app
from afterbell.observability.metrics import BUILD, WORKER_BUSY, WORKER_SLOTS
from afterbell.service import Service
from afterbell.serving import Serving, bind
from afterbell.settings import WorkerSettings, required
from afterbell.worker import tasks
from afterbell.worker.attempt import Fallback
from afterbell.worker.chain import chain_of
from afterbell.worker.material import warm_up
from afterbell.worker.metered import MeteredModels, Money
from afterbell.worker.pipeline import ReportPipeline
from afterbell.worker.writer import Room

# A worker whose last answer from Redis is older than this many safety ticks is not ready.
READY_TICKS: Final = 3

log = structlog.get_logger(__name__)


@asynccontextmanager
async def running(settings: WorkerSettings, *, wait_s: float = 0) -> AsyncIterator[LeaseBroker]:
    """Work until the block ends, then drain: running jobs finish, what can't finish in time is handed back.

    ``wait_s``: how long PostgreSQL and its tables may take to be there.
    """
    database = Database.of(settings)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        # The first report finds the gates ready, and the leases' loop is not held while they are made so.
        await asyncio.gather(until_it_has_tables(database, patience_s=wait_s), asyncio.to_thread(warm_up))
        await _check_redis(settings)
        name, chain = settings.name, chain_of(settings)
        for client in chain:
            stack.push_async_callback(client.aclose)

        async def give_up(job_id: str) -> None:
            await pipeline.give_up(job_id)

        broker = _broker(settings, name, give_up)
        gate = ProviderGate(
            Breaker(broker.client, broker.queue.keys),
            _provider_rules(settings),
            [client.model for client in chain],
            lambda: broker.consumer.troubled,
        )
        models = MeteredModels(database, chain, _money(settings), gate, now=_utc_now)
        stack.push_async_callback(models.aclose)
        await models.start()
        fallback = Fallback(settings.when_model_fails, settings.budget_spent)
        room = Room(settings.window_tokens, settings.output_tokens_max)
        pipeline = ReportPipeline(
            database,
            models,
            worker=name,
            backoff_s=settings.retry_backoff_s,
            now=_utc_now,
            patience_s=settings.patience_s,
            fallback=fallback,
            room=room,
        )
        tasks.bind(broker, pipeline)
        await broker.startup()
        stack.push_async_callback(broker.shutdown)
        receiving = _receiving(broker, settings)
        receiving.start()
        stack.push_async_callback(receiving.stop)
        BUILD.labels(__version__, "worker").set(1)
        WORKER_SLOTS.set(settings.concurrency)
        WORKER_BUSY.set_function(lambda: len(broker.consumer.deliveries))
        log.info("worker_up", worker=name, slots=settings.concurrency)
        yield broker
        log.info("worker_draining", running=len(broker.consumer.deliveries))


@asynccontextmanager
async def process(settings: WorkerSettings, *, wait_s: float = 0) -> AsyncIterator[None]:
    """The worker process, for ``serving.serve``."""
    internal = bind(settings.bind, settings.internal_port, variable="AFTERBELL_INTERNAL_PORT")
    with exporting(settings, "afterbell-worker"):
        async with (
            running(settings, wait_s=wait_s) as broker,
            Serving(create_internal_app(_readiness(broker, settings)), internal),
        ):
            yield


def _broker(settings: WorkerSettings, name: str, give_up: Callable[[str], Awaitable[None]]) -> LeaseBroker:
    def decide(error: BaseException, failures: int) -> Outcome:
        return outcome_of(error, failures=failures, backoff_s=settings.retry_backoff_s)

    broker = LeaseBroker(
        required(settings.redis_url, "REDIS_URL"),
        queue_name=settings.queue,
        rules=QueueRules.of(settings),
        worker=name,
        slots=settings.concurrency,
        decide=decide,
        on_given_up=give_up,
        safety_tick_s=settings.safety_tick_s,
    )
    broker.is_worker_process = True
    return broker


def _receiving(broker: LeaseBroker, settings: WorkerSettings) -> Service:
    # taskiq would log a cancelled or drained job with a stack; the broker logs what really failed.
    logging.getLogger("taskiq.receiver.receiver").setLevel(logging.CRITICAL)
    finish = asyncio.Event()
    receiver = Receiver(
        broker, max_async_tasks=settings.concurrency, run_startup=False, wait_tasks_timeout=settings.drain_s
    )
    return Service("taskiq_receiver", lambda: receiver.listen(finish), finish=finish.set)


def _provider_rules(settings: WorkerSettings) -> ProviderRules:
    return ProviderRules(
        failures_min=settings.breaker_failures,
        window_s=settings.breaker_window_s,
        open_s=settings.breaker_open_s,
        open_max_s=settings.breaker_open_max_s,
        requests_per_minute=settings.model_requests_per_minute,
        tokens_per_minute=settings.model_tokens_per_minute,
        in_flight_max=settings.model_in_flight,
        attempt_s=settings.attempt_timeout_s,
    )


def _money(settings: WorkerSettings) -> Money:
    return Money(price_file.load(settings.prices), settings.budgets, settings.unknown_price)


async def _check_redis(settings: WorkerSettings) -> None:
    url = required(settings.redis_url, "REDIS_URL")
    client = connections.connect(url)
    try:
        await connections.check(client, url)
    finally:
        await client.aclose()


def _readiness(broker: LeaseBroker, settings: WorkerSettings) -> Any:
    async def readiness() -> dict[str, Any]:
        answered_at = broker.consumer.answered_at
        silent_s = None if answered_at is None else asyncio.get_running_loop().time() - answered_at
        ready = silent_s is not None and silent_s < settings.safety_tick_s * READY_TICKS
        return {
            "ready": ready,
            "redis_silent_seconds": silent_s,
            "gate": broker.consumer.gate,
            "running": len(broker.consumer.deliveries),
        }

    return readiness


def _utc_now() -> datetime:
    return datetime.now(UTC)
