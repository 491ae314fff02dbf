"""Figures that mostly wait: an idle fleet, a killed worker, the limiter. They may run side by side."""

import asyncio
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
from benchmarks.queue_site import Monitor, Site, all_idle, client_of, fill, job, server, site, until

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
    with server(folder, "idle") as port, site(folder, port) as one:
        async with client_of(one) as queue:
            one.start(IDLE_WORKERS)
            await all_idle(queue, IDLE_WORKERS)
        monitor = Monitor(port)
        await asyncio.sleep(seconds)
        seen = await monitor.settled()
        monitor.close()
    return seen * 60 / seconds


async def recovery(folder: Path, port: int, kill_after_s: float) -> float:
    """Seconds from SIGKILL of the worker that runs a job until an idle one has started it."""
    with site(folder, port, lease_s=LEASE_S, slots=1, job_s=SLEEP_FOREVER_S) as one:
        async with client_of(one) as queue:
            victim = one.start()
            await all_idle(queue, 1)
            await queue.put([job("victim")])
            await until(lambda: bool(one.starts()), "the job's first start")
            one.start()
            await all_idle(queue, 1)
            await asyncio.sleep(kill_after_s)
            victim.kill()
            killed_at = asyncio.get_running_loop().time()
            await until(lambda: len(_only(one)) > 1, "the job's second start", poll_s=0.01)
            _end_at_once(one)
    return _only(one)[-1] - killed_at


async def limiter(folder: Path, port: int, window_s: float, windows: int) -> Limited:
    """Four processes that start whatever they get, with more jobs waiting than may start."""
    with site(folder, port, starts_max=STARTS_MAX, window_s=window_s) as one:
        async with client_of(one) as queue:
            one.start(HAMMERS)
            await all_idle(queue, HAMMERS)
            jobs = STARTS_MAX * (windows + 1)
            await fill(queue, jobs, 1)
            await until(lambda: one.done >= jobs, "the limited jobs", patience_s=window_s * (windows + 2))
        stamps = sorted(at for starts in one.starts().values() for at in starts)
    worst = max(bisect_left(stamps, at + window_s) - nth for nth, at in enumerate(stamps))
    return Limited(worst, windows * window_s / (stamps[-1] - stamps[0]))


def _only(one: Site) -> list[float]:
    return next(iter(one.starts().values()))


def _end_at_once(one: Site) -> None:
    for worker in one.workers:
        if psutil.pid_exists(worker.pid):
            worker.kill()
