"""The platform for flow tests: the real api, worker and stub, in this process or as processes of their own."""

import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
from pydantic import SecretStr
from sqlalchemy import text
from tests.support.processes import AFTERBELL, Process, variables_of
from tests.support.waiting import eventually

from afterbell.adapters.db.database import Database
from afterbell.adapters.db.migrate import upgrade
from afterbell.api import main as api
from afterbell.api.auth.bearer import mint
from afterbell.dev.stub import app as stub_app
from afterbell.dev.stub.settings import StubSettings
from afterbell.serving import bind, port_of
from afterbell.settings import DEVELOPMENT_SECRET, ApiSettings, WorkerSettings, read
from afterbell.worker import main as worker

UNPACED = StubSettings()
# About a second and a half a report: long enough to interrupt it.
SLOW = StubSettings(ttft_ms=200, tokens_per_s=800)


def a_session(session_id: str = "lesson-1", turns: int = 8) -> dict[str, Any]:
    """A believable little session."""
    said = [
        ("tutor", "Today we add fractions. How would you start with 1/2 plus 1/4?"),
        ("student", "I would add the tops and the bottoms, so it is 2/6, because that is how it looks."),
        ("tutor", "Not quite. What does the bottom number of a fraction tell us?"),
        ("student", "It tells the size of the pieces. Oh, so the pieces must have the same size first!"),
        ("tutor", "Exactly, well done. Can you make them the same size?"),
        ("student", "1/2 is 2/4, and 2/4 plus 1/4 makes 3/4, that is less than one."),
        ("tutor", "Yes, that is right. For next time, please do questions 3 to 6."),
        ("student", "Thank you! Why do we never add the bottoms?"),
    ]
    return {
        "id": session_id,
        "subject": "mathematics",
        "goals": ["Add fractions with different denominators"],
        "participants": [
            {"id": "tutor", "role": "tutor", "display_name": "Okan"},
            {"id": "student", "role": "student", "display_name": "Mina"},
        ],
        "messages": [
            {"id": f"m{number}", "sender": sender, "text": text}
            for number, (sender, text) in enumerate(said[:turns], start=1)
        ],
    }


def a_token(role: str = "staff", subject: str = "staff-1", tenant: str = "school", **more: Any) -> str:
    return mint(
        DEVELOPMENT_SECRET,
        subject=subject,
        tenant=tenant,
        role=role,
        now=datetime.now(UTC),
        lifetime=timedelta(hours=1),
        **more,
    )


@dataclass
class Platform:
    """What a test talks to."""

    http: httpx2.AsyncClient
    stub: httpx2.AsyncClient
    database: Database
    settings: dict[str, Any]

    async def import_session(self, session: dict[str, Any]) -> None:
        answer = await self.http.put(f"/api/sessions/{session['id']}", json=session)
        assert answer.status_code == 200, answer.text

    async def request(self, session_id: str) -> dict[str, Any]:
        answer = await self.http.post(f"/api/reports/session/{session_id}")
        assert answer.status_code in (200, 202), answer.text
        return answer.json()

    async def status(self, session_id: str) -> dict[str, Any]:
        return (await self.http.get(f"/api/reports/session/{session_id}/status")).json()

    async def report(self, session_id: str) -> dict[str, Any]:
        answer = await self.http.get(f"/api/reports/session/{session_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()["report"]

    async def until(self, session_id: str, *states: str, within_s: float = 60) -> list[dict[str, Any]]:
        """Every status seen until one of ``states``."""
        statuses: list[dict[str, Any]] = []

        async def ended() -> bool:
            statuses.append(await self.status(session_id))
            return statuses[-1]["status"] in states

        await eventually(ended, lambda: f"{session_id} to be {' or '.join(states)}: {statuses[-1:]}", within_s=within_s)
        return statuses

    async def writing(self, session_id: str) -> None:
        """Until the model writes the report."""

        async def begun() -> bool:
            return bool((await self.status(session_id))["progress"] >= 20)

        await eventually(begun)

    async def faults(self, *faults: str) -> None:
        (await self.stub.post("/_stub/faults", json={"faults": list(faults)})).raise_for_status()

    async def model_requests(self) -> list[dict[str, Any]]:
        return (await self.stub.get("/_stub/log")).json()["requests"]

    async def rows(self, statement: str) -> list[dict[str, Any]]:
        async with self.database.statement() as connection:
            return [dict(row) for row in (await connection.execute(text(statement))).mappings()]


@asynccontextmanager
async def platform(
    redis_url: str, database_url: str, *, stub: StubSettings = UNPACED, workers: int = 1, **settings: Any
) -> AsyncIterator[Platform]:
    """Api, stub and ``workers`` workers in this process; no limiter and short back-offs unless told otherwise."""
    given: dict[str, Any] = {
        "redis_url": redis_url,
        "database_url": database_url,
        "queue": f"t{uuid.uuid4().hex}",
        "starts_max": 0,
        "lease_s": 1,
        "retry_backoff_s": (0.1, 0.2, 0.3),
        "internal_port": 0,
        # What fails is to be seen; tests of the basic report in its place say so.
        "when_model_fails": "fail",
    } | settings
    async with AsyncExitStack() as stack:
        database = Database(database_url, pool_size=3)
        stack.push_async_callback(database.close)
        await upgrade(database)
        listening = bind("127.0.0.1", 0, variable="stub")
        await stack.enter_async_context(stub_app.serving(stub, listening))
        stub_url = f"http://127.0.0.1:{port_of(listening)}"
        ports = await stack.enter_async_context(api.running(read(ApiSettings, port=0, **_known(ApiSettings, given))))
        given |= {"api_key": SecretStr("test"), "base_url": f"{stub_url}/v1"}
        for _ in range(workers):
            settings_of_worker = read(WorkerSettings, **_known(WorkerSettings, given))
            await stack.enter_async_context(worker.running(settings_of_worker))
        http = httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{ports.port}", headers={"Authorization": f"Bearer {a_token()}"}, timeout=10
        )
        stub_http = httpx2.AsyncClient(base_url=stub_url)
        stack.push_async_callback(http.aclose)
        stack.push_async_callback(stub_http.aclose)
        yield Platform(http, stub_http, database, given)


def _known(group: Any, given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name in group.model_fields}


@asynccontextmanager
async def worker_process(settings: dict[str, Any], **more: str) -> AsyncIterator[Process]:
    """``afterbell worker`` as a process, with the settings of a platform and ``more`` variables."""
    process = Process(*AFTERBELL, "worker", variables={**variables_of(settings), **more})
    try:
        yield process
    finally:
        process.end()
