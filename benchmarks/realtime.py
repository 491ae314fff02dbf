"""``make bench-realtime``: two api processes, a thousand sockets; Socket.IO on Node with the Redis adapter beside it.

Both are driven by the same load, one after the other. Node stores nothing; our ``chat:send`` commits to PostgreSQL.
The small rooms carry ``chat:typing``, which neither stores: that is the bus between processes alone.
"""

import asyncio
import random
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx2
import psutil
import typer

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.harness import Figure, against_peer, note, report
from benchmarks.realtime_sockets import Socket
from benchmarks.servers import SERVICES, await_port, metric, migrate, pod_python, process, valkey_on_tcp
from tests.support.ports import free_port

from afterbell.api.auth.bearer import mint
from afterbell.dev.engines.engines import engines

SECRET: Final = "a-secret-of-the-benchmark-of-at-least-32-bytes"
CACHE: Final = Path("~/.cache/afterbell-bench/sockets").expanduser()
PACKAGES: Final = ("socket.io@4.8.4", "@socket.io/redis-adapter@8.3.0", "redis@5")
SOCKETS: Final = 1_000
SMALL: Final = 4
TEXT: Final = "x" * 100
LOST_S: Final = 60.0  # what a delivery that never came counts as
# Deliveries that are late are waited for until none came for so long.
SILENCE_S: Final = 3.0
# A socket's ping task sleeps through this interval of python-engineio's, also when its socket has gone meanwhile.
PING_EVERY_S: Final = 25


@dataclass(frozen=True, slots=True)
class System:
    """Two processes under load, and a function that makes a session for them."""

    ports: tuple[int, int]
    processes: tuple[psutil.Process, psutil.Process]
    token: str
    redis: int
    internal_ports: tuple[int, ...] = ()

    def cpu_s(self) -> float:
        """CPU seconds both have used."""
        return sum(process.cpu_times().user + process.cpu_times().system for process in self.processes)

    def rss(self) -> int:
        """Bytes both hold."""
        return sum(process.memory_info().rss for process in self.processes)


@contextmanager
def ours(folder: Path, database_url: str, python: str) -> Iterator[System]:
    """Two ``afterbell api`` processes on one Valkey, run by ``python``."""
    with ExitStack() as stack:
        redis = stack.enter_context(valkey_on_tcp(folder))
        ports, processes, internal = [], [], [free_port(), free_port()]
        for number, name in enumerate("ab"):
            ports.append(free_port())
            log = folder / f"api-{name}.log"
            variables = {
                "REDIS_URL": f"redis://127.0.0.1:{redis}/0",
                "DATABASE_URL": database_url,
                "PORT": str(ports[-1]),
                "AFTERBELL_INTERNAL_PORT": str(internal[number]),
                "AFTERBELL_JWT_SECRET": SECRET,
                "AFTERBELL_EVENTS_PER_SECOND": "100000",
                "AFTERBELL_EVENTS_BURST": "100000",
                "AFTERBELL_SOCKETS_PER_USER": "100000",
                "AFTERBELL_SOCKETS_MAX": "10000",
                "AFTERBELL_LOG_LEVEL": "warning",
                "PYTHONPATH": SERVICES,
            }
            processes.append(stack.enter_context(process(python, "-m", "afterbell", "api", log=log, **variables)))
            await_port(ports[-1], log)
        yield System((ports[0], ports[1]), (processes[0], processes[1]), _token(), redis, tuple(internal))


@contextmanager
def node(folder: Path) -> Iterator[System | None]:
    """Two Node processes with the Redis adapter; None, and a note why, where they cannot run."""
    packages = _packages()
    if packages is None:
        yield None
        return
    with ExitStack() as stack:
        (folder / "node").mkdir()
        redis = stack.enter_context(valkey_on_tcp(folder / "node"))
        ports, processes = [], []
        for name in ("a", "b"):
            ports.append(free_port())
            log = folder / f"node-{name}.log"
            variables = {
                "REDIS_URL": f"redis://127.0.0.1:{redis}",
                "PORT": str(ports[-1]),
                "NODE_PATH": str(packages),
                "NODE_ENV": "production",
            }
            program = str(Path(__file__).with_name("realtime_peer.cjs"))
            processes.append(stack.enter_context(process("node", program, log=log, **variables)))
            await_port(ports[-1], log)
        yield System((ports[0], ports[1]), (processes[0], processes[1]), "", redis)


