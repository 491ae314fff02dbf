"""One queue under measurement: a Valkey of its own, worker processes, a client, and what the server saw."""

import asyncio
import json
import socket
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import psutil
from benchmarks.queue_worker import TASK, Spec, compress
from benchmarks.servers import BenchError, process, valkey_on_tcp
from redis import Redis
from tests.support.waiting import eventually

from afterbell.adapters.queue.keys import QueueKeys
from afterbell.adapters.queue.message import report_message
from afterbell.adapters.queue.redis_queue import NewJob, Queue
from afterbell.adapters.redis.connections import connect

ROOT: Final = Path(__file__).resolve().parents[1]
# What clients send; scripts call none of these. Of the watcher INFO is left out, its two or three handshakes are not.
SENT_BY_CLIENTS: Final = ("evalsha", "script", "subscribe", "unsubscribe", "hello", "auth", "select", "client", "ping")


@dataclass(slots=True)
class Site:
    """A queue name on a server, with the files its workers write. ``spec`` is what every worker of it gets."""

    spec: Spec
    folder: Path
    stack: ExitStack
    workers: list[psutil.Process] = field(default_factory=list)

    def start(self, count: int = 1, **changes: Any) -> psutil.Process:
        """Start workers; the last one's process."""
        for _ in range(count):
            name = f"w{len(self.workers)}"
            counts = str(self.folder / f"{name}.counts")
            spec = replace(self.spec, name=name, counts=counts, **changes)
            command = (sys.executable, "-m", "benchmarks.queue_worker", json.dumps(asdict(spec)))
            log = self.folder / f"{name}.log"
            self.workers.append(self.stack.enter_context(process(*command, log=log, PYTHONPATH=_import_path())))
        return self.workers[-1]

    def counts(self) -> dict[str, int]:
        """Commands all ended workers sent, by purpose."""
        totals: dict[str, int] = {}
        for file in self.folder.glob("*.counts"):
            for purpose, number in json.loads(file.read_text()).items():
                totals[purpose] = totals.get(purpose, 0) + number
        return totals

    @property
    def done(self) -> int:
        """Jobs that ended."""
        return Path(self.spec.done).stat().st_size

    def starts(self) -> dict[str, list[float]]:
        """Seconds on the machine's monotonic clock at which each job was started."""
        by_job: dict[str, list[float]] = {}
        for line in Path(self.spec.starts).read_text().splitlines():
            job_id, at = line.split()
            by_job.setdefault(job_id, []).append(int(at) / 1e9)
        return by_job


@contextmanager
def site(folder: Path, port: int, **spec: Any) -> Iterator[Site]:
    """A fresh queue on the server at ``port``; its workers end with the block."""
    name = f"q{uuid.uuid4().hex[:12]}"
    home = folder / name
    home.mkdir()
    done, starts = home / "done", home / "starts"
    done.touch()
    starts.touch()
    with ExitStack() as stack:
        url = f"redis://127.0.0.1:{port}/0"
        yield Site(Spec(url, name, "", str(done), str(starts), **spec), home, stack)


@contextmanager
def server(folder: Path, name: str) -> Iterator[int]:
    """The port of a Valkey of its own."""
    home = folder / name
    home.mkdir()
    with valkey_on_tcp(home) as port:
        yield port


@asynccontextmanager
async def client_of(fleet: Site) -> AsyncIterator[Queue]:
    """A client of the queue, with the options every process of ours uses."""
    client = connect(fleet.spec.url)
    queue = Queue(client, QueueKeys(fleet.spec.queue), fleet.spec.rules)
    compress(queue, fleet.spec.compression)
    try:
        yield queue
    finally:
        await client.aclose()


def job(number: int | str, tenant: str = "") -> NewJob:
    """A job as the api enqueues it."""
    job_id = f"report-{number:0>36}"
    return NewJob(job_id, report_message(TASK, job_id), tenant=tenant)


async def fill(queue: Queue, count: int, batch: int, tenants: int = 1, first: int = 0) -> None:
    """Enqueue ``count`` jobs, ``batch`` at a time."""
    for start in range(first, first + count, batch):
        numbers = range(start, min(start + batch, first + count))
        await queue.enqueue([job(number, f"t{number % tenants}") for number in numbers])


async def moment_of(
    holds: Callable[[], bool | Awaitable[bool]], what: str, patience_s: float = 60.0, poll_s: float = 0.002
) -> float:
    """The moment (``perf_counter``) at which ``holds``. Raises BenchError after ``patience_s``."""
    try:
        await eventually(holds, what, within_s=patience_s, poll_s=poll_s)
    except TimeoutError as error:
        raise BenchError(str(error)) from None
    return time.perf_counter()


async def all_idle(queue: Queue, workers: int) -> None:
    """Return once so many workers wait to be woken."""

    async def are_up() -> bool:
        return (await queue.stats()).idle_workers >= workers

    await moment_of(are_up, f"{workers} workers to be up", 30, 0.05)


def sent_by_clients(port: int) -> int:
    """Commands clients have sent to the server since its start, those inside scripts left out."""
    with Redis(port=port) as redis:
        counted: dict[str, dict[str, int]] = redis.info("commandstats")
    names = {name.removeprefix("cmdstat_"): command["calls"] for name, command in counted.items()}
    return sum(calls for name, calls in names.items() if name.split("|")[0] in SENT_BY_CLIENTS)


class Monitor(threading.Thread):
    """Counts, by MONITOR, what clients send from now on, handshakes left out: the server does not show all of one."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.sendall(b"MONITOR\r\n")
        self._lines = self._socket.makefile("rb")
        self._lines.readline()
        self.counted = 0
        self.start()

    def run(self) -> None:
        """Read until the connection is closed."""
        for line in self._lines:
            self.counted += b" lua]" not in line[:64] and b'"HELLO"' not in line[:96]

    async def settled(self) -> int:
        """What was seen, once it stands still."""
        before = -1
        while before != self.counted:
            before = self.counted
            await asyncio.sleep(0.3)
        return before

    def close(self) -> None:
        """Stop counting."""
        self._socket.shutdown(socket.SHUT_RDWR)


def _import_path() -> str:
    return f"{ROOT}:{ROOT / 'services'}"
