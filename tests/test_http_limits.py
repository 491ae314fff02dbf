"""What a stranger may send, before any token is asked for: raw bytes to a served port, and what becomes of them."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import orjson
import pytest
from starlette.types import Receive, Scope, Send
from tests.support.attacks import Attack
from tests.support.waiting import eventually

from afterbell.http_protocol import HttpLimits
from afterbell.serving import LOOPBACK, Serving, bind, port_of

HOST: Final = b"Host: a\r\n"
GET: Final = b"GET / HTTP/1.1\r\n"
POST: Final = b"POST / HTTP/1.1\r\n" + HOST
EXPECTED: Final = b"Expect: 100-continue\r\n"
CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
LIMITS: Final = HttpLimits(body_bytes=100_000, head_s=0.5, body_s=0.5, unread_s=0.5, idle_s=1)


@dataclass
class Echo:
    """An app that says how long the body was; ``asked`` holds what came through to it."""

    asked: list[Scope] = field(default_factory=list)
    answered: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(scope)
        length, more = 0, True
        while more:
            message = await receive()
            length, more = length + len(message.get("body", b"")), message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1_000 if scope["path"] == "/large" else 0):
            await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
        await send({"type": "http.response.body", "body": b"%d" % length})
        self.answered += 1


@dataclass
class Port:
    """A served port."""

    number: int
    app: Echo

    async def send(self, *pieces: bytes) -> bytes:
        """What comes back until the server closes."""
        reader, writer = await asyncio.open_connection(LOOPBACK, self.number)
        answer = b""
        with contextlib.suppress(ConnectionError):  # refused before all was sent
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65_536):
                answer += piece
        await close(writer)
        return answer

    async def statuses(self, *pieces: bytes) -> list[int]:
        """The statuses of the answers, in their order."""
        return statuses_in(await self.send(*pieces))


async def close(*writers: asyncio.StreamWriter) -> None:
    for writer in writers:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def statuses_in(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


@asynccontextmanager
async def served(limits: HttpLimits = LIMITS) -> AsyncIterator[Port]:
    app, listening = Echo(), bind(LOOPBACK, 0, variable="PORT")
    async with Serving(app, listening, limits=limits, grace_s=1):
        yield Port(port_of(listening), app)


# name, what it did on 30 November 2026, status now, bytes
REFUSED: Final[list[tuple[str, str, int, bytes]]] = [
    ("a header of 40 kB", "accepted", 431, GET + HOST + b"X: " + b"a" * 40_000 + b"\r\n\r\n"),
    ("a header that never ends", "1,993 MB, 10 s blocked", 431, GET + HOST + b"X: " + b"a" * 250_000),
    ("10,000 headers", "accepted", 431, GET + HOST + b"X: a\r\n" * 10_000 + b"\r\n"),
    ("headers that never end", "386 MB, 60 s blocked", 431, GET + HOST + b"X: a\r\n" * 40_000),
    ("a target of 17 kB", "accepted", 414, b"GET /" + b"a" * 17_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n"),
    ("a target that never ends", "as much memory as sent", 414, b"GET /" + b"a" * 250_000),
    ("a body too large, announced", "100 Continue", 413, POST + EXPECTED + b"Content-Length: 99999999\r\n\r\n"),
    ("a body too large, in chunks", "413", 413, POST + CHUNKED + b"\r\n" + b"ffff\r\n%b\r\n" % (b"a" * 0xFFFF) * 2),
    ("a Content-Length of 4,301 zeros", "500", 400, POST + b"Content-Length: " + b"0" * 4_301 + b"\r\n\r\n"),
    ("a Content-Length beyond 2^64", "400", 400, POST + b"Content-Length: " + b"9" * 25 + b"\r\n\r\n"),
    ("Content-Length: +4", "400", 400, POST + b"Content-Length: +4\r\n\r\nabcd"),
    ("two lengths", "400", 400, POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde"),
    ("a length and chunks", "400", 400, POST + b"Content-Length: 4\r\n" + CHUNKED + b"\r\n0\r\n\r\n"),
    ("chunked, gzip", "400", 400, POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    ("gzip, chunked", "accepted", 400, POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("xchunked and a length", "400", 400, POST + b"Content-Length: 1\r\nTransfer-Encoding: xchunked\r\n\r\na"),
    ("chunks over HTTP/1.0", "accepted", 400, POST.replace(b"1.1", b"1.0") + CHUNKED + b"\r\n0\r\n\r\n"),
    ("a space before the colon", "400", 400, POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    ("bare line feeds", "400", 400, b"GET / HTTP/1.1\nHost: a\n\n"),
    ("a bare carriage return", "400", 400, GET + HOST + b"X: a\rb: c\r\n\r\n"),
    ("a line feed in a chunk's size", "400", 400, POST + CHUNKED + b"\r\n1\na\n0\n\n"),
    ("a chunk's size beyond 2^64", "400", 400, POST + CHUNKED + b"\r\nfffffffffffffffff\r\na\r\n0\r\n\r\n"),
    ("extensions of chunks that never end", "no limit", 400, POST + CHUNKED + b"\r\n1;" + b"a" * 1_200_000),
    ("no Host", "accepted", 400, GET + b"\r\n"),
    ("two Hosts", "accepted", 400, GET + HOST + HOST + b"\r\n"),
    ("another host in the target", "accepted", 400, b"GET http://evil/ HTTP/1.1\r\n" + HOST + b"\r\n"),
    ("HTTP/0.9", "accepted", 505, b"GET /\r\n\r\n"),
    ("HTTP/2.0 in a line", "accepted", 505, b"GET / HTTP/2.0\r\n" + HOST + b"\r\n"),
    ("CONNECT", "400", 400, b"CONNECT evil:443 HTTP/1.1\r\n" + HOST + b"\r\n"),
    ("NUL in the target", "400", 400, b"GET /a\0b HTTP/1.1\r\n" + HOST + b"\r\n"),
    ("NUL in a header", "400", 400, GET + HOST + b"X: a\0b\r\n\r\n"),
    ("an Expect of its own", "ignored", 417, POST + b"Expect: 200-ok\r\nContent-Length: 0\r\n\r\n"),
    ("half a header", "open for ever", 408, GET + HOST + b"X: a"),
    ("half a body", "open for ever", 408, POST + b"Content-Length: 4\r\n\r\nab"),
]


@pytest.mark.edge
@pytest.mark.parametrize(("name", "before", "status", "sent"), REFUSED, ids=[name for name, *_ in REFUSED])
async def test_a_request_that_breaks_a_limit_is_refused_before_the_app(
    name: str, before: str, status: int, sent: bytes, attacked: Callable[[Attack], None]
) -> None:
    async with served() as port:
        answer = await port.send(sent)
        attacked(Attack(name, before, f"{status}" if statuses_in(answer) == [status] else repr(answer[:80])))
        assert statuses_in(answer) == [status], answer[:300]
        head, _, body = answer.partition(b"\r\n\r\n")
        problem = orjson.loads(body)
        assert b"connection: close" in head
        assert (problem["status"], problem["success"]) == (status, False)
        assert b"x-request-id: " + problem["requestId"].encode() in head
        whole = name not in ("half a body", "a body too large, in chunks") and "chunk" not in name
        assert not (whole and port.app.asked), "the app was asked"
        assert await port.statuses(GET + HOST + b"Connection: close\r\n\r\n") == [200]


@pytest.mark.edge
@pytest.mark.parametrize(
    "start", [GET + HOST + b"X: ", b"GET /", POST + CHUNKED + b"\r\n1;"], ids=["header", "target", "chunk"]
)
async def test_whoever_sends_on_without_end_is_cut_off(start: bytes, attacked: Callable[[Attack], None]) -> None:
    async with served() as port:
        _, writer = await asyncio.open_connection(LOOPBACK, port.number)
        sent = 0
        writer.write(start)
        with contextlib.suppress(ConnectionError):
            while sent < 200_000_000:
                writer.write(b"a" * 100_000)
                await writer.drain()
                sent += 100_000
        before = "no limit" if b"\r\n1;" in start else "2 GB of memory"
        attacked(Attack(f"200 MB after {start[-6:]!r}", before, f"cut off after {sent / 1e6:.1f} MB"))
        assert sent < 50_000_000
        await close(writer)


ACCEPTED: Final[list[tuple[str, bytes, list[int], bytes]]] = [
    ("a plain request", GET + HOST + b"\r\n", [200], b"0"),
    ("HTTP/1.0 without Host", b"GET / HTTP/1.0\r\n\r\n", [200], b"0"),
    ("the target in absolute form", b"GET http://A/ HTTP/1.1\r\n" + HOST + b"\r\n", [200], b"0"),
    ("a header of 30 kB", GET + HOST + b"X: " + b"a" * 30_000 + b"\r\n\r\n", [200], b"0"),
    ("a body at the limit", POST + b"Content-Length: 100000\r\n\r\n" + b"a" * 100_000, [200], b"100000"),
    ("a body in chunks of one byte", POST + CHUNKED + b"\r\n" + b"1\r\na\r\n" * 50_000 + b"0\r\n\r\n", [200], b"50000"),
    ("trailers", POST + CHUNKED + b"\r\n1\r\na\r\n0\r\nAuthorization: Bearer x\r\n\r\n", [200], b"1"),
    ("twelve requests at once", (GET + HOST + b"\r\n") * 12, [200] * 12, b"0"),
]


@pytest.mark.parametrize(("name", "sent", "statuses", "body"), ACCEPTED, ids=[name for name, *_ in ACCEPTED])
async def test_what_keeps_the_limits_is_served(name: str, sent: bytes, statuses: list[int], body: bytes) -> None:
    async with served() as port:
        answer = await port.send(sent)
        assert statuses_in(answer) == statuses
        assert re.search(rb"\r\n%b(\r\n|$)" % body, answer)
        for scope in port.app.asked:
            assert b"authorization" not in dict(scope["headers"]), "a trailer became a header"


async def test_bytes_one_at_a_time_are_read_as_the_same_request() -> None:
    sent = POST + CHUNKED + b"\r\n3\r\nabc\r\n0\r\n\r\n"
    async with served() as port:
        assert statuses_in(await port.send(*(sent[place : place + 1] for place in range(len(sent))))) == [200]


async def test_an_expectation_is_met_once_the_app_reads() -> None:
    async with served() as port:
        answer = await port.send(POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", b"ab")
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


async def test_answers_before_a_refused_request_are_whole_and_nothing_is_between_them() -> None:
    async with served() as port:
        answer = await port.send(GET + HOST + b"\r\n" + GET + HOST + HOST + b"\r\n")
    assert statuses_in(answer) == [200]
    assert answer.endswith(b"0\r\n\r\n")


async def test_a_queue_of_requests_on_one_connection_ends_it() -> None:
    async with served() as port:
        answers = await port.statuses((GET + HOST + b"\r\n") * 5_000)
        assert set(answers) == {200}
        assert len(port.app.asked) < 100


@pytest.mark.edge
@pytest.mark.parametrize("sent", [b"", b"\r\n" * 3, GET + HOST + b"\r\n" + b"\r\n"], ids=["silent", "blank", "idle"])
async def test_a_connection_that_says_nothing_ends(sent: bytes, attacked: Callable[[Attack], None]) -> None:
    async with served() as port:
        reader, writer = await asyncio.open_connection(LOOPBACK, port.number)
        writer.write(sent)
        await reader.read()
        attacked(Attack(f"a connection that says {sent[-12:]!r} and no more", "open for ever", "closed"))
        await close(writer)


async def test_a_client_that_does_not_read_its_answer_is_cut_off() -> None:
    async with served() as port:
        reader, writer = await asyncio.open_connection(LOOPBACK, port.number, limit=1)
        writer.write(b"GET /large HTTP/1.1\r\n" + HOST + b"\r\n")
        await eventually(lambda: port.app.answered == 1)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(1_000_000):
                answer += piece
        assert len(answer) < 100_000_000
        await close(writer)


@pytest.mark.edge
@pytest.mark.parametrize(
    ("limits", "places"),
    [(HttpLimits(connections=4, connections_per_address=4), 4), (HttpLimits(connections=9), 4)],
    ids=["in all", "of an address"],
)
async def test_connections_over_the_limit_get_503_and_a_place_is_given_back(
    limits: HttpLimits, places: int, attacked: Callable[[Attack], None]
) -> None:
    async with served(limits) as port:
        held = [await asyncio.open_connection(LOOPBACK, port.number) for _ in range(places)]
        for _, writer in held:
            writer.write(GET + HOST + b"\r\n")
        await eventually(lambda: len(port.app.asked) == places)
        answer = await port.send(GET + HOST + b"Connection: close\r\n\r\n")
        attacked(Attack(f"{places + 1} connections where {places} may be", "no limit", str(statuses_in(answer)[0])))
        assert statuses_in(answer) == [503]
        assert b"retry-after: 5\r\n" in answer
        await close(held[0][1])

        async def served_again() -> bool:
            return await port.statuses(GET + HOST + b"Connection: close\r\n\r\n") == [200]

        await eventually(served_again)
        await close(*(writer for _, writer in held[1:]))
