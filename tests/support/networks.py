"""Networks of their own, for a test cluster and for each pod in it.

A network lives as long as the process that holds it (`unshare … sleep`), has no name, and is gone with that process:
nothing is left behind by a run that was killed. Standard library only.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from afterbell.dev.engines.launch import launcher

_HOLD = ("sleep", "infinity")
_PATIENCE_S = 5.0


class Network:
    """A network namespace; ``enter`` are the words before a command that is to run in it."""

    def __init__(self, *, as_root: bool = True) -> None:
        """Raises OSError where the kernel does not let this user have one."""
        user = () if as_root else ("--user", "--map-root-user")
        ours = namespace_of("self")
        self._holder = subprocess.Popen(
            ["unshare", "--net", *user, *launcher(signal.SIGKILL), *_HOLD],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.pid = self._holder.pid
        keep = () if as_root else ("--user", "--preserve-credentials")
        self.enter = ["nsenter", "--target", str(self.pid), "--net", *keep, "--"]
        deadline = time.monotonic() + _PATIENCE_S
        while namespace_of(str(self.pid)) == ours or not self._holds():
            if self._holder.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise OSError("this user may not make a network namespace")
            time.sleep(0.002)

    def configure(self, *lines: str) -> None:
        """Run the lines as ``ip`` commands inside; raises OSError with what ``ip`` said."""
        ip(*lines, enter=self.enter)

    def close(self) -> None:
        """Let go of it; it is gone when the last process in it has ended."""
        self._holder.kill()
        self._holder.wait()

    def _holds(self) -> bool:
        """Whether the holder has become its last program: before that it may still be on its way to a namespace."""
        try:
            return Path(f"/proc/{self.pid}/cmdline").read_bytes().startswith(_HOLD[0].encode())
        except OSError:
            return False


def ip(*lines: str, enter: list[str] | None = None) -> None:
    """Run the lines as ``ip`` commands, in the network of ``enter``; raises OSError with what ``ip`` said."""
    words = [*(enter or []), "ip", "-batch", "-"]
    done = subprocess.run(words, input="\n".join(lines), capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"ip: {done.stderr.strip()}")


def namespace_of(pid: str) -> str:
    """The identity of a process's network; empty where the process is gone."""
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return ""


def own_network() -> Network | None:
    """A new network, by root's right or in a user namespace; None where neither is allowed."""
    if sys.platform != "linux" or not all(map(shutil.which, ("ip", "unshare", "nsenter", "setpriv"))):
        return None
    try:
        network = Network(as_root=os.geteuid() == 0)
        network.configure("link set lo up", "link add probe type bridge", "link delete probe")
    except OSError:
        return None
    return network


def listener_in(enter: list[str], host: str, port: int = 0) -> socket.socket:
    """A listening TCP socket on a port of ``host`` in another network, a free one for 0, for this process."""
    ours, theirs = socket.socketpair()
    program = (
        "import socket, sys; found = socket.create_server((sys.argv[2], int(sys.argv[3]))); "
        "socket.send_fds(socket.socket(fileno=int(sys.argv[1])), [b'.'], [found.fileno()])"
    )
    number = str(theirs.fileno())
    with ours, theirs:
        subprocess.run(
            [*enter, sys.executable, "-c", program, number, host, str(port)], pass_fds=[theirs.fileno()], check=True
        )
        _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
    return socket.socket(fileno=descriptors[0])
