"""How PostgreSQL is created, started and asked. Standard library only."""

import os
import shutil
import signal
import socket
import struct
import subprocess
from pathlib import Path
from typing import Final

from afterbell.dev.engines.folder import PRIVATE_DIR, SOCKETS, EngineFolder
from afterbell.dev.engines.launch import launcher, postgres_account

# The built-in C.UTF-8 is the same on every system and sorts by code point.
LOCALE: Final = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
SETTINGS: Final = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "fsync": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
STARTUP: Final = struct.pack("!I", 3 << 16) + b"user\0postgres\0database\0afterbell\0\0"  # protocol 3.0
READY_FOR_QUERY: Final = b"Z\0\0\0\x05I"
TERMINATE: Final = b"X\0\0\0\x04"


class Postgres:
    """One PostgreSQL on a Unix socket, no TCP port; whoever can enter the socket folder is its superuser."""

    stop_signal = signal.SIGINT  # "fast": clients are disconnected, everything committed is kept

    def __init__(self, folder: EngineFolder, socket_dir: Path, programs: Path) -> None:
        self._data = folder.data
        self._socket_dir = socket_dir
        self._programs = programs
        self._account = postgres_account(folder.data)

    def prepare(self, engine_lock: int) -> None:
        """Create the cluster where there is none. ``engine_lock`` is held, so nobody serves the data now."""
        if not (self._data / "PG_VERSION").exists():
            self._create(engine_lock)
        # Its pid may be another process's by now, and PostgreSQL would believe it.
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _create(self, engine_lock: int) -> None:
        """Build beside, then rename: an interrupted first start leaves nothing that looks like a cluster."""
        building = self._data.with_suffix(".new")
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(mode=PRIVATE_DIR)
        if self._account is not None:
            os.chown(building, *self._account)
        # Nothing is lost yet if the machine stops in this second: --no-sync.
        options = ("--username=postgres", "--auth=trust", "--no-sync", "--no-instructions", *LOCALE)
        self._run(engine_lock, b"", "initdb", "-D", str(building), *options)
        single = ("postgres", "--single", "-D", str(building), "-c", "exit_on_error=on", "postgres")
        self._run(engine_lock, b"CREATE DATABASE afterbell\n", *single)
        building.rename(self._data)

    def _run(self, engine_lock: int, script: bytes, *words: str) -> None:
        done = subprocess.run(self._command(*words), input=script, check=False, pass_fds=[engine_lock])  # noqa: S603
        if done.returncode != 0:
            raise ChildProcessError(f"{words[0]} ended with code {done.returncode}")

    def _command(self, program: str, *words: str) -> list[str]:
        return [*launcher(self.stop_signal, self._account), str(self._programs / program), *words]

    def command(self) -> list[str]:
        """The server's command line."""
        settings = {**SETTINGS, "unix_socket_directories": str(self._socket_dir)}
        words = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        return self._command("postgres", "-D", str(self._data), *words)

    @staticmethod
    def answers(socket_dir: Path) -> bool:
        """Whether it serves the database ``afterbell``: a start-up message gets "ready for query"."""
        heard = b""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(2)
            try:
                link.connect(str(socket_dir / SOCKETS["postgres"]))
                link.sendall(struct.pack("!I", len(STARTUP) + 4) + STARTUP)
                while not heard.endswith(READY_FOR_QUERY) and (chunk := link.recv(4096)):
                    heard += chunk
                link.sendall(TERMINATE)
            except OSError:
                return False
        return heard.endswith(READY_FOR_QUERY)