def _packages() -> Path | None:
    if shutil.which("node") is None or shutil.which("npm") is None:
        note("no peer: it needs node and npm on the PATH; no ratio is printed")
        return None
    if not (CACHE / "node_modules" / "redis").exists():
        note(f"installing the peer's packages into {CACHE}")
        CACHE.mkdir(parents=True, exist_ok=True)
        command = ("npm", "install", "--prefix", str(CACHE), "--no-audit", "--no-fund", "--silent", *PACKAGES)
        if subprocess.run(command, check=False).returncode != 0:
            note("no peer: npm install did not work; no ratio is printed")
            return None
    return CACHE / "node_modules"


def _token() -> str:
    return mint(
        SECRET, subject="p-tutor", tenant="bench", role="staff", now=datetime.now(UTC), lifetime=timedelta(hours=2)
    )


async def lessons(system: System, count: int) -> list[str]:
    """New sessions; Node needs none."""
    names = [f"s-{uuid.uuid4().hex}" for _ in range(count)]
    if system.token:
        body = {
            "subject": "bench",
            "messages": [],
            "participants": [{"id": "p-tutor", "role": "tutor", "display_name": "T"}],
        }
        headers = {"Authorization": f"Bearer {system.token}"}
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{system.ports[0]}", headers=headers) as client:
            for name in names:
                (await client.put(f"/api/sessions/{name}", json=body)).raise_for_status()
    return names


async def opened(system: System, rooms: list[str], heard: Any, pods: int = 2) -> list[Socket]:
    """One socket a room named, by turns on the first ``pods`` processes, each in its room."""
    made: list[Socket] = []
    for first in range(0, len(rooms), 50):
        some = rooms[first : first + 50]
        new = await asyncio.gather(
            *(Socket.open(system.ports[(first + n) % pods], system.token, heard) for n in range(len(some)))
        )
        joins = (socket.ask("session:join", {"session": room}) for socket, room in zip(new, some, strict=True))
        await asyncio.gather(*joins)
        made += new
    return made


@dataclass(slots=True)
class Measured:
    """One run of one system."""

    kb_per_socket: float
    base_mb: float
    fanout_us: float
    small_p99_ms: float
    small_us: float
    connections: float
    small_lost: float
    ack_p99_ms: float
    idle_us: float
    churn_left: float


async def measure(system: System, seconds: float) -> Measured:
    """Memory, fan-out, small rooms, acknowledgements, in this order."""
    await closed(await opened(system, (await lessons(system, 1)) * 100, _ignore))  # what is loaded late is base
    base, tasks, delivered = system.rss(), await resting_tasks(system), 0

    def count(_socket: Socket, body: bytes) -> None:
        nonlocal delivered
        delivered += b"chat:message" in body

    (room,) = await lessons(system, 1)
    everybody = await opened(system, [room] * SOCKETS, count)
    kilobytes = (system.rss() - base) / SOCKETS / 1000
    cpu_s, delivered = system.cpu_s(), 0
    for number in range(int(20 * seconds)):
        everybody[0].emit("chat:send", {"session": room, "id": f"m{number}", "text": TEXT})
        await asyncio.sleep(0.05)
    await asyncio.sleep(1)
    fanout_us = (system.cpu_s() - cpu_s) / max(delivered, 1) * 1e6
    note(f"  fan-out: {delivered:,} deliveries, {fanout_us:.1f} µs each")
    await closed(everybody)
    small = await small_rooms(system, seconds)
    return Measured(
        kilobytes,
        base / 2e6,
        fanout_us,
        *small,
        await acks(system, seconds),
        await idle_pod(system, seconds),
        await churned(system, tasks),
    )


