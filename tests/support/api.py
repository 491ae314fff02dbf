"""The real api process's servers in this process, on real stores, for tests that call them as clients do."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import httpx2
from anyio.from_thread import start_blocking_portal
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.support.engines import fresh_database

from afterbell.adapters.db.database import Database
from afterbell.adapters.queue.keys import QueueKeys
from afterbell.adapters.queue.redis_queue import Queue, QueueRules
from afterbell.adapters.redis.connections import connect
from afterbell.api.auth.bearer import mint
from afterbell.api.main import running
from afterbell.dev.engines.engines import EngineUrls
from afterbell.settings import ApiSettings, read

T = TypeVar("T")
SECRET = "a-secret-of-the-tests-that-no-log-may-show-and-long-enough-for-every-algorithm"
RULES = QueueRules(starts_max=0)
STAFF: dict[str, Any] = {"role": "staff", "subject": "boss"}
TUTOR: dict[str, Any] = {"role": "tutor", "subject": "p-tutor"}
STUDENT: dict[str, Any] = {"role": "student", "subject": "p-student"}
PARENT: dict[str, Any] = {"role": "parent", "subject": "mother", "students": ("p-student",)}


def beside_any_loop(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns, on a loop and a thread of its own: the caller may have a running loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


@dataclass(frozen=True, slots=True)
class Api:
    """A served API and the stores behind it."""

    url: str
    internal_url: str
    redis_url: str
    database_url: str
    queue: str

    def client(self, tenant: str = "school", *, token: str | None = None, **who: Any) -> httpx2.Client:
        """A client with a token for ``who`` (the staff where nobody is named); an empty token sends none."""
        bearer = token_for(tenant, **(who or STAFF)) if token is None else token
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=20)

    def async_client(self) -> httpx2.AsyncClient:
        """The same for the staff of the school, for requests side by side."""
        return httpx2.AsyncClient(
            base_url=self.url, headers={"Authorization": f"Bearer {token_for(**STAFF)}"}, timeout=20
        )

    def record(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run ``work`` in one transaction on the API's database."""
        return beside_any_loop(in_transaction(self.database_url, work))

    def jobs(self, work: Callable[[Queue], Awaitable[T]]) -> T:
        """Run ``work`` on the API's queue."""

        async def run() -> T:
            client = connect(self.redis_url)
            try:
                return await work(Queue(client, QueueKeys(self.queue), RULES))
            finally:
                await client.aclose()

        return beside_any_loop(run())


async def in_transaction(url: str, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    database = Database(url, pool_size=1)
    try:
        async with database.transaction() as connection:
            return await work(connection)
    finally:
        await database.close()


def token_for(tenant: str = "school", *, lifetime: timedelta = timedelta(hours=1), **who: Any) -> str:
    return mint(SECRET, tenant=tenant, now=datetime.now(UTC), lifetime=lifetime, **who)


@contextmanager
def api_on(redis_url: str, database_url: str, **settings: Any) -> Iterator[Api]:
    """Serve the API on these stores."""
    queue = f"t{uuid.uuid4().hex}"
    given = {"port": 0, "internal_port": 0, "jwt_secret": SECRET, "sweep_s": 3600, "queue": queue, "database_pool": 4}
    stores = {"redis_url": redis_url, "database_url": database_url}
    read_settings = read(ApiSettings, **(given | stores | settings))
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(running(read_settings)) as ports:
        host = "http://127.0.0.1"
        yield Api(f"{host}:{ports.port}", f"{host}:{ports.internal_port}", redis_url, database_url, queue)


@contextmanager
def fresh_api(engine_urls: EngineUrls, **settings: Any) -> Iterator[Api]:
    """The API on an empty database of its own."""
    with (
        fresh_database(engine_urls) as database_url,
        api_on(engine_urls.redis_url or "", database_url, **settings) as api,
    ):
        yield api


def lesson_json(**changes: Any) -> dict[str, Any]:
    """A session as a platform sends it."""
    said = [("m1", "p-tutor", "How would you compare 1/8 and 1/6?"), ("m2", "p-student", "The bigger bottom wins?")]
    session = {
        "subject": "Mathematics",
        "level": "grade 5",
        "language": "en",
        "goals": ["Compare fractions"],
        "started_at": "2026-03-03T16:00:00Z",
        "ended_at": "2026-03-03T16:45:00Z",
        "participants": [
            {"id": "p-tutor", "role": "tutor", "display_name": "Okan"},
            {"id": "p-student", "role": "student", "display_name": "Mina"},
        ],
        "messages": [{"id": i, "sender": who, "text": text, "at": "2026-03-03T16:01:00Z"} for i, who, text in said],
    }
    return session | changes


def imported(client: httpx2.Client, session_id: str = "", **changes: Any) -> str:
    """Import a lesson and return its id, a new one where none is given."""
    session_id = session_id or f"s-{uuid.uuid4().hex}"
    answer = client.put(f"/api/sessions/{session_id}", json=lesson_json(**changes))
    assert answer.status_code == 200, answer.text
    return session_id
