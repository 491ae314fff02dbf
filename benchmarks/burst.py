"""Many requests in one moment, each once: over connections that are open already, or each opening its own.

Run as a process of its own: one JSON object on standard input (the fields of ``Burst``), one on standard output (those
of ``Answered``). It speaks HTTP by itself, for on shared cores what a client burns is missing from the server.
"""

import asyncio
import gc
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Final, cast

import uvloop

# So that `python -m benchmarks.burst` finds its neighbours.
from benchmarks.load import HEAD_END, body_length
from benchmarks.servers import BenchError

ROOT: Final = Path(__file__).resolve().parents[1]
PATIENCE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Burst:
    """A POST to each of ``paths``. ``opened``: the connections are there before, as an Ingress keeps them."""

    port: int
    token: str
    paths: list[str]
    opened: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """How long each waited from the moment it asked, or began to connect; ``began``: that moment, by perf_counter."""

    times_ms: list[float]
    statuses: list[int]
    began: float


class Asking(asyncio.Protocol):
    """One connection, one request."""

    def __init__(self, burst: Burst, path: str, *, asked_at: float | None) -> None:
        self.answered: asyncio.Future[tuple[int, float]] = asyncio.get_running_loop().create_future()
        self._asked_at, self._heard = asked_at, b""
        self._request = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{burst.port}\r\n"
            f"Authorization: Bearer {burst.token}\r\nContent-Length: 0\r\n\r\n"
        ).encode()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask at once where the connection is part of what is measured."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by shape only
        if self._asked_at is not None:
            self._transport.write(self._request)

    def ask(self) -> None:
        """Ask now."""
        self._asked_at = perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Read until the answer is whole."""
        self._heard += data
        head_end = self._heard.find(HEAD_END)
        if head_end < 0 or len(self._heard) < head_end + len(HEAD_END) + body_length(self._heard[:head_end]):
            return
        self.answered.set_result((int(self._heard[9:12]), perf_counter() - (self._asked_at or 0.0)))
        self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell that the server hung up."""
        if not self.answered.done():
            self.answered.set_exception(error or ConnectionError("the server closed the connection"))


async def run(burst: Burst) -> Answered:
    """Ask all at once."""
    loop = asyncio.get_running_loop()

    async def opened(path: str, asked_at: float | None) -> Asking:
        _, asking = await loop.create_connection(
            lambda: Asking(burst, path, asked_at=asked_at), "127.0.0.1", burst.port
        )
        return asking

    if burst.opened:
        everybody = [await opened(path, None) for path in burst.paths]
        began = perf_counter()
        for asking in everybody:
            asking.ask()
    else:
        began = perf_counter()
        everybody = await asyncio.gather(*(opened(path, began) for path in burst.paths))
    answers = await asyncio.gather(*(asking.answered for asking in everybody))
    return Answered([took * 1000 for _, took in answers], [status for status, _ in answers], began)


def let_go(burst: Burst) -> Answered:
    """Run it as a process of its own. Raises BenchError where it failed or anything but 202 was answered."""
    done = subprocess.run(
        (sys.executable, "-m", "benchmarks.burst"),
        input=json.dumps(asdict(burst)),
        text=True,
        capture_output=True,
        cwd=ROOT,
        check=False,
        timeout=PATIENCE_S,
    )
    if done.returncode != 0:
        raise BenchError(f"the burst ended early:\n{done.stderr[-800:]}")
    answered = Answered(**json.loads(done.stdout))
    if set(answered.statuses) != {202}:
        raise BenchError(f"asking for a report was answered with {sorted(set(answered.statuses))}")
    return answered


def main() -> None:
    """Read the burst, let it go, print what was measured."""
    burst = Burst(**json.load(sys.stdin))
    gc.disable()  # a pause of this process would be measured as the server's
    print(json.dumps(asdict(uvloop.run(run(burst)))))


if __name__ == "__main__":
    main()
