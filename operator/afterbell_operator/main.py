"""The operator process: watches, rounds, the Lease, the internal port."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable, Mapping
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
from afterbell.adapters.redis.ending import ended
from afterbell.adapters.redis.keys import QueueKeys
from afterbell.adapters.redis.pods import ApiPods
from afterbell.adapters.redis.queue import Queue, QueueRules
from afterbell.adapters.redis.tidings import Ear
from afterbell.observability.internal_app import create_internal_app
from afterbell.observability.metrics import BUILD
from afterbell.serving import Serving, bind, until_told
from afterbell.settings import OperatorSettings, required
from afterbell_operator import handlers, metrics
from afterbell_operator.act import Actor, Fenced, Target
from afterbell_operator.elector import Elector
from afterbell_operator.explain import Explainer
from afterbell_operator.hear import PodsObserver
from afterbell_operator.kube import Kube
from afterbell_operator.observe import Observer, QueueObserver
from afterbell_operator.reconcile import Reconciler
from afterbell_operator.resources import Source
from afterbell_operator.tables import Followed, Tables

# Longer than a leader may go without renewing; a single answer that fails is no outage.
SILENT_S: Final = 12.0
STUCK_S: Final = 60.0

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Observers:
    """One observer a queue, and one for the api pods that share it, made when a Pool first follows them.

    ``live`` is the Redis on which api pods are heard: mostly the same.
    """

    client: RedisClient
    live: RedisClient
    tick_s: float
    changed: Callable[[Followed], None]
    found: dict[str, QueueObserver] = field(default_factory=dict)
    pods: dict[str, PodsObserver] = field(default_factory=dict)
    ears: dict[RedisClient, Ear] = field(default_factory=dict)
    hearing: "list[asyncio.Task[None]]" = field(default_factory=list)

    def of(self, source: Source, target: Target) -> Observer:
        """The observer of what a Pool follows; watching from now on."""
        if source.connections is not None:
            return self._pods(source.connections.queue).of(target)
        return self._queue(source.backlog.queue if source.backlog is not None else "")

    def _queue(self, name: str) -> QueueObserver:
        if name not in self.found:
            queue = Queue(self.client, QueueKeys(name), QueueRules())
            changed = lambda: self.changed(("backlog", name))  # noqa: E731
            observer = self.found[name] = QueueObserver(
                self._ear(self.client), queue, tick_s=self.tick_s, changed=changed
            )
            observer.start()
        return self.found[name]

    def _pods(self, name: str) -> PodsObserver:
        if name not in self.pods:
            pods = ApiPods(self.live, self._ear(self.live), QueueKeys(name))
            observer = self.pods[name] = PodsObserver(pods, changed=lambda: self.changed(("connections", name)))
            observer.start()
        return self.pods[name]

    def _ear(self, client: RedisClient) -> Ear:
        """One connection to each Redis, once it is needed."""
        if client not in self.ears:
            self.ears[client] = Ear(client)
            self.hearing.append(asyncio.create_task(self.ears[client].run()))
        return self.ears[client]

    async def close(self) -> None:
        """Stop all of them."""
        await ended(self.hearing)
        observers: list[QueueObserver | PodsObserver] = [*self.found.values(), *self.pods.values()]
        for observer in observers:
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
        url = required(settings.redis_url, "REDIS_URL")
        live_url = required(settings.live_redis_url or settings.redis_url, "REDIS_URL")
        client = live = connect(url)
        stack.push_async_callback(client.aclose)
        if live_url not in (url, "none"):
            live = connect(live_url)
            stack.push_async_callback(live.aclose)
        kube = Kube(await stack.enter_async_context(_api_client()))
        # On connections of its own: the Lease never waits behind the rounds.
        lease = Kube(await stack.enter_async_context(_api_client()))
        elector = _elector(settings, lease, lambda: parts.reconciler.wake_all())  # noqa: PLW0108  # made below
        parts = _assembled(settings, kube, elector, client, live)
        stop = asyncio.Event()
        parts.watching = watching = asyncio.create_task(_watch(settings, parts.reconciler, stop))
        stack.push_async_callback(_stopped, stop, watching)
        # Before kopf: it waits 5 s for every task of the loop that was made after it.
        stack.push_async_callback(parts.observers.close)
        stack.push_async_callback(parts.reconciler.close)
        # Ends first: the Lease is free at once, and without it nothing is written while the rest winds down.
        stack.push_async_callback(ended, [asyncio.create_task(elector.run())])
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


def _assembled(
    settings: OperatorSettings, kube: Kube, elector: Elector, client: RedisClient, live: RedisClient
) -> Running:
    def fence() -> None:
        if not elector.may_write():
            raise Fenced(f"{settings.identity} does not lead")

    loop = asyncio.get_running_loop()
    observers = Observers(client, live, settings.tick_s, lambda source: parts.reconciler.wake_source(source))  # noqa: PLW0108  # made below
    reconciler = Reconciler(
        tables=Tables(),
        kube=kube,
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


def _readiness(parts: Running) -> Any:
    async def readiness() -> dict[str, Any]:
        """A standby is ready: it could lead. One that hears nothing from any queue still explains why it holds.

        Without the API server it can neither watch nor write, so it is not.
        """
        silent_s = parts.elector.silent_s
        queues = _ages(parts.observers.found)
        return {
            "ready": silent_s < SILENT_S,
            "api_server_age_seconds": round(silent_s, 1),
            "leading": parts.elector.leading,
            "pools": len(parts.reconciler.tables.pools),
            "queue_age_seconds": queues,
            "api_pods_age_seconds": _ages(parts.observers.pods),
        }

    return readiness


def _ages(observers: Mapping[str, QueueObserver | PodsObserver]) -> dict[str, float]:
    return {name: round(one.age_s(), 1) for name, one in observers.items() if one.age_s() < 1e9}


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
