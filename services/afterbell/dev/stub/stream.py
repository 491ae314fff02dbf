"""Playing the steps of a response over HTTP, at their times."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Send

from afterbell.dev.stub.stream_events import Cut, Delay, Step


class EventStream(StreamingResponse):
    """Server-sent events, then the data ``last``, where there is some.

    A Cut leaves the body unfinished, which makes the server close the connection.
    """

    media_type = "text/event-stream"

    def __init__(self, steps: Iterator[Step], headers: dict[str, str], last: str = "") -> None:
        self._is_cut, self._last = False, last
        super().__init__(self._played(steps), headers={"cache-control": "no-cache", **headers})

    async def stream_response(self, send: Send) -> None:
        """As Starlette does it, but without the closing message after a Cut."""

        async def send_unless_cut(message: Any) -> None:
            if not (self._is_cut and message["type"] == "http.response.body"):
                await send(message)

        await super().stream_response(send_unless_cut)

    async def _played(self, steps: Iterator[Step]) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        for step in steps:
            if isinstance(step, Delay):
                due_s += step.seconds  # against the schedule, so that many short sleeps do not add up
                await asyncio.sleep(max(0.0, due_s - loop.time()))
            elif isinstance(step, Cut):
                self._is_cut = True
            else:
                yield _written(step)
        if self._last and not self._is_cut:
            yield f"data: {self._last}\n\n".encode()


def _written(step: dict[str, Any]) -> bytes:
    """An event; only those of the Responses API have a name."""
    name = f"event: {step['type']}\n" if "type" in step else ""
    return f"{name}data: {json.dumps(step)}\n\n".encode()
