"""How Valkey is started and asked. Standard library only."""

import signal
import socket
from pathlib import Path

from afterbell.dev.engines.folder import PRIVATE_DIR, SOCKETS, EngineFolder
from afterbell.dev.engines.launch import launcher


class Valkey:
    """One Valkey on a Unix socket, no TCP port; a write is on disk before it is acknowledged."""

    stop_signal = signal.SIGTERM

    def __init__(self, folder: EngineFolder, socket_dir: Path, programs: Path) -> None:
        self._data = folder.data
        self._socket = str(socket_dir / SOCKETS["valkey"])
        self._server = str(programs / "valkey-server")

    def prepare(self, _engine_lock: int) -> None:
        """Make the data folder."""
        self._data.mkdir(mode=PRIVATE_DIR, exist_ok=True)

    def command(self) -> list[str]:
        """The server's command line."""
        words = [
            "--port",
            "0",
            "--unixsocket",
            self._socket,
            "--unixsocketperm",
            "700",
            "--dir",
            str(self._data),
        ]
        words += ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        words += ["--maxmemory-policy", "noeviction", "--daemonize", "no"]
        return [*launcher(self.stop_signal), self._server, *words]

    @staticmethod
    def answers(socket_dir: Path) -> bool:
        """Whether it serves: PING gets PONG, not "loading"."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(2)
            try:
                link.connect(str(socket_dir / SOCKETS["valkey"]))
                link.sendall(b"PING\r\n")
                return link.recv(16).startswith(b"+PONG")
            except OSError:
                return False