async def small_rooms(
    system: System, seconds: float, rate: int = 3_000, count: int = 250
) -> tuple[float, float, float, float]:
    """(p99 ms from sending to hearing, CPU µs a delivery, Redis connections a process, deliveries that never came)."""
    names = await lessons(system, count)
    sent: dict[bytes, list[float]] = defaultdict(list)
    heard: dict[Socket, int] = defaultdict(int)
    took: list[float] = []
    members: dict[Socket, bytes] = {}

    def typed(socket: Socket, body: bytes) -> None:
        if b"chat:typing" in body:
            took.append(time.perf_counter() - sent[members[socket]][heard[socket]])
            heard[socket] += 1

    everybody = await opened(system, [name for name in names for _ in range(SMALL)], typed)
    members.update({socket: names[n // SMALL].encode() for n, socket in enumerate(everybody)})
    speakers = everybody[::SMALL]
    cpu_s, began = system.cpu_s(), time.perf_counter()
    for number in range(int(rate * seconds)):
        speaker = speakers[number % count]
        sent[members[speaker]].append(time.perf_counter())
        speaker.emit("chat:typing", {"session": members[speaker].decode(), "typing": True}, "0")
        if number % 30 == 0:
            await asyncio.sleep(max(began + number / rate - time.perf_counter(), 0))
    wanted, last_s = int(rate * seconds) * (SMALL - 1), time.perf_counter() - began
    await _until_silent(took, wanted)
    used_us = (system.cpu_s() - cpu_s) / max(len(took), 1) * 1e6
    dropped = [metric(port, "afterbell_realtime_bus_dropped_total") for port in system.internal_ports]
    note(
        f"  small rooms: sent in {last_s:.1f} s, {len(took):,} of {wanted:,} deliveries, {used_us:.0f} µs each, "
        f"{sum(dropped):,.0f} left out by the bus"
    )
    connections = await redis_connections(system.redis)
    await closed(everybody)
    lost = [LOST_S] * (wanted - len(took))
    return p99_ms(took + lost), used_us, connections / 2, float(len(lost))


async def _until_silent(took: list[float], wanted: int) -> None:
    """Return once all have come, or none came for a while."""
    before = -1
    while before < len(took) < wanted:
        before = len(took)
        await asyncio.sleep(SILENCE_S)


async def acks(system: System, seconds: float, writers: int = 50) -> float:
    """p99 in ms of chat:send → acknowledgement, each writer sending its next when the last is acknowledged."""
    names = await lessons(system, writers)
    everybody = await opened(system, names, _ignore)
    took: list[float] = []
    until = time.perf_counter() + seconds

    async def write(socket: Socket, room: str) -> None:
        number = 0
        await asyncio.sleep(random.uniform(0, 0.2))  # people do not type in step
        while time.perf_counter() < until:
            began, number = time.perf_counter(), number + 1
            await socket.ask("chat:send", {"session": room, "id": f"m{number}", "text": TEXT})
            took.append(time.perf_counter() - began)
            await asyncio.sleep(random.uniform(0.1, 0.3))  # quick typists: 250 messages a second from all of them

    await asyncio.gather(*(write(socket, name) for socket, name in zip(everybody, names, strict=True)))
    await closed(everybody)
    return p99_ms(took)


async def idle_pod(system: System, seconds: float, rate: int = 1_000) -> float:
    """CPU µs that a process without members spends on each message of the other one's rooms."""
    await asyncio.sleep(2)  # shards that nobody needs any more are left
    names = [name for name in await lessons(system, 25) for _ in range(SMALL)]
    everybody = await opened(system, names, _ignore, 1)
    resting_s = await _cpu_of_second(system, seconds)
    task = asyncio.create_task(_cpu_of_second(system, seconds))
    began = time.perf_counter()
    for number in range(int(rate * seconds)):
        index = number % len(everybody)
        everybody[index].emit("chat:typing", {"session": names[index], "typing": True}, "0")
        if number % 10 == 0:
            await asyncio.sleep(max(began + number / rate - time.perf_counter(), 0))
    busy_s = await task
    await closed(everybody)
    return max(busy_s - resting_s, 0) / (rate * seconds) * 1e6


async def _cpu_of_second(system: System, seconds: float) -> float:
    def used() -> float:
        times = system.processes[1].cpu_times()
        return float(times.user + times.system)

    before = used()
    await asyncio.sleep(seconds)
    return used() - before


async def resting_tasks(system: System) -> float:
    """Tasks of the first process when its first sockets have come and gone; 0 for the peer, which cannot be asked."""
    if not system.internal_ports:
        return 0.0
    await asyncio.sleep(PING_EVERY_S + 2)
    return metric(system.internal_ports[0], "afterbell_realtime_tasks")


async def churned(system: System, before: float, sockets: int = 5_000) -> float:
    """Sockets, rooms and tasks left when so many have come and gone, beyond the tasks that rested ``before``."""
    if not system.internal_ports:
        return 0.0
    names = await lessons(system, 50)
    for _ in range(sockets // 250):
        await closed(await opened(system, names * 5, _ignore, 1))
    left: list[float] = []
    for _ in range(PING_EVERY_S):  # an absence of five seconds is forgiven, too
        await asyncio.sleep(2)
        left = [
            metric(system.internal_ports[0], f"afterbell_realtime_{name}") for name in ("sockets", "rooms", "tasks")
        ]
        if left[2] <= before:
            break
    note(f"  churn: {left[0]:.0f} sockets, {left[1]:.0f} rooms, {left[2]:.0f} tasks ({before:.0f} before) are left")
    return left[0] + left[1] + max(left[2] - before, 0)


def _ignore(*_: object) -> None:
    """An event nobody counts."""


def p99_ms(took: list[float]) -> float:
    """The 99th percentile in milliseconds; the rest of the picture for people."""
    ordered = sorted(took)
    half, most, slowest = (ordered[int(len(ordered) * share) - 1] * 1000 for share in (0.5, 0.99, 1))
    note(f"  p50 {half:.1f} ms, p99 {most:.1f} ms, max {slowest:.1f} ms")
    return most


async def closed(everybody: list[Socket]) -> None:
    """End the sockets and let the servers notice."""
    for socket in everybody:
        socket.transport.abort()
    await asyncio.sleep(1)


async def redis_connections(port: int) -> int:
    """Clients of this Redis, the one that asks not counted."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"INFO clients\r\n")
    text = (await reader.read(4096)).decode()
    writer.close()
    return int(text.partition("connected_clients:")[2].split()[0]) - 1


def figures(own: list[Measured], peer: list[Measured]) -> list[Figure]:
    """What is reported."""

    def figure(name: str, unit: str, target: float | None, field: str) -> Figure:
        runs, others = ([getattr(measured, field) for measured in some] for some in (own, peer))
        return Figure(name, unit, "lower", target, runs, others)

    fanout = figure("fanout_1000_cpu_per_delivery", "µs", None, "fanout_us")
    reported = [
        figure("memory_per_socket", "KB", 45, "kb_per_socket"),
        figure("memory_base", "MB", 110, "base_mb"),
        fanout,
        figure("rooms_of_4_at_3000_p99", "ms", 100, "small_p99_ms"),
        figure("rooms_of_4_lost", "deliveries", 0, "small_lost"),
        figure("rooms_of_4_cpu_per_delivery", "µs", None, "small_us"),
        figure("redis_connections_per_process", "connections", 4, "connections"),
        figure("send_to_ack_p99_50_writers", "ms", 20, "ack_p99_ms"),
        figure("idle_pod_cpu_per_foreign_message", "µs", 5, "idle_us"),
        figure("left_after_5000_sockets", "things", 0, "churn_left"),
    ]
    ratio = against_peer(fanout, 2.0)
    return reported if ratio is None else [*reported, ratio]


def main(runs: int = 3, seconds: float = 10, python: str = sys.executable) -> None:
    """Measure; one JSON object a figure on standard output, a table on standard error.

    The processes run as in a pod: with the pinned packages of the api's image, on PYTHON, which is 3.13 there.
    """
    own: list[Measured] = []
    peer: list[Measured] = []
    with tempfile.TemporaryDirectory(prefix="afterbell-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        urls = stack.enter_context(engines(folder / "engines", redis=False, postgres=True))
        migrate(urls.database_url or "")
        program = pod_python("api", python)
        for number in range(1, runs + 1):
            note(f"run {number} of {runs}")
            (here := folder / str(number)).mkdir()
            with ours(here, urls.database_url or "", program) as system:
                own.append(asyncio.run(measure(system, seconds)))
            with node(here) as peer_system:
                if peer_system is not None:
                    peer.append(asyncio.run(measure(peer_system, seconds)))
    raise typer.Exit(report("realtime", figures(own, peer)))


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
