"""A worker process for ``benchmarks.queues``: our broker and taskiq's receiver, as in ``afterbell worker``.

Its task does nothing, or sleeps. Like the peers' workers it appends one byte a job to a file, so that nobody pays for
being watched. Each start is stamped with the machine's monotonic clock, which all processes share.
"""

import asyncio
import json
import logging
import os
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop
from prometheus_client import REGISTRY
from taskiq.receiver import Receiver

from afterbell.adapters.queue.redis_queue import SCRIPTS, Queue, QueueRules
from afterbell.adapters.queue.script_client import Script, ScriptClient
from afterbell.adapters.queue.taskiq_broker import LeaseBroker
from afterbell.core.queue.outcomes import Dead, Outcome

TASK: Final = "noop"
_SLACK: Final = "WATCH_SLACK_MS = 500"


@dataclass(frozen=True, slots=True)
class Spec:
    """One worker. ``starts`` and ``counts`` may be empty: no stamps, no count of commands at the end."""

    url: str
    queue: str
    name: str
    done: str
    starts: str = ""
    counts: str = ""
    slots: int = 5
    lease_s: float = 10.0
    starts_max: int = 0
    window_s: float = 60.0
    safety_tick_s: float = 300.0
    job_s: float = 0.0
    compression: float = 1.0

    @property
    def rules(self) -> QueueRules:
        """What its queue agrees on."""
        return QueueRules(lease_s=self.lease_s, starts_max=self.starts_max, window_s=self.window_s)


def compress(queue: Queue, factor: float) -> None:
    """Divide the one time the scripts hold themselves, as all others are divided by the settings."""
    if factor == 1.0:
        return

    class Compressed(ScriptClient):
        def source(self, script: Script) -> str:
            text = super().source(script)
            if _SLACK not in text:
                raise ValueError(f"the scripts have no {_SLACK!r} any more: say what a compressed day divides instead")
            return text.replace(_SLACK, f"WATCH_SLACK_MS = {max(round(500 / factor), 1)}")

    queue._scripts = Compressed(queue._client, queue.keys, SCRIPTS)


def counted() -> dict[str, int]:
    """Commands this process has sent, by purpose, as its metrics say."""
    samples = [sample for family in REGISTRY.collect() for sample in family.samples]
    ours = [sample for sample in samples if sample.name == "afterbell_redis_commands_total"]
    return {sample.labels["purpose"]: int(sample.value) for sample in ours}


def task_of(spec: Spec) -> Callable[[str], Awaitable[None]]:
    """The task: stamp the start, sleep for two thirds to four thirds of ``job_s``, say that it is done."""
    done = os.open(spec.done, os.O_WRONLY | os.O_APPEND)
    starts = os.open(spec.starts, os.O_WRONLY | os.O_APPEND) if spec.starts else None
    chance = random.Random(spec.name)

    async def noop(job_id: str) -> None:
        if starts is not None:
            os.write(starts, f"{job_id} {time.monotonic_ns()}\n".encode())
        if spec.job_s:
            await asyncio.sleep(spec.job_s * chance.uniform(2 / 3, 4 / 3))
        os.write(done, b".")

    return noop


async def work(spec: Spec) -> None:
    """Work until SIGTERM, then drain."""
    broker = LeaseBroker(
        spec.url,
        queue_name=spec.queue,
        rules=spec.rules,
        worker=spec.name,
        slots=spec.slots,
        decide=_give_up,
        on_given_up=_ignore,
        safety_tick_s=spec.safety_tick_s,
    )
    compress(broker.queue, spec.compression)
    broker.is_worker_process = True
    broker.register_task(task_of(spec), task_name=TASK)
    finish = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, finish.set)
    await broker.startup()
    await Receiver(broker, max_async_tasks=spec.slots, run_startup=False, wait_tasks_timeout=5).listen(finish)
    await broker.shutdown()
    if spec.counts:
        Path(spec.counts).write_text(json.dumps(counted()))  # noqa: ASYNC240 - nothing else runs any more


def _give_up(error: BaseException, failures: int) -> Outcome:
    return Dead(f"{type(error).__name__} after {failures} failures")


async def _ignore(job_id: str) -> None:
    print("given up:", job_id, file=sys.stderr)


if __name__ == "__main__":
    logging.getLogger("taskiq").setLevel(logging.ERROR)
    uvloop.run(work(Spec(**json.loads(sys.argv[1]))))
