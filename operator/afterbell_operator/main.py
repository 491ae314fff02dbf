"""The operator process: watches, rounds, Lease and internal port."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, cast

import kopf
import structlog
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from afterbell import __version__
from afterbell.adapters.bus.api_pods import ApiPods
from afterbell.adapters.queue.keys import QueueKeys
from afterbell.adapters.queue.redis_queue import Queue, QueueRules
from afterbell.adapters.queue.subscription import Subscriber
from afterbell.adapters.redis.connections import RedisClient, connect
from afterbell.observability.internal_app import create_internal_app
from afterbell.observability.metrics import BUILD
from afterbell.service import Service
from afterbell.serving import Serving, bind
from afterbell.settings import OperatorSettings, required
from afterbell_operator import handlers, metrics
from afterbell_operator.act.actor import Actor, Fenced
from afterbell_operator.elector import Elector
from afterbell_operator.explain.explainer import Explainer
from afterbell_operator.kube import Kube
from afterbell_operator.observe.backlog import QueueObserver
from afterbell_operator.observe.facts import Reader
from afterbell_operator.observe.observer import Observer
from afterbell_operator.observe.pod_problems import PodReader
from afterbell_operator.observe.sockets import PodsObserver
from afterbell_operator.reconcile import Reconciler
from afterbell_operator.resources import Source
from afterbell_operator.wakes import Wakes
from afterbell_operator.watch_cache import Followed, ScaleTarget, Tables
from afterbell_operator.workqueue import WorkQueue

# Longer than a leader may go without renewing: a single failed request is no outage.
SILENT_S: Final = 12.0
STUCK_S: Final = 60.0

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Observers:
    """One observer for each queue, and one for the api pods that share it, created when a Pool first follows them.

    ``live`` is the Redis on which the api pods report; usually the same.
    """

    client: RedisClient
    live: RedisClient
    tick_s: float
    changed: Callable[[Followed], None]
    queues: dict[str, QueueObserver] = field(default_factory=dict)
    pods: dict[str, PodsObserver] = field(default_factory=dict)
    subscribers: dict[RedisClient, Subscriber] = field(default_factory=dict)

    def of(self, source: Source, target: ScaleTarget) -> Observer:
        """The observer of what a Pool follows. It watches from now on."""
        if source.connections is not None:
            return self._pods(source.connections.queue).of(target)
        return self._queue(source.backlog.queue if source.backlog is not None else "")

    def _queue(self, name: str) -> QueueObserver:
        if name not in self.queues:
            queue = Queue(self.client, QueueKeys(name), QueueRules())
            changed = lambda: self.changed(("backlog", name))  # noqa: E731
            observer = self.queues[name] = QueueObserver(
                self._subscriber(self.client), queue, tick_s=self.tick_s, changed=changed
            )
            observer.start()
        return self.queues[name]

    def _pods(self, name: str) -> PodsObserver:
        if name not in self.pods:
            pods = ApiPods(self.live, self._subscriber(self.live), QueueKeys(name))
            observer = self.pods[name] = PodsObserver(pods, changed=lambda: self.changed(("connections", name)))
            observer.start()
        return self.pods[name]

    def _subscriber(self, client: RedisClient) -> Subscriber:
        """One subscriber for each Redis, created when it is first needed."""
        if client not in self.subscribers:
            self.subscribers[client] = Subscriber(client)
            self.subscribers[client].start()
        return self.subscribers[client]

    async def close(self) -> None:
        """Stop all of them."""
        for subscriber in self.subscribers.values():
            await subscriber.stop()
        observers: list[QueueObserver | PodsObserver] = [*self.queues.values(), *self.pods.values()]
        for observer in observers:
            await observer.close()


@dataclass(slots=True)
class RunningOperator:
    """The parts of a running operator. ``watching`` never ends before the operator does."""

    wakes: Wakes
    reconciler: Reconciler
    elector: Elector
    observers: Observers
    watching: Service | None = None


@asynccontextmanager
async def running(settings: OperatorSettings) -> AsyncIterator[RunningOperator]:
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
        # On its own connections: the Lease never waits behind the rounds.
        lease = Kube(await stack.enter_async_context(_api_client()))
        wakes = Wakes(Tables(), WorkQueue())
        elector = _elector(settings, lease, wakes.every_pool)
        parts = _assembled(settings, kube, wakes, elector, Observers(client, live, settings.tick_s, wakes.source))
        stop = asyncio.Event()
        parts.watching = Service("watches", lambda: _watch(settings, wakes, stop), finish=stop.set)
        parts.watching.start()
        stack.push_async_callback(parts.watching.stop)
        # Before kopf: it waits 5 s for every task that was created after it.
        stack.push_async_callback(parts.observers.close)
        rounds = Service("rounds", lambda: wakes.work.run(parts.reconciler.reconcile))
        rounds.start()
        stack.push_async_callback(rounds.stop)
        # Ends first: the Lease is free at once, and without it nothing is written while the rest shuts down.
        election = Service("elector", elector.run)
        election.start()
        stack.push_async_callback(election.stop)
        log.info("operator_up", namespace=settings.watch_namespace or "all", identity=settings.identity)
        yield parts


@asynccontextmanager
async def process(settings: OperatorSettings) -> AsyncIterator[None]:
    """The operator process, for ``serving.serve``."""
    logging.getLogger("kopf").setLevel(logging.WARNING)  # it logs a line for every event it hands on
    internal = bind(settings.bind, settings.internal_port, variable="AFTERBELL_INTERNAL_PORT")
    async with (
        running(settings) as parts,
        Serving(create_internal_app(_readiness(parts), trouble=_trouble(parts)), internal),
    ):
        yield


def _assembled(
    settings: OperatorSettings, kube: Kube, wakes: Wakes, elector: Elector, observers: Observers
) -> RunningOperator:
    def fence() -> None:
        if not elector.may_write():
            raise Fenced(f"{settings.identity} is not the leader")

    now = asyncio.get_running_loop().time
    reconciler = Reconciler(
        operator_name=settings.operator_name,
        tables=wakes.tables,
        reader=Reader(
            tables=wakes.tables,
            kube=kube,
            pods=PodReader(kube, now, _unix_now),
            observer_of=observers.of,
            wall=_unix_now,
            gone=wakes.pool,
        ),
        actor=Actor(kube, fence, now),
        explainer=Explainer(kube, _print_record, _unix_now),
        leading=lambda: elector.leading,
    )
    BUILD.labels(__version__, "operator").set(1)
    metrics.LEADER.set_function(lambda: elector.leading)
    return RunningOperator(wakes, reconciler, elector, observers)


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
    """With the service account of the pod, or with the user's kubeconfig."""
    configuration = Configuration()
    try:
        config.load_incluster_config(  # type: ignore[no-untyped-call]
            client_configuration=configuration
        )
    except config.ConfigException:
        await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    async with ApiClient(configuration) as client:
        yield client


