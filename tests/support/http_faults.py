"""A door in front of the API server that answers with errors of its own, or drops the watches, when a test says so.

The operator reaches it over plain HTTP; behind it is the real server, spoken to as the administrator.
"""

import asyncio
import json
import re
import ssl
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import web
from anyio.from_thread import BlockingPortal, start_blocking_portal
from tests.support.cluster import Cluster

LOOPBACK: Final = "127.0.0.1"
_HOP: Final = frozenset({"host", "connection", "transfer-encoding", "content-length", "content-encoding"})


@dataclass(frozen=True, slots=True)
class Rule:
    """Requests of these methods whose path and query match are answered with ``status``."""

    methods: frozenset[str]
    path: re.Pattern[str]
    status: int


class HttpFaults:
    """``refused`` counts the answers that were the door's own, by status."""

    def __init__(self, cluster: Cluster, portal: BlockingPortal) -> None:
        authority, admin = cluster.control_plane.authority, cluster.control_plane.admin
        self._tls = ssl.create_default_context(cafile=str(authority.own.certificate))
        self._tls.load_cert_chain(admin.certificate, admin.key)
        self._upstream, self._portal = cluster.url, portal
        self._rules: list[Rule] = []
        self._watches: set[asyncio.Task[object]] = set()
        self._http: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self.refused: Counter[int] = Counter()
        self.port = 0

    def kubeconfig(self, path: Path) -> Path:
        """For the one who is to come through this door."""
        cluster = {"name": "test", "cluster": {"server": f"http://{LOOPBACK}:{self.port}"}}
        context = {"name": "test", "context": {"cluster": "test", "user": "user"}}
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "test",
                    "clusters": [cluster],
                    "users": [{"name": "user", "user": {"token": "none"}}],
                    "contexts": [context],
                }
            )
        )
        return path

    @contextmanager
    def answering(self, status: int, path: str, *methods: str) -> Iterator[None]:
        """For the block, requests to paths that match ``path`` are answered so."""
        rule = Rule(frozenset(methods), re.compile(path), status)
        self._rules.append(rule)
        try:
            yield
        finally:
            self._rules.remove(rule)

    def drop_watches(self) -> None:
        """Every watch that is open ends in the middle."""
        self._portal.call(self._drop)

    async def start(self) -> None:
        self._http = aiohttp.ClientSession(auto_decompress=False, timeout=aiohttp.ClientTimeout(total=None))
        app = web.Application(client_max_size=8 << 20)
        app.router.add_route("*", "/{path:.*}", self._pass)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, LOOPBACK, 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self._drop()
        if self._runner is not None and self._http is not None:
            await self._runner.cleanup()
            await self._http.close()

    async def _drop(self) -> None:
        for task in list(self._watches):
            task.cancel()
        await asyncio.sleep(0.05)

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        for rule in self._rules:
            if request.method in rule.methods and rule.path.search(request.path_qs):
                self.refused[rule.status] += 1
                return await _refusal(rule.status, request)
        watch = "watch=" in request.query_string
        task = asyncio.current_task()
        if watch and task is not None:
            self._watches.add(task)
            task.add_done_callback(self._watches.discard)
        try:
            return await self._forward(request)
        except (aiohttp.ClientError, OSError):
            if request.transport is not None:
                request.transport.abort()  # as the server's own end would look
            return web.Response(status=502)

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        assert self._http is not None
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP | {"authorization"}}
        url = f"{self._upstream}{request.path_qs}"
        body = await request.read()
        async with self._http.request(request.method, url, data=body or None, headers=headers, ssl=self._tls) as answer:
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP - {"content-encoding"}}
            passed = web.StreamResponse(status=answer.status, headers=kept)
            await passed.prepare(request)
            async for piece in answer.content.iter_any():
                await passed.write(piece)
            with suppress(ConnectionError):
                await passed.write_eof()
            return passed


async def _refusal(status: int, request: web.Request) -> web.StreamResponse:
    reasons = {409: "Conflict", 410: "Expired", 429: "TooManyRequests"}
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": status,
        "reason": reasons.get(status, "InternalError"),
        "message": f"the test answers {status}",
    }
    if status == web.HTTPGone.status_code and "watch=" in request.query_string:
        return web.json_response({"type": "ERROR", "object": body})  # as the real one says it, with a 200
    more = {"Retry-After": "1"} if status == web.HTTPTooManyRequests.status_code else {}
    return web.json_response(body, status=status, headers=more)


@contextmanager
def http_faults(cluster: Cluster) -> Iterator[HttpFaults]:
    """An open door, for the block."""
    with start_blocking_portal() as portal:
        door = HttpFaults(cluster, portal)
        portal.call(door.start)
        try:
            yield door
        finally:
            portal.call(door.stop)
