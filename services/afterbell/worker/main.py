"""The worker process: one event loop, one taskiq receiver with a few slots, the internal port."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from pydantic import SecretStr
from taskiq.receiver import Receiver

from afterbell import __version__
from afterbell.adapters.db.engine import Database
from afterbell.adapters.llm import price_file
from afterbell.adapters.llm.chat import ChatClient
from afterbell.adapters.llm.exchange import ModelClient
from afterbell.adapters.llm.responses import ResponsesClient
from afterbell.adapters.redis import client as redis_client
from afterbell.adapters.redis.broker import LeaseBroker
from afterbell.adapters.redis.provider import ProviderGate, ProviderRules
from afterbell.adapters.redis.queue import QueueRules
from afterbell.core.errors import SettingsError
from afterbell.core.jobs import Outcome
from afterbell.core.retry import outcome_of
from afterbell.core.spending import Budgets
from afterbell.observability import spans
from afterbell.observability.internal_app import create_internal_app
from afterbell.observability.metrics import BUILD, WORKER_BUSY, WORKER_SLOTS
from afterbell.serving import Serving, bind, until_told
from afterbell.settings import WorkerSettings, required
from afterbell.worker import tasks
from afterbell.worker.metered import MeteredModels, Money
from afterbell.worker.pipeline import Fallback, ReportPipeline
from afterbell.worker.writing import Room

# A worker whose last answer from Redis is older than this many safety ticks is not ready.
READY_TICKS: Final = 3

log = structlog.get_logger(__name__)


@asynccontextmanager
async def running(settings: WorkerSettings) -> AsyncIterator[LeaseBroker]:
    """Work until the block ends, then drain: running jobs finish, what can't finish in time is handed back."""
    database = Database(required(settings.database_url, "DATABASE_URL"), pool_size=settings.database_pool)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        await database.check()
        await _check_redis(settings)
        name, chain = settings.name, _chain(settings)
        for client in chain:
            stack.push_async_callback(client.aclose)

        async def give_up(job_id: str) -> None:
            await pipeline.give_up(job_id)

        broker = _broker(settings, name, give_up)
        gate = ProviderGate(broker.queue, _provider_rules(settings), [client.model for client in chain],
                            lambda: broker.consumer.troubled)  # fmt: skip
        models = MeteredModels(database, chain, _money(settings), gate, now=_utc_now)
        stack.push_async_callback(models.aclose)
        await models.start()
        fallback = Fallback(settings.when_model_fails, settings.budget_spent)
        room = Room(settings.window_tokens, settings.output_tokens_max)
        pipeline = ReportPipeline(database, models, worker=name, ladder_s=settings.retry_ladder_s, now=_utc_now,
                                  fallback=fallback, room=room)  # fmt: skip
        tasks.bind(broker, pipeline)
        await broker.startup()
        stack.push_async_callback(broker.shutdown)
        stack.push_async_callback(_stop, *_receive(broker, settings))
        BUILD.labels(__version__, "worker").set(1)
        WORKER_SLOTS.set(settings.concurrency)
        WORKER_BUSY.set_function(lambda: len(broker.consumer.deliveries))
        log.info("worker_up", worker=name, slots=settings.concurrency)
        yield broker
        log.info("worker_draining", running=len(broker.consumer.deliveries))


@asynccontextmanager
async def _exporting(settings: WorkerSettings) -> AsyncIterator[None]:
    with spans.exporting(settings, "afterbell-worker"):
        yield


async def serve(settings: WorkerSettings) -> None:
    """Run the worker process until SIGTERM."""
    # What is imported stays: looking through it for garbage would stop every stream for 80 ms now and then.
    gc.collect()
    gc.freeze()
    internal = bind(settings.bind, settings.internal_port, variable="AFTERBELL_INTERNAL_PORT")
    async with _exporting(settings), running(settings) as broker:
        serving = Serving(create_internal_app(_readiness(broker, settings)), internal)
        await serving.start()
        try:
            await until_told()
        finally:
            await serving.stop()


def _broker(settings: WorkerSettings, name: str, give_up: Callable[[str], Awaitable[None]]) -> LeaseBroker:
    def decide(error: BaseException, failures: int) -> Outcome:
        if isinstance(error, tasks.TryEnded):
            return error.outcome
        return outcome_of(error, failures=failures, ladder_s=settings.retry_ladder_s)

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


def _receive(broker: LeaseBroker, settings: WorkerSettings) -> tuple[asyncio.Event, "asyncio.Task[None]"]:
    # Every failed try raises through taskiq, which would log each with a stack; the pipeline has said it already.
    logging.getLogger("taskiq.receiver.receiver").setLevel(logging.CRITICAL)
    finish = asyncio.Event()
    receiver = Receiver(broker, max_async_tasks=settings.concurrency, run_startup=False,
                        wait_tasks_timeout=settings.drain_s)  # fmt: skip
    return finish, asyncio.create_task(receiver.listen(finish))


async def _stop(finish: asyncio.Event, receiving: "asyncio.Task[None]") -> None:
    finish.set()
    await receiving


_CLIENTS: Final[dict[str, type[ResponsesClient] | type[ChatClient]]] = {
    "responses": ResponsesClient,
    "chat": ChatClient,
}


def _chain(settings: WorkerSettings) -> list[ModelClient]:
    """The model, and the fallback where there is one."""
    if settings.api_key is None:
        raise SettingsError(
            "OPENAI_API_KEY is not set: give the provider's key, or run `afterbell dev`, which brings a stub model",
            field="OPENAI_API_KEY",
        )
    chain = [_client(settings, settings.llm_api, settings.model, settings.base_url, settings.api_key)]
    if settings.fallback_model is not None:
        api, key = settings.fallback_llm_api or settings.llm_api, settings.fallback_api_key or settings.api_key
        base_url = settings.fallback_base_url or settings.base_url
        chain.append(_client(settings, api, settings.fallback_model, base_url, key))
    return chain


def _client(settings: WorkerSettings, api: str, model: str, base_url: str | None, key: SecretStr) -> ModelClient:
    return _CLIENTS[api](
        api_key=key.get_secret_value(),
        base_url=base_url,
        model=model,
        attempt_timeout_s=settings.attempt_timeout_s,
        max_output_tokens=settings.output_tokens_max,
    )


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
    budgets = Budgets(
        settings.budget_day_usd,
        settings.budget_month_usd,
        settings.tenant_budget_day_usd,
        settings.tenant_budget_month_usd,
    )
    return Money(price_file.load(settings.prices), budgets, settings.unknown_price)


async def _check_redis(settings: WorkerSettings) -> None:
    url = required(settings.redis_url, "REDIS_URL")
    client = redis_client.connect(url)
    try:
        await redis_client.check(client, url)
    finally:
        await client.aclose()


def _readiness(broker: LeaseBroker, settings: WorkerSettings) -> Any:
    async def readiness() -> dict[str, Any]:
        answered_at = broker.consumer.answered_at
        silent_s = None if answered_at is None else asyncio.get_running_loop().time() - answered_at
        ready = silent_s is not None and silent_s < settings.safety_tick_s * READY_TICKS
        return {"ready": ready, "redis_silent_seconds": silent_s, "gate": broker.consumer.gate,
                "running": len(broker.consumer.deliveries)}  # fmt: skip

    return readiness


def _utc_now() -> datetime:
    return datetime.now(UTC)
