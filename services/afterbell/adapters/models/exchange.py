"""One streamed exchange with a provider, whichever of its APIs is spoken.

The SDK is kept from deciding anything: it does not retry (the queue does), does not parse (the usage of an
answer that fails to parse would be lost) and does not judge the end of a stream (it takes a cut for an end).
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import openai
from openai import AsyncOpenAI, AsyncStream, DefaultAsyncHttpxClient

from afterbell.adapters.models import failures, narrative_codec
from afterbell.adapters.models.answer import ModelProgress, StreamEnd
from afterbell.adapters.models.section_counter import SectionCounter
from afterbell.core.errors import MALFORMED, ModelAnswerUnusable, ModelError, ModelUnavailable, SettingsError
from afterbell.core.money import tokens
from afterbell.core.report.prompt import Prompt
from afterbell.core.usage import Usage

OPENAI_URL: Final = "https://api.openai.com/v1"
ANSWER_CHARS_MAX: Final = 200_000
"""A narrative within its bounds has under 20,000; a server that streams without end stops here."""

DOCUMENT_BYTES_MAX: Final = 4_000_000
"""Of an answer that is not streamed, more than this is not read."""

_DRAIN_S: Final = 1.0
# Between two chunks of a server that calls each of them the last.
_SILENCE_S: Final = 10.0
# The read timeout is between two bytes: a trickling stream outlives it, hence the timeout of the attempt.
_TIMEOUT: Final = httpx2.Timeout(connect=5.0, read=60.0, write=30.0, pool=10.0)
# What the SDK lets out besides its own tree: transport errors, broken JSON or UTF-8 inside a stream.
SDK_FAULTS: Final = (openai.OpenAIError, httpx2.HTTPError, *MALFORMED)

OnProgress = Callable[[ModelProgress], Awaitable[None]]


@dataclass(slots=True)
class Attempt:
    """What one call has heard so far. ``is_open`` once the provider began to answer, and so to bill."""

    is_open: bool = False
    request_id: str | None = None
    pieces: list[str] = field(default_factory=list)
    chars: int = 0
    counter: SectionCounter = field(default_factory=SectionCounter)
    endings: list[StreamEnd] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The answer as far as it was heard."""
        return "".join(self.pieces)

    def hear(self, piece: object) -> ModelProgress:
        """Take the next piece of the answer; anything that is no text is none. Raises ModelAnswerUnusable: too much."""
        text = piece if isinstance(piece, str) else ""
        self.pieces.append(text)
        self.chars += len(text)
        if self.chars > ANSWER_CHARS_MAX:
            problem = f"The answer has more than {ANSWER_CHARS_MAX} characters; it was not read to its end."
            raise ModelAnswerUnusable(problem, request_id=self.request_id)
        return self.counter.feed(text)

    @property
    def is_whole(self) -> bool:
        """Whether what was heard is a complete answer, whatever was said about its end."""
        return narrative_codec.is_whole(self.text)

    def the_ending(self) -> StreamEnd:
        """The last ending; some servers say it in every chunk. Raises ModelUnavailable where there is none."""
        if not self.endings:
            text = "The provider's stream stopped before the answer was complete."
            raise ModelUnavailable(text, request_id=self.request_id)
        return self.endings[-1]

    def estimate(self, prompt: Prompt) -> Usage:
        """What the call was probably billed, where the provider did not say."""
        read = tokens.expected(prompt.instructions) + tokens.expected(prompt.transcript)
        return Usage(input_tokens=read, output_tokens=tokens.expected(self.text), estimated=True)


Open = Callable[[], Awaitable[AsyncStream[Any]]]
Take = Callable[[Any, Attempt], ModelProgress]


def connect(api_key: str, base_url: str | None) -> AsyncOpenAI:
    """The connections to one provider; None is OpenAI's own. Raises SettingsError for a key that cannot be sent."""
    if not api_key or not all("!" <= char <= "~" for char in api_key):
        text = "OPENAI_API_KEY must be printable ASCII without blanks or line breaks: set it again."
        raise SettingsError(text, field="OPENAI_API_KEY")
    if base_url and (problem := _wrong_with(base_url)):
        raise SettingsError(f"OPENAI_BASE_URL {problem}", field="OPENAI_BASE_URL")
    # At debug level the SDK logs whole requests, and so what children said.
    logging.getLogger("openai").setLevel(logging.WARNING)
    return AsyncOpenAI(
        api_key=api_key,
        base_url=base_url or OPENAI_URL,
        max_retries=0,
        timeout=_TIMEOUT,
        # A session goes to the address that was configured, not where that address points to.
        http_client=DefaultAsyncHttpxClient(timeout=_TIMEOUT, follow_redirects=False),
    )


