"""Why pods of a target do not run, from their statuses: an image that cannot be pulled, too little memory, a bad start.

Pods are read only while some of the target's pods have been unready for longer than a start usually takes, and less and
less often while nothing changes. A target whose pods are ready costs no request.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import structlog

from afterbell_operator.kube import Kube, KubeRefused, KubeUnavailable, Manifest
from afterbell_operator.watch_cache import Key, ScaleTarget

# A starting pod is ready by then. If a pod that was ready no longer is, its problem is read at once.
PATIENCE_S: Final = 10.0
READ_AGAIN_S: Final = 10.0
READ_AGAIN_MAX_S: Final = 160.0
# A container killed for memory is back within seconds, and killed again in the next long lesson: so it is reported.
OOM_REPORTED_S: Final = 600.0
OOM_KILLED: Final = "OOMKilled"
_IMAGE: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_START: Final = frozenset(
    {"CrashLoopBackOff", "CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
)
_MESSAGE_MAX: Final = 200

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PodProblem:
    """A container that does not run as it should. ``reason`` is Kubernetes's own; ``ready``: the pod serves again."""

    pod: str
    kind: Literal["image", "memory", "start"]
    reason: str
    container: str
    image: str = ""
    message: str = ""
    ready: bool = False


def problems_in(pods: Sequence[Manifest], now_s: float) -> tuple[PodProblem, ...]:
    """At most one problem a pod, in the order of their names. ``now_s``: Unix seconds."""
    present = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    ordered = sorted(present, key=lambda pod: str(pod["metadata"]["name"]))
    firsts = (next(_problems_of(pod, now_s), None) for pod in ordered)
    return tuple(problem for problem in firsts if problem is not None)


def _problems_of(pod: Manifest, now_s: float) -> Iterator[PodProblem]:
    status, name = pod.get("status", {}), str(pod["metadata"]["name"])
    ready = ("Ready", "True") in ((item["type"], item["status"]) for item in status.get("conditions", ()))
    for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        kind, reason, message = _trouble_of(container, now_s)
        if kind is not None:
            yield PodProblem(
                pod=name,
                kind=kind,
                reason=reason,
                container=str(container["name"]),
                image=str(container.get("image", "")),
                message=message[:_MESSAGE_MAX],
                ready=ready,
            )


def _trouble_of(container: Manifest, now_s: float) -> tuple[Literal["image", "memory", "start"] | None, str, str]:
    """Kind, reason and message. A crash loop after a kill for memory counts as the kill."""
    waiting = container.get("state", {}).get("waiting") or {}
    reason, message = str(waiting.get("reason", "")), str(waiting.get("message", ""))
    if reason in _IMAGE:
        return "image", reason, message
    if any(_killed_for_memory(container.get(state, {}), now_s) for state in ("state", "lastState")):
        return "memory", OOM_KILLED, ""
    if reason in _START:
        return "start", reason, message
    return None, "", ""


def _killed_for_memory(state: Manifest, now_s: float) -> bool:
    terminated = state.get("terminated") or {}
    if terminated.get("reason") != OOM_KILLED:
        return False
    finished = terminated.get("finishedAt")
    return not finished or now_s - datetime.fromisoformat(finished).timestamp() < OOM_REPORTED_S


@dataclass(slots=True)
class _Watch:
    """What is remembered of a target between its rounds. Times are those of the monotonic clock."""

    replicas: int = 0
    ready: int = 0
    unready_since: float | None = None
    read_at: float = float("-inf")
    pause_s: float = READ_AGAIN_S
    problems: tuple[PodProblem, ...] = ()


class PodReader:
    """Reads the pods of targets that are not ready. ``now`` is a monotonic clock, ``wall`` gives Unix seconds."""

    def __init__(self, kube: Kube, now: Callable[[], float], wall: Callable[[], float]) -> None:
        self._kube, self._now, self._wall = kube, now, wall
        self._watches: dict[Key, _Watch] = {}

    async def problems(self, target: ScaleTarget) -> tuple[tuple[PodProblem, ...], float | None]:
        """The known problems of its pods, and the seconds until the next read (None: when the pods change)."""
        watch, now = self._watches.setdefault(target.key, _Watch()), self._now()
        lost_one = target.unready > 0 and target.ready < watch.ready and target.replicas >= watch.replicas
        if (watch.replicas, watch.ready) != (target.replicas, target.ready):
            watch.pause_s = READ_AGAIN_S
        watch.replicas, watch.ready = target.replicas, target.ready
        if not target.unready and not watch.problems:
            watch.unready_since = None
            return (), None
        if watch.unready_since is None:
            watch.unready_since = now - PATIENCE_S if lost_one else now
        due_at = max(watch.unready_since + PATIENCE_S, watch.read_at + watch.pause_s)
        if now < due_at:
            return watch.problems, due_at - now
        await self._read(target, watch)
        return watch.problems, watch.pause_s

    def forget(self, target: Key) -> None:
        """The target is no longer ours."""
        self._watches.pop(target, None)

    async def _read(self, target: ScaleTarget, watch: _Watch) -> None:
        """Without an answer, the problems read before stand: scaling never waits for an explanation."""
        before, watch.read_at = watch.problems, self._now()
        try:
            pods = await self._kube.pods(target.namespace, target.selector)
        except (KubeRefused, KubeUnavailable) as error:
            log.warning("pods_not_read", target=target.name, error=str(error))
            return
        watch.problems = problems_in(pods, self._wall())
        same = watch.problems == before
        watch.pause_s = min(watch.pause_s * 2, READ_AGAIN_MAX_S) if same else READ_AGAIN_S
