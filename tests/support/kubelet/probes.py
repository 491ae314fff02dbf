"""Probes and hooks: one attempt of each kind, and what a row of attempts means."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache

from tests.support.kubelet.api import Manifest

Run = Callable[[list[str]], Awaitable[str | None]]
HTTP_OK = range(200, 400)


class Target:
    """A container to ask: its address, its named ports, a way to run a command where it runs."""

    def __init__(self, container: Manifest, ip: str, run: Run) -> None:
        self._ports: dict[str | int, int] = {
            port["name"]: port["containerPort"] for port in container.get("ports", ()) if "name" in port
        }
        self._ip, self._run = ip, run

    async def ask(self, action: Manifest, timeout_s: float) -> str | None:
        """One probe or hook; None where it succeeded, else what was wrong."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._ask(action)
        except TimeoutError:
            return f"no answer within {timeout_s:g} s"
        except (OSError, ValueError, asyncio.IncompleteReadError) as error:
            return str(error) or type(error).__name__

    async def _ask(self, action: Manifest) -> str | None:
        if "httpGet" in action:
            return await self._get(action["httpGet"])
        if "tcpSocket" in action:
            _, writer = await asyncio.open_connection(*self._address(action["tcpSocket"]))
            writer.close()
            return None
        if "exec" in action:
            return await self._run(action["exec"]["command"])
        if "sleep" in action:
            await asyncio.sleep(action["sleep"]["seconds"])
            return None
        return f"the test kubelet knows no {', '.join(action)}"

    async def _get(self, get: Manifest) -> str | None:
        host, port = self._address(get)
        secure = _trusting() if get.get("scheme") == "HTTPS" else None
        reader, writer = await asyncio.open_connection(host, port, ssl=secure)
        try:
            headers = {"Host": f"{host}:{port}", "User-Agent": "kube-probe/1.36", "Connection": "close"}
            headers |= {header["name"]: header["value"] for header in get.get("httpHeaders", ())}
            lines = [f"GET {get.get('path', '/')} HTTP/1.1", *(f"{key}: {value}" for key, value in headers.items())]
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
            status = int((await reader.readuntil(b"\r\n")).split()[1])
        finally:
            writer.close()
        return None if status in HTTP_OK else f"HTTP probe failed with statuscode: {status}"

    def _address(self, action: Manifest) -> tuple[str, int]:
        port: str | int = action["port"]
        return action.get("host") or self._ip, int(self._ports.get(port, port))


async def verdicts(probe: Manifest, target: Target) -> AsyncIterator[str | None]:
    """After each attempt that decides something: None for healthy, else the last complaint. Never ends."""
    await asyncio.sleep(probe.get("initialDelaySeconds", 0))
    passed = failed = 0
    action = {key: value for key, value in probe.items() if key in ("httpGet", "tcpSocket", "exec", "grpc")}
    while True:
        complaint = await target.ask(action, probe.get("timeoutSeconds", 1))
        passed, failed = (passed + 1, 0) if complaint is None else (0, failed + 1)
        if passed >= probe.get("successThreshold", 1):
            yield None
        elif failed >= probe.get("failureThreshold", 3):
            yield complaint
        await asyncio.sleep(probe.get("periodSeconds", 10))


@cache
def _trusting() -> ssl.SSLContext:
    """As a kubelet does: a probe believes every certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
