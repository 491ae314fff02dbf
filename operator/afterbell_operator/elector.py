"""One leader at a time, by a Lease, with a fence: no process writes unless it will still lead when the write arrives.

The clocks of two machines are never compared: a holder has expired once its record has not changed for a whole lease on
the observer's own monotonic clock. A leader stops leading one renewal deadline after its last renewal *began*, well
before another process may take over. Every failure counts as "not renewed".
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from afterbell_operator import metrics
from afterbell_operator.kube import CONFLICT, NOT_FOUND, TIMEOUT_S, Kube, KubeRefused, KubeUnavailable, Manifest

log = structlog.get_logger(__name__)

LEASES: Final = "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"


@dataclass(frozen=True, slots=True)
class Terms:
    """Seconds. ``lease_s`` minus the timeout of a request must leave time for several renewals."""

    lease_s: float = 15.0
    deadline_s: float = 10.0
    retry_s: float = 2.0


class Elector:
    """Campaigns for the Lease ``namespace/name`` as ``identity``. ``now`` is a monotonic clock, ``wall`` for people."""

    def __init__(
        self,
        kube: Kube,
        *,
        namespace: str,
        name: str,
        identity: str,
        now: Callable[[], float],
        wall: Callable[[], datetime],
        terms: Terms = Terms(),
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._kube, self._identity, self._terms = kube, identity, terms
        self._now, self._wall, self._changed = now, wall, changed
        self._collection, self._name = LEASES.format(namespace=namespace), name
        self._record: tuple[str, str] | None = None  # the holder and its renewal time, as written
        self._changed_at = self._renewed_at = float("-inf")
        self._was_leading = False
        self._tried_at = self._answered_at = now()

    @property
    def leading(self) -> bool:
        """Whether this process leads, as far as its own clock can prove it."""
        return self._now() - self._renewed_at < self._terms.deadline_s

    def may_write(self) -> bool:
        """Whether nobody else can lead before a write that begins now has ended, even if it takes its whole timeout."""
        return self.leading and self._now() + TIMEOUT_S < self._renewed_at + self._terms.lease_s

    @property
    def silent_s(self) -> float:
        """Seconds since the API server last answered a question about the Lease."""
        return self._now() - self._answered_at

    @property
    def stuck_s(self) -> float:
        """Seconds since the last attempt began; the next follows within seconds whatever the API server does."""
        return self._now() - self._tried_at

    async def run(self) -> None:
        """Campaign, lead and renew until cancelled; then release."""
        try:
            while True:
                await self._try()
                if self.leading != self._was_leading:
                    self._was_leading = self.leading
                    metrics.LEADER_TRANSITIONS.inc()
                    log.info("leadership", leading=self.leading, identity=self._identity)
                    self._changed()
                await asyncio.sleep(self._terms.retry_s)
        finally:
            await self._release()

    async def _try(self) -> None:
        began = self._tried_at = self._now()
        try:
            async with asyncio.timeout(self._terms.retry_s * 2):
                if await self._take_or_renew():
                    self._renewed_at = began
                self._answered_at = self._now()
        except (KubeRefused, KubeUnavailable, TimeoutError) as error:
            if isinstance(error, KubeRefused) and error.status == CONFLICT:
                return  # another process was quicker; the next attempt reads what it wrote
            log.warning("lease_not_renewed", error=f"{type(error).__name__}: {error}")

    async def _take_or_renew(self) -> bool:
        lease = await self._read()
        if lease is None:
            await self._kube.create(self._collection, self._written({}, transitions=0))
            return True
        spec = lease["spec"]
        holder = spec.get("holderIdentity") or ""
        if holder == self._identity:
            await self._write(lease, int(spec.get("leaseTransitions", 0)))
            return True
        self._observe(holder, str(spec.get("renewTime")))
        if holder and self._now() - self._changed_at < self._terms.lease_s:
            self._renewed_at = float("-inf")
            return False
        await self._write(lease, int(spec.get("leaseTransitions", 0)) + 1)
        return True

    def _observe(self, holder: str, renewed: str) -> None:
        if (holder, renewed) != self._record:
            self._record, self._changed_at = (holder, renewed), self._now()

    async def _read(self) -> Manifest | None:
        try:
            return await self._kube.call("GET", f"{self._collection}/{self._name}")
        except KubeRefused as error:
            if error.status == NOT_FOUND:
                return None
            raise

    async def _write(self, lease: Manifest, transitions: int) -> None:
        """Refused with 409 if the Lease was written since it was read."""
        body = self._written(lease, transitions)
        await self._kube.call("PUT", f"{self._collection}/{self._name}", body)

    def _written(self, lease: Manifest, transitions: int) -> Manifest:
        now = self._wall().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = lease.get("spec", {})
        same = before.get("holderIdentity") == self._identity
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": lease.get("metadata") or {"name": self._name},
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": round(self._terms.lease_s),
                "acquireTime": before.get("acquireTime", now) if same else now,
                "renewTime": now,
                "leaseTransitions": transitions,
            },
        }

    async def _release(self) -> None:
        """Clear the holder, so that the next leader need not wait. Nothing is written after this."""
        if not self.leading:
            return
        self._renewed_at = float("-inf")
        with suppress(KubeRefused, KubeUnavailable, TimeoutError):
            async with asyncio.timeout(2):
                lease = await self._read()
                if lease is not None and lease["spec"].get("holderIdentity") == self._identity:
                    lease["spec"]["holderIdentity"] = ""
                    await self._kube.call("PUT", f"{self._collection}/{self._name}", lease)
