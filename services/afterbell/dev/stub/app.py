"""The stub as an ASGI app.

POST /v1/responses   POST /v1/chat/completions   POST /v1/responses/input_tokens   GET /v1/models   GET /healthz
POST /_stub/faults {"faults": ["500", "429:2", "ok", …]}   the next requests fail so, one each
GET  /_stub/log                                             the last requests, without their text
"""

import asyncio
import hmac
import json
import math
import socket
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from afterbell.core.errors import InvalidInput
from afterbell.core.report.report import STUB_MODEL
from afterbell.dev.stub import chat_api, faults, stream_events
from afterbell.dev.stub.api_errors import ApiError
from afterbell.dev.stub.faults import Fault
from afterbell.dev.stub.quota import Admission, MinuteQuota
from afterbell.dev.stub.replies import read_tokens, write_answer
from afterbell.dev.stub.request import BODY_BYTES_MAX, StubRequest, read
from afterbell.dev.stub.settings import StubSettings
from afterbell.dev.stub.stream import EventStream
from afterbell.http_protocol import HttpLimits
from afterbell.serving import Serving

LOG_LENGTH: Final = 1_000
QUEUE_LENGTH_MAX: Final = 1_000

_WEB_PAGE: Final = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass(slots=True)
class LogEntry:
    """One request as ``/_stub/log`` shows it; no text of the session is in it."""

    time: str
    request_id: str
    client_request_id: str | None
    traceparent: str | None
    api: str
    model: str | None = None
    stream: bool | None = None
    store: bool | None = None
    fault: str = faults.NONE
    status: int | None = None
    usage: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Api:
    """How one of the two APIs is read and written."""

    name: str
    read: Callable[[bytes], StubRequest]
    steps: Callable[[stream_events.Exchange, Fault, StubSettings], Iterator[stream_events.Step]]
    whole: Callable[[stream_events.Exchange], dict[str, Any]]
    is_end: Callable[[dict[str, Any], stream_events.Exchange], bool]


RESPONSES: Final = Api(
    "responses",
    read,
    stream_events.steps,
    lambda exchange: exchange.response(exchange.answer.status),
    lambda step, exchange: bool(step["type"] == f"response.{exchange.answer.status}"),
)
CHAT: Final = Api(
    "chat",
    chat_api.read,
    chat_api.steps,
    chat_api.whole,
    lambda step, _: any(choice["finish_reason"] for choice in step.get("choices", ())),
)


class Provider:
    """The endpoints and what they remember: the quotas, the queue of faults, the log."""

    def __init__(self, settings: StubSettings) -> None:
        self._settings = settings
        requests, tokens = settings.requests_per_minute, settings.tokens_per_minute
        self._quotas = [] if requests is None else [MinuteQuota(requests)]
        self._quotas += [] if tokens is None else [MinuteQuota(tokens, "tokens")]
        self._faults: deque[Fault] = deque()
        self._log: deque[LogEntry] = deque(maxlen=LOG_LENGTH)

    async def create_response(self, request: Request) -> Response:
        """``POST /v1/responses``."""
        return await self._create(request, RESPONSES)

    async def create_completion(self, request: Request) -> Response:
        """``POST /v1/chat/completions``."""
        return await self._create(request, CHAT)

    async def _create(self, request: Request, api: Api) -> Response:
        entry = LogEntry(
            time=datetime.now(UTC).isoformat(),
            request_id=f"req_{uuid.uuid4().hex}",
            client_request_id=request.headers.get("x-client-request-id"),
            traceparent=request.headers.get("traceparent"),
            api=api.name,
        )
        self._log.append(entry)
        response = await self._guarded(request, lambda: self._respond(request, entry, api))
        entry.status = response.status_code
        if not entry.fault.startswith("html"):  # a proxy in between knows no request id
            response.headers["x-request-id"] = entry.request_id
        return response

    async def count_tokens(self, request: Request) -> Response:
        """``POST /v1/responses/input_tokens``: what a request would read."""

        async def counted() -> Response:
            count = read_tokens(read(await request.body()))
            return JSONResponse({"object": "response.input_tokens", "input_tokens": count})

        return await self._guarded(request, counted)

    async def models(self, request: Request) -> Response:
        """``GET /v1/models``."""
        return await self._guarded(request, _models)

    async def health(self, _: Request) -> Response:
        """``GET /healthz``."""
        return JSONResponse({"status": "ok"})

    async def set_faults(self, request: Request) -> Response:
        """``POST /_stub/faults``: the queue from now on."""
        try:
            named = json.loads(await request.body())["faults"]
            queue = [faults.parse(text) for text in named[:QUEUE_LENGTH_MAX]]
        except InvalidInput as error:
            return _error(ApiError(400, str(error), param="faults"))
        except (ValueError, KeyError, TypeError, AttributeError):
            return _error(ApiError(400, 'Send {"faults": ["500", "429:2", "ok"]}.', param="faults"))
        self._faults = deque(queue)
        return JSONResponse({"faults": [str(fault) for fault in queue]})

    async def log(self, _: Request) -> Response:
        """``GET /_stub/log``: oldest first."""
        return JSONResponse({"requests": [asdict(entry) for entry in self._log]})

    async def _guarded(self, request: Request, answer: Callable[[], Awaitable[Response]]) -> Response:
        try:
            _check_key(request, self._settings.api_key)
            return await answer()
        except ApiError as error:
            return _error(error)

    async def _respond(self, request: Request, entry: LogEntry, api: Api) -> Response:
        asked = api.read(await request.body())
        entry.model, entry.stream, entry.store = asked.model, asked.stream, asked.store
        fault = self._next_fault(request)
        entry.fault = str(fault)
        if fault.is_html:
            return HTMLResponse(_WEB_PAGE, 200 if fault.kind == "html200" else 502)
        if (error := fault.http_error(datetime.now(UTC))) is not None:
            raise error
        headers = self._admit(asked)
        # The extractive engine computes for up to 0.1 s; in the embedded mode other things share this loop.
        answer = await asyncio.to_thread(write_answer, asked, fault)
        created_s = int(datetime.now(UTC).timestamp())
        exchange = stream_events.Exchange(f"resp_{uuid.uuid4().hex}", created_s, asked, answer)
        entry.usage = answer.usage()
        steps = api.steps(exchange, fault, self._settings)
        last = chat_api.DONE if api is CHAT and fault.kind not in chat_api.UNDONE else ""
        return EventStream(steps, headers, last) if asked.stream else await _whole(steps, exchange, headers, api)

    def _next_fault(self, request: Request) -> Fault:
        named = request.headers.get("x-stub-fault")
        if named is None:
            return self._faults.popleft() if self._faults else Fault()
        try:
            return faults.parse(named)
        except InvalidInput as error:
            raise ApiError(400, str(error), param="X-Stub-Fault") from None

    def _admit(self, asked: StubRequest) -> dict[str, str]:
        """The headers on what is left, once the request has room in every quota: a refused one uses up none."""
        now_s = time.monotonic()
        # Counted before it is answered, as the provider does: what it reads and all it may write.
        amounts = {"requests": 1, "tokens": read_tokens(asked) + (asked.max_output_tokens or 0)}
        for quota in self._quotas:
            admission = quota.look(now_s, amounts[quota.unit])
            if admission.wait_s:
                raise _over(quota, admission)
        found_headers = [quota.headers(quota.admit(now_s, amounts[quota.unit])) for quota in self._quotas]
        return {name: value for headers in found_headers for name, value in headers.items()}


