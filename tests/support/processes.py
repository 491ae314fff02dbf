"""Afterbell's processes as children of a test or a benchmark: the one way in which either starts one."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final

import psutil
from pydantic import SecretStr
from tests.support.waiting import eventually

from afterbell.settings import ApiSettings, WorkerSettings

ROOT: Final = Path(__file__).parents[2]
PATHS: Final = (ROOT / "services", ROOT / "operator", ROOT)
AFTERBELL: Final = (sys.executable, "-m", "afterbell")
FIELDS: Final = ApiSettings.model_fields | WorkerSettings.model_fields
FOREIGN: Final = ("AFTERBELL_", "OPENAI_", "REDIS_URL", "DATABASE_URL", "APP_ENV", "PORT")
ENDED_WITHIN_S: Final = 60.0


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of this process without the settings of another Afterbell, our code, and ``variables``."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}  # noqa: TID251
    return {**inherited, "PYTHONPATH": os.pathsep.join(map(str, PATHS)), **variables}


def variables_of(settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings by the names of their fields as the variables that processes read; other names are left out."""
    return {str(FIELDS[name].alias): _word(value) for name, value in settings.items() if name in FIELDS}


def _word(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


class Process:
    """A command as a child of this process. What it writes is in ``log``, or in a file that goes with it.

    ``out`` takes its standard output apart from its log.
    """

    def __init__(
        self, *command: str, variables: Mapping[str, str], log: Path | None = None, out: Path | None = None
    ) -> None:
        with ExitStack() as opened:
            self._log = TemporaryFile("ab+") if log is None else log.open("ab+")  # noqa: SIM115 - closed by end()
            stdout = self._log if out is None else opened.enter_context(out.open("ab"))
            self.child = psutil.Popen(
                command,
                env=environment(variables),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=self._log,
            )

    @property
    def pid(self) -> int:
        return int(self.child.pid)

    @property
    def running(self) -> bool:
        return self.child.poll() is None

    @property
    def stopped(self) -> bool:
        """Whether SIGSTOP has arrived."""
        return bool(self.child.status() == psutil.STATUS_STOPPED)

    def connections_to(self, port: int) -> int:
        """Established connections to a port."""
        ends = [each.raddr for each in self.child.net_connections("tcp") if each.status == psutil.CONN_ESTABLISHED]
        return len([end for end in ends if end.port == port])

    def send(self, number: signal.Signals) -> None:
        self.child.send_signal(number)

    def wait(self, within_s: float = ENDED_WITHIN_S) -> int:
        """Its exit code; minus the signal's number where a signal ended it."""
        return int(self.child.wait(within_s))

    async def ended(self, within_s: float = ENDED_WITHIN_S) -> int:
        """The same beside a running loop."""
        await eventually(lambda: not self.running, self.said, within_s=within_s)
        return self.wait()

    async def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        if self.running:
            self.child.kill()
        await self.ended()

    def end(self) -> None:
        """Kill it where it still runs."""
        if self.running:
            self.child.kill()
        self.wait()
        self._log.close()

    def stop(self) -> None:
        """As its pod is stopped: SIGTERM, and SIGKILL where that is not enough."""
        if self.running:
            self.child.terminate()
        with suppress(psutil.TimeoutExpired):
            self.wait()
        self.end()

    def said(self) -> str:
        """What it has written so far, without colours."""
        self._log.seek(0)
        return re.sub(r"\x1b\[[0-9;]*m", "", self._log.read().decode(errors="replace"))
