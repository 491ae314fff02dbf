"""``make bench-api``: asking for reports under load, with and without Redis, beside Express + BullMQ.

Every POST names a session of its own, so that each commits one new row; the number of rows is checked at the end.
The api and the worker are processes of their own on engines started for the run; the limiter has its default. All
clients carry one token, as a platform's backend does, and so do the peer's.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Final

import psutil
import typer
from redis import Redis

# So that `python benchmarks/api.py` finds its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.harness import Figure, against_peer, note, report
from benchmarks.load import Load, Measured
from benchmarks.peer import Peer, express_bullmq
from benchmarks.servers import BenchError, await_port, metric, migrate, process, sql, staff_token
from tests.support.ports import free_port
from tests.support.processes import AFTERBELL, environment

from afterbell.dev.engines.engines import engines

ROOT: Final = Path(__file__).resolve().parents[1]
CLIENTS: Final = (1, 50, 100)
P99_TARGETS_MS: Final = {1: 5.0, 50: 50.0, 100: 100.0}
STATUS_P99_TARGET_MS: Final = 3.0
DEMO_TARGET_S: Final = 10.0
# More than any server here answers in a second, so that no run comes to the end of the sessions.
SESSIONS_A_SECOND: Final = 8_000
WARM_UP_S: Final = 1.0
WAITING_REPORTS: Final = 100
DRAIN_PATIENCE_S: Final = 60.0

_PEOPLE: Final = json.dumps(
    [
        {"id": "t", "role": "tutor", "display_name": "Tutor"},
        {"id": "s", "role": "student", "display_name": "Student"},
    ]
)


@dataclass(slots=True)
class Bench:
    """What is under load, and the figures so far."""

    port: int
    internal_port: int
    database_url: str
    token: str
    seconds: float
    next_session: int = 0
    sessions: int = 0
    asked: int = 0
    figures: dict[str, Figure] = field(default_factory=dict)

    def figure(self, name: str, unit: str, **more: object) -> Figure:
        """The figure of this name, made at its first use."""
        return self.figures.setdefault(name, Figure(name, unit, **more))  # type: ignore[arg-type]


def put_on(load: Load) -> Measured:
    """Run the generator as a process of its own. Raises BenchError where it failed."""
    done = subprocess.run(
        (sys.executable, "-m", "benchmarks.load"),
        input=json.dumps(asdict(load)),
        text=True,
        capture_output=True,
        cwd=ROOT,
        check=False,
        timeout=load.seconds + 30,
    )
    if done.returncode != 0:
        raise BenchError(f"the load on port {load.port} ended early:\n{done.stderr[-800:]}")
    return Measured(**json.loads(done.stdout))


def post(bench: Bench, clients: int, suffix: str) -> None:
    """One run of POSTs by ``clients``: requests a second, p50, p99."""
    _import_sessions(bench)
    load = Load(
        bench.port,
        "POST",
        "/api/reports/session/s{n}",
        bench.token,
        clients,
        bench.seconds,
        WARM_UP_S,
        bench.next_session,
    )
    measured = put_on(load)
    _only(measured, "202")
    bench.next_session = measured.next_n
    bench.asked += sum(measured.statuses.values())
    name = f"post_{clients}{suffix}"
    bench.figure(f"{name}_rps", "1/s", better="higher").runs.append(measured.rps)
    bench.figure(f"{name}_p50", "ms").runs.append(measured.p50_ms)
    bench.figure(f"{name}_p99", "ms", target=P99_TARGETS_MS[clients]).runs.append(measured.p99_ms)


def post_to_peer(bench: Bench, peer: Peer, clients: int) -> None:
    """The same load on the peer."""
    path = "/api/reports/session/s{n}"
    measured = put_on(Load(peer.port, "POST", path, peer.token, clients, bench.seconds, WARM_UP_S))
    _only(measured, "200")
    for what, value in (("rps", measured.rps), ("p50", measured.p50_ms), ("p99", measured.p99_ms)):
        bench.figures[f"post_{clients}_{what}"].peer_runs.append(value)


def status(bench: Bench, redis_url: str, rounds: int) -> None:
    """GET status of a waiting report behind others, one client; every command Redis saw meanwhile is counted."""
    _import_sessions(bench)
    load = Load(bench.port, "POST", "/api/reports/session/s{n}", bench.token, 1, 0.2, 0.2, bench.next_session)
    asked = put_on(load)
    bench.next_session, bench.asked = asked.next_n, bench.asked + sum(asked.statuses.values())
    await_outbox(bench)
    path = f"/api/reports/session/s{min(WAITING_REPORTS, asked.next_n - 1)}/status"
    for _ in range(rounds):
        before = commands_seen(redis_url)
        measured = put_on(Load(bench.port, "GET", path, bench.token, 1, bench.seconds, WARM_UP_S))
        commands = commands_seen(redis_url) - before
        _only(measured, "200")
        bench.figure("status_1_rps", "1/s", better="higher").runs.append(measured.rps)
        bench.figure("status_1_p99", "ms", target=STATUS_P99_TARGET_MS).runs.append(measured.p99_ms)
        bench.figure("status_redis_commands", "commands", target=0).runs.append(commands)


def demo(bench: Bench, folder: Path, rounds: int) -> None:
    """Wall time of ``afterbell demo --pace none``: the first time in a folder, and again in the same folder."""
    for nth in range(rounds):
        for figure in ("demo_cold", "demo_warm"):
            started = time.perf_counter()
            variables = environment({"AFTERBELL_DATA_DIR": str(folder / f"demo-{nth}")})
            done = subprocess.run(
                (*AFTERBELL, "demo", "--pace", "none", "--json"),
                env=variables,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise BenchError(f"afterbell demo ended with code {done.returncode}:\n{done.stderr[-800:]}")
            bench.figure(figure, "s", target=DEMO_TARGET_S).runs.append(time.perf_counter() - started)


def await_outbox(bench: Bench) -> None:
    """Return once Redis has every committed report, so that the next run is measured alone."""
    deadline = time.monotonic() + DRAIN_PATIENCE_S
    while metric(bench.internal_port, "afterbell_outbox_waiting") > 0:
        if time.monotonic() > deadline:
            raise BenchError(f"the outbox still holds reports {DRAIN_PATIENCE_S:.0f} s after the load")
        time.sleep(0.1)
    time.sleep(0.2)


def _import_sessions(bench: Bench) -> None:
    first, bench.sessions = bench.sessions, bench.next_session + round((bench.seconds + WARM_UP_S) * SESSIONS_A_SECOND)
    sql(
        bench.database_url,
        "INSERT INTO tenants (id) VALUES ('bench') ON CONFLICT DO NOTHING",
        "INSERT INTO sessions (tenant_id, id, subject, language, goals, participants, input_sha256) "
        f"SELECT 'bench', 's' || n, 'mathematics', 'en', '[]', '{_PEOPLE}', md5(n::text) "
        f"FROM generate_series({first}, {bench.sessions - 1}) n",
        "ANALYZE sessions",
    )


def _only(measured: Measured, expected: str) -> None:
    if set(measured.statuses) != {expected}:
        raise BenchError(f"every answer should be {expected}; counted {measured.statuses}")


def commands_seen(redis_url: str) -> int:
    """Commands Redis served since its start, without those that ask this and those that open a connection."""
    with Redis.from_url(redis_url) as redis:
        counted: dict[str, dict[str, int]] = redis.info("commandstats")
    own = ("cmdstat_info", "cmdstat_hello", "cmdstat_client|setinfo")
    return sum(command["calls"] for name, command in counted.items() if name not in own)


@contextmanager
def running_api(
    database_url: str, redis_url: str, folder: Path, **variables: str
) -> Iterator[tuple[int, int, psutil.Process]]:
    """Migrate, then run the api; its port, its internal port, its process."""
    log, urls = folder / "api.log", {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    migrate(database_url)
    port, internal_port = free_port(), free_port()
    ports = {"PORT": str(port), "AFTERBELL_INTERNAL_PORT": str(internal_port)}
    with process(*AFTERBELL, "api", log=log, **urls, **ports, **variables) as api:
        await_port(port, log)
        yield port, internal_port, api


@contextmanager
def running_worker(database_url: str, redis_url: str, folder: Path, **variables: str) -> Iterator[psutil.Process]:
    """Run the worker with the stub as its model."""
    log, stub_port, internal_port = folder / "worker.log", free_port(), free_port()
    stub = process(*AFTERBELL, "llm-stub", "--port", str(stub_port), "--pace", "quick", log=folder / "stub.log")
    variables |= {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "OPENAI_API_KEY": "stub",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{stub_port}/v1",
        "AFTERBELL_INTERNAL_PORT": str(internal_port),
    }
    with stub, process(*AFTERBELL, "worker", log=log, **variables) as worker:
        await_port(internal_port, log)
        yield worker


def measure(folder: Path, rounds: int, seconds: float, peers: Path | None, *, only_post: bool) -> list[Figure]:
    """All figures, in the order of the table."""
    # Postgres outside and Redis inside: leaving the inner block is "Redis stopped", for the same api process.
    with engines(folder / "data", redis=False) as record, ExitStack() as with_redis:
        redis_url = with_redis.enter_context(engines(folder / "data", postgres=False)).redis_url or ""
        database_url = record.database_url or ""
        with running_api(database_url, redis_url, folder) as (port, internal_port, api):
            bench = Bench(port, internal_port, database_url, staff_token(), seconds)
            if not only_post:
                note("GET status")
                status(bench, redis_url, rounds)
            with running_worker(database_url, redis_url, folder) as worker:
                _post_beside_peer(bench, folder, rounds, peers)
                bench.figure("api_rss", "MB").runs.append(api.memory_info().rss / 1e6)
                bench.figure("worker_rss", "MB").runs.append(worker.memory_info().rss / 1e6)
                with_redis.close()
                note("POST with Redis stopped")
                for _ in range(rounds):
                    for clients in CLIENTS:
                        post(bench, clients, "_no_redis")
                _every_post_made_a_row(bench)
    if not only_post:
        note("afterbell demo")
        demo(bench, folder, rounds)
    return _with_ratios(bench)


def _post_beside_peer(bench: Bench, folder: Path, rounds: int, peers: Path | None) -> None:
    with express_bullmq(peers, folder) as peer:
        for nth in range(rounds):
            note(f"POST, round {nth + 1} of {rounds}")
            for clients in CLIENTS:
                post(bench, clients, "")
                await_outbox(bench)
                if peer is not None:
                    post_to_peer(bench, peer, clients)


def _every_post_made_a_row(bench: Bench) -> None:
    rows = sql(bench.database_url, "SELECT count(*) FROM reports")
    if rows != bench.asked:
        raise BenchError(f"{bench.asked} requests were answered with 202, but there are {rows} reports")


def _with_ratios(bench: Bench) -> list[Figure]:
    ratios = [
        against_peer(bench.figures[f"post_{clients}_{what}"], target)
        for clients in CLIENTS[1:]
        for what, target in (("rps", 1.0), ("p99", 0.5))
    ]
    return [*bench.figures.values(), *(ratio for ratio in ratios if ratio is not None)]


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each figure; the median counts.")] = 3,
    seconds: Annotated[float, typer.Option(min=0.5, help="Length of a run, after a second of warm-up.")] = 5.0,
    peers: Annotated[
        Path | None, typer.Option(envvar="AFTERBELL_PEERS", help="Folder with http/express_bullmq.cjs.")
    ] = None,
    only_post: Annotated[bool, typer.Option("--only-post", help="Neither GET status nor the demo.")] = False,
) -> None:
    """Measure the API on engines of its own."""
    # Everything shares the cores with whatever else runs here, and the 99th percentile feels it first.
    note(f"{os.cpu_count()} cores, load average before the start {os.getloadavg()[0]:.2f}")
    with tempfile.TemporaryDirectory(prefix="ab-bench-") as folder:
        try:
            figures = measure(Path(folder), rounds, seconds, peers, only_post=only_post)
        except BenchError as error:
            note(f"bench-api: {error}")
            raise typer.Exit(2) from None
    raise typer.Exit(report("api", figures))


if __name__ == "__main__":
    typer.run(main)
