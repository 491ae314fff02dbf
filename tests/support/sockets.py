"""Socket.IO clients as the reference client behaves: they show what they got, drop what they know, catch up on gaps."""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import socketio


class Client:
    """One socket. ``shown`` are the messages by seq; ``events`` everything that came, by name."""

    def __init__(self, url: str, token: str, **options: Any) -> None:
        self.url, self.token = url, token
        self.sio = socketio.AsyncClient(reconnection_delay=0.2, reconnection_delay_max=1, **options)
        self.events: dict[str, list[Any]] = defaultdict(list)
        self.shown: dict[int, dict[str, Any]] = {}
        self.copies: dict[int, int] = defaultdict(int)
        self.live: list[int] = []
        self.arrived = asyncio.Condition()
        self.session = ""
        self._catching_up: asyncio.Task[None] | None = None
        self._wants_catch_up = False
        self.sio.on("*", self._on_event)
        self.sio.on("connect", self._on_connect)
        self.http = httpx2.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=20)

    async def connect(self, *, retry: bool = False) -> "Client":
        await self.sio.connect(
            self.url, transports=["websocket"], auth={"token": self.token}, wait_timeout=20, retry=retry
        )
        return self

    async def close(self) -> None:
        if self._catching_up is not None:
            self._catching_up.cancel()
        await self.sio.disconnect()
        await self.sio.shutdown()
        if self.sio.eio.http is not None:
            await self.sio.eio.http.close()  # engine.io leaves it open where the connection ended by itself
        await self.http.aclose()

    async def ask(self, event: str, within_s: float = 20, **payload: Any) -> dict[str, Any]:
        """Emit and wait for the acknowledgement."""
        return await self.sio.call(event, payload, timeout=within_s)

    async def join(self, session: str) -> dict[str, Any]:
        """Join, and from now on keep up with the session whatever happens."""
        self.session = session
        answer = await self.ask("session:join", session=session, after=self.last)
        for message in answer.get("messages", []):
            self._show(message)
        return answer

    async def say(self, text: str, message_id: str = "") -> dict[str, Any]:
        """Send until it is acknowledged, with the same id."""
        message_id = message_id or str(uuid.uuid4())
        while True:
            try:
                answer = await self.ask("chat:send", 6, session=self.session, id=message_id, text=text)
            except (socketio.exceptions.SocketIOError, TimeoutError):
                await asyncio.sleep(0.1)
                continue
            if answer.get("ok") or answer["code"] not in ("store_unavailable", "rate_limited", "internal"):
                return answer
            await asyncio.sleep(answer.get("retryInMs", 100) / 1000)

    @property
    def last(self) -> int:
        """The greatest seq up to which nothing is missing."""
        seq = 0
        while seq + 1 in self.shown:
            seq += 1
        return seq

    async def until(self, holds: Any, within_s: float = 30) -> None:
        """Wait until ``holds()``, looked at whenever something came."""
        async with asyncio.timeout(within_s), self.arrived:
            await self.arrived.wait_for(holds)

    async def catch_up(self) -> None:
        """By REST, until there is nothing more."""
        after: int | None = self.last
        while after is not None:
            answer = await self.http.get(
                f"/api/sessions/{self.session}/messages", params={"after": after, "limit": 500}
            )
            answer.raise_for_status()
            page = answer.json()
            for message in page["messages"]:
                self._show(message)
            after = page["nextAfter"]
        await self._tell()

    def _show(self, message: dict[str, Any]) -> None:
        known = self.shown.setdefault(message["seq"], message)
        assert known["id"] == message["id"], "two messages under one seq"

    async def _on_connect(self) -> None:
        self.events["connect"].append({})
        if self.session:
            await self.join(self.session)
        await self._tell()

    async def _on_event(self, name: str, payload: Any = None) -> None:
        self.events[name].append(payload)
        if name == "chat:message" and payload["session"] == self.session:
            self.live.append(payload["seq"])
            self.copies[payload["seq"]] += 1
            self._show(payload)
            if self.last < max(self.shown):
                self._catch_up_soon()
        if name == "rt:resync" and self.session:
            self._catch_up_soon()
        await self._tell()

    def _catch_up_soon(self) -> None:
        if self._catching_up is None or self._catching_up.done():
            self._catching_up = asyncio.create_task(self._patiently())
        else:
            self._wants_catch_up = True

    async def _patiently(self) -> None:
        self._wants_catch_up = True
        while self._wants_catch_up:
            self._wants_catch_up = False
            try:
                await self.catch_up()
            except httpx2.HTTPError:
                self._wants_catch_up = True
                await asyncio.sleep(0.2)

    async def _tell(self) -> None:
        async with self.arrived:
            self.arrived.notify_all()


@asynccontextmanager
async def clients(*wanted: tuple[str, str]) -> AsyncIterator[list[Client]]:
    """Connected clients for (url, token) each, closed at the end."""
    made = [Client(url, token) for url, token in wanted]
    try:
        for client in made:
            await client.connect()
        yield made
    finally:
        for client in made:
            await client.close()