def _wrong_with(base_url: str) -> str | None:
    """What an address lacks; it may hold a key, so it is not repeated."""
    try:
        url = urlsplit(base_url)
    except ValueError:
        return "is no URL: it should look like https://HOST/v1"
    if url.scheme not in ("http", "https") or not url.hostname:
        return "is no URL with http:// or https:// and a host: it should look like https://HOST/v1"
    if url.query or url.fragment:
        return "must have no query: for Azure use https://RESOURCE.openai.azure.com/openai/v1, without api-version"
    if url.path.rstrip("/").endswith(("/chat/completions", "/responses")):
        return "must end before the API's name, with /v1 in most cases"
    return None


def headers_of(client_request_id: str, traceparent: str | None) -> dict[str, str]:
    """By which a provider's log and ours find each other."""
    headers = {"X-Client-Request-Id": client_request_id}
    return headers if traceparent is None else headers | {"traceparent": traceparent}


async def hear_out(
    attempt: Attempt, open_stream: Open, take: Take, *, timeout_s: float, on_progress: OnProgress
) -> None:
    """Open a stream and take each event of it, up to its end.

    A server that does not stream answers with one JSON document, which ``take`` gets as a dict.
    ``on_progress`` hears 0 sections at the first event, then each time one more is finished. Raises a ModelError with
    the request id and what was billed, as far as the provider told; what ``on_progress`` raises passes through.
    """
    try:
        async with asyncio.timeout(timeout_s) as limit, await _opened(open_stream) as stream:
            await _hear(stream, attempt, take, on_progress)
    except TimeoutError:
        if not limit.expired():
            raise
        if not attempt.endings:
            text = f"No complete answer within {timeout_s:g} s."
            raise ModelUnavailable(text, request_id=attempt.request_id) from None


async def _opened(open_stream: Open) -> AsyncStream[Any]:
    try:
        return await open_stream()
    except SDK_FAULTS as error:
        raise failures.of_exception(error, now=datetime.now(UTC)) from None


async def _hear(stream: AsyncStream[Any], attempt: Attempt, take: Take, on_progress: OnProgress) -> None:
    attempt.request_id = stream.response.headers.get("x-request-id")
    _check_media_type(stream.response, attempt.request_id)
    attempt.is_open = True
    async with contextlib.aclosing(_events(stream, attempt.request_id)) as events:
        reported: ModelProgress | None = None
        while (event := await _next(events, attempt)) is not None:
            progress = take(event, attempt)
            if progress != reported:
                await on_progress(progress)
                reported = progress


async def _next(events: AsyncGenerator[Any, None], attempt: Attempt) -> Any | None:
    """The next event, None at the end.

    After an ending the server may still tell the usage, and one that says "stop" in every chunk the rest of the answer.
    It has to be quick then, and a cut takes nothing away.
    """
    if not attempt.endings:
        return await anext(events, None)
    try:
        async with asyncio.timeout(_DRAIN_S if attempt.is_whole else _SILENCE_S):
            return await anext(events, None)
    except (TimeoutError, ModelError):
        return None


def _check_media_type(response: httpx2.Response, request_id: str | None) -> None:
    media_type = response.headers.get("content-type", "")
    if "html" in media_type:
        text = "The provider's address answered with a web page, not with a stream: check OPENAI_BASE_URL."
        raise ModelUnavailable(text, request_id=request_id)


async def _events(stream: AsyncStream[Any], request_id: str | None) -> AsyncGenerator[Any, None]:
    try:
        if "application/json" in stream.response.headers.get("content-type", ""):
            yield _document(await stream.response.aread(), request_id)
            return
        async for event in stream:
            yield event
    except SDK_FAULTS as error:
        raise failures.of_exception(error, now=datetime.now(UTC), request_id=request_id) from None


def _document(body: bytes, request_id: str | None) -> dict[str, Any]:
    """An answer that was not streamed. Raises ValueError for what is no JSON object, ModelError for an error in it."""
    document = json.loads(body[:DOCUMENT_BYTES_MAX])
    if not isinstance(document, dict):
        raise ValueError("not an object")
    if document.get("error") is not None:
        raise failures.of_refusal(failures.Refusal.of_body(document, request_id=request_id), now=datetime.now(UTC))
    return document
