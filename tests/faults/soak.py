# ruff: noqa: T201 - its lines are its result
"""Random faults for some minutes, repeatable by the seed; at the end every promise is checked as after one fault.

make soak MINUTES=10 SEED=42
"""

import argparse
import asyncio
import random
import secrets
import shutil
import signal
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.faults.ledger import Allowed, Ledger
from tests.faults.links import LATENCY, RESET, STALL, Link
from tests.faults.rig import Rig, rig
from tests.faults.servers import ProxyServer, TcpPostgres, TcpValkey
from tests.support.processes import ROOT, Process

from afterbell.core.errors import AfterbellError
from afterbell.dev.stub.settings import StubSettings
from afterbell.observability.logs import configure

TOXIPROXY = ROOT / ".tools" / "toxiproxy-server"
FLEET = 2
LINE_EVERY_S = 10.0
UNFINISHED_MAX = 60
PACE = StubSettings(ttft_ms=100, tokens_per_s=1500)
MODEL_FAULTS = ("500", "429:1", "cut", "bad_json", "503", "429ms:300")
Blow = Callable[["Soak"], Awaitable[None]]


class Soak:
    """A fleet, a stream of reports, and blows from a seeded sequence."""

    def __init__(self, up: Rig, chance: random.Random) -> None:
        self.up, self.chance = up, chance
        self.fleet: list[Process] = []
        self.blows: Counter[str] = Counter()
        self.unanswered = 0

    async def start(self) -> None:
        for _ in range(FLEET):
            self.fleet.append(await self.up.worker())

    async def refill(self) -> None:
        self.fleet = [process for process in self.fleet if process.running]
        while len(self.fleet) < FLEET:
            self.fleet.append(await self.up.worker())

    def victim(self) -> Process:
        return self.chance.choice(self.fleet)

    async def for_a_while(self, longest_s: float = 4.0) -> None:
        await asyncio.sleep(self.chance.uniform(0.2, longest_s))

    async def keep_asking(self) -> None:
        while True:
            counts = await self.up.statuses()
            if sum(counts.get(status, 0) for status in ("queued", "deferred", "running")) < UNFINISHED_MAX:
                await self._ask()
            await asyncio.sleep(self.chance.uniform(0.05, 0.6))

    async def _ask(self) -> None:
        name = f"soak-{uuid.uuid4().hex[:10]}"
        try:
            await self.up.import_only(name)
        except AssertionError:  # PostgreSQL is away: told so, nothing was promised
            return
        # Until it is answered, or where PostgreSQL goes away during the commit, the row may be there all the same.
        self.unanswered += 1
        answer = await self.up.up.http.post(f"/api/reports/session/{name}")
        if answer.status_code == 202:
            self.unanswered -= 1
            self.up.enqueued.append(answer.json()["jobId"])

    async def keep_hitting(self) -> None:
        while True:
            await self.for_a_while(2.0)
            blow = self.chance.choice(BLOWS)
            self.blows[blow.__name__.replace("_", " ")] += 1
            await blow(self)
            await self.refill()

    async def keep_telling(self) -> None:
        began = asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(LINE_EVERY_S)
            seconds = asyncio.get_running_loop().time() - began
            counts = dict(sorted((await self.up.statuses()).items()))
            print(f"{seconds:5.0f} s  blows {self.blows.total()}  reports {counts}", flush=True)


async def kill_a_worker(soak: Soak) -> None:
    await soak.victim().kill()


async def stop_a_worker(soak: Soak) -> None:
    victim = soak.victim()
    victim.send(signal.SIGTERM)
    await soak.for_a_while(1.0)
    await victim.kill()


async def freeze_a_worker(soak: Soak) -> None:
    victim = soak.victim()
    victim.send(signal.SIGSTOP)
    await soak.for_a_while(6.0)
    victim.send(signal.SIGCONT)


async def kill_redis(soak: Soak) -> None:
    soak.up.valkey.kill()
    await soak.for_a_while()
    await soak.up.valkey.restart()


async def hang_redis(soak: Soak) -> None:
    soak.up.valkey.send(signal.SIGSTOP)
    await soak.for_a_while(7.0)
    soak.up.valkey.send(signal.SIGCONT)


async def empty_redis(soak: Soak) -> None:
    soak.up.valkey.ask("FLUSHALL")


async def forget_scripts(soak: Soak) -> None:
    soak.up.valkey.ask("SCRIPT", "FLUSH")


async def fill_redis(soak: Soak) -> None:
    soak.up.valkey.ask("CONFIG", "SET", "maxmemory", 1)
    await soak.for_a_while()
    soak.up.valkey.ask("CONFIG", "SET", "maxmemory", 0)


async def make_redis_a_replica(soak: Soak) -> None:
    soak.up.valkey.ask("REPLICAOF", "127.0.0.1", 1)
    await soak.for_a_while()
    soak.up.valkey.ask("REPLICAOF", "NO", "ONE")


