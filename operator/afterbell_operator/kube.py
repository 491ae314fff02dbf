"""The few calls to the Kubernetes API that the operator makes, on plain dictionaries.

The client handles credentials, TLS and their renewal. Its typed methods would add 30 ms of pydantic to each call and
nothing that is needed here. Every call has a timeout, and nothing is retried behind the caller's back.
"""

import json
from typing import Any, Final

import aiohttp
from kubernetes.aio.client import ApiClient

from afterbell_operator import metrics

MANAGER: Final = "afterbell-operator"
TIMEOUT_S: Final = 8.0
MERGE: Final = "application/merge-patch+json"
CONFLICT, NOT_FOUND = 409, 404
COST_ANNOTATION: Final = "controller.kubernetes.io/pod-deletion-cost"

Manifest = dict[str, Any]


class KubeRefused(Exception):
    """The API server answered with an error; ``status`` is its code."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class KubeUnavailable(Exception):
    """The API server does not answer; waiting helps."""


class Kube:
    """One connection pool to one API server."""

    def __init__(self, api: ApiClient, *, timeout_s: float = TIMEOUT_S) -> None:
        self._api, self._timeout_s = api, timeout_s

    async def has(self, path: str) -> bool:
        """Whether the object exists at this moment, whatever the watches have delivered."""
        try:
            await self.call("GET", path)
        except KubeRefused as error:
            if error.status == NOT_FOUND:
                return False
            raise
        return True

    async def read_scale(self, namespace: str, name: str) -> Manifest:
        """The ``scale`` of a Deployment, as stored."""
        return await self.call("GET", scale_path(namespace, name))

    async def write_scale(self, namespace: str, name: str, replicas: int, *, version: str | None = None) -> Manifest:
        """Set the replicas of a Deployment; with ``version`` only if nobody changed it since (else 409)."""
        body: Manifest = {"spec": {"replicas": replicas}}
        if version is not None:
            body["metadata"] = {"resourceVersion": version}
        return await self.call("PATCH", scale_path(namespace, name), body)

    async def pods(self, namespace: str, selector: str) -> list[Manifest]:
        """The pods that match a label selector, as stored at this moment."""
        listed = await self.call("GET", f"/api/v1/namespaces/{namespace}/pods", query=[("labelSelector", selector)])
        return list(listed["items"])

    async def set_deletion_cost(self, namespace: str, pod: str, cost: int | None) -> None:
        """Set the hint by which Kubernetes chooses pods to remove; None removes it. A pod that is gone is no error."""
        body = {"metadata": {"annotations": {COST_ANNOTATION: None if cost is None else str(cost)}}}
        try:
            await self.call("PATCH", f"/api/v1/namespaces/{namespace}/pods/{pod}", body)
        except KubeRefused as error:
            if error.status != NOT_FOUND:
                raise

    async def patch_status(self, path: str, status: Manifest) -> Manifest:
        """Merge into the status of the object at ``path``."""
        return await self.call("PATCH", path + "/status", {"status": status})

    async def create(self, path: str, body: Manifest) -> Manifest:
        """Make an object in the collection at ``path``."""
        return await self.call("POST", path, body)

    async def call(self, method: str, path: str, body: Manifest | None = None, *, query: Any = ()) -> Manifest:
        """One request. Raises KubeRefused or KubeUnavailable."""
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = MERGE if method == "PATCH" else "application/json"
        owner = [("fieldManager", MANAGER)] if method in ("PATCH", "POST", "PUT") else []
        try:
            request = await self._api.param_serialize(
                method,
                path,
                header_params=headers,
                body=body,
                query_params=[*query, *owner],
                auth_settings=["BearerToken"],
            )
            answer: Any = await self._api.call_api(*request, _request_timeout=self._timeout_s)
            content = await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            metrics.KUBE_REQUESTS.labels(method.lower(), metrics.resource_in(path), "unavailable").inc()
            raise KubeUnavailable(f"{method} {path}: {type(error).__name__}: {error}") from error
        metrics.KUBE_REQUESTS.labels(method.lower(), metrics.resource_in(path), str(answer.status)).inc()
        return _checked(answer.status, content)


def scale_path(namespace: str, name: str) -> str:
    """Path of the ``scale`` of a Deployment."""
    return f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"


def autoscaler_path(namespace: str, name: str) -> str:
    """Path of a HorizontalPodAutoscaler."""
    return f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/{name}"


def _checked(status: int, content: bytes | str | None) -> Manifest:
    try:
        answer: Manifest = json.loads(content or "{}")
    except ValueError:
        answer = {"message": "the answer is not JSON"}
    if status >= 400:
        raise KubeRefused(status, str(answer.get("message", ""))[:300])
    return answer
