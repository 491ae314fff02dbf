"""The operator process: watches, rounds, the Lease, the internal port."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import kopf
import structlog
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from afterbell import __version__
from afterbell.adapters.redis.client import RedisClient, connect
from afterbell.adapters.redis.keys import QueueKeys
from afterbell.adapters.redis.queue import Queue, QueueRules
from afterbell.adapters.redis.tidings import Ear
from afterbell.observability.internal_app import create_internal_app
from afterbell.observability.metrics import BUILD
from afterbell.serving import Serving, bind, until_told
from afterbell.settings import OperatorSettings, required
from afterbell_operator import handlers, metrics
from afterbell_operator.act import Actor, Fenced
from afterbell_operator.elector import Elector
from afterbell_operator.explain import Explainer
from afterbell_operator.kube import Kube
from afterbell_operator.observe import QueueObserver
from afterbell_operator.reconcile import Reconciler
from afterbell_operator.tables import Tables

# Longer than a leader may go without renewing; a single answer that fails is no outage.
SILENT_S: Final = 12.0
STUCK_S: Final = 60.0

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Observers:
    """One observer a queue, made when a Pool first follows it."""

    client: RedisClient
    tick_s: float
    changed: Callable[[str], None]
    found: dict[str, QueueObserver] = field(default_factory=dict)
    ear: Ear = field(init=False)
    hearing: "asyncio.Task[None]" = field(init=False)

    def __post_init__(self) -> None:
        self.ear = Ear(self.client)
        self.hearing = asyncio.create_task(self.ear.run())

    def of(self, name: str) -> QueueObserver:
        """The observer of a queue; watching from now on."""
        if name not in self.found:
            queue = Queue(self.client, QueueKeys(name), QueueRules())
            observer = QueueObserver(self.ear, queue, tick_s=self.tick_s, changed=lambda: self.changed(name))
            self.found[name] = observer
            observer.start()
        return self.found[name]

    async def close(self) -> None:
        """Stop all of them."""
        await _ended(self.hearing)
        for observer in self.found.values():
            await observer.close()


@dataclass(slots=True)
class Running:
    """The parts of an operator that others look at. ``watching`` never ends before the operator does."""

    reconciler: Reconciler
    elector: Elector
    observers: Observers
    watching: "asyncio.Task[None] | None" = None


@asynccontextmanager
async def running(settings: OperatorSettings) -> AsyncIterator[Running]:
    """Operate until the block ends; the Lease is released on the way out."""
    async with AsyncExitStack() as stack:
        client = connect(required(settings.redis_url, "REDIS_URL"))
        stack.push_async_callback(client.aclose)
        kube = Kube(await stack.enter_async_context(_api_client()))
        elector = _elector(settings, kube, lambda: parts.reconciler.wake_all())  # noqa: PLW0108  # made below
        parts = _assembled(settings, kube, elector, client)
        stop = asyncio.Event()
        parts.watching = watching = asyncio.create_task(_watch(settings, parts.reconciler, stop))
        stack.push_async_callback(_stopped, stop, watching)
        # Before kopf: it waits 5 s for every task of the loop that was made after it.
        stack.push_async_callback(parts.observers.close)
        stack.push_async_callback(parts.reconciler.close)
        # Ends first: the Lease is free at once, and without it nothing is written while the rest winds down.
        stack.push_async_callback(_ended, asyncio.create_task(elector.run()))
        log.info("operator_up", namespace=settings.watch_namespace or "all", identity=settings.identity)
        yield parts


async def serve(settings: OperatorSettings) -> None:
    """Run the operator process until SIGTERM."""
    logging.getLogger("kopf").setLevel(logging.WARNING)  # a line for every event it hands on
    internal = bind(settings.bind, settings.internal_port, variable="AFTERBELL_INTERNAL_PORT")
    async with running(settings) as parts:
        serving = Serving(create_internal_app(_readiness(parts), trouble=_trouble(parts)), internal)
        await serving.start()
        try:
            await until_told()
        finally:
            await serving.stop()


def _assembled(settings: OperatorSettings, kube: Kube, elector: Elector, client: RedisClient) -> Running:
    def fence() -> None:
        if not elector.may_write():
            raise Fenced(f"{settings.identity} does not lead")

    loop = asyncio.get_running_loop()
    observers = Observers(client, settings.tick_s, lambda name: parts.reconciler.wake_queue(name))  # noqa: PLW0108  # made below
    reconciler = Reconciler(
        tables=Tables(),
        actor=Actor(kube, fence, loop.time),
        explainer=Explainer(kube, _print_record, _unix_now),
        observer_of=observers.of,
        leading=lambda: elector.leading,
        wall=_unix_now,
    )
    parts = Running(reconciler, elector, observers)
    BUILD.labels(__version__, "operator").set(1)
    metrics.LEADER.set_function(lambda: elector.leading)
    return parts


def _elector(settings: OperatorSettings, kube: Kube, changed: Callable[[], None]) -> Elector:
    return Elector(
        kube,
        namespace=settings.lease_namespace,
        name=settings.lease_name,
        identity=settings.identity,
        now=asyncio.get_running_loop().time,
        wall=lambda: datetime.now(UTC),
        changed=changed,
    )


@asynccontextmanager
async def _api_client() -> AsyncIterator[ApiClient]:
    """With the service account of the pod, or else the kubeconfig of the user."""
    configuration = Configuration()
    try:
        config.load_incluster_config(  # type: ignore[no-untyped-call]
            client_configuration=configuration
        )
    except config.ConfigException:
        await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    async with ApiClient(configuration) as client:
        yield client


async def _watch(settings: OperatorSettings, reconciler: Reconciler, stop: asyncio.Event) -> None:
    where: dict[str, Any] = {"namespaces": [settings.watch_namespace]} if settings.watch_namespace else {
        "clusterwide": True}  # fmt: skip
    await kopf.operator(
        registry=handlers.registry_of(reconciler),
        settings=handlers.settings_of(),
        stop_flag=stop,
        standalone=True,
        **where,
    )


async def _stopped(stop: asyncio.Event, watching: "asyncio.Task[None]") -> None:
    stop.set()
    await watching


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _readiness(parts: Running) -> Any:
    async def readiness() -> dict[str, Any]:
        """A standby is ready: it could lead. One that hears nothing from any queue still explains why it holds.

        Without the API server it can neither watch nor write, so it is not.
        """
        silent_s = parts.elector.silent_s
        queues = {name: round(one.age_s(), 1) for name, one in parts.observers.found.items() if one.age_s() < 1e9}
        return {
            "ready": silent_s < SILENT_S,
            "api_server_age_seconds": round(silent_s, 1),
            "leading": parts.elector.leading,
            "pools": len(parts.reconciler.tables.pools),
            "queue_age_seconds": queues,
        }

    return readiness


def _trouble(parts: Running) -> Callable[[], str | None]:
    def trouble() -> str | None:
        """What only a new process mends: neither an API server nor a Redis that is away."""
        if parts.watching is not None and parts.watching.done():
            return "the watches ended"
        stuck_s = parts.elector.stuck_s
        return f"the Lease was not tried for {stuck_s:.0f} s" if stuck_s > STUCK_S else None

    return trouble


def _print_record(line: str) -> None:
    """Standard output is for results, and these are the operator's: JSON lines that `replay` reads."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _unix_now() -> float:
    return datetime.now(UTC).timestamp()
