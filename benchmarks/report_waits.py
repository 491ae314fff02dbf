"""How right the time is that a waiting client is told: 100 reports wait on real parts, each answer against its end."""

import asyncio
import statistics
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx2
from benchmarks.api import running_api, running_worker
from benchmarks.servers import BenchError, staff_token
from sqlalchemy import text

from afterbell.adapters.db.database import Database
from afterbell.dev.engines.engines import engines

MADE_BEFORE, WAITING = 20, 100
# Past the age a measured pace may have.
SETTLE_S: Final = 6.0
PATIENCE_S: Final = 300.0
TURNS: Final = 8
LIMITS: Final[dict[str, dict[str, str]]] = {
    "slots": {"AFTERBELL_STARTS_PER_WINDOW": "0"},
    "limiter": {"AFTERBELL_STARTS_PER_WINDOW": "6", "AFTERBELL_STARTS_WINDOW_SECONDS": "5"},
}


def waiting_error(folder: Path, limit: str) -> float:
    """Median of |told - true| / true over the reports that wait, held back by "slots" or by the "limiter"."""
    folder.mkdir()
    variables = LIMITS[limit]
    with ExitStack() as stack:
        site = stack.enter_context(engines(folder / "data"))
        database_url, redis_url = site.database_url or "", site.redis_url or ""
        port, _, _ = stack.enter_context(running_api(database_url, redis_url, folder, **variables))
        stack.enter_context(running_worker(database_url, redis_url, folder, **variables))
        return asyncio.run(_error(port, database_url))


async def _error(port: int, database_url: str) -> float:
    token = staff_token()
    database = Database(database_url, pool_size=1)
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as http:
            await _ask(http, "before", MADE_BEFORE)
            await _made(database, MADE_BEFORE)
            await _ask(http, "waiting", WAITING)
            await asyncio.sleep(SETTLE_S)
            estimates = await _estimates(http)
            await _made(database, MADE_BEFORE + WAITING)
        return await _median_error(database, estimates)
    finally:
        await database.close()


async def _ask(http: httpx2.AsyncClient, name: str, count: int) -> None:
    for number in range(count):
        session = _session(f"{name}-{number}")
        (await http.put(f"/api/sessions/{session['id']}", json=session)).raise_for_status()
    for number in range(count):
        (await http.post(f"/api/reports/session/{name}-{number}")).raise_for_status()


async def _estimates(http: httpx2.AsyncClient) -> dict[str, tuple[datetime, float]]:
    """When each report that still waits was asked about, and the seconds told."""
    estimates = {}
    for number in range(WAITING):
        at = datetime.now(UTC)
        status = (await http.get(f"/api/reports/session/waiting-{number}/status")).json()
        if status["status"] == "waiting":
            estimates[f"waiting-{number}"] = (at, float(status["eta_seconds"]))
    return estimates


async def _made(database: Database, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        async with database.statement() as connection:
            if await connection.scalar(text("SELECT count(*) FROM reports WHERE status = 'succeeded'")) >= count:
                return
        await asyncio.sleep(0.5)
    raise BenchError(f"not {count} reports after {PATIENCE_S:.0f} s")


async def _median_error(database: Database, estimates: dict[str, tuple[datetime, float]]) -> float:
    async with database.statement() as connection:
        rows = (await connection.execute(text("SELECT session_id, finished_at FROM reports"))).all()
    errors: list[float] = []
    for session_id, finished_at in rows:
        if session_id in estimates:
            at, eta_s = estimates[session_id]
            true_s = (finished_at - at).total_seconds()
            errors.append(abs(eta_s - true_s) / true_s)
    return statistics.median(errors)


def _session(session_id: str) -> dict[str, Any]:
    people = [{"id": person, "role": role, "display_name": role} for person, role in (("t", "tutor"), ("s", "student"))]
    said = ("How would you start with 1/2 plus 1/4?", "I make the pieces the same size first, so 1/2 is 2/4.")
    turns = [{"id": f"m{n}", "sender": "ts"[n % 2], "text": f"{said[n % 2]} ({n})"} for n in range(TURNS)]
    return {"id": session_id, "subject": "mathematics", "participants": people, "messages": turns}
