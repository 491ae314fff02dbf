"""What the operator keeps of thousands of objects: what rounds read, and nothing of the event that brought it."""

import asyncio
import weakref
from contextvars import ContextVar, copy_context

from kubernetes.aio.client import ApiClient, Configuration
from tests.operator.pools import pool

from afterbell_operator.act import Actor
from afterbell_operator.explain import Explainer
from afterbell_operator.kube import Kube
from afterbell_operator.observe import Observer
from afterbell_operator.reconcile import Reconciler
from afterbell_operator.tables import Tables, pool_in

KEY = ("school", "reports")


class Event:
    """Stands for the object that kopf has in the context of its handlers."""


def clock() -> float:
    return 0.0


def nothing_to_follow(*_: object) -> Observer:
    raise AssertionError("there is no Pool")


def test_a_round_outlives_its_event_and_keeps_nothing_of_it() -> None:
    current: ContextVar[Event] = ContextVar("current")

    def bring(reconciler: Reconciler) -> "weakref.ref[Event]":
        event = Event()
        current.set(event)
        reconciler.wake(KEY)
        return weakref.ref(event)

    async def run() -> None:
        async with ApiClient(Configuration()) as client:
            kube = Kube(client)
            actor, explainer = Actor(kube, lambda: None, clock), Explainer(kube, print, clock)
            reconciler = Reconciler(Tables(), kube, actor, explainer, nothing_to_follow, lambda: False, clock)
            event = copy_context().run(bring, reconciler)
            assert event() is None
            await reconciler.close()

    asyncio.run(run())


def test_of_a_pool_its_spec_and_status_are_kept_and_what_others_noted_on_it_is_not() -> None:
    manifest = pool()
    manifest["metadata"] |= {
        "namespace": "school", "uid": "1", "generation": 3, "creationTimestamp": "2026-01-01T00:00:00Z",
        "annotations": {"note": "x" * 10_000}, "managedFields": [{"manager": "x" * 10_000}],
    }  # fmt: skip
    kept = pool_in(manifest | {"status": {"reason": "Paused"}})
    assert (kept.key, kept.generation, kept.spec, kept.status) == (KEY, 3, manifest["spec"], {"reason": "Paused"})
    assert "xxx" not in repr(kept)