async def kill_postgresql(soak: Soak) -> None:
    soak.up.postgres.kill()
    await soak.for_a_while(2.0)
    await soak.up.postgres.restart()


async def cut_a_wire(soak: Soak) -> None:
    link = soak.chance.choice(list(soak.up.wires.values()))
    await link.cut()
    await soak.for_a_while()
    await link.mend()


async def poison_a_wire(soak: Soak) -> None:
    link = soak.chance.choice(list(soak.up.wires.values()))
    async with link.toxic(soak.chance.choice((STALL, LATENCY, RESET))):
        await soak.for_a_while(7.0)


async def upset_the_model(soak: Soak) -> None:
    await soak.up.up.faults(*(soak.chance.choice(MODEL_FAULTS) for _ in range(2)))


BLOWS: tuple[Blow, ...] = (
    kill_a_worker,
    stop_a_worker,
    freeze_a_worker,
    kill_redis,
    hang_redis,
    empty_redis,
    forget_scripts,
    fill_redis,
    make_redis_a_replica,
    kill_postgresql,
    cut_a_wire,
    poison_a_wire,
    upset_the_model,
)


async def run(minutes: float, seed: int, servers: tuple[TcpValkey, TcpPostgres, ProxyServer], database: str) -> Ledger:
    """The ledger after ``minutes`` of faults."""
    valkey, postgres, proxy = servers
    wires = {name: Link(proxy.url, name) for name in ("redis", "postgres")}
    given: dict[str, Any] = {"stub": PACE, "deliveries_max": 1000, "retry_backoff_s": (0.3,) * 50}
    async with rig(valkey, postgres, database, wires, **given) as up:
        soak = Soak(up, random.Random(seed))  # noqa: S311 - must be repeatable
        up.environment["AFTERBELL_RETRY_BACKOFF_SECONDS"] = ",".join(["0.3"] * 50)
        await soak.start()
        tasks = [asyncio.create_task(loop) for loop in (soak.keep_asking(), soak.keep_telling())]
        hitting = asyncio.create_task(soak.keep_hitting())
        done, _ = await asyncio.wait([hitting, *tasks], timeout=minutes * 60, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()  # none of them ends by itself
        await _ended(tasks)
        await _mended(soak, hitting)
        up.broken()
        try:
            await up.settled(within_s=180)
        except TimeoutError as error:
            print(f"not settled: {str(error)[:3000]}", flush=True)
        print("blows: " + ", ".join(f"{name} {count}" for name, count in sorted(soak.blows.items())), flush=True)
        up.allowed = Allowed(doubled=10**9, because="the faults", unanswered=soak.unanswered)
        return await up.ledger()


async def _ended(tasks: list["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _mended(soak: Soak, hitting: "asyncio.Task[None]") -> None:
    """Whatever the last blow left broken is whole again, and the fleet is up."""
    await _ended([hitting])
    up = soak.up
    for process in soak.fleet:
        if process.running:
            process.send(signal.SIGCONT)
    for link in up.wires.values():
        await link.mend()
    if up.valkey.running:
        up.valkey.send(signal.SIGCONT)
    for server in (up.valkey, up.postgres):
        if not server.running:
            await server.restart()
    up.valkey.ask("CONFIG", "SET", "maxmemory", 0)
    up.valkey.ask("REPLICAOF", "NO", "ONE")
    await soak.refill()


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--toxiproxy", type=Path, default=TOXIPROXY)
    options = parser.parse_args(argv)
    if not options.toxiproxy.exists():
        print(
            f"soak: no fault proxy at {options.toxiproxy}: run `make tools` (needs Go 1.24 or newer)", file=sys.stderr
        )
        return 2
    configure("error", "text")
    print(f"{options.minutes:g} minutes, SEED={options.seed}", flush=True)
    faults = _soaked(options.minutes, options.seed, options.toxiproxy)
    if faults:
        print("\n".join(faults), f"repeat with: make soak MINUTES={options.minutes:g} SEED={options.seed}", sep="\n")
        return 1
    print("every promise held")
    return 0


def _soaked(minutes: float, seed: int, toxiproxy: Path) -> list[str]:
    home = Path(tempfile.mkdtemp(prefix="afterbell-soak-"))
    home.chmod(0o755)  # PostgreSQL runs as another account where we are root
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        servers = (TcpValkey(home), TcpPostgres(home), ProxyServer(home, toxiproxy))
        for server in servers:
            stack.callback(server.stop)
            server.start()
        try:
            ledger = asyncio.run(run(minutes, seed, servers, "afterbell"))
        except (AssertionError, AfterbellError, OSError) as error:
            return [f"{type(error).__name__}: {error}"]
    row = ledger.row("soak", f"seed {seed}")
    print(
        "  ".join(f"{name} {value}" for name, value in row.items() if name not in ("case", "why doubled")), flush=True
    )
    return ledger.faults


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
