"""Servers a test may kill, stop and restart: Valkey and PostgreSQL on TCP, each with data that survives it."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from redis import Redis
from redis.exceptions import RedisError
from tests.support.ports import free_port

from afterbell.dev.engines.engines import engine_programs
from afterbell.dev.engines.folder import EngineFolder
from afterbell.dev.engines.launch import launcher
from afterbell.dev.engines.postgres import Postgres
from afterbell.dev.engines.valkey import Valkey

LOOPBACK = "127.0.0.1"
START_PATIENCE_S = 30.0


class Server:
    """One process on one port, started again as often as it is killed."""

    def __init__(self, home: Path, name: str) -> None:
        self.home, self.name = home, name
        home.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._log = home / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def launch(self, *more: str) -> None:
        """Start without waiting until it serves."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([*self.command(), *more], stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def start(self, *more: str) -> None:
        """Start and wait; tried again while what is left of a killed one still holds the data."""
        deadline = time.monotonic() + START_PATIENCE_S
        self.launch(*more)
        while not self.answers():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} did not start:\n{self._log.read_text(errors='replace')[-2000:]}")
            if self._process is None or self._process.poll() is not None:
                time.sleep(0.1)
                self.launch(*more)
            time.sleep(0.02)

    async def restart(self) -> None:
        """Kill it and start it again, from the main thread: the kernel ends it with the thread that started it."""
        self.kill()
        self.launch()
        async with asyncio.timeout(START_PATIENCE_S):
            while not await asyncio.to_thread(self.answers):
                if not self.running:
                    await asyncio.sleep(0.1)
                    self.launch()
                await asyncio.sleep(0.02)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """As ``kill -9`` does it."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """End it at the end of a test, stopped or not."""
        self.kill()


class TcpValkey(Server):
    """A Valkey with an append-only file; a write is on disk before it is acknowledged."""

    def __init__(self, home: Path, name: str = "valkey") -> None:
        super().__init__(home, name)
        self._engine = Valkey(EngineFolder(home, name), home, engine_programs("valkey"))
        self._engine.prepare(0)

    @property
    def url(self) -> str:
        return f"redis://{self.address}/0"

    def command(self) -> list[str]:
        words = ["--bind", LOOPBACK, "--port", str(self.port), "--unixsocket", "", "--enable-debug-command", "yes"]
        return [*self._engine.command(), *words]

    def answers(self) -> bool:
        try:
            return bool(self.ask("PING"))
        except (RedisError, OSError):
            return False

    def ask(self, *words: str | int) -> object:
        """One command, straight to the server."""
        with self.client() as client:
            return client.execute_command(*words)

    def client(self) -> Redis:
        return Redis(host=LOOPBACK, port=self.port, decode_responses=True, socket_timeout=5)


class TcpPostgres(Server):
    """A PostgreSQL whose committed rows survive a kill."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, "postgres")
        self._sockets = Path(tempfile.mkdtemp(prefix="afterbell-pg-"))
        self._sockets.chmod(0o777)
        self._engine = Postgres(EngineFolder(home, "postgres"), self._sockets, engine_programs("postgres"))
        held = os.open(self._log, os.O_RDWR | os.O_CREAT, 0o600)
        self._engine.prepare(held)
        os.close(held)

    @property
    def url(self) -> str:
        return self.url_of("afterbell")

    def url_of(self, database: str, address: str | None = None) -> str:
        return f"postgresql://postgres@{address or self.address}/{database}"

    def command(self) -> list[str]:
        return [*self._engine.command(), "-c", f"listen_addresses={LOOPBACK}", "-c", f"port={self.port}"]

    def answers(self) -> bool:
        try:
            asyncio.run(self.execute("SELECT 1"))
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return False
        return True

    @asynccontextmanager
    async def fresh_database(self) -> AsyncIterator[str]:
        """The name of an empty database for the block."""
        name = f"t_{uuid.uuid4().hex}"
        await self.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            yield name
        finally:
            await self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    async def execute(self, statement: str) -> None:
        """One statement, straight to the server."""
        connection = await asyncpg.connect(self.url, timeout=2)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(signal.SIGQUIT)  # at once, its children too
            self._process.wait()
        shutil.rmtree(self._sockets, ignore_errors=True)


class ProxyServer(Server):
    """toxiproxy, controlled over its own port."""

    def __init__(self, home: Path, program: Path) -> None:
        super().__init__(home, "toxiproxy")
        self._program = program

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def command(self) -> list[str]:
        return [*launcher(signal.SIGTERM), str(self._program), "-host", LOOPBACK, "-port", str(self.port)]

    def answers(self) -> bool:
        with socket.socket() as link:
            return link.connect_ex((LOOPBACK, self.port)) == 0
