"""The platform on servers a test may break: real api, stub and workers, the last ones always as processes."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
from tests.faults.ledger import Allowed, Ledger, read_ledger
from tests.faults.links import Link
from tests.faults.servers import TcpPostgres, TcpValkey
from tests.support.platform import SLOW, Platform, a_session, a_token, platform
from tests.support.processes import Process, variables_of
from tests.support.waiting import eventually

from afterbell.adapters.db.database import Database
from afterbell.adapters.db.reports import rows as reports
from afterbell.adapters.queue.keys import QueueKeys
from afterbell.adapters.queue.redis_queue import Queue, QueueRules
from afterbell.adapters.redis.connections import connect
from afterbell.core.errors import StoreUnavailable

LEASE_S = 2.0
RETRIES_S = (0.3, 0.6, 1.2)
BREAKABLE = (sys.executable, "-m", "tests.faults.process")
QUICK_SWEEP = {"sweep_s": 0.5, "pending_s": 1.0, "waiting_s": 1.5, "silent_s": 4.0}
SETTLE_PATIENCE_S = 60.0


@dataclass
class Rig:
    """What a fault case works with. ``database`` and ``queue`` go past the wires, straight to the servers."""

    valkey: TcpValkey
    postgres: TcpPostgres
    up: Platform
    database: Database
    queue: Queue
    wires: dict[str, Link]
    environment: dict[str, str]
    stack: AsyncExitStack
    enqueued: list[str] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    allowed: Allowed = field(default_factory=Allowed)
    _broken_at: float | None = None
    _whole_at: float | None = None

    async def worker(self, **more: str) -> Process:
        return await self._started("worker", more)

    async def api(self, **more: str) -> Process:
        return await self._started("api", {"PORT": "0", **more})

    async def _started(self, role: str, more: dict[str, str]) -> Process:
        process = Process(*BREAKABLE, role, variables={**self.environment, **more})
        self.processes.append(process)
        await eventually(lambda: f"{role}_up" in process.said() or not process.running, process.said)
        assert process.running, process.said()
        return process

    async def heir(self, **more: str) -> Process:
        """A worker that is up and takes nothing before ``let_in``: so that recovery is not the start of a process."""
        await self.queue.drain("heir")
        return await self.worker(AFTERBELL_WORKER_NAME="heir", **more)

    async def let_in(self) -> None:
        await self.queue.undrain("heir")

    async def enqueue(self, count: int = 1, *, tenant: str = "school", name: str = "lesson") -> list[str]:
        """Ask for ``count`` reports of new sessions; every one was answered 202."""
        headers = {"Authorization": f"Bearer {a_token(tenant=tenant)}"}
        made = []
        for number in range(count):
            session = a_session(f"{name}-{len(self.enqueued) + number}")
            stored = await self.up.http.put(f"/api/sessions/{session['id']}", json=session, headers=headers)
            assert stored.status_code == 200, stored.text
            asked = await self.up.http.post(f"/api/reports/session/{session['id']}", headers=headers)
            assert asked.status_code == 202, asked.text
            made.append(asked.json()["jobId"])
        self.enqueued += made
        return made

    async def import_only(self, session_id: str) -> None:
        await self.up.import_session(a_session(session_id))

    async def ask(self, api: Process, session_id: str) -> int | None:
        """POST to an api process; None where the connection ends without an answer."""
        port = api.said().rpartition(" port=")[2].split()[0]
        headers = {"Authorization": f"Bearer {a_token()}"}
        async with httpx2.AsyncClient(headers=headers, timeout=10) as http:
            try:
                answer = await http.post(f"http://127.0.0.1:{port}/api/reports/session/{session_id}")
            except httpx2.TransportError:
                return None
        return answer.status_code

    async def rows(self, statement: str) -> list[dict[str, Any]]:
        """Straight from PostgreSQL, also a moment after it was restarted."""
        async with asyncio.timeout(60):
            while True:
                try:
                    return await Platform(self.up.http, self.up.stub, self.database, {}).rows(statement)
                except StoreUnavailable:
                    await asyncio.sleep(0.1)

    async def writing(self, count: int = 1) -> None:
        """Until so many reports are being written by the model."""

        async def enough() -> bool:
            writing = await self.rows("SELECT count(*) AS n FROM reports WHERE status = 'running' AND progress >= 15")
            return bool(writing[0]["n"] >= count)

        await eventually(enough, self.said)

    async def statuses(self) -> dict[str, int]:
        counted = await self.rows("SELECT status, count(*) AS n FROM reports GROUP BY status")
        return {row["status"]: row["n"] for row in counted}

    async def status_by_job(self) -> dict[str, str]:
        return {
            row["job"]: row["status"] for row in await self.rows("SELECT 'report-' || id AS job, status FROM reports")
        }

    def broken(self) -> None:
        """The fault has happened, and is over: recovery is counted from here."""
        self._broken_at = asyncio.get_running_loop().time()

    async def settled(self, within_s: float = SETTLE_PATIENCE_S) -> None:
        """Until no report is unfinished and nothing waits, runs or is due in Redis."""

        async def quiet() -> bool:
            if set(await self.statuses()) & set(reports.UNFINISHED):
                return False
            facts = await self.queue.stats()
            return not (facts.waiting or facts.active or facts.due)

        await eventually(quiet, self.said, within_s=within_s)
        self._whole_at = asyncio.get_running_loop().time()

    async def ledger(self) -> Ledger:
        """What became of every job, checked."""
        recovered_s = None
        if self._broken_at is not None and self._whole_at is not None:
            recovered_s = self._whole_at - self._broken_at
        requests = await self.up.model_requests()
        return await read_ledger(
            self.rows, self.valkey, self.queue.keys, self.enqueued, requests, self.allowed, recovered_s
        )

    def said(self) -> str:
        return "\n".join(f"--- process {process.pid}\n{process.said()[-2500:]}" for process in self.processes)


@asynccontextmanager
async def rig(
    valkey: TcpValkey, postgres: TcpPostgres, database_name: str, wires: dict[str, Link], **settings: Any
) -> AsyncIterator[Rig]:
    """Api and stub in this process, on the wires where there are some; workers are started by the test."""
    async with AsyncExitStack() as stack:
        for name, address in (("redis", valkey.address), ("postgres", postgres.address)):
            if name in wires:
                await wires[name].lay(address)
                stack.push_async_callback(wires[name].remove)
        redis_url = f"redis://{wires['redis'].address}/0" if "redis" in wires else valkey.url
        address = wires["postgres"].address if "postgres" in wires else None
        given: dict[str, Any] = {"stub": SLOW, "lease_s": LEASE_S, **QUICK_SWEEP, **settings}
        up = await stack.enter_async_context(
            platform(redis_url, postgres.url_of(database_name, address), workers=0, **given)
        )
        database = Database(postgres.url_of(database_name), pool_size=2)
        stack.push_async_callback(database.close)
        client = connect(valkey.url)
        stack.push_async_callback(client.aclose)
        rules = QueueRules(up.settings["lease_s"], up.settings["starts_max"], up.settings.get("window_s", 60))
        started = Rig(
            valkey,
            postgres,
            up,
            database,
            Queue(client, QueueKeys(up.settings["queue"]), rules),
            wires,
            _environment(up.settings),
            stack,
        )
        try:
            yield started
        finally:
            for process in started.processes:
                process.end()


def _environment(settings: dict[str, Any]) -> dict[str, str]:
    return variables_of(settings | {"retry_backoff_s": RETRIES_S}) | {
        "AFTERBELL_SAFETY_TICK_SECONDS": "3",
        "AFTERBELL_LOG_FORMAT": "text",
    }
