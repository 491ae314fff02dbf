"""The keys that need a round, as in other controllers: each key once, no key in two rounds at a time, some keys later.

Events only add keys. A key added while its round is under way gets another round, so nothing is missed, and ten events
cause one round or two.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from afterbell.service import until_first_ends
from afterbell_operator.watch_cache import Key

# A start with thousands of Pools must leave the API server and this event loop time for the Lease.
ROUNDS_AT_ONCE: Final = 16
_SOONEST_S: Final = 0.01


class WorkQueue:
    """``add`` may be called before ``run``, and from any task of the loop."""

    def __init__(self) -> None:
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._dirty: set[Key] = set()
        self._active: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}

    def add(self, key: Key) -> None:
        """Give this key a round as soon as possible."""
        if key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._active:
            self._ready.put_nowait(key)

    def add_after(self, key: Key, seconds: float) -> None:
        """Give this key a round later, unless an earlier round decides otherwise."""
        self._cancel_timer(key)
        self._timers[key] = asyncio.get_running_loop().call_later(max(seconds, _SOONEST_S), self.add, key)

    async def run(self, reconcile: Callable[[Key], Awaitable[float | None]]) -> None:
        """Hand keys to ``reconcile`` until cancelled. It returns the seconds until the next round, and never raises."""
        try:
            await until_first_ends(*(self._work(reconcile) for _ in range(ROUNDS_AT_ONCE)))
        finally:
            for key in list(self._timers):
                self._cancel_timer(key)

    async def _work(self, reconcile: Callable[[Key], Awaitable[float | None]]) -> None:
        while True:
            key = await self._ready.get()
            self._dirty.discard(key)
            self._active.add(key)
            self._cancel_timer(key)
            again_s = await reconcile(key)
            self._active.discard(key)
            if key in self._dirty:
                self._ready.put_nowait(key)
            elif again_s is not None:
                self.add_after(key, again_s)

    def _cancel_timer(self, key: Key) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
