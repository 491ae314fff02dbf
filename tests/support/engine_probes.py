"""What a test of the embedded engines asks them with: other processes, clients, pids."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import asyncpg
import psutil
from redis import Redis

import afterbell
from afterbell.dev.engines.folder import EngineFolder

SERVICES = Path(afterbell.__file__).parents[1]
USER = Path(__file__).parents[1] / "support" / "engine_user.py"


class User:
    """Another process that uses the engines of a data directory."""

    def __init__(self, data_dir: Path, which: str = "both", *, prefix: tuple[str, ...] = (), **options: Any):
        python = options.pop("python", sys.executable)
        environment = {"PYTHONPATH": str(SERVICES), "PATH": os.defpath, **options.pop("env", {})}
        self.process = subprocess.Popen(
            [*prefix, python, str(USER), str(data_dir), which],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            **options,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def urls(self) -> dict[str, str]:
        return json.loads(self.line())

    def rest(self) -> str:
        return self.process.communicate(timeout=60)[0].strip()

    def kill(self) -> None:
        self.process.kill()
        self.rest()


def ask_valkey(url: str, *command: str) -> Any:
    with Redis.from_url(url, decode_responses=True, socket_timeout=5) as client:
        return client.execute_command(*command)


def ask_postgres(url: str, statement: str) -> Any:
    async def ask() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(ask())


def pid_of(folder: Path, name: str) -> int:
    return int(EngineFolder(folder.resolve(), name).lock("engine").read_text())


def gone_within(seconds: float, *pids: int) -> bool:
    """Whether the processes end in time (an orphan's zombie counts as ended)."""

    def alive(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    deadline = time.monotonic() + seconds
    while any(alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
