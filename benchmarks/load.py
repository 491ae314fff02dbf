"""A closed-loop HTTP load generator: every client sends its next request when its last one is answered.

Run as a process of its own: one JSON object on standard input (the fields of ``Load``), one on standard output (those
of ``Measured``). It is written against the event loop's own protocol class, because on shared cores whatever the
generator burns is missing from the server's figures; and it times each request to the microsecond.
"""

import asyncio
import gc
import json
import math
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import cast

import uvloop

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"


@dataclass(frozen=True, slots=True)
class Load:
    """What to send. ``{n}`` in ``path`` counts up from ``first``, so that every request can name another session."""

    port: int
    method: str
    path: str
    token: str
    clients: int
    seconds: float
    warm_up_s: float = 1.0
    first: int = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """What came back after the warm-up; ``statuses`` counts the answers by HTTP status, warm-up included."""

    rps: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    answers: int
    next_n: int
    statuses: dict[str, int]


class Clients:
    """What all connections share: the counter of requests, the clock's marks, the answers."""

    def __init__(self, load: Load, started: float) -> None:
        self.counts_from = started + load.warm_up_s
        self.ends = self.counts_from + load.seconds
        self.next_n = load.first
        self.times_s: list[float] = []
        self.statuses: Counter[str] = Counter()
        before, self._counted, after = f"{load.method} {load.path} HTTP/1.1\r\n".partition("{n}")
        headers = f"Host: 127.0.0.1:{load.port}\r\nAuthorization: Bearer {load.token}\r\nContent-Length: 0\r\n\r\n"
        self._before, self._after = before.encode(), (after + headers).encode()

    def next_request(self) -> bytes:
        """The next request, whole."""
        number = b"%d" % self.next_n if self._counted else b""
        self.next_n += 1
        return self._before + number + self._after

    def measured(self) -> Measured:
        """The figures. Raises ValueError where nothing was answered."""
        if not self.times_s:
            raise ValueError("no request was answered after the warm-up")
        times = sorted(self.times_s)
        return Measured(
            rps=len(times) / (self.ends - self.counts_from),
            p50_ms=_percentile_ms(times, 0.50),
            p99_ms=_percentile_ms(times, 0.99),
            max_ms=times[-1] * 1000,
            answers=len(times),
            next_n=self.next_n,
            statuses=dict(self.statuses),
        )


class Client(asyncio.Protocol):
    """One keep-alive connection. ``done`` is set at the end of the load, or fails where the server hangs up."""

    def __init__(self, clients: Clients, done: "asyncio.Future[None]") -> None:
        self._clients, self.done = clients, done
        self._heard = b""
        self._sent_at = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by shape only
        self._send()

    def data_received(self, data: bytes) -> None:
        """Read on until the answer is whole; then count it and send the next request."""
        self._heard = self._heard + data if self._heard else data
        head_end = self._heard.find(HEAD_END)
        if head_end < 0 or len(self._heard) < head_end + len(HEAD_END) + body_length(self._heard[:head_end]):
            return
        self._count(perf_counter())
        self._heard = b""

    def connection_lost(self, error: Exception | None) -> None:
        """Tell that the server hung up."""
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed the connection"))

    def _count(self, now: float) -> None:
        clients = self._clients
        clients.statuses[self._heard[9:12].decode()] += 1
        if self._sent_at >= clients.counts_from and now <= clients.ends:
            clients.times_s.append(now - self._sent_at)
        if now < clients.ends:
            self._send()
        elif not self.done.done():
            self.done.set_result(None)
            self._transport.close()

    def _send(self) -> None:
        request = self._clients.next_request()
        self._sent_at = perf_counter()
        self._transport.write(request)


def body_length(head: bytes) -> int:
    """As announced. Raises ValueError for an answer without a length."""
    at = head.lower().index(LENGTH) + len(LENGTH)
    end = head.find(b"\r\n", at)
    return int(head[at : end if end >= 0 else None])


def _percentile_ms(ordered_s: list[float], share: float) -> float:
    """Nearest rank: the smallest time that ``share`` of the answers did not exceed."""
    return ordered_s[max(0, math.ceil(len(ordered_s) * share) - 1)] * 1000


async def run(load: Load) -> Measured:
    """Put ``load`` on the server and measure."""
    loop = asyncio.get_running_loop()
    clients = Clients(load, perf_counter())
    ends = [loop.create_future() for _ in range(load.clients)]
    for end in ends:
        await loop.create_connection(lambda end=end: Client(clients, end), "127.0.0.1", load.port)  # type: ignore[misc]
    await asyncio.gather(*ends)
    return clients.measured()


def main() -> None:
    """Read the load, put it on, print what was measured."""
    load = Load(**json.load(sys.stdin))
    gc.disable()  # a pause of the generator's would be measured as the server's
    print(json.dumps(asdict(uvloop.run(run(load)))))


if __name__ == "__main__":
    main()
