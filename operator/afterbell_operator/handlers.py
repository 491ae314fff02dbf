"""kopf watches, relists and renews credentials. Its handlers fill the tables and wake rounds, nothing else.

Only ``on.event``: no finalizers, no annotations on other people's objects, nothing to undo when the operator is gone.
"""

import asyncio
from typing import Any, Final

import kopf

from afterbell_operator import metrics
from afterbell_operator.resources import GROUP, PLURAL, VERSION
from afterbell_operator.wakes import Wakes
from afterbell_operator.watch_cache import pool_in, target_in

GONE: Final = "DELETED"
# Both limit the memory of a start among thousands of objects: LISTED_AT_ONCE is the page size of a list, and kopf keeps
# each object it has handed on until nothing more came for it in HELD_S.
LISTED_AT_ONCE: Final = 100
HELD_S: Final = 0.5


def registry_of(wakes: Wakes) -> kopf.OperatorRegistry:
    """The handlers of one operator."""
    registry = kopf.OperatorRegistry()
    tables = wakes.tables
    ages = _WatchAges()

    @kopf.on.login(registry=registry)
    def credentials(**given: Any) -> Any:
        return kopf.login_with_service_account(**given) or kopf.login_with_kubeconfig(**given)

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)  # type: ignore[arg-type]
    async def pool_changed(event: Any, namespace: str, name: str, **_: Any) -> None:
        ages.renew("pools")
        key = (namespace, name)
        if event["type"] == GONE:
            tables.drop(key)
            wakes.pool(key)  # its last round forgets it
            return
        before, now = tables.pools.get(key), pool_in(event["object"])
        tables.keep(now)
        if before is None or (before.uid, before.generation) != (now.uid, now.generation):
            wakes.pool(key)  # our own write of the status is no news

    @kopf.on.event("apps", "v1", "deployments", registry=registry)  # type: ignore[arg-type]
    async def deployment_changed(event: Any, namespace: str, name: str, **_: Any) -> None:
        ages.renew("deployments")
        key = (namespace, name)
        if event["type"] == GONE:
            tables.targets.pop(key, None)
        else:
            before, tables.targets[key] = tables.targets.get(key), target_in(event["object"])
            if before == tables.targets[key]:
                return
        wakes.target(key)

    @kopf.on.event("autoscaling", "v2", "horizontalpodautoscalers", registry=registry)  # type: ignore[arg-type]
    async def autoscaler_changed(event: Any, spec: Any, namespace: str, name: str, **_: Any) -> None:
        ages.renew("horizontalpodautoscalers")
        target = spec.get("scaleTargetRef", {})
        key, scaled = (namespace, name), (namespace, str(target.get("name")))
        if event["type"] == GONE or target.get("kind") != "Deployment":
            tables.autoscalers.pop(key, None)
        else:
            tables.autoscalers[key] = scaled
        wakes.target(scaled)

    return registry


class _WatchAges:
    """When each watch last delivered an object, for the metric."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}

    def renew(self, kind: str) -> None:
        """The watch of this kind has just delivered an object."""
        now = asyncio.get_running_loop().time
        if kind not in self._at:
            metrics.WATCH_AGE.labels(kind).set_function(lambda: now() - self._at[kind])
        self._at[kind] = now()


def settings_of() -> kopf.OperatorSettings:
    """kopf's settings as measured: short waits after errors, bounded watches, nothing written or posted."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310
    settings.watching.connect_timeout = 10
    settings.watching.chunk_size = LISTED_AT_ONCE
    settings.queueing.idle_timeout = HELD_S
    settings.networking.request_timeout = 15
    settings.networking.error_backoffs = [0.2, 0.5, 1, 1, 2, 2, 3]
    settings.process.ultimate_exiting_timeout = 10
    return settings
