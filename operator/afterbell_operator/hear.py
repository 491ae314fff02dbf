"""What the api pods hold, as they tell it themselves in their signs of life.

Unknown is not zero. While Redis is away nothing is known; a pod that Kubernetes calls ready and that was not heard
lately may hold any number of sockets: what the others hold may add pods then, and takes none away.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from afterbell.adapters.redis.ending import ended
from afterbell.adapters.redis.pods import ApiPods
from afterbell.core.errors import StoreUnavailable
from afterbell.core.pods import SIGN_EVERY_S, PodSign, PodVerb
from afterbell.core.presence import SILENT_S
from afterbell_operator import metrics
from afterbell_operator.act import Target, Unheard, pods_of
from afterbell_operator.model import Connections
from afterbell_operator.observe import Sight
from afterbell_operator.victims import Occupancy, Pod

# A drain is asked for again this often. The pod keeps to it for a minute, so some requests may get lost.
ASK_AGAIN_S: Final = 10.0
# Whoever lives has spoken by then.
FIRST_S: Final = SIGN_EVERY_S + 1

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Heard:
    token: str
    sign: PodSign
    at: float


class PodsObserver:
    """Hears the api pods that share a queue. ``changed`` is called on every news, the bad ones included."""

    def __init__(self, pods: ApiPods, *, changed: Callable[[], None]) -> None:
        self._pods, self._changed = pods, changed
        self._heard: dict[str, _Heard] = {}
        self._asked_at: dict[str, float] = {}
        self._heard_at = float("-inf")
        self.because = ""
        self.new = True
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to hear."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Hear nothing more."""
        if self._task is not None:
            await ended([self._task])

    def age_s(self) -> float:
        """Seconds since any of them was heard; infinite before the first time."""
        return self._now() - self._heard_at

    def of(self, target: Target) -> "PodsOf":
        """Those of one Deployment."""
        return PodsOf(self, target)

    def signs(self, target: Target) -> dict[str, PodSign]:
        """What its pods said last, by name; those that went silent left out."""
        ours, since = pods_of(target.name), self._now() - SILENT_S
        return {name: one.sign for name, one in self._heard.items() if one.at > since and ours.fullmatch(name)}

    async def ask(self, pod: str, verb: PodVerb) -> None:
        """Ask a pod to drain, where it was not asked just now, or to take sockets again. Raises StoreUnavailable."""
        heard = self._heard.get(pod)
        if heard is None:
            return
        if verb == "undrain":
            self._asked_at.pop(heard.token, None)
        elif self._now() - self._asked_at.get(heard.token, float("-inf")) < ASK_AGAIN_S:
            return
        else:
            self._asked_at[heard.token] = self._now()
        await self._pods.ask(heard.token, verb)

    async def _run(self) -> None:
        await self._pods.hear(self._told, self._lost)
        await asyncio.sleep(FIRST_S)
        self.new = False
        self._changed()
        while True:
            await asyncio.sleep(SIGN_EVERY_S)
            self._forget(self._now() - SILENT_S)

    def _told(self, token: str, sign: PodSign) -> None:
        before, self._heard_at = self._heard.get(sign.pod), self._now()
        self._heard[sign.pod] = _Heard(token, sign, self._heard_at)
        self.because = ""
        if before is None or (before.token, before.sign) != (token, sign):
            self._changed()

    def _lost(self, error: StoreUnavailable) -> None:
        """What was heard before is worth nothing: each pod must be heard anew."""
        metrics.failed(error)
        if not self.because:
            log.warning("pods_unheard", error=str(error)[:200])
        self.because = str(error)[:200]
        self._heard.clear()
        self._changed()

    def _forget(self, before: float) -> None:
        silent = [name for name, one in self._heard.items() if one.at <= before]
        for name in silent:
            self._asked_at.pop(self._heard.pop(name).token, None)
        if silent:
            self._changed()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


class PodsOf:
    """The api pods of one Deployment, as a round meets them."""

    def __init__(self, observer: PodsObserver, target: Target) -> None:
        self._observer, self._target = observer, target

    def sight(self) -> Sight:
        """What they hold together, as far as it is known."""
        if self._observer.because:
            return Sight(None, self._observer.because)
        signs, name, ready = self._observer.signs(self._target).values(), self._target.name, self._target.ready
        if not signs:
            hint = "is AFTERBELL_POD_NAME set there, and is their live Redis the operator's?"
            return Sight(None, f"no pod of {name} has told its sockets: {hint}")
        told = Connections(
            sockets=sum(one.sockets for one in signs),
            pods=len(signs),
            draining=sum(one.draining for one in signs),
            cap=min(one.sockets_max for one in signs),
        )
        if told.pods < ready:
            because = (
                f"{ready - told.pods} of {ready} ready pods of {name} have not told their sockets for {SILENT_S:g} s"
            )
            return Sight(None, because, trusted=False, connections=told)
        return Sight(None, connections=told)

    def awaited(self) -> bool:
        """The operator listens for so short a time that somebody may not have spoken yet."""
        heard = len(self._observer.signs(self._target))
        return self._observer.new and not self._observer.because and heard < max(self._target.ready, 1)

    def age_s(self) -> float:
        """Seconds since any of them was heard."""
        return self._observer.age_s()

    def look_now(self) -> None:
        """They tell by themselves."""

    async def occupancy(self, pods: Sequence[Pod]) -> Occupancy:
        """Sockets by pod. Raises Unheard where a ready one did not tell."""
        signs = self._observer.signs(self._target)
        deaf = [pod.name for pod in pods if pod.ready and not pod.terminating and pod.name not in signs]
        if self._observer.because or deaf:
            raise Unheard(self._observer.because or f"{', '.join(deaf[:5])}: ready, and has not told its sockets")
        return Occupancy(
            {name: one.sockets for name, one in signs.items()},
            frozenset(pod.name for pod in pods if pod.name in signs and signs[pod.name].draining),
            frozenset(pod.name for pod in pods if not pod.running and pod.name not in signs),
        )

    async def steer(self, verb: PodVerb, pod: str) -> None:
        """Ask one of them to drain, or to take sockets again. Raises StoreUnavailable."""
        await self._observer.ask(pod, verb)

    async def renew(self, pods: Sequence[str]) -> None:
        """Ask again. Raises StoreUnavailable."""
        for pod in pods:
            await self._observer.ask(pod, "drain")
