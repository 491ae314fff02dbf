"""A day of 3,000 reports on a compressed clock: every command any client sends is counted, by the server.

The evening (16:00 to 22:00) runs with every time divided by ``EVENING``: jobs of 30 to 60 s, the settings of
``docs/howto/few-redis-commands.md``, the limiter's window, the sweeper, and the scripts' own slack. What a few
milliseconds of a loaded machine do to it is some tenths of a second of the day. Nothing starts in the other hours, in
which only safety ticks are sent: they run with every time divided by ``QUIET``. Each arrival is a put of its own,
though the api would put those together that come together.
"""

import asyncio
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.queue_site import Site, all_idle, client_of, job, moment_of, sent_by_clients, server, site

from afterbell.adapters.queue.redis_queue import NewJob, Queue

EVENING: Final = 90.0
QUIET: Final = 3600.0
EVENING_S: Final = 6 * 3600.0
DAY_S: Final = 24 * 3600.0
WORKERS: Final = 3
SLOTS: Final = 5
JOB_S: Final = 45.0
LEASE_S: Final = 60.0
WINDOW_S: Final = 60.0
STARTS_MAX: Final = 10
TICK_S: Final = 900.0
SWEEP_S: Final = 30.0
ENQUEUE_AGAIN_AFTER_S: Final = 600.0
SEED: Final = 4


@dataclass(slots=True)
class Day:
    """What was counted. ``ends_s`` is when the last report was done, in seconds after 16:00 of the day."""

    reports: int
    evening: int = 0
    quiet: int = 0
    again: int = 0
    ends_s: float = 0.0
    by_purpose: dict[str, int] = field(default_factory=dict)

    @property
    def commands(self) -> int:
        """Of the whole day."""
        return self.evening + self.quiet


def arrivals(reports: int) -> list[float]:
    """Seconds after 16:00: independent arrivals, most of them about 19:00, when more come than may start."""
    chance = random.Random(SEED)
    return sorted(chance.betavariate(3, 3) * EVENING_S for _ in range(reports))


async def simulate(folder: Path, reports: int, tenants: int = 40) -> Day:
    """Run the day."""
    day = Day(reports)
    with server(folder, "evening") as port:
        with site(folder, port, **_times(EVENING), starts_max=STARTS_MAX, job_s=JOB_S / EVENING) as evening:
            await _evening(evening, day, tenants)
        # The workers have drained by now, and that is counted as well.
        day.evening = sent_by_clients(port)
        day.by_purpose = evening.counts()
    with server(folder, "quiet") as port, site(folder, port, **_times(QUIET)) as quiet:
        quiet.start(WORKERS)
        async with client_of(quiet) as queue:
            await all_idle(queue, WORKERS)
            before = sent_by_clients(port)
            await asyncio.sleep((DAY_S - day.ends_s) / QUIET)
            day.quiet = sent_by_clients(port) - before
    return day


def _times(factor: float) -> dict[str, float | int]:
    return {
        "slots": SLOTS,
        "lease_s": LEASE_S / factor,
        "window_s": WINDOW_S / factor,
        "safety_tick_s": TICK_S / factor,
        "compression": factor,
    }


async def _evening(evening: Site, day: Day, tenants: int) -> None:
    evening.start(WORKERS)
    async with client_of(evening) as queue:
        await all_idle(queue, WORKERS)
        began = asyncio.get_running_loop().time()
        unseen: dict[str, float] = {}
        jobs = [job(number, f"t{number % tenants}") for number in range(day.reports)]
        sweeping = asyncio.create_task(
            _sweep(queue, evening, {new_job.job_id: new_job for new_job in jobs}, unseen, day)
        )
        await _arrive(queue, jobs, unseen, began)
        await moment_of(lambda: evening.done >= day.reports, "the last report of the day", patience_s=180.0)
        day.ends_s = (asyncio.get_running_loop().time() - began) * EVENING
        sweeping.cancel()


async def _arrive(queue: Queue, jobs: Sequence[NewJob], unseen: dict[str, float], began: float) -> None:
    loop = asyncio.get_running_loop()
    for new_job, after_s in zip(jobs, arrivals(len(jobs)), strict=True):
        await asyncio.sleep(began + after_s / EVENING - loop.time())
        await queue.enqueue([new_job])
        unseen[new_job.job_id] = loop.time()


async def _sweep(queue: Queue, evening: Site, jobs: dict[str, NewJob], unseen: dict[str, float], day: Day) -> None:
    """Enqueue again what has long been enqueued without starting, and with it what has been for half as long."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(SWEEP_S / EVENING)
        for started in evening.starts():
            unseen.pop(started, None)
        enqueued_before = loop.time() - ENQUEUE_AGAIN_AFTER_S / EVENING
        late = [
            job_id
            for job_id in jobs
            if unseen.get(job_id, math.inf) < enqueued_before + ENQUEUE_AGAIN_AFTER_S / EVENING / 2
        ]
        if any(unseen[job_id] < enqueued_before for job_id in late):
            await queue.enqueue([jobs[job_id] for job_id in late])
            day.again += 1
            unseen.update(dict.fromkeys(late, loop.time()))
