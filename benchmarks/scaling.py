"""``make bench-operator``: how fast pods follow the queue, whether anybody is cut off, and what an idle operator costs.

Everything runs against a real API server, controller manager and scheduler (`make tools`), and a Valkey without
persistence. Only the simulated figures do without.

Not named operator.py: Python puts a script's folder in front of the standard library, which has an ``operator``.
"""

import asyncio
import math
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, Final

import typer

# So that `python benchmarks/scaling.py` finds its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.harness import Figure, note, report
from benchmarks.queue_site import job, server
from benchmarks.scaling_fleet import scale_ins
from benchmarks.scaling_idle import idle
from benchmarks.scaling_site import NOWHERE, Site, Watch, create, deployment, moment_of, operating, pool, serves
from benchmarks.scaling_site import Operator as OperatorProcess
from benchmarks.servers import BenchError
from tests.operator.pools import install_crd
from tests.support.cluster import missing_parts, running_cluster
from tests.support.kube import kube_of

from afterbell_operator.decide.values import Jobs, Rules, ScalingSpec
from afterbell_operator.simulate import SimulatedDay, Simulation

SIDE_BY_SIDE: Final = 20
BURST: Final = 200
BURST_PODS: Final = 60
HOUR_JOBS: Final = 1080
# Others than those the spec of the steady hour was found with.
STEADY_SEEDS: Final = range(1, 11)


@dataclass(frozen=True, slots=True)
class Size:
    """How long a run takes."""

    wakes: int
    bursts: int
    scale_ins: int
    simulated: int
    pools: int
    idle_s: float
    takeovers: int
    outage_s: float


# Idle for as long as from one look at a queue to the next.
FULL: Final = Size(200, 3, 200, 10_000, 2_000, 120, 3, 60)
QUICK: Final = Size(20, 1, 16, 1_000, 100, 10, 1, 10)


@dataclass(slots=True)
class Bench:
    """Where, how much, and the figures so far."""

    site: Site
    size: Size
    figures: dict[str, Figure] = field(default_factory=dict)

    def add(self, value: float, name: str, unit: str, **more: Any) -> None:
        """One more run of the figure of this name."""
        self.figures.setdefault(name, Figure(name, unit, **more)).runs.append(value)


async def wakes(bench: Bench) -> None:
    """From before the put into a queue with no pod until kubectl hears of the new number."""
    namespace = bench.site.namespace()
    names = [f"wake-{number}" for number in range(min(SIDE_BY_SIDE, bench.size.wakes))]
    await _made(bench.site, namespace, names)
    watch = Watch(bench.site, namespace)
    waits_ms: list[float] = []
    with operating(bench.site, namespace):
        await _known(bench.site, namespace, names)
        while len(waits_ms) < bench.size.wakes:
            for name in names:
                waits_ms.append(await _wake(bench.site, watch, namespace, name, len(waits_ms)))
            await moment_of(lambda: all(watch.now(name) == 0 for name in names), "every number back at 0")
    watch.end()
    ordered = sorted(waits_ms)
    bench.add(_rank(ordered, 0.50), "enqueue_to_scale_p50", "ms")
    bench.add(_rank(ordered, 0.99), "enqueue_to_scale_p99", "ms", target=1000)


async def _wake(site: Site, watch: Watch, namespace: str, name: str, nth: int) -> float:
    async with site.queue(f"{namespace}-{name}") as queue:
        await queue.stats()  # the connection
        began = time.monotonic()
        await queue.enqueue([job(f"{name}-{nth}")])
        await moment_of(lambda: watch.now(name) == 1, f"{name} to be woken", poll_s=0.002)
        waited_ms = (watch.since(name, began)[0][0] - began) * 1000
        await queue.apply("cancel", [job(f"{name}-{nth}").job_id])
    return waited_ms


