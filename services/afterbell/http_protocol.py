"""uvicorn's HTTP protocol with limits: what a stranger may send, how long, over how many connections.

Here nobody has shown a token yet. A request that is refused never reaches the app; its connection is half closed and
ends a moment later, so that a client which is still sending reads the answer instead of a reset.

    silent ── message begins ── head ── headers complete ── body ── message complete ── silent
"""

import asyncio
import ipaddress
import uuid
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, cast

import httptools
import orjson
import structlog
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from afterbell.core.problem import PROBLEM_MEDIA_TYPE, problem_details
from afterbell.core.session import BODY_BYTES_MAX
from afterbell.observability.metrics import HTTP_REFUSED

# Data is parsed in pieces of so much: a limit is passed by no more, and one reader holds the loop no longer.
PIECE_BYTES: Final = 16 * 1024
# Requests of one connection that wait for their turn.
PIPELINED_MAX: Final = 16
# What may be sent around a body in chunks: sizes, extensions, trailers.
CHUNKS_BYTES_MAX: Final = 1024 * 1024
# Content-Length beyond this many digits fits no file system.
LENGTH_DIGITS_MAX: Final = 15
# What a refused client may still send of its body or of its head, and for how long, before the connection is cut.
LINGER_S: Final = 5.0
LINGER_BODY_BYTES_MAX: Final = 16 * 1024 * 1024
LINGER_HEAD_BYTES_MAX: Final = 256 * 1024

# Two of these, and two readers could take one request for two different ones.
_SINGLE: Final = (b"host", b"content-length", b"transfer-encoding", b"authorization")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Of one port. ``connections_per_address``: 0 = half of ``connections``."""

    connections: int = 512
    connections_per_address: int = 0
    head_bytes: int = 32 * 1024
    headers: int = 100
    target_bytes: int = 16 * 1024
    body_bytes: int = BODY_BYTES_MAX
    head_s: float = 15.0
    body_s: float = 60.0
    unread_s: float = 60.0
    idle_s: float = 75.0

    @property
    def of_an_address(self) -> int:
        """Connections that one address may hold."""
        return self.connections_per_address or max(self.connections // 2, 1)


@dataclass(slots=True, eq=False)
class OpenConnections:
    """The connections of one port, by address; an upgraded one counts until it ends."""

    limits: HttpLimits
    http: set["LimitedHttp"] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)
    _open: int = 0
    _by_address: Counter[str] = field(default_factory=Counter)

    def admit(self, address: str) -> Callable[[], None] | None:
        """What gives the place back, called once; None where there is no place."""
        source = _source(address)
        if self._open >= self.limits.connections or self._by_address[source] >= self.limits.of_an_address:
            return None
        self._open += 1
        self._by_address[source] += 1

        def release() -> None:
            self._open -= 1
            self._by_address[source] -= 1
            if not self._by_address[source]:
                del self._by_address[source]

        return release

    def tick(self, now: float) -> None:
        """Once a second: end what has taken too long, and say in one line how much was refused."""
        for connection in list(self.http):
            if connection.due(now):
                connection.overdue()
        if self.refused:
            log.warning("http_refused", **dict(self.refused.most_common()))
            self.refused.clear()


def _address(transport: asyncio.BaseTransport) -> str:
    """Whom a connection comes from; empty for a Unix socket."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else ""


def _source(address: str) -> str:
    """Whom connections of an address are counted for: an IPv6 subscriber has 2^64 addresses."""
    if ":" not in address:
        return address
    parsed = ipaddress.IPv6Address(address.partition("%")[0])
    return str(parsed.ipv4_mapped or parsed.packed[:8].hex())


class _Refusal(Exception):
    """Raised in a callback of the parser, to leave it."""


