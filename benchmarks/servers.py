"""The processes a benchmark measures: started, waited for, ended. Each runs as it would in a pod of its own."""

import asyncio
import hashlib
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import psutil
from sqlalchemy import text
from tests.support.ports import free_port
from tests.support.processes import AFTERBELL, Process, environment

from afterbell.adapters.db.database import Database
from afterbell.api.auth.bearer import mint
from afterbell.dev.engines.engines import engine_programs
from afterbell.settings import DEVELOPMENT_SECRET

START_PATIENCE_S: Final = 20.0
SERVICES: Final = str(Path(__file__).resolve().parents[1] / "services")
PODS: Final = Path("~/.cache/afterbell-bench/pods").expanduser()


def staff_token() -> str:
    """A token of the staff of the tenant "bench", for as long as the longest benchmark takes."""
    return mint(
        DEVELOPMENT_SECRET,
        subject="bench",
        tenant="bench",
        role="staff",
        now=datetime.now(UTC),
        lifetime=timedelta(hours=2),
    )


class BenchError(Exception):
    """Something the benchmark needs did not work; the message says what."""


@contextmanager
def process(*command: str, log: Path, **variables: str) -> Iterator[psutil.Process]:
    """Run ``command`` with ``variables`` in its environment until the block ends; SIGTERM, then SIGKILL."""
    running = Process(*command, log=log, variables=variables)
    try:
        yield running.child
    finally:
        running.stop()


def migrate(database_url: str) -> None:
    """Make the tables."""
    variables = environment({"DATABASE_URL": database_url})
    subprocess.run((*AFTERBELL, "migrate"), env=variables, check=True, capture_output=True)


def await_port(port: int, log: Path) -> None:
    """Return once something listens. Raises BenchError with the end of the log."""
    deadline = time.monotonic() + START_PATIENCE_S
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
    raise BenchError(f"nothing listens on port {port} after {START_PATIENCE_S:.0f} s; the end of {log}:\n{tail}")


def pod_python(role: str, python: str) -> str:
    """A Python with what the image of ``role`` has and nothing else: development's packages would be loaded too.

    Installed from the pinned requirements the first time. The code is compiled, as in the image, and found in SERVICES.
    """
    pinned = Path(SERVICES).parent / "requirements" / f"{role}.txt"
    folder = PODS / f"{role}-{hashlib.sha256(pinned.read_bytes() + python.encode()).hexdigest()[:12]}"
    if not (folder / "ready").exists():
        print(f"installing {pinned.name} into {folder}", file=sys.stderr, flush=True)
        subprocess.run((python, "-m", "venv", folder), check=True)
        install = (folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes")
        subprocess.run((*install, "-r", pinned), check=True)
        (folder / "ready").touch()
    program = str(folder / "bin" / "python")
    subprocess.run((program, "-m", "compileall", "-q", f"{SERVICES}/afterbell"), check=True)
    return program


@contextmanager
def valkey_on_tcp(folder: Path) -> Iterator[int]:
    """The port of a Valkey without persistence, for what cannot use a Unix socket."""
    port, log = free_port(), folder / "valkey-tcp.log"
    server = str(engine_programs("valkey") / "valkey-server")
    options = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder))
    with process(server, *options, log=log):
        await_port(port, log)
        yield port


def metric(internal_port: int, name: str) -> float:
    """The value of a metric without labels. Raises BenchError where there is none."""
    with urllib.request.urlopen(f"http://127.0.0.1:{internal_port}/metrics", timeout=5) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[1])
    raise BenchError(f"no metric {name}")


def sql(database_url: str, *statements: str) -> int:
    """Run statements, each committing itself. The number the last one selects, 0 where it selects none."""

    async def run() -> int:
        database, value = Database(database_url, pool_size=1), 0
        try:
            async with database.statement() as connection:
                for statement in statements:
                    result = await connection.execute(text(statement))
                    value = int(result.scalar_one()) if result.returns_rows else 0
        finally:
            await database.close()
        return value

    return asyncio.run(run())
