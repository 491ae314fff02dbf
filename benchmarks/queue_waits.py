"""Figures that mostly wait: an idle fleet, a killed worker, the limiter. They may run side by side."""

import asyncio
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
from benchmarks.queue_site import Monitor, Site, all_idle, client_of, fill, job, moment_of, server, site

IDLE_WORKERS: Final = 5
IDLE_S: Final = 65.0
LEASE_S: Final = 10.0
STARTS_MAX: Final = 10
HAMMERS: Final = 4
SLEEP_FOREVER_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Limited:
    """``worst``: the most starts in any window. ``share``: of the starts the limiter allows over the same time."""

    worst: int
    share: float


async def idle_fleet(folder: Path, seconds: float) -> float:
    """Commands a minute that five workers with nothing to do send, as MONITOR sees them."""
    with server(folder, "idle") as port, site(folder, port) as fleet:
        async with client_of(fleet) as queue:
            fleet.start(IDLE_WORKERS)
            await all_idle(queue, IDLE_WORKERS)
        monitor = Monitor(port)
        await asyncio.sleep(seconds)
        commands = await monitor.settled()
        monitor.close()
    return commands * 60 / seconds


async def recovery(folder: Path, port: int, kill_after_s: float) -> float:
    """Seconds from SIGKILL of the worker that runs a job until an idle one has started it."""
    with site(folder, port, lease_s=LEASE_S, slots=1, job_s=SLEEP_FOREVER_S) as fleet:
        async with client_of(fleet) as queue:
            victim = fleet.start()
            await all_idle(queue, 1)
            await queue.enqueue([job("victim")])
            await moment_of(lambda: bool(fleet.starts()), "the job's first start")
            fleet.start()
            await all_idle(queue, 1)
            await asyncio.sleep(kill_after_s)
            victim.kill()
            killed_at = asyncio.get_running_loop().time()
            await moment_of(lambda: len(_only(fleet)) > 1, "the job's second start", poll_s=0.01)
            _end_at_once(fleet)
    return _only(fleet)[-1] - killed_at


async def limiter(folder: Path, port: int, window_s: float, windows: int) -> Limited:
    """Four processes that start whatever they get, with more jobs waiting than may start."""
    with site(folder, port, starts_max=STARTS_MAX, window_s=window_s) as fleet:
        async with client_of(fleet) as queue:
            fleet.start(HAMMERS)
            await all_idle(queue, HAMMERS)
            jobs = STARTS_MAX * (windows + 1)
            await fill(queue, jobs, 1)
            await moment_of(lambda: fleet.done >= jobs, "the limited jobs", patience_s=window_s * (windows + 2))
        stamps = sorted(at for starts in fleet.starts().values() for at in starts)
    worst = max(bisect_left(stamps, at + window_s) - nth for nth, at in enumerate(stamps))
    return Limited(worst, windows * window_s / (stamps[-1] - stamps[0]))


def _only(fleet: Site) -> list[float]:
    return next(iter(fleet.starts().values()))


def _end_at_once(fleet: Site) -> None:
    for worker in fleet.workers:
        if psutil.pid_exists(worker.pid):
            worker.kill()
