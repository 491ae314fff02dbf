"""What a kubelet asks of the API server, over HTTP with a client certificate."""

import base64
import json
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2

Manifest = dict[str, Any]
WATCH_S = 300
REQUEST_S = 10.0
_MERGE = {"Content-Type": "application/strategic-merge-patch+json"}


class Gone(Exception):
    """The object is not there any more, or another of the same name took its place."""


def now() -> str:
    """As Kubernetes writes a time."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def client(kubeconfig: Path) -> httpx2.AsyncClient:
    """For the one cluster and user of a kubeconfig in JSON with certificates in files."""
    config = json.loads(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(cafile=cluster["certificate-authority"])
    context.load_cert_chain(user["client-certificate"], user["client-key"])
    limits = httpx2.Limits(max_connections=32)
    return httpx2.AsyncClient(
        base_url=cluster["server"], verify=context, timeout=REQUEST_S, limits=limits, trust_env=False
    )


class NodeApi:
    """The API server as one node sees it. Each method raises httpx2.HTTPError where it is away or refuses."""

    def __init__(self, http: httpx2.AsyncClient, node: str) -> None:
        self._http, self._node = http, node

    async def register(self, manifest: Manifest) -> None:
        """Create the node, or bring the status of the one that is there up to date."""
        made = await self._http.post("/api/v1/nodes", json=manifest)
        if made.status_code != httpx2.codes.CONFLICT:
            made.raise_for_status()
        await self._patch(f"/api/v1/nodes/{self._node}/status", {"status": manifest["status"]})

    async def renew_lease(self) -> None:
        """Say that the node is alive."""
        path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        renewed = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"holderIdentity": self._node, "leaseDurationSeconds": 40, "renewTime": renewed}
        answer = await self._http.patch(f"{path}/{self._node}", json={"spec": spec}, headers=_MERGE)
        if answer.status_code == httpx2.codes.NOT_FOUND:
            answer = await self._http.post(path, json={"metadata": {"name": self._node}, "spec": spec})
        answer.raise_for_status()

    async def pods(self) -> tuple[list[Manifest], str]:
        """The pods bound to this node, and the version to watch from."""
        answer = await self._http.get("/api/v1/pods", params=self._mine)
        listed = answer.raise_for_status().json()
        return listed["items"], listed["metadata"]["resourceVersion"]

    async def changes(self, version: str) -> AsyncIterator[tuple[str, Manifest]]:
        """(ADDED | MODIFIED | DELETED, pod) as they happen, until the server ends the watch."""
        asked = {**self._mine, "watch": "1", "resourceVersion": version, "timeoutSeconds": str(WATCH_S)}
        patience = httpx2.Timeout(REQUEST_S, read=WATCH_S + REQUEST_S)
        async with self._http.stream("GET", "/api/v1/pods", params=asked, timeout=patience) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                yield event["type"], event["object"]

    async def write_status(self, pod: Manifest, status: Manifest) -> None:
        """Raises Gone as well."""
        meta = pod["metadata"]
        await self._patch(f"{_path(meta)}/status", {"metadata": {"uid": meta["uid"]}, "status": status})

    async def forget(self, pod: Manifest) -> None:
        """Delete a pod whose processes have ended; nothing to do where it is gone."""
        meta = pod["metadata"]
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": meta["uid"]}}
        answer = await self._http.request("DELETE", _path(meta), json=body)
        if answer.status_code not in (httpx2.codes.NOT_FOUND, httpx2.codes.CONFLICT):
            answer.raise_for_status()

    async def data(self, kind: str, namespace: str, name: str) -> dict[str, str] | None:
        """The text values of a Secret ("secrets") or ConfigMap ("configmaps"); None where there is none."""
        answer = await self._http.get(f"/api/v1/namespaces/{namespace}/{kind}/{name}")
        if answer.status_code == httpx2.codes.NOT_FOUND:
            return None
        values: dict[str, str] = answer.raise_for_status().json().get("data") or {}
        if kind == "secrets":
            return {key: base64.b64decode(value).decode() for key, value in values.items()}
        return values

    async def say(self, pod: Manifest, reason: str, message: str, *, warning: bool) -> None:
        """An Event about a pod."""
        meta, at = pod["metadata"], now()
        about = {"apiVersion": "v1", "kind": "Pod"} | {key: meta[key] for key in ("name", "namespace", "uid")}
        event = {
            "metadata": {"generateName": f"{meta['name']}."},
            "involvedObject": about,
            "reason": reason,
            "message": message[:1000],
            "type": "Warning" if warning else "Normal",
            "count": 1,
            "firstTimestamp": at,
            "lastTimestamp": at,
            "source": {"component": "kubelet", "host": self._node},
        }
        (await self._http.post(f"/api/v1/namespaces/{meta['namespace']}/events", json=event)).raise_for_status()

    @property
    def _mine(self) -> dict[str, str]:
        return {"fieldSelector": f"spec.nodeName={self._node}"}

    async def _patch(self, path: str, body: Manifest) -> None:
        answer = await self._http.patch(path, json=body, headers=_MERGE)
        if answer.status_code in (httpx2.codes.NOT_FOUND, httpx2.codes.CONFLICT):
            raise Gone(path)
        answer.raise_for_status()


def _path(meta: Manifest) -> str:
    return f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