class LimitedHttp(HttpToolsProtocol):
    """One connection. Times are the event loop's."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        open_connections: OpenConnections,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._open, self._limits = open_connections, open_connections.limits
        self._release: Callable[[], None] | None = None
        self._deadline: float | None = None
        self._unread_since: float | None = None
        self._in_head = self._in_body = self._refused = False
        self._refusal: tuple[int, str, str] = (400, "bad_request", "this is not a valid HTTP/1.1 request")
        self._piece = self._overhead = self._body = self._discarded = 0

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or turn it away where there is no place."""
        super().connection_made(cast("asyncio.Transport", transport))
        self._open.http.add(self)
        self._release = self._open.admit(_address(transport))
        self._deadline = self.loop.time() + self._limits.head_s
        if self._release is None:
            self._refuse(503, "too_many_connections", "too many connections are open: try again in a moment")

    def connection_lost(self, exc: Exception | None) -> None:
        """Give its place back."""
        super().connection_lost(exc)
        self._open.http.discard(self)
        self._give_back()

    def data_received(self, data: bytes) -> None:
        """Parse what came, a piece at a time."""
        if self._refused:
            self._discard(data)
            return
        if len(data) <= PIECE_BYTES:
            self._parse(data)
            return
        for start in range(0, len(data), PIECE_BYTES):
            self._parse(data[start : start + PIECE_BYTES])
            if self._ended:
                return

    def pause_writing(self) -> None:
        """The client does not read what it asked for."""
        super().pause_writing()
        self._unread_since = self.loop.time()

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        self._unread_since = None

    # What the parser calls

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head = True
        self._overhead = self._body = 0
        self._deadline = self.loop.time() + self._limits.head_s
        if len(self.pipeline) >= PIPELINED_MAX:
            self._leave(429, "too_many_requests", "too many requests wait on this connection: read the answers first")

    def on_headers_complete(self) -> None:
        """Start the app, unless the head says what we do not take."""
        self._check_head()
        super().on_headers_complete()
        if not self.parser.should_upgrade():  # trailers are none of the app's headers, and what an upgrade needs stays
            self.headers = cast("list[tuple[bytes, bytes]]", deque(maxlen=0))
        self._in_head, self._in_body = False, True
        self._deadline = self.loop.time() + self._limits.body_s

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._overhead -= len(body)
        self._body += len(body)
        if self._body > self._limits.body_bytes:
            self._leave(*self._body_too_large())
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is here as a whole: now the time is the app's."""
        self._in_body, self._deadline = False, None
        super().on_message_complete()

    # What uvicorn calls

    def on_response_complete(self) -> None:
        """The next request has its turn; without one the connection may rest. Instead of uvicorn's timer a request."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif not (self._in_head or self._in_body):
            self._deadline = self.loop.time() + self._limits.idle_s

    def handle_websocket_upgrade(self) -> None:
        """The connection goes on as a WebSocket, which gives its place back."""
        release, self._release, self._deadline = self._release, None, None
        self._open.http.discard(self)
        super().handle_websocket_upgrade()
        upgraded: Any = self.transport.get_protocol()
        upgraded.on_lost = release

    # Time

    def due(self, now: float) -> bool:
        """Whether it has taken longer than it may."""
        unread = self._unread_since is not None and now - self._unread_since > self._limits.unread_s
        return unread or (self._deadline is not None and now > self._deadline)

    def overdue(self) -> None:
        """End it; a request that has begun is answered first."""
        if self._refused or self._unread_since is not None:
            self.transport.abort()
        elif self._in_head or self._in_body:
            self._refuse(408, "request_timeout", "the request did not arrive in time")
        else:
            self.transport.close()

    # Refusing

    def _parse(self, piece: bytes) -> None:
        self._piece = len(piece)
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
        except httptools.HttpParserError:  # what it did not take, or what a callback of ours left it for
            self._refuse(*self._refusal)
        else:
            self._overhead += self._piece
            if self._overhead > self._limits.head_bytes:
                self._check_overhead()

    def _discard(self, data: bytes) -> None:
        self._discarded += len(data)
        if self._discarded > (LINGER_BODY_BYTES_MAX if self._refusal[0] == 413 else LINGER_HEAD_BYTES_MAX):
            self.transport.abort()

    @property
    def _ended(self) -> bool:
        """Whether nothing more is read here: refused, closing, or a WebSocket's now."""
        return self._refused or self.transport.is_closing() or self.transport.get_protocol() is not self

    @property
    def _working(self) -> bool:
        """Whether an answer is still to come."""
        cycle: Any = self.cycle  # None until the first request, which its type does not say
        return cycle is not None and not cycle.response_complete

    def _check_head(self) -> None:
        """Leave the parser where the head is too large, or two readers could take it for two different ones."""
        values, version = dict(self.headers), self.parser.get_http_version()
        self._check_size(values)
        if version not in ("1.0", "1.1"):
            self._leave(505, "http_version_not_supported", "use HTTP/1.1")
        if b"host" not in values and version == "1.1":
            self._leave(400, "bad_request", "a request needs a Host header")
        if len(values) != len(self.headers):
            self._check_repeated()
        encoding = values.get(b"transfer-encoding")
        if encoding is not None and (version == "1.0" or encoding.lower() != b"chunked"):
            self._leave(400, "bad_request", "the only Transfer-Encoding is chunked, over HTTP/1.1")
        if b"expect" in values and values[b"expect"].lower() != b"100-continue":
            self._leave(417, "expectation_failed", "the only Expect is 100-continue")
        if not self.url.startswith(b"/") and _authority(self.url) not in (None, values.get(b"host", b"").lower()):
            self._leave(400, "bad_request", "the request's target names another host than its Host header")

    def _check_size(self, values: dict[bytes, bytes]) -> None:
        limits, length = self._limits, values.get(b"content-length")
        if len(self.url) > limits.target_bytes:
            self._leave(*self._target_too_long())
        if len(self.headers) > limits.headers or self._head_bytes() > limits.head_bytes:
            self._leave(*self._head_too_large())
        if length is not None and len(length) > LENGTH_DIGITS_MAX:
            self._leave(400, "bad_request", "Content-Length is no length")
        if length is not None and int(length) > limits.body_bytes:
            self._leave(*self._body_too_large())

    def _check_repeated(self) -> None:
        named = Counter(name for name, _ in self.headers)
        for name in _SINGLE:
            if named[name] > 1:
                self._leave(400, "bad_request", f"the header {name.decode()} may be sent only once")

    def _head_bytes(self) -> int:
        """Bytes of this head, where so many have come that it may be too large."""
        if self._overhead + self._piece <= self._limits.head_bytes:
            return 0
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _check_overhead(self) -> None:
        if self._in_head and self._overhead > self._limits.head_bytes + PIECE_BYTES:
            self._refuse(*(self._head_too_large() if self.headers else self._target_too_long()))
        elif self._overhead > self._limits.head_bytes + CHUNKS_BYTES_MAX:
            self._refuse(400, "bad_request", "what comes around the requests' bodies is larger than any needs")

    def _target_too_long(self) -> tuple[int, str, str]:
        limit = self._limits.target_bytes
        return 414, "target_too_long", f"the request's target is too long: the limit is {limit} bytes"

    def _head_too_large(self) -> tuple[int, str, str]:
        limits = self._limits
        detail = f"the headers are too large: the limit is {limits.headers} headers and {limits.head_bytes} bytes"
        return 431, "headers_too_large", detail

    def _body_too_large(self) -> tuple[int, str, str]:
        limit = self._limits.body_bytes
        return 413, "payload_too_large", f"the request body is too large: the limit is {limit} bytes"

    def _leave(self, status: int, code: str, detail: str) -> NoReturn:
        """Leave the parser, which then has the request refused with this."""
        self._refusal = status, code, detail
        raise _Refusal(code)

    def _refuse(self, status: int, code: str, detail: str) -> None:
        """Answer without the app, read no more, and end soon."""
        HTTP_REFUSED.labels(code).inc()
        self._open.refused[code] += 1
        self._refused = True
        self.flow.resume_reading()
        self._deadline = self.loop.time() + LINGER_S
        if self._working and not self._in_body:
            # Requests before this one are being answered; the connection ends after the last of them.
            self.cycle.keep_alive, self._deadline = False, None
        elif self._working and (self.cycle.response_started or self.pipeline):
            self.transport.abort()  # half an answer must not look like a whole one
        else:
            self._answer(status, code, detail)

    def _answer(self, status: int, code: str, detail: str) -> None:
        if self._working:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        more = {"limit": self._limits.body_bytes} if status == 413 else {}
        request_id = uuid.uuid4().hex
        body = orjson.dumps(problem_details(status, code, detail, request_id, **more))
        lines = [
            STATUS_LINE[status],
            b"".join(b"%b: %b\r\n" % header for header in self.server_state.default_headers),
            b"content-type: %b\r\ncontent-length: %d\r\n" % (PROBLEM_MEDIA_TYPE.encode(), len(body)),
            b"retry-after: 5\r\n" if status == 503 else b"",
            b"x-request-id: %b\r\nconnection: close\r\n\r\n" % request_id.encode(),
            body,
        ]
        self.transport.write(b"".join(lines))
        if self._release is None:
            self.transport.close()  # where there is no place, none is kept for the rest
        else:
            self.transport.write_eof()

    def _give_back(self) -> None:
        if self._release is not None:
            self._release()
            self._release = None


def _authority(target: bytes) -> bytes | None:
    """Host and port of a target in absolute form."""
    _, separator, rest = target.partition(b"://")
    return rest.partition(b"/")[0].lower() if separator else None
