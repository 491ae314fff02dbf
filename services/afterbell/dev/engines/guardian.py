"""The process that starts one engine, watches it and stops it when its last user has left.

    python -m afterbell.dev.engines.guardian NAME DATA_DIR SOCKET_DIR PROGRAMS LOCK_FD

LOCK_FD is the guardian lock, taken by the user who starts it: two users who come at once cannot start two. It
lives in a session of its own, so Ctrl-C in a terminal does not reach the engine while the user still shuts
down. Standard library only: it must start in a few milliseconds.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from afterbell.dev.engines.folder import EngineFolder, fresh_socket_dir, open_lock, try_lock
from afterbell.dev.engines.postgres import Postgres
from afterbell.dev.engines.valkey import Valkey

ENGINES: Final[dict[str, type[Valkey | Postgres]]] = {"valkey": Valkey, "postgres": Postgres}
STARTING_POLL_S: Final = 0.01
WATCH_POLL_S: Final = 0.1
LEFTOVER_PATIENCE_S: Final = 30.0
STOP_PATIENCE_S: Final = 20.0


class Guardian:
    """The life of one engine, from a cleared ground to a cleared ground."""

    def __init__(self, folder: EngineFolder, socket_dir: Path, programs: Path, lock: int) -> None:
        self._folder = folder
        self._socket_dir = socket_dir
        self._lock = lock
        self._engine = ENGINES[folder.name](folder, socket_dir, programs)

    def run(self) -> None:
        """Start, watch, stop; raises OSError when the engine fails."""
        users = open_lock(self._folder.lock("users"))  # stays open, and so locked, until this process ends
        fresh_socket_dir(self._socket_dir)
        process = None
        try:
            process = self._start()
            self._watch(process, users)
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if process is not None:
                self._stop(process)
            if self._data_is_there() or not self._folder.home.exists():  # else it is a new guardian's
                shutil.rmtree(self._socket_dir, ignore_errors=True)
            os.close(self._lock)  # before the users lock goes: who waits for that must find no guardian

    def _start(self) -> subprocess.Popen[bytes]:
        """The engine inherits the engine lock and holds it as long as any process of it lives."""
        engine_lock = open_lock(self._folder.lock("engine"))
        try:
            self._clear_ground(engine_lock)
            self._engine.prepare(engine_lock)
            process = subprocess.Popen(self._engine.command(), pass_fds=[engine_lock])  # noqa: S603
            os.pwrite(engine_lock, str(process.pid).encode(), 0)
        finally:
            os.close(engine_lock)
        return process

    def _clear_ground(self, engine_lock: int) -> None:
        """Take the engine lock. Who still holds it lost its guardian to kill -9, and is told to stop."""
        deadline = time.monotonic() + LEFTOVER_PATIENCE_S
        leftover = os.pread(engine_lock, 20, 0)
        while not try_lock(engine_lock):
            if leftover:
                with contextlib.suppress(ProcessLookupError):  # its children may hold the lock a bit longer
                    os.kill(int(leftover), self._engine.stop_signal)
            if time.monotonic() > deadline:
                raise TimeoutError(f"process {leftover.decode()} of an earlier run does not stop: kill it")
            leftover = b""
            time.sleep(STARTING_POLL_S)
        os.ftruncate(engine_lock, 0)

    def _watch(self, process: subprocess.Popen[bytes], users: int) -> None:
        """Announce readiness; return when nobody is left or the data or the socket was removed."""
        announced = False
        while not try_lock(users) and self._data_is_there() and self._socket_dir.exists():
            if process.poll() is not None:
                raise ChildProcessError(f"{self._folder.name} ended by itself, code {process.returncode}")
            if not announced and self._engine.answers(self._socket_dir):
                os.pwrite(self._lock, os.fsencode(self._socket_dir), 0)
                announced = True
            time.sleep(WATCH_POLL_S if announced else STARTING_POLL_S)

    def _data_is_there(self) -> bool:
        """False once somebody removed the data directory, and perhaps made a new one."""
        try:
            return os.path.samestat(self._folder.lock("guardian").stat(), os.fstat(self._lock))
        except FileNotFoundError:
            return False

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        """Ask, then insist with SIGQUIT: both engines end at once and keep what was committed."""
        for number in (self._engine.stop_signal, signal.SIGQUIT):
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_PATIENCE_S)
                return
        process.kill()


def main(argv: list[str]) -> int:
    """Leave the process that started us, so that it need not reap us, then guard; 1 after a failure."""
    if os.fork():
        return 0
    os.umask(0o077)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    name, home, socket_dir, programs, lock = argv
    try:
        Guardian(EngineFolder(Path(home), name), Path(socket_dir), Path(programs), int(lock)).run()
    except OSError as error:
        sys.stderr.write(f"guardian: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