async def bursts(bench: Bench) -> None:
    """A burst of jobs at no pod: the moment of the final number, and how many writes led there."""
    namespace = bench.site.namespace()
    names = [f"burst-{number}" for number in range(bench.size.bursts)]
    await _made(bench.site, namespace, names)
    watch = Watch(bench.site, namespace)
    with operating(bench.site, namespace):
        await _known(bench.site, namespace, names)
        for name in names:
            async with bench.site.queue(f"{namespace}-{name}") as queue:
                began = time.monotonic()
                await asyncio.gather(*(queue.enqueue([job(f"{name}-{n}-{m}") for m in range(50)]) for n in range(4)))
                await moment_of(watch.reached(name, BURST_PODS), "the final number")
                changes = watch.since(name, began)
                bench.add((changes[-1][0] - began) * 1000, f"burst_of_{BURST}_to_final", "ms", target=2000)
                bench.add(len(changes), f"burst_of_{BURST}_writes", "writes", target=2)
    watch.end()


async def shrinks(bench: Bench) -> None:
    """Scale-ins of busy and idle pods, rollouts among them."""
    namespace = bench.site.namespace()
    with operating(bench.site, namespace):
        counts = await scale_ins(bench.site, namespace, bench.size.scale_ins)
    note(f"{counts.count} pods went by a lowered number, {counts.replaced} by rollouts; {len(counts.starts)} jobs")
    bench.add(counts.count, "scale_ins", "pods", better="higher")
    bench.add(counts.interrupted, "scale_ins_interrupted", "jobs", target=0)
    bench.add(counts.doubled, "scale_ins_doubled", "jobs", target=0)


async def takeovers(bench: Bench) -> None:
    """From the end of a leader, clean or not, until another leads; a moment with two leaders would be in the logs."""
    for kill in (False, True):
        for _ in range(bench.size.takeovers):
            namespace = bench.site.namespace()
            leader = OperatorProcess(bench.site, namespace)
            await moment_of(leader.leads, "one to lead")
            standby = OperatorProcess(bench.site, namespace)
            await asyncio.sleep(5)  # the standby has seen the Lease
            bench.add(float(standby.leads()), "second_leaders", "leaders", target=0)
            began = time.monotonic()
            (leader.process.kill if kill else leader.process.terminate)()
            took_s = await moment_of(standby.leads, "the standby to lead") - began
            bench.add(took_s, "takeover_killed" if kill else "takeover_stopped", "s", target=20 if kill else 2)
            leader.process.wait(20)
            standby.end()


async def outage(bench: Bench) -> None:
    """The API server is killed; a job is put meanwhile. From the moment it serves again to the right number."""
    namespace = bench.site.namespace()
    await _made(bench.site, namespace, ["away"])
    with operating(bench.site, namespace):
        await _known(bench.site, namespace, ["away"])
        async with bench.site.queue(f"{namespace}-away") as queue:
            with bench.site.cluster.api_server_away():
                await queue.enqueue([job("away-1")])
                await asyncio.sleep(bench.size.outage_s)
                back = asyncio.create_task(moment_of(lambda: serves(bench.site.cluster), "the API server"))
                await asyncio.sleep(0.1)  # it asks from now on, in a thread
        began = await back
        watch = Watch(bench.site, namespace)
        took_s = await moment_of(lambda: watch.now("away") == 1, "the right number", poll_s=0.005) - began
        watch.end()
    bench.add(took_s, f"right_write_after_{bench.size.outage_s:g}_s_without_api_server", "s", target=5)


async def simulated(bench: Bench) -> None:
    """Hours on a simulated clock: the steady ones of the promise, and many random ones."""
    _steady_hours(bench, "steady_hour", HOUR_JOBS, window_s=75)
    _steady_hours(bench, "steady_hour_of_4320_jobs", 4 * HOUR_JOBS, window_s=150)
    gone = interrupted = seed = 0
    while gone < bench.size.simulated:
        seed += 1
        spec = ScalingSpec(
            max_replicas=40, down=Rules(window_s=20 * (seed % 4)), idle_after_s=20, follows=Jobs(per_pod=1 + seed % 3)
        )
        course = Simulation(spec, SimulatedDay(600, length_s=3600, steady=True, seed=seed)).run()
        gone, interrupted = gone + course.removed, interrupted + course.interrupted
    bench.add(gone, "simulated_scale_ins", "pods", better="higher")
    bench.add(interrupted, "simulated_scale_ins_interrupted", "jobs", target=0)


