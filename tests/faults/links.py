"""The wires between our processes and their stores, and what can happen to a wire."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2


@dataclass(frozen=True, slots=True)
class Toxic:
    """A fault of a wire, as toxiproxy names it; ``stream`` is the direction, seen from the server."""

    kind: str
    stream: str = "downstream"
    attributes: tuple[tuple[str, int], ...] = ()


# Answers never come and are lost, like those of a firewall that forgot the connection; its end closes the connection.
STALL = Toxic("timeout", "downstream", (("timeout", 0),))
# Nothing reaches the server either.
MUTE = Toxic("timeout", "upstream", (("timeout", 0),))
LATENCY = Toxic("latency", "downstream", (("latency", 150), ("jitter", 100)))
RESET = Toxic("reset_peer", "downstream", (("timeout", 0),))
HALF_OPEN = Toxic("slow_close", "downstream", (("delay", 3000),))
DRIBBLE = Toxic("slicer", "downstream", (("average_size", 7), ("size_variation", 3), ("delay", 2000)))


class Link:
    """One wire: a port of toxiproxy in front of one server."""

    def __init__(self, control_url: str, name: str) -> None:
        self._control_url, self.name = control_url, name
        self.address = ""

    async def lay(self, upstream: str) -> None:
        made = await self._ask("POST", "", {"name": self.name, "listen": "127.0.0.1:0", "upstream": upstream})
        self.address = made["listen"]

    async def cut(self) -> None:
        """Close what is open, refuse what comes."""
        await self._ask("POST", f"/{self.name}", {"enabled": False})

    async def mend(self) -> None:
        await self._ask("POST", f"/{self.name}", {"enabled": True})

    async def lead_to(self, upstream: str) -> None:
        """Another server behind the same address."""
        await self._ask("POST", f"/{self.name}", {"upstream": upstream})

    async def remove(self) -> None:
        await self._ask("DELETE", f"/{self.name}")

    @asynccontextmanager
    async def toxic(self, *toxics: Toxic) -> AsyncIterator[None]:
        names = [f"{toxic.kind}-{toxic.stream}" for toxic in toxics]
        for name, toxic in zip(names, toxics, strict=True):
            body = {"name": name, "type": toxic.kind, "stream": toxic.stream, "attributes": dict(toxic.attributes)}
            await self._ask("POST", f"/{self.name}/toxics", body)
        try:
            yield
        finally:
            for name in names:
                await self._ask("DELETE", f"/{self.name}/toxics/{name}")

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        async with httpx2.AsyncClient(timeout=10) as http:
            answer = await http.request(method, f"{self._control_url}/proxies{path}", json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None