def create_app(settings: StubSettings) -> Starlette:
    """The stub with these settings and nothing remembered."""
    provider = Provider(settings)
    routes = [
        Route("/v1/responses", provider.create_response, methods=["POST"]),
        Route("/v1/chat/completions", provider.create_completion, methods=["POST"]),
        Route("/v1/responses/input_tokens", provider.count_tokens, methods=["POST"]),
        Route("/v1/models", provider.models),
        Route("/healthz", provider.health),
        Route("/_stub/faults", provider.set_faults, methods=["POST"]),
        Route("/_stub/log", provider.log),
    ]
    return Starlette(routes=routes, exception_handlers={404: _unknown_address})


def serving(settings: StubSettings, listening: socket.socket) -> Serving:
    """The stub on a socket; it takes the long bodies that a model takes."""
    return Serving(create_app(settings), listening, limits=HttpLimits(body_bytes=2 * BODY_BYTES_MAX))


def serve(host: str, port: int, settings: StubSettings) -> None:
    """Serve until SIGTERM or SIGINT; streams under way get 5 s to end."""
    uvicorn.run(
        create_app(settings),
        host=host,
        port=port,
        log_level="warning",
        ws="none",
        timeout_graceful_shutdown=5,
    )


def _check_key(request: Request, wanted: str | None) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise ApiError(401, "You didn't provide an API key in an Authorization header.")
    if wanted is not None and not hmac.compare_digest(key.strip().encode(), wanted.encode()):
        raise ApiError(401, "Incorrect API key provided.", code="invalid_api_key")


def _over(quota: MinuteQuota, admission: Admission) -> ApiError:
    wait = {"retry-after": str(math.ceil(admission.wait_s)), "retry-after-ms": str(math.ceil(admission.wait_s * 1000))}
    text = f"Rate limit reached for {STUB_MODEL} on {quota.unit} per minute. Try again in {wait['retry-after']}s."
    return ApiError(429, text, quota.unit, "rate_limit_exceeded", headers=quota.headers(admission) | wait)


async def _models() -> Response:
    model = {"id": STUB_MODEL, "object": "model", "created": 1_767_225_600, "owned_by": "afterbell"}
    return JSONResponse({"object": "list", "data": [model]})


async def _unknown_address(request: Request, _: Exception) -> Response:
    return _error(ApiError(404, f"Invalid URL ({request.method} {request.url.path})"))


def _error(error: ApiError) -> Response:
    return JSONResponse(error.envelope(), error.status, headers=dict(error.headers))


async def _whole(
    steps: Iterator[stream_events.Step], exchange: stream_events.Exchange, headers: dict[str, str], api: Api
) -> Response:
    """What the stream would have ended with, after as long; one that breaks off is a server error here."""
    ended = False
    for step in steps:
        if isinstance(step, stream_events.Delay):
            await asyncio.sleep(step.seconds)
        elif isinstance(step, dict):
            ended = ended or api.is_end(step, exchange)
    if not ended:
        raise ApiError(500, "The server had an error while processing your request.", "server_error", "server_error")
    return JSONResponse(api.whole(exchange), headers=headers)
