"""``make bench-queue``: what the queue costs and how fast it is, beside other queues where they are installed.

The method is the peers' own (``yardstick.py``): a Valkey without persistence on loopback, workers as processes of
their own, no-op jobs that append one byte to a file, a backlog that is drained. Everything runs on the same engine.

Not named queue.py: Python puts a script's folder in front of the standard library, which has a ``queue``.
"""

import asyncio
import math
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import uvloop
from redis import Redis

# So that `python benchmarks/queues.py` finds its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import queue_day, queue_waits
from benchmarks.harness import Figure, note, report
from benchmarks.queue_peers import SYSTEMS, Yardstick, yardstick
from benchmarks.queue_site import Monitor, Site, all_idle, client_of, fill, job, moment_of, server, site
from benchmarks.queue_worker import counted
from benchmarks.servers import BenchError

from afterbell.adapters.queue.redis_queue import Ended, Grant, Queue
from afterbell.core.queue.outcomes import Done

# What the api's outbox hands over in one put while reports come fast.
BATCH: Final = 100
SLOTS: Final = (50, 5)
FLEET: Final = 5
FEW: Final = 1_000
MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Size:
    """How long a run takes."""

    rounds: int
    jobs: int
    starts: int
    spaced: int
    many: int
    verbs: int
    idle_s: float
    short_windows: int


FULL: Final = Size(
    rounds=3, jobs=10_000, starts=1_000, spaced=200, many=1_000_000, verbs=500, idle_s=65, short_windows=6
)
QUICK: Final = Size(rounds=1, jobs=3_000, starts=200, spaced=50, many=100_000, verbs=100, idle_s=10, short_windows=2)


@dataclass(slots=True)
class Bench:
    """The engine, and the figures so far."""

    port: int
    folder: Path
    size: Size
    figures: dict[str, Figure] = field(default_factory=dict)

    def add(self, value: float, name: str, unit: str, **more: Any) -> None:
        """One more run of the figure of this name."""
        self.figures.setdefault(name, Figure(name, unit, **more)).runs.append(value)


async def enqueues(bench: Bench) -> float:
    """Jobs enqueued a second by one client, one by one and in batches."""
    with site(bench.folder, bench.port) as fleet:
        async with client_of(fleet) as queue:
            await queue.enqueue([])
            count = bench.size.jobs // 2
            alone = count / await _seconds(fill(queue, count, 1))
            together = bench.size.jobs / await _seconds(fill(queue, bench.size.jobs, BATCH, first=count))
    bench.add(alone, "put_one_by_one", "1/s", better="higher")
    bench.add(together, f"put_by_{BATCH}", "jobs/s", better="higher")
    return alone


async def drain(bench: Bench, slots: int) -> float:
    """No-op jobs a second of one worker process on a backlog, from its first job to its last."""
    jobs = bench.size.jobs
    with site(bench.folder, bench.port, slots=slots) as fleet:
        async with client_of(fleet) as queue:
            await fill(queue, jobs, BATCH)
            fleet.start(starts="")
            began = await moment_of(lambda: fleet.done > 0, "the first job", poll_s=0.001)
            done_before = fleet.done
            ended = await moment_of(lambda: fleet.done >= jobs, "the backlog's end", patience_s=120)
            rate = (jobs - done_before) / (ended - began)
            await _nothing_left(queue)
    bench.add(rate, f"noop_{slots}_slots", "jobs/s", better="higher")
    return rate


async def enqueue_to_start(bench: Bench) -> None:
    """From before the enqueue to the task's first line, in another process that waits to be woken."""
    enqueued_at: dict[str, float] = {}
    with site(bench.folder, bench.port) as fleet:
        async with client_of(fleet) as queue:
            fleet.start()
            await all_idle(queue, 1)
            for number in range(bench.size.starts):
                added = job(number)
                enqueued_at[added.job_id] = time.monotonic_ns() / 1e9
                await queue.enqueue([added])
                await asyncio.sleep(0.01)
            await moment_of(lambda: fleet.done >= bench.size.starts, "the jobs enqueued one at a time")
        starts = fleet.starts()
    waits_ms = sorted((starts[job_id][0] - at) * 1000 for job_id, at in enqueued_at.items())
    bench.add(_rank(waits_ms, 0.50), "put_to_start_p50", "ms", target=1.0)
    bench.add(_rank(waits_ms, 0.99), "put_to_start_p99", "ms", target=5.0)


async def commands_a_job(folder: Path, size: Size) -> dict[str, float]:
    """Commands that clients send for one job: into an idle fleet, one every 100 ms, and from a backlog.

    Seen by MONITOR. Over the whole run it must see as many as the clients count, the handshakes it is not shown left
    out. Raises BenchError.
    """
    per_job: dict[str, float] = {}
    for name, jobs in (("idle_fleet", size.spaced), ("backlog", FEW)):
        with server(folder, name) as port:
            monitor, ours = Monitor(port), _shown(counted())
            with site(folder, port, job_s=0.02) as fleet:
                async with client_of(fleet) as queue:
                    spaced = name == "idle_fleet"
                    per_job[name] = (
                        await (_into_idle_fleet if spaced else _from_backlog)(fleet, queue, monitor, jobs) / jobs
                    )
            sent = _shown(counted()) - ours + _shown(fleet.counts())
            monitored = await monitor.settled()
            monitor.close()
            if monitored != sent:
                raise BenchError(f"{name}: clients counted {sent} commands, the server saw {monitored}")
    return per_job


