"""The peer of the API: Express + BullMQ, from a folder named by AFTERBELL_PEERS. It commits to no database."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.harness import note
from benchmarks.servers import START_PATIENCE_S, BenchError, await_port, process, valkey_on_tcp
from tests.support.ports import free_port

CACHE: Final = Path("~/.cache/afterbell-bench").expanduser()
SECRET: Final = "a-secret-of-the-benchmark-of-at-least-32-bytes"
_TOKEN: Final = re.compile(r"^[\w-]+\.[\w-]+\.[\w-]+$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Peer:
    """Where it answers, and the token it takes."""

    port: int
    token: str


@contextmanager
def express_bullmq(peers: Path | None, folder: Path) -> Iterator[Peer | None]:
    """Serve the peer with a Valkey of its own until the block ends; None, and a note why, where it cannot run."""
    packages = _packages(peers)
    if peers is None or packages is None:
        yield None
        return
    port, log = free_port(), folder / "peer.log"
    program = str(peers / "http" / "express_bullmq.cjs")
    with valkey_on_tcp(folder) as redis_port:
        variables = {
            "PORT": str(port),
            "REDIS_PORT": str(redis_port),
            "SECRET": SECRET,
            "NODE_PATH": str(packages),
            "NODE_ENV": "production",
        }
        with process("node", program, log=log, **variables):
            await_port(port, log)
            yield Peer(port, _token(log))


def _packages(peers: Path | None) -> Path | None:
    """The peer's installed packages, or None with a note."""
    if peers is None or not (peers / "http" / "express_bullmq.cjs").exists():
        note("no peer: set AFTERBELL_PEERS to the folder that holds http/express_bullmq.cjs; no ratio is printed")
        return None
    if shutil.which("node") is None or shutil.which("npm") is None:
        note("no peer: it needs node and npm on the PATH; no ratio is printed")
        return None
    return _installed(peers / "http" / "package.json")


def _installed(wanted: Path) -> Path | None:
    """``node_modules`` for this package.json, installed outside the project the first time."""
    CACHE.mkdir(parents=True, exist_ok=True)
    here = CACHE / "package.json"
    if not here.exists() or here.read_bytes() != wanted.read_bytes() or not (CACHE / "node_modules").exists():
        note(f"installing the peer's packages into {CACHE}")
        here.write_bytes(wanted.read_bytes())
        done = subprocess.run(("npm", "install", "--no-audit", "--no-fund", "--silent"), cwd=CACHE, check=False)
        if done.returncode != 0:
            here.unlink()
            note(f"no peer: npm install ended with code {done.returncode}; no ratio is printed")
            return None
    return CACHE / "node_modules"


def _token(log: Path) -> str:
    deadline = time.monotonic() + START_PATIENCE_S
    while time.monotonic() < deadline:
        if match := _TOKEN.search(log.read_text(errors="replace")):
            return match[0]
        time.sleep(0.02)
    raise BenchError(f"the peer printed no token; see {log}")
