"""Api processes that a test starts, and people who talk on them."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from tests.faults.servers import TcpValkey
from tests.support.api import SECRET, STUDENT, TUTOR, imported, token_for
from tests.support.ports import free_port
from tests.support.processes import AFTERBELL, Process
from tests.support.sockets import Client
from tests.support.waiting import until


class ApiProcess(Process):
    """``afterbell api`` as a process, without limits that a test would meet."""

    def __init__(self, redis_url: str, database_url: str, queue: str, **more: str) -> None:
        self.port, self.internal_port = free_port(), free_port()
        self.url, self.internal_url = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.internal_port}"
        variables = {
            "REDIS_URL": redis_url,
            "DATABASE_URL": database_url,
            "AFTERBELL_QUEUE": queue,
            "AFTERBELL_JWT_SECRET": SECRET,
            "PORT": str(self.port),
            "AFTERBELL_INTERNAL_PORT": str(self.internal_port),
            "AFTERBELL_EVENTS_PER_SECOND": "5000",
            "AFTERBELL_EVENTS_BURST": "5000",
            "AFTERBELL_SOCKETS_PER_USER": "1000",
            "AFTERBELL_LOG_LEVEL": "warning",
        }
        super().__init__(*AFTERBELL, "api", variables={**variables, **more})

    def facts(self) -> dict[str, Any]:
        """What /readyz says; empty while nothing answers."""
        try:
            return dict(httpx2.get(self.internal_url + "/readyz", timeout=2).json())
        except httpx2.HTTPError:
            return {}

    def metric(self, name: str) -> float:
        lines = httpx2.get(self.internal_url + "/metrics", timeout=5).text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def started(valkey: TcpValkey, database_url: str, count: int = 2, **more: str) -> list[ApiProcess]:
    queue = f"t{uuid.uuid4().hex}"
    made = [ApiProcess(valkey.url, database_url, queue, **more) for _ in range(count)]
    for pod in made:
        until(lambda pod=pod: bool(pod.facts().get("ready")), "an api process to be ready")
    return made


def lesson(pod: ApiProcess) -> str:
    client = httpx2.Client(
        base_url=pod.url, headers={"Authorization": f"Bearer {token_for(role='staff', subject='b')}"}
    )
    with client:
        return imported(client, messages=[])


@asynccontextmanager
async def in_lesson(session: str, *pods: ApiProcess) -> AsyncIterator[list[Client]]:
    """Tutor and student by turns, one on each pod given, all in the lesson."""
    made = [Client(pod.url, token_for(**(TUTOR, STUDENT)[n % 2])) for n, pod in enumerate(pods)]
    try:
        for client in made:
            await client.connect()
            await client.join(session)
        yield made
    finally:
        await asyncio.gather(*(client.close() for client in made), return_exceptions=True)


class Chatter:
    """Sends ``rate`` messages a second; how long each acknowledgement took is in ``took_s``."""

    def __init__(self, speakers: list[Client], rate: float = 20) -> None:
        self._speakers, self._rate = speakers, rate
        self.took_s: list[float] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._talking = asyncio.create_task(self._talk())

    async def _talk(self) -> None:
        while True:
            self._tasks.append(asyncio.create_task(self._say(self._speakers[len(self._tasks) % len(self._speakers)])))
            await asyncio.sleep(1 / self._rate)

    async def _say(self, speaker: Client) -> None:
        began = time.monotonic()
        assert (await speaker.say(f"message {len(self._tasks)}"))["ok"]
        self.took_s.append(time.monotonic() - began)

    async def stop(self) -> int:
        self._talking.cancel()
        await asyncio.gather(*self._tasks)
        return len(self._tasks)

    @property
    def p99_s(self) -> float:
        return sorted(self.took_s)[int(len(self.took_s) * 0.99) - 1]


async def all_show(clients: list[Client], count: int, within_s: float = 15) -> None:
    """Everybody has every message, in one order, without gaps, without two under one number."""
    for client in clients:
        await client.until(lambda client=client: client.last >= count, within_s)
    for client in clients:
        assert sorted(client.shown) == list(range(1, count + 1))
        assert [client.shown[n]["id"] for n in client.shown] == [clients[0].shown[n]["id"] for n in client.shown]
        assert len({message["id"] for message in client.shown.values()}) == count