async def _watch(settings: OperatorSettings, wakes: Wakes, stop: asyncio.Event) -> None:
    where: dict[str, Any] = (
        {"namespaces": [settings.watch_namespace]} if settings.watch_namespace else {"clusterwide": True}
    )
    await kopf.operator(
        registry=handlers.registry_of(wakes),
        settings=handlers.settings_of(),
        stop_flag=stop,
        standalone=True,
        # kopf's own default asks the system for the user's name, and the uid of an image has none.
        identity=cast("Any", settings.identity),
        **where,
    )


def _readiness(parts: RunningOperator) -> Any:
    async def readiness() -> dict[str, Any]:
        """A standby is ready: it could become the leader. An operator that cannot read any queue is ready and says why.

        Without the API server it can neither watch nor write, so it is not ready.
        """
        silent_s = parts.elector.silent_s
        queues = _ages(parts.observers.queues)
        return {
            "ready": silent_s < SILENT_S,
            "api_server_age_seconds": round(silent_s, 1),
            "leading": parts.elector.leading,
            "pools": len(parts.wakes.tables.pools),
            "queue_age_seconds": queues,
            "api_pods_age_seconds": _ages(parts.observers.pods),
        }

    return readiness


def _ages(observers: Mapping[str, QueueObserver | PodsObserver]) -> dict[str, float]:
    return {name: round(observer.age_s(), 1) for name, observer in observers.items() if observer.age_s() < 1e9}


def _trouble(parts: RunningOperator) -> Callable[[], str | None]:
    def trouble() -> str | None:
        """What only a restart fixes: neither an unreachable API server nor an unreachable Redis."""
        if parts.watching is not None and parts.watching.ended:
            return "the watches have ended"
        stuck_s = parts.elector.stuck_s
        return f"no attempt at the Lease for {stuck_s:.0f} s" if stuck_s > STUCK_S else None

    return trouble


def _print_record(line: str) -> None:
    """Standard output is for results. The operator's results are its records, as JSON lines that `replay` reads."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _unix_now() -> float:
    return datetime.now(UTC).timestamp()
