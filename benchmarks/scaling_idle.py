"""What an operator costs that looks after many Pools while nothing happens."""

import asyncio
import time
import urllib.request
from dataclasses import dataclass
from typing import Final

from benchmarks.scaling_site import NOWHERE, Operator, Site, create, deployment, moment_of, operating, pool
from tests.support.kube import kube_of

# Pools share queues: it is their number that is measured, and a hosted Redis has few queues.
POOLS_A_QUEUE: Final = 20
MIB: Final = 1 << 20
SETTLE_S: Final = 20.0
WRITING: Final = ('verb="patch"', 'verb="post"', 'verb="put"')


@dataclass(frozen=True, slots=True)
class Idle:
    """``loop_p99_ms``: how long /livez takes to answer. The Lease's own renewals are no API writes of a Pool."""

    writes_a_minute: float
    loop_p99_ms: float
    rss_mib: float
    cpu_percent: float
    commands_a_minute: float


@dataclass(frozen=True, slots=True)
class Start:
    """From the start of a process until the last of its rounds or writes: seconds, seconds of CPU, writes."""

    took_s: float
    cpu_s: float
    writes: float


async def idle(site: Site, pools: int, seconds: float) -> tuple[Start, Idle, Start]:
    """Make the Pools, wait until everything has been said about them, look on, and start another operator for them."""
    namespace = site.namespace()
    names = [f"idle-{number}" for number in range(pools)]
    async with kube_of(site.cluster) as kube:
        await create(kube, namespace, [deployment(name, pods=NOWHERE) for name in names])
        queues = max(pools // POOLS_A_QUEUE, 1)
        await create(kube, namespace, [pool(name, f"{namespace}-{n % queues}") for n, name in enumerate(names)])
    with operating(site, namespace) as operator:
        first = await _settled(operator, pools, writes=pools)
        at_rest = await _measured(operator, queues, seconds)
    with operating(site, namespace) as operator:
        return first, at_rest, await _settled(operator, pools, writes=0)


async def _settled(operator: Operator, pools: int, *, writes: int) -> Start:
    """Every Pool had a round, so much was written, and for a while there was no round and nothing more was written."""
    last, since = (-1.0, -1.0), operator.began

    def quiet() -> bool:
        nonlocal last, since
        count = _rounds(operator), _writes(operator)
        if count != last:
            last, since = count, time.monotonic()
        return count[0] >= pools and count[1] >= writes and time.monotonic() - since > SETTLE_S

    await moment_of(quiet, f"{pools} Pools to settle", patience_s=420, poll_s=1)
    return Start(since - operator.began, _cpu_s(operator), _writes(operator))


async def _measured(operator: Operator, queues: int, seconds: float) -> Idle:
    writes, commands, cpu_s = _writes(operator), _commands(operator), _cpu_s(operator)
    waits_ms, began = [], time.monotonic()
    while time.monotonic() - began < seconds:
        waits_ms.append(await asyncio.to_thread(_answer_ms, operator))
        await asyncio.sleep(0.1)
    minutes = (time.monotonic() - began) / 60
    commands = (_commands(operator) - commands) / queues / minutes
    ordered = sorted(waits_ms)
    return Idle(
        writes_a_minute=(_writes(operator) - writes) / minutes,
        loop_p99_ms=ordered[int(len(ordered) * 0.99)],
        rss_mib=operator.process.memory_info().rss / MIB,
        cpu_percent=100 * (_cpu_s(operator) - cpu_s) / (minutes * 60),
        commands_a_minute=commands,
    )


def _writes(operator: Operator) -> float:
    return sum(
        value
        for name, value in operator.metrics().items()
        if name.startswith("afterbell_operator_kube_api_requests_total")
        and 'resource="leases"' not in name
        and any(verb in name for verb in WRITING)
    )


def _rounds(operator: Operator) -> float:
    return _total(operator, "afterbell_operator_reconcile_total")


def _commands(operator: Operator) -> float:
    """Sent to Redis, as a hosted one bills them."""
    return _total(operator, "afterbell_redis_commands_total")


def _total(operator: Operator, counter: str) -> float:
    """Over all its labels."""
    return sum(value for name, value in operator.metrics().items() if name.startswith(counter))


def _cpu_s(operator: Operator) -> float:
    times = operator.process.cpu_times()
    return times.user + times.system


def _answer_ms(operator: Operator) -> float:
    began = time.perf_counter()
    with urllib.request.urlopen(f"http://127.0.0.1:{operator.port}/livez", timeout=5):
        return (time.perf_counter() - began) * 1000