def _shown(counts: Mapping[str, int]) -> int:
    return sum(number for purpose, number in counts.items() if purpose != "connect")


async def _into_idle_fleet(fleet: Site, queue: Queue, monitor: Monitor, jobs: int) -> int:
    fleet.start(FLEET)
    await all_idle(queue, FLEET)
    before = await monitor.settled()
    for number in range(jobs):
        await queue.enqueue([job(number)])
        await asyncio.sleep(0.1)
    await moment_of(lambda: fleet.done >= jobs, "the spaced jobs")
    return await monitor.settled() - before


async def _from_backlog(fleet: Site, queue: Queue, monitor: Monitor, jobs: int) -> int:
    before = await monitor.settled()
    await fill(queue, jobs, 1)
    fleet.start(FLEET)
    await moment_of(lambda: fleet.done >= jobs, "the backlog")
    # What a worker sends when it comes up, its connections and its subscription, is part of it.
    return await monitor.settled() - before


async def scale(bench: Bench) -> None:
    """Server time of each verb with many jobs waiting beside the same with few, in turns; memory of one job."""
    size = bench.size
    with server(bench.folder, "scale") as port, site(bench.folder, port) as small, site(bench.folder, port) as large:
        async with client_of(small) as few, client_of(large) as many:
            with Redis(port=port) as redis:
                await fill(few, FEW, BATCH, tenants=100)
                before = redis.info("memory")["used_memory"]
                await fill(many, size.many, BATCH * 5, tenants=100)
                memory = (redis.info("memory")["used_memory"] - before) / size.many
                bench.add(memory, "bytes_a_waiting_job", "bytes", target=1024)
                for nth in range(3):
                    base = await _verb_times(few, redis, size.verbs, f"few{nth}")
                    times = await _verb_times(many, redis, size.verbs, f"many{nth}")
                    _add_verbs(bench, base, times)


def _add_verbs(bench: Bench, base: Mapping[str, float], times: Mapping[str, float]) -> None:
    for verb, us in times.items():
        bench.add(us, f"{verb}_at_{bench.size.many}", "us")
        bench.add(us / base[verb], f"{verb}_{bench.size.many}_to_{FEW}", "ratio", target=1.5)


async def _verb_times(queue: Queue, redis: "Redis", count: int, mark: str) -> dict[str, float]:
    """Microseconds of server time of each verb; the queue is as long afterwards."""
    grants: list[Grant] = []

    async def put(nth: int) -> None:
        await queue.enqueue([job(f"{mark}-{nth}", f"t{nth % 100}")])

    async def take(nth: int) -> None:  # noqa: ARG001
        grants.extend((await queue.poll("w", 1)).grants)

    async def settle(nth: int) -> None:
        await queue.poll("w", 0, [], [Ended(grants[nth], Done())])

    async def look(nth: int) -> None:  # noqa: ARG001
        await queue.stats()

    return {verb.__name__: await _server_us(verb, redis, count) for verb in (put, take, settle, look)}


async def _server_us(verb: Callable[[int], Coroutine[Any, Any, None]], redis: "Redis", count: int) -> float:
    before = redis.info("commandstats")["cmdstat_evalsha"]
    for nth in range(count):
        await verb(nth)
    after = redis.info("commandstats")["cmdstat_evalsha"]
    return float(after["usec"] - before["usec"]) / float(after["calls"] - before["calls"])


def patient(bench: Bench, *, day: int, long_limiter: bool) -> None:
    """Everything that mostly waits, side by side: each in a thread, so that none delays another's clock."""
    size, folder = bench.size, bench.folder
    runs: dict[str, Coroutine[Any, Any, Any]] = {
        "idle": queue_waits.idle_fleet(folder, size.idle_s),
        "limiter_5s": queue_waits.limiter(folder, bench.port, 5.0, size.short_windows),
    }
    for nth in range(size.rounds):
        runs[f"recovery{nth}"] = queue_waits.recovery(folder, bench.port, 1.0 + 1.3 * nth)
    if long_limiter:
        runs["limiter_60s"] = queue_waits.limiter(folder, bench.port, 60.0, 2)
    if day:
        runs["day"] = queue_day.simulate(folder, day)
    with ThreadPoolExecutor(len(runs)) as threads:
        futures = {name: threads.submit(asyncio.run, run) for name, run in runs.items()}
    results = {name: future.result() for name, future in futures.items()}
    bench.add(results["idle"], f"commands_a_minute_{queue_waits.IDLE_WORKERS}_idle", "commands", target=1)
    if day:
        _add_day(bench, results["day"])
    for nth in range(size.rounds):
        bench.add(results[f"recovery{nth}"], "recovery_after_kill", "s", target=queue_waits.LEASE_S + 1)
    for name in [name for name in results if name.startswith("limiter")]:
        # As starts above the limit: a figure of 11 would be within the harness's tolerance of 10.
        over = max(results[name].worst - queue_waits.STARTS_MAX, 0)
        bench.add(over, f"{name}_starts_over_limit", "starts", target=0)
        bench.add(results[name].share * 100, f"{name}_of_allowed", "%", better="higher", target=97)