def _steady_hours(bench: Bench, name: str, jobs: int, window_s: int) -> None:
    """From no pod to the end of the last job, the mean over seeds; the spec is that of docs/explanation/scaling.md."""
    jobs_followed = Jobs(start_within_s=30)
    spec = ScalingSpec(max_replicas=60, follows=jobs_followed, down=Rules(window_s=window_s))
    days = [SimulatedDay(jobs, length_s=3600, steady=True, seed=seed) for seed in STEADY_SEEDS]
    courses = [Simulation(spec, day).run() for day in days]
    resizes = fmean(3600 * course.resizes / len(course.moments) for course in courses)
    bench.add(resizes, f"{name}_resizes", "resizes", target=20)
    waited_s = fmean(course.wait_s(0.95) for course in courses)
    bench.add(waited_s, f"{name}_wait_p95", "s", target=days[0].pod_start_s + 5)
    to_work = fmean(course.pod_hours * 3600 * jobs_followed.per_pod / course.work_s for course in courses)
    bench.add(to_work, f"{name}_pod_hours_to_work", "ratio", target=1.15)


async def resting(bench: Bench) -> None:
    """What many Pools cost while nothing happens, and when an operator begins with them."""
    first, at_rest, again = await idle(bench.site, bench.size.pools, bench.size.idle_s)
    for name, start in (("first_start", first), ("restart", again)):
        bench.add(start.took_s, f"{name}_with_{bench.size.pools}_pools", "s")
        bench.add(start.cpu_s, f"{name}_with_{bench.size.pools}_pools_cpu", "s")
    bench.add(again.writes, f"restart_with_{bench.size.pools}_pools_api_writes", "writes", target=0)
    bench.add(at_rest.writes_a_minute, f"idle_{bench.size.pools}_pools_api_writes_a_minute", "writes", target=1)
    bench.add(at_rest.loop_p99_ms, f"idle_{bench.size.pools}_pools_loop_p99", "ms", target=250)
    bench.add(at_rest.rss_mib, f"idle_{bench.size.pools}_pools_memory", "MiB", target=200)
    bench.add(at_rest.cpu_percent, f"idle_{bench.size.pools}_pools_cpu", "% of a core", target=5)
    bench.add(at_rest.commands_a_minute, "idle_redis_commands_a_minute_a_queue", "commands", target=1)


PARTS: Final[dict[str, Callable[[Bench], Awaitable[None]]]] = {
    "simulated": simulated,
    "wakes": wakes,
    "bursts": bursts,
    "shrinks": shrinks,
    "takeovers": takeovers,
    "outage": outage,
    "idle": resting,
}


async def _made(site: Site, namespace: str, names: list[str]) -> None:
    async with kube_of(site.cluster) as kube:
        await create(kube, namespace, [deployment(name, pods=NOWHERE) for name in names])
        await create(kube, namespace, [pool(name, f"{namespace}-{name}") for name in names])


async def _known(site: Site, namespace: str, names: list[str]) -> None:
    """Until the operator has said of each that it works."""
    path = '{range .items[*]}{.status.conditions[?(@.type=="Ready")].status} {end}'
    words = ("get", "pools", "-n", namespace, "-o", f"jsonpath={path}")
    await moment_of(lambda: site.cluster.kubectl(*words).split() == ["True"] * len(names), "the Pools", poll_s=0.2)


def _rank(ordered: list[float], share: float) -> float:
    """Nearest rank."""
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def main(
    quick: Annotated[bool, typer.Option("--quick", help="One short run of each.")] = False,
    only: Annotated[list[str] | None, typer.Option(help=f"{', '.join(PARTS)}; may be repeated.")] = None,
) -> None:
    """Measure the operator on a cluster and an engine of its own."""
    if missing := missing_parts():
        note(f"bench-operator: no cluster without {', '.join(missing)}")
        raise typer.Exit(2)
    with tempfile.TemporaryDirectory(prefix="ab-bench-") as name, running_cluster() as cluster:
        folder = Path(name)
        try:
            with server(folder, "main") as port:
                install_crd(cluster)
                site = Site(cluster, f"redis://127.0.0.1:{port}/0", folder)
                bench = Bench(site, QUICK if quick else FULL)
                for part in only or PARTS:
                    note(part)
                    asyncio.run(PARTS[part](bench))  # type: ignore[arg-type]  # each is a coroutine function
        except BenchError as error:
            note(f"bench-operator: {error}")
            raise typer.Exit(2) from None
    raise typer.Exit(report("operator", list(bench.figures.values())))


if __name__ == "__main__":
    typer.run(main)
