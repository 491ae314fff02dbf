"""Api processes that a test starts, and people who talk on them."""

import asyncio
import os
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from tests.faults.servers import TcpValkey, free_port
from tests.support.api import SECRET, STUDENT, TUTOR, imported, token_for
from tests.support.sockets import Client

ENVIRONMENT = os.environ  # noqa: TID251 - the tests' own processes inherit it


class ApiProcess:
    """``afterbell api`` as a process."""

    def __init__(self, redis_url: str, database_url: str, queue: str, **more: str) -> None:
        self.port, self.internal_port = free_port(), free_port()
        self.url, self.internal_url = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.internal_port}"
        environment = {
            **ENVIRONMENT,
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
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            **more,
        }
        self.process = subprocess.Popen([sys.executable, "-m", "afterbell", "api"], env=environment,
                                        stderr=subprocess.DEVNULL)  # fmt: skip

    def facts(self) -> dict[str, Any]:
        """What /readyz says; empty while nothing answers."""
        try:
            return dict(httpx2.get(self.internal_url + "/readyz", timeout=2).json())
        except httpx2.HTTPError:
            return {}

    def metric(self, name: str) -> float:
        lines = httpx2.get(self.internal_url + "/metrics", timeout=5).text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def started(valkey: TcpValkey, database: str, count: int = 2, **more: str) -> list[ApiProcess]:
    queue = f"t{uuid.uuid4().hex}"
    made = [ApiProcess(valkey.url, database, queue, **more) for _ in range(count)]
    for one in made:
        until(lambda one=one: bool(one.facts().get("ready")), 60)
    return made


def until(holds: Callable[[], bool], seconds: float = 30) -> float:
    began = time.monotonic()
    while not holds():
        assert time.monotonic() < began + seconds, f"did not happen within {seconds:g} s"
        time.sleep(0.05)
    return time.monotonic() - began


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
        for one in made:
            await one.connect()
            await one.join(session)
        yield made
    finally:
        await asyncio.gather(*(one.close() for one in made), return_exceptions=True)


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
    for one in clients:
        await one.until(lambda one=one: one.last >= count, within_s)
    for one in clients:
        assert sorted(one.shown) == list(range(1, count + 1))
        assert [one.shown[n]["id"] for n in one.shown] == [clients[0].shown[n]["id"] for n in one.shown]
        assert len({message["id"] for message in one.shown.values()}) == count