def _add_day(bench: Bench, day: queue_day.Day) -> None:
    note(
        f"the day: {day.evening} commands until {16 + day.ends_s / 3600:.1f} h ({day.again} of them by the sweeper), "
        f"{day.quiet} in the other hours; by the workers: {day.by_purpose}"
    )
    bench.add(day.commands, f"day_of_{day.reports}_reports", "commands", target=10_000 * day.reports / 3_000)


def _beside_peers(bench: Bench, peers: Yardstick | None) -> None:
    """One round of ours and then of each peer, and the ratios of that round."""
    put, noop = uvloop.run(enqueues(bench)), uvloop.run(drain(bench, SLOTS[0]))
    for slots in SLOTS[1:]:
        uvloop.run(drain(bench, slots))
    for system in SYSTEMS if peers is not None else ():
        assert peers is not None
        rates = peers.throughput(system, bench.size.jobs)
        bench.add(rates.add, f"{system}_put", "1/s", better="higher")
        bench.add(rates.drain, f"{system}_noop_50", "jobs/s", better="higher")
        put_target = {"bullmq": 1.0, "taskiq": 2.0}.get(system)
        noop_target = {"bullmq": 0.5, "dramatiq": 2.0, "taskiq": 2.0}.get(system)
        bench.add(put / rates.add, f"put_to_{system}", "ratio", better="higher", target=put_target)
        bench.add(noop / rates.drain, f"noop_to_{system}", "ratio", better="higher", target=noop_target)


def measure(bench: Bench, peers: Yardstick | None, only: set[str], day: int, *, long_limiter: bool) -> list[Figure]:
    """All figures, or those of the parts named."""
    if not only or "rates" in only:
        for nth in range(bench.size.rounds):
            note(f"enqueues and no-ops, round {nth + 1} of {bench.size.rounds}")
            _beside_peers(bench, peers)
            uvloop.run(enqueue_to_start(bench))
    if not only or "commands" in only:
        note("commands a job")
        per_job = uvloop.run(commands_a_job(bench.folder, bench.size))
        bench.add(per_job["idle_fleet"], "commands_a_job_idle_fleet", "commands", target=3.1)
        bench.add(per_job["backlog"], "commands_a_job_backlog", "commands", target=2.2)
    if not only or "scale" in only:
        note(f"{bench.size.many} waiting jobs")
        uvloop.run(scale(bench))
    if not only or "patient" in only:
        note("idle fleet, killed workers, limiter, the day")
        patient(bench, day=day, long_limiter=long_limiter)
    return list(bench.figures.values())


async def _seconds(work: Coroutine[Any, Any, None]) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


async def _nothing_left(queue: Queue) -> None:
    """The last outcomes reach Redis a moment after the last job ended. Raises BenchError where one does not."""
    deadline = time.perf_counter() + 5
    while (facts := await queue.stats()).waiting + facts.active > 0:
        if time.perf_counter() > deadline:
            raise BenchError(f"{facts.waiting} jobs wait and {facts.active} run after the last one ended")
        await asyncio.sleep(0.01)


def _rank(ordered: list[float], share: float) -> float:
    """Nearest rank."""
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def main(
    quick: Annotated[bool, typer.Option("--quick", help="One short run of each; no day, no 60 s limiter.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="rates, commands, scale or patient; may be repeated.")] = None,
    day: Annotated[int, typer.Option(min=0, help="Reports of the simulated day; 0 leaves it out.")] = 3_000,
    long_limiter: Annotated[bool, typer.Option(help="The limiter of 10 per 60 s as well: 130 s.")] = True,
    peers: Annotated[
        Path | None, typer.Option(envvar="AFTERBELL_PEERS", help="Folder with queues/yardstick.py.")
    ] = None,
    installed: Annotated[
        Path | None, typer.Option(envvar="QBENCH_ENV", help="Where the peers are installed; a cache by default.")
    ] = None,
) -> None:
    """Measure the queue on engines of its own."""
    with tempfile.TemporaryDirectory(prefix="ab-bench-") as name:
        folder = Path(name)
        try:
            with server(folder, "main") as port, yardstick(peers, installed, folder) as others:
                bench = Bench(port, folder, QUICK if quick else FULL)
                figures = measure(
                    bench, others, set(only or ()), 0 if quick else day, long_limiter=long_limiter and not quick
                )
        except BenchError as error:
            note(f"bench-queue: {error}")
            raise typer.Exit(2) from None
    raise typer.Exit(report("queue", figures))


if __name__ == "__main__":
    typer.run(main)
