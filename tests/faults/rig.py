"""The platform on servers a test may break: real api, stub and workers, the last ones always as processes."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psutil
from tests.faults.ledger import Allowed, Ledger, read_ledger
from tests.faults.links import Link
from tests.faults.servers import TcpPostgres, TcpValkey
from tests.support.platform import SLOW, Platform, a_session, a_token, platform

from afterbell.adapters.db import reports
from afterbell.adapters.db.engine import Database
from afterbell.adapters.redis.client import connect
from afterbell.adapters.redis.keys import QueueKeys
from afterbell.adapters.redis.queue import Queue, QueueRules
from afterbell.core.errors import StoreUnavailable

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ  # noqa: TID251 - the processes under test inherit it
LEASE_S = 2.0
QUICK_SWEEP = {"sweep_s": 0.5, "unput_s": 1.0, "reput_s": 1.5, "silent_s": 4.0}
SETTLE_PATIENCE_S = 60.0


class Process:
    """An api or a worker of the product, with the faults of ``tests.faults.process``."""

    def __init__(self, role: str, environment: dict[str, str]) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        paths = [str(ROOT / "services"), str(ROOT), *filter(None, sys.path)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.process", role], stderr=self._log, stdout=self._log, cwd=ROOT,
            env={**ENVIRONMENT, "PYTHONPATH": os.pathsep.join(paths), **environment},
        )  # fmt: skip

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def stopped(self) -> bool:
        return psutil.Process(self.process.pid).status() == psutil.STATUS_STOPPED

    def connections_to(self, port: int) -> int:
        found = psutil.Process(self.process.pid).net_connections("tcp")
        return sum(1 for one in found if one.raddr and one.raddr.port == port and one.status == "ESTABLISHED")

    async def ended(self, within_s: float = 20) -> int:
        """Its exit code; minus the signal's number where it was killed."""
        await until(lambda: not self.running, within_s, self.said)
        return self.process.returncode

    async def kill(self) -> None:
        if self.running:
            self.process.kill()
            await self.ended()

    async def close(self) -> None:
        await self.kill()
        self._log.close()

    def said(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")


async def until(
    condition: Callable[[], bool | Awaitable[bool]], within_s: float, explain: Callable[[], str] = str
) -> None:
    """Wait for a condition; a failure tells what ``explain`` says."""
    try:
        async with asyncio.timeout(within_s):
            while True:
                answer = condition()
                if await answer if isinstance(answer, Awaitable) else answer:
                    return
                await asyncio.sleep(0.03)
    except TimeoutError:
        raise AssertionError(f"not within {within_s:g} s: {condition.__qualname__}\n{explain()[-6000:]}") from None


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
    _broken_at: float | None = None
    _whole_at: float | None = None

    async def worker(self, **more: str) -> Process:
        return await self._started("worker", more)

    async def api(self, **more: str) -> Process:
        return await self._started("api", {"PORT": "0", **more})

    async def _started(self, role: str, more: dict[str, str]) -> Process:
        process = Process(role, {**self.environment, **more})
        self.processes.append(process)
        await until(lambda: f"{role}_up" in process.said() or not process.running, 60, process.said)
        assert process.running, process.said()
        return process

    async def heir(self, **more: str) -> Process:
        """A worker that is up and takes nothing before ``let_in``: so that recovery is not the start of a process."""
        await self.queue.steer("drain", "heir")
        return await self.worker(AFTERBELL_WORKER_NAME="heir", **more)

    async def let_in(self) -> None:
        await self.queue.steer("undrain", "heir")

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
        async with asyncio.timeout(20):
            while True:
                try:
                    return await Platform(self.up.http, self.up.stub, self.database, {}).rows(statement)
                except StoreUnavailable:
                    await asyncio.sleep(0.1)

    async def writing(self, count: int = 1) -> None:
        """Until so many reports are being written by the model."""

        async def enough() -> bool:
            found = await self.rows("SELECT count(*) AS n FROM reports WHERE status = 'running' AND progress >= 15")
            return bool(found[0]["n"] >= count)

        await until(enough, 20, self.said)

    async def statuses(self) -> dict[str, int]:
        found = await self.rows("SELECT status, count(*) AS n FROM reports GROUP BY status")
        return {row["status"]: row["n"] for row in found}

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
            facts = await self.queue.look()
            return not (facts.waiting or facts.active or facts.due)

        await until(quiet, within_s, self.said)
        self._whole_at = asyncio.get_running_loop().time()

    async def ledger(self, allowed: Allowed) -> Ledger:
        """What became of every job, checked."""
        recovered_s = None
        if self._broken_at is not None and self._whole_at is not None:
            recovered_s = self._whole_at - self._broken_at
        requests = await self.up.model_requests()
        return await read_ledger(self.rows, self.valkey, self.queue.keys, self.enqueued, requests, allowed, recovered_s)

    def said(self) -> str:
        return "\n".join(f"--- process {one.process.pid}\n{one.said()[-2500:]}" for one in self.processes)


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
        found = Rig(valkey, postgres, up, database, Queue(client, QueueKeys(up.settings["queue"]), rules), wires,
                    _environment(up.settings), stack)  # fmt: skip
        try:
            yield found
        finally:
            for process in found.processes:
                await process.close()


def _environment(settings: dict[str, Any]) -> dict[str, str]:
    return {
        "REDIS_URL": settings["redis_url"],
        "DATABASE_URL": settings["database_url"],
        "OPENAI_API_KEY": "test",
        "OPENAI_BASE_URL": settings["base_url"],
        "AFTERBELL_QUEUE": settings["queue"],
        "AFTERBELL_STARTS_PER_WINDOW": str(settings["starts_max"]),
        "AFTERBELL_STARTS_WINDOW_SECONDS": str(settings.get("window_s", 60)),
        "AFTERBELL_LEASE_SECONDS": str(settings["lease_s"]),
        "AFTERBELL_DELIVERIES_MAX": str(settings.get("deliveries_max", 3)),
        "AFTERBELL_RETRY_LADDER": "0.3,0.6,1.2",
        "AFTERBELL_WHEN_MODEL_FAILS": "fail",
        "AFTERBELL_INTERNAL_PORT": "0",
        "AFTERBELL_SAFETY_TICK_SECONDS": "3",
        "AFTERBELL_LOG_FORMAT": "text",
        "AFTERBELL_SWEEP_SECONDS": str(settings["sweep_s"]),
        "AFTERBELL_SWEEP_UNPUT_SECONDS": str(settings["unput_s"]),
        "AFTERBELL_SWEEP_REPUT_SECONDS": str(settings["reput_s"]),
        "AFTERBELL_SWEEP_SILENT_SECONDS": str(settings["silent_s"]),
    }
