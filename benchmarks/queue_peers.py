"""Other queues, measured by ``yardstick.py`` from the folder named by AFTERBELL_PEERS, on the same engine as ours."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.harness import note
from benchmarks.servers import BenchError

from afterbell.dev.engines.engines import engine_programs

SYSTEMS: Final = ("bullmq", "taskiq", "dramatiq")
CACHE: Final = Path("~/.cache/afterbell-bench/queues").expanduser()
PATIENCE_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Rates:
    """What one system did in one run, all in jobs a second."""

    add: float
    bulk: float
    drain: float


@dataclass(frozen=True, slots=True)
class Yardstick:
    """The peers' program and the environment it runs in."""

    folder: Path
    environment: dict[str, str]

    def throughput(self, system: str, jobs: int) -> Rates:
        """One run at concurrency 50. Raises BenchError where the system did not run."""
        command = (
            sys.executable,
            "yardstick.py",
            "throughput",
            system,
            "--conc",
            "50",
            "--runs",
            "1",
            "--jobs",
            str(jobs),
        )
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        lines = done.stdout.splitlines()
        if done.returncode != 0 or not lines:
            raise BenchError(f"the peer {system} did not run:\n{done.stderr[-800:]}")
        result = json.loads(lines[-1])
        if result["done"] < jobs:
            raise BenchError(f"the peer {system} ended {result['done']} of {jobs} jobs")
        return Rates(result["add_s"], result["bulk_s"], result["jobs_s"])


@contextmanager
def yardstick(peers: Path | None, installed: Path | None, folder: Path) -> Iterator[Yardstick | None]:
    """The yardstick with our Valkey as its ``redis-server``; None, and a note why, where it cannot run."""
    home = installed or CACHE
    program = None if peers is None else peers / "queues" / "yardstick.py"
    if program is None or not program.exists():
        note("no peers: set AFTERBELL_PEERS to the folder that holds queues/yardstick.py; no ratio is printed")
        yield None
        return
    if not (home / "node" / "node_modules").exists():
        note(f"no peers: install them once with `sh {program.parent}/setup.sh {home}`; no ratio is printed")
        yield None
        return
    programs = folder / "bin"
    programs.mkdir()
    (programs / "redis-server").symlink_to(engine_programs("valkey") / "valkey-server")
    inherited = dict(os.environ)  # noqa: TID251 - the peers run as their own project runs them
    search = f"{programs}{os.pathsep}{inherited.get('PATH', '')}"
    yield Yardstick(program.parent, {**inherited, "PATH": search, "QBENCH_ENV": str(home)})
