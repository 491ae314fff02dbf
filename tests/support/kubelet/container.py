"""One container: a process that is started, probed, restarted and ended as its manifest says."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from tests.support.kubelet.api import Manifest, now
from tests.support.kubelet.environment import Misconfigured, expanded
from tests.support.kubelet.probes import Target, verdicts

from afterbell.dev.engines.launch import launcher

RETRY_S = 0.5
BACK_OFF_MAX_S = 10.0
AFTER_HOOK_S = 2.0
"""A process whose preStop hook used up the grace period still gets this long after SIGTERM, as from a real kubelet."""
_SIGNALLED = 128


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a container gets from its pod.

    ``again(exit code)``: whether it is to be started again. ``environment(spec)`` raises Misconfigured.
    ``entrypoint(image)``: the words an image runs; raises Misconfigured. ``say(reason, message, warning)``: an Event.
    """

    ip: str
    enter: tuple[str, ...]
    folder: Path
    grace_s: float
    again: Callable[[int], bool]
    environment: Callable[[Manifest], Awaitable[dict[str, str]]]
    entrypoint: Callable[[str], list[str]]
    say: Callable[[str, str, bool], None]
    changed: Callable[[], None]


class Container:
    """Its state is that of a containerStatus; every change of it is told to the pod."""

    def __init__(self, spec: Manifest, around: Surroundings) -> None:
        self.spec, self._around = spec, around
        self.name: str = spec["name"]
        self.state: Manifest = {"waiting": {"reason": "ContainerCreating"}}
        self.last_state: Manifest = {}
        self.restarts = 0
        self.started = self.ready = False
        self.exit_code: int | None = None
        self._environment: dict[str, str] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._ending = asyncio.Event()
        self._target = Target(spec, around.ip, self._exec)

    async def run(self) -> int | None:
        """Until it has ended for good: its exit code, None where it never started."""
        while (command := await self._prepared()) is not None:
            code = await self._once(command)
            if self._ending.is_set() or not self._around.again(code):
                break
            await self._back_off()
        return self.exit_code

    async def stop(self, grace_s: float) -> None:
        """preStop, SIGTERM, SIGKILL when the grace period is over; it is not started again."""
        self._ending.set()
        await self._terminate(grace_s)

    def kill(self) -> None:
        """At once, with everything it started."""
        self._ending.set()
        self._send_all(signal.SIGKILL)

    def status(self) -> Manifest:
        image = self.spec.get("image", "")
        return {
            "name": self.name,
            "image": image,
            "imageID": image,
            "containerID": f"process://{self._pid}",
            "ready": self.ready,
            "started": self.started,
            "restartCount": self.restarts,
            "state": self.state,
            "lastState": self.last_state,
        }

    async def _prepared(self) -> list[str] | None:
        """The command; waits while something it refers to is missing; None where it is to end instead."""
        while not self._ending.is_set():
            try:
                return await self._command()
            except Misconfigured as error:
                self._become({"waiting": {"reason": "CreateContainerConfigError", "message": str(error)}})
            except httpx2.HTTPError as error:
                self._become({"waiting": {"reason": "ContainerCreating", "message": f"API server: {error!r}"}})
            await self._pause(RETRY_S)
        return None

    async def _command(self) -> list[str]:
        self._environment = await self._around.environment(self.spec)
        words = [expanded(word, self._environment) for word in self.spec.get("command", ())]
        words = words or self._around.entrypoint(self.spec.get("image", ""))
        return words + [expanded(word, self._environment) for word in self.spec.get("args", ())]

    async def _once(self, command: list[str]) -> int:
        began = now()
        try:
            self._process = await self._start(command)
        except OSError as error:  # not a folder to work in, or the like: as a runtime that cannot create it
            self.exit_code = _SIGNALLED
            self._become({"terminated": {"exitCode": _SIGNALLED, "reason": "StartError", "message": str(error)}})
            return _SIGNALLED
        if self._ending.is_set():  # while it was being started
            self._send_all(signal.SIGKILL)
        self._become({"running": {"startedAt": began}}, started="startupProbe" not in self.spec)
        self._around.say("Started", f"Started container {self.name}", False)
        looking = asyncio.create_task(self._look_after())
        code = await self._process.wait()
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        self._send_all(signal.SIGKILL)
        self.exit_code = _SIGNALLED - code if code < 0 else code
        reason = "Completed" if code == 0 else "Error"
        ended = {"exitCode": self.exit_code, "reason": reason, "startedAt": began, "finishedAt": now()}
        self._become({"terminated": ended})
        return self.exit_code

    async def _start(self, command: list[str]) -> asyncio.subprocess.Process:
        """Words that are no program end it with 127, as a shell does: the words before them are what is started."""
        self._around.folder.mkdir(parents=True, exist_ok=True)
        path = self._around.folder / f"{self.name}.{self.restarts}.log"
        with path.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *self._around.enter,
                *launcher(signal.SIGKILL),
                *command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
                cwd=self.spec.get("workingDir") or self._around.folder,
            )

    async def _back_off(self) -> None:
        """At once the first time, then 1, 2, 4 … s: a real kubelet waits ten times as long."""
        self.last_state = self.state
        if self.restarts:
            self._around.say("BackOff", f"Back-off restarting failed container {self.name}", True)
            self._become({"waiting": {"reason": "CrashLoopBackOff"}})
            await self._pause(min(BACK_OFF_MAX_S, 2.0 ** (self.restarts - 1)))
        if not self._ending.is_set():
            self.restarts += 1

    async def _look_after(self) -> None:
        """The hook after the start, then the startup probe, then the other two side by side."""
        hook = self.spec.get("lifecycle", {}).get("postStart")
        if hook and (complaint := await self._target.ask(hook, self._around.grace_s)):
            return await self._fail("postStart", complaint, {})
        if probe := self.spec.get("startupProbe"):
            async for complaint in verdicts(probe, self._target):
                if complaint is not None:
                    return await self._fail("Startup", complaint, probe)
                break
            self._become(self.state, started=True)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._keep_ready())
            both.create_task(self._keep_alive())
        return None

    async def _keep_ready(self) -> None:
        probe = self.spec.get("readinessProbe")
        if probe is None:
            self._become(self.state, started=True, ready=True)
            return
        async for complaint in verdicts(probe, self._target):
            if complaint is not None and self.ready:
                self._around.say("Unhealthy", f"Readiness probe failed: {complaint}", True)
            self._become(self.state, started=True, ready=complaint is None)

    async def _keep_alive(self) -> None:
        if probe := self.spec.get("livenessProbe"):
            async for complaint in verdicts(probe, self._target):
                if complaint is not None:
                    return await self._fail("Liveness", complaint, probe)
        return None

    async def _fail(self, probe_name: str, complaint: str, probe: Manifest) -> None:
        self._around.say("Unhealthy", f"{probe_name} probe failed: {complaint}", True)
        await self._terminate(probe.get("terminationGracePeriodSeconds", self._around.grace_s))

    async def _terminate(self, grace_s: float) -> None:
        process, clock = self._process, asyncio.get_running_loop().time
        if process is None or process.returncode is not None:
            return
        self._around.say("Killing", f"Stopping container {self.name}", False)
        ends_at = clock() + grace_s
        left_s = await self._before_stopping(grace_s) or ends_at - clock()
        with suppress(ProcessLookupError):
            process.send_signal(getattr(signal, self.spec.get("lifecycle", {}).get("stopSignal", "SIGTERM")))
        try:
            await asyncio.wait_for(process.wait(), left_s)
        except TimeoutError:
            self._send_all(signal.SIGKILL)
            await process.wait()

    async def _before_stopping(self, grace_s: float) -> float:
        """The preStop hook, if there is one, and the seconds left after it; 0 where there is none."""
        hook = self.spec.get("lifecycle", {}).get("preStop")
        if hook is None:
            return 0.0
        began = asyncio.get_running_loop().time()
        if complaint := await self._target.ask(hook, grace_s):
            self._around.say("FailedPreStopHook", complaint, True)
        left_s = grace_s - (asyncio.get_running_loop().time() - began)
        return max(left_s, AFTER_HOOK_S)

    async def _exec(self, command: list[str]) -> str | None:
        """Run a command beside the process, where and as it runs; what it said where it failed."""
        process = await asyncio.create_subprocess_exec(
            *self._around.enter,
            *launcher(signal.SIGKILL),
            *command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environment,
            start_new_session=True,
            cwd=self.spec.get("workingDir") or self._around.folder,
        )
        try:
            said, _ = await process.communicate()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        return None if process.returncode == 0 else said.decode(errors="replace").strip() or f"{process.returncode}"

    def _become(self, state: Manifest, *, started: bool = False, ready: bool = False) -> None:
        before = (self.state, self.started, self.ready)
        self.state, self.started, self.ready = state, started, ready
        if before != (state, started, ready):
            self._around.changed()

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)

    def _send_all(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    @property
    def _pid(self) -> Any:
        return self._process.pid if self._process else ""
