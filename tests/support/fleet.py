"""Several api processes, a worker and the stub model on one Valkey and one PostgreSQL, each a process of its own."""

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from tests.support.ports import free_port
from tests.support.processes import AFTERBELL, Process
from tests.support.waiting import until


@dataclass(frozen=True, slots=True)
class Fleet:
    """The api processes: their public URLs, and those of their internal ports."""

    urls: tuple[str, ...]
    internal_urls: tuple[str, ...]
    worker_url: str = ""
    stub_url: str = ""
    queue: str = ""


@contextmanager
def fleet(
    redis_url: str, database_url: str, logs: Path, *, apis: int = 2, pace: str = "quick", **settings: str
) -> Iterator[Fleet]:
    """Run it for the block, on a database that has its tables; ``logs`` keeps what each process wrote.

    ``settings`` are variables of all processes.
    """
    common = {
        "REDIS_URL": redis_url,
        "DATABASE_URL": database_url,
        "AFTERBELL_QUEUE": f"t{uuid.uuid4().hex}",
        "AFTERBELL_STARTS_PER_WINDOW": "0",
        "AFTERBELL_DATABASE_POOL": "4",
        "OPENAI_API_KEY": "test",
    } | settings
    with ExitStack() as stack:

        def start(name: str, *words: str, **variables: str) -> None:
            process = Process(*AFTERBELL, *words, log=logs / f"{name}.log", variables={**common, **variables})
            stack.callback(process.stop)

        stub_port, worker_port, *ports = [free_port() for _ in range(2 * apis + 2)]
        common["OPENAI_BASE_URL"] = f"http://127.0.0.1:{stub_port}/v1"
        start("stub", "llm-stub", "--port", str(stub_port), "--pace", pace)
        start("worker", "worker", AFTERBELL_INTERNAL_PORT=str(worker_port))
        for number in range(apis):
            internal_port = str(ports[apis + number])
            start(f"api-{number + 1}", "api", PORT=str(ports[number]), AFTERBELL_INTERNAL_PORT=internal_port)
        worker_url, stub_url = _urls([worker_port, stub_port])
        fleet = Fleet(_urls(ports[:apis]), _urls(ports[apis:]), worker_url, stub_url, common["AFTERBELL_QUEUE"])
        for url in fleet.urls:
            until(lambda url=url: _serves(url), lambda: _last_words(logs))
        yield fleet


def _urls(ports: list[int]) -> tuple[str, ...]:
    return tuple(f"http://127.0.0.1:{port}" for port in ports)


def _serves(url: str) -> bool:
    try:
        httpx2.get(f"{url}/openapi.json", timeout=5)
    except httpx2.TransportError:
        return False
    return True


def _last_words(logs: Path) -> str:
    return "\n".join(f"{log.name}: {log.read_text('utf-8', 'replace')[-2000:]}" for log in sorted(logs.glob("*.log")))
