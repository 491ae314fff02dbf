"""Where one engine keeps its files, and the locks that say who is alive. Standard library only.

    DATA_DIR/valkey/  postgres/         what must survive
    DATA_DIR/valkey.log  postgres.log   what the guardian and the engine said
    DATA_DIR/locks/NAME.users           shared by every user: whoever gets it alone knows that nobody is left
    DATA_DIR/locks/NAME.guardian        held by the guardian; its text: the socket folder, once it answers
    DATA_DIR/locks/NAME.engine          held by the engine and its children; its text: the engine's pid
    TMPDIR/afterbell-NAME-HASH/         the socket, always here: a socket's path must be under 104 bytes

A lock is a ``flock``, which belongs to an open file, so a child can inherit it and dying lets it go.
"""

import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PRIVATE_DIR: Final = 0o700
PRIVATE_FILE: Final = 0o600
SOCKETS: Final = {"valkey": "valkey.sock", "postgres": ".s.PGSQL.5432"}
MAX_SOCKET_DIR_BYTES: Final = 88  # 103 on macOS, less "/.s.PGSQL.5432"


@dataclass(frozen=True, slots=True)
class EngineFolder:
    """The files of the engine ``name`` under the data directory ``home`` (resolved)."""

    home: Path
    name: str

    @property
    def data(self) -> Path:
        return self.home / self.name

    @property
    def log(self) -> Path:
        return self.home / f"{self.name}.log"

    def lock(self, role: str) -> Path:
        """The lock file of the ``users``, the ``guardian`` or the ``engine``."""
        return self.home / "locks" / f"{self.name}.{role}"

    def socket_dir(self) -> Path:
        """Where this process would put the socket; a running engine keeps the place it was started with."""
        tag = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]
        return Path(tempfile.gettempdir()).resolve() / f"afterbell-{self.name}-{tag}"


def open_lock(path: Path) -> int:
    """A descriptor of its own for one lock file; closing it lets the lock go."""
    return os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)


def try_lock(fd: int, *, shared: bool = False) -> bool:
    """Take the lock if it is free."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def fresh_socket_dir(path: Path) -> None:
    """An empty folder only we can enter. Temporary folders are public: one that is not ours is refused."""
    if os.path.lexists(path):
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise PermissionError(f"{path} belongs to another user: remove it, or set TMPDIR to a folder of your own")
        shutil.rmtree(path)
    path.mkdir(mode=PRIVATE_DIR)
