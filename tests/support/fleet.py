"""Several api processes, a worker and the stub model on one Valkey and one PostgreSQL, each a process of its own."""

import os
import re
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2
from tests.support.command import PROGRAM

STARTED_WITHIN_S: Final = 60
ENVIRONMENT: Final = os.environ  # noqa: TID251 - the tests' own processes inherit it


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
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "REDIS_URL": redis_url,
        "DATABASE_URL": database_url,
        "AFTERBELL_QUEUE": f"t{uuid.uuid4().hex}",
        "AFTERBELL_STARTS_PER_WINDOW": "0",
        "AFTERBELL_DATABASE_POOL": "4",
        "OPENAI_API_KEY": "test",
    } | settings
    with ExitStack() as stack:
        stub_port, worker_port, *ports = [free_port() for _ in range(2 * apis + 2)]
        common["OPENAI_BASE_URL"] = f"http://127.0.0.1:{stub_port}/v1"
        _start(stack, logs / "stub.log", ["llm-stub", "--port", str(stub_port), "--pace", pace], common)
        _start(stack, logs / "worker.log", ["worker"], common | {"AFTERBELL_INTERNAL_PORT": str(worker_port)})
        for number in range(apis):
            here = {"PORT": str(ports[number]), "AFTERBELL_INTERNAL_PORT": str(ports[apis + number])}
            _start(stack, logs / f"api-{number + 1}.log", ["api"], common | here)
        worker_url, stub_url = _urls([worker_port, stub_port])
        found = Fleet(_urls(ports[:apis]), _urls(ports[apis:]), worker_url, stub_url, common["AFTERBELL_QUEUE"])
        for url in found.urls:
            _wait_for(url, logs)
        yield found


def _start(stack: ExitStack, log: Path, arguments: list[str], environment: dict[str, str]) -> None:
    into = stack.enter_context(log.open("wb"))
    process = subprocess.Popen([*PROGRAM, *arguments], env={**ENVIRONMENT, **environment}, stdout=into, stderr=into)
    stack.callback(process.wait, 20)
    stack.callback(process.terminate)


def _urls(ports: list[int]) -> tuple[str, ...]:
    return tuple(f"http://127.0.0.1:{port}" for port in ports)


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        port: int = listening.getsockname()[1]
        return port


def _wait_for(url: str, logs: Path) -> None:
    deadline = time.monotonic() + STARTED_WITHIN_S
    while True:
        try:
            httpx2.get(f"{url}/openapi.json", timeout=5)
            return
        except httpx2.TransportError:
            said = "\n".join(_last_lines(path) for path in sorted(logs.glob("*.log")))
            assert time.monotonic() < deadline, f"{url} did not start:\n{said}"
            time.sleep(0.05)


def _last_lines(log: Path) -> str:
    return f"{log.name}: " + re.sub(r"\x1b\[[0-9;]*m", "", log.read_text("utf-8", "replace"))[-2000:]
