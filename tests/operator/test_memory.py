"""What the operator keeps of thousands of objects: what rounds read, and nothing of the event that brought it."""

import asyncio
import weakref
from contextvars import ContextVar, copy_context

from tests.operator.pools import pool

from afterbell_operator.watch_cache import Key, pool_in
from afterbell_operator.workqueue import WorkQueue

KEY = ("school", "reports")


class BigObject:
    """Stands for the object that kopf has in the context of its handlers."""


async def test_a_round_outlives_its_event_and_keeps_nothing_of_it() -> None:
    current: ContextVar[BigObject] = ContextVar("current")

    def bring(work: WorkQueue) -> "weakref.ref[BigObject]":
        brought = BigObject()
        current.set(brought)
        work.add(KEY)
        return weakref.ref(brought)

    work, handled, over = WorkQueue(), asyncio.Event(), asyncio.Event()

    async def reconcile(_: Key) -> float | None:
        handled.set()
        await over.wait()
        return 1.0

    running = asyncio.create_task(work.run(reconcile))
    brought = copy_context().run(bring, work)
    await handled.wait()
    assert brought() is None
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def test_of_a_pool_its_spec_and_status_are_kept_and_what_others_noted_on_it_is_not() -> None:
    manifest = pool()
    manifest["metadata"] |= {
        "namespace": "school",
        "uid": "1",
        "generation": 3,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "annotations": {"note": "x" * 10_000},
        "managedFields": [{"manager": "x" * 10_000}],
    }
    kept = pool_in(manifest | {"status": {"reason": "Paused"}})
    assert (kept.key, kept.generation, kept.spec, kept.status) == (KEY, 3, manifest["spec"], {"reason": "Paused"})
    assert "xxx" not in repr(kept)
