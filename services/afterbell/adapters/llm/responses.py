"""One model call: a streamed answer of the Responses API, or the ModelError that says whether waiting helps.

The SDK is kept from deciding anything: it does not retry (the queue does), does not parse (the usage of an
answer that fails to parse would be lost) and does not judge the end of a stream (it takes a cut for an end).
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import httpx2
import openai
from openai import AsyncOpenAI, AsyncStream, DefaultAsyncHttpxClient, omit
from openai.types.responses import ResponseStreamEvent, ResponseTextConfigParam

from afterbell.adapters.llm import faults, narrative_codec
from afterbell.adapters.llm.answer import Ending, ModelAnswer, ModelProgress, answer_of, ending_of
from afterbell.adapters.llm.progress import SectionCounter
from afterbell.core.errors import ModelAnswerUnusable, ModelError, ModelUnavailable, SettingsError
from afterbell.core.prompt import Prompt

OPENAI_URL: Final = "https://api.openai.com/v1"
ANSWER_CHARS_MAX: Final = 200_000
"""A narrative within its bounds has under 20,000; a server that streams without end stops here."""

_DRAIN_S: Final = 1.0
# The read timeout is between two bytes: a trickling stream outlives it, hence the timeout of the attempt.
_TIMEOUT: Final = httpx2.Timeout(connect=5.0, read=60.0, write=30.0, pool=10.0)
# What the SDK lets out besides its own tree: transport errors, broken JSON or UTF-8 inside a stream.
_SDK_FAULTS: Final = (openai.OpenAIError, httpx2.HTTPError, ValueError)

OnProgress = Callable[[ModelProgress], Awaitable[None]]


@dataclass(slots=True)
class _Attempt:
    """What one call has heard so far."""

    request_id: str | None = None
    pieces: list[str] = field(default_factory=list)
    chars: int = 0
    counter: SectionCounter = field(default_factory=SectionCounter)
    endings: list[Ending] = field(default_factory=list)


class ResponsesClient:
    """The connections to one provider, shared by all calls of an event loop; close it at the end."""

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str | None,
        model: str,
        attempt_timeout_s: float = 180.0,
        max_output_tokens: int = 4_000,
    ) -> None:
        """``base_url`` None is OpenAI's own. Raises SettingsError for a key that cannot be sent."""
        if not api_key or not all("!" <= char <= "~" for char in api_key):
            text = "OPENAI_API_KEY must be printable ASCII without blanks or line breaks: set it again."
            raise SettingsError(text, field="OPENAI_API_KEY")
        # At debug level the SDK logs whole requests, and so what children said.
        logging.getLogger("openai").setLevel(logging.WARNING)
        self._model = model
        self._attempt_timeout_s = attempt_timeout_s
        self._max_output_tokens = max_output_tokens
        self._client = AsyncOpenAI(
            api_key=api_key,
            base_url=base_url or OPENAI_URL,
            max_retries=0,
            timeout=_TIMEOUT,
            # A session goes to the address that was configured, not where that address points to.
            http_client=DefaultAsyncHttpxClient(timeout=_TIMEOUT, follow_redirects=False),
        )

    def __repr__(self) -> str:
        return f"ResponsesClient(model={self._model!r}, host={self._client.base_url.host!r})"

    async def aclose(self) -> None:
        """Close all connections; calls under way fail."""
        await self._client.close()

    async def write(
        self,
        prompt: Prompt,
        *,
        client_request_id: str,
        safety_identifier: str | None,
        on_progress: OnProgress,
    ) -> ModelAnswer:
        """Ask once. ``on_progress`` hears 0 sections at the first event, then each time one more is finished.

        Raises a ModelError with the request id and what was billed, as far as the provider told; what
        ``on_progress`` raises passes through. The answer's text is for ``narrative_codec.decode``.
        """
        attempt = _Attempt()
        try:
            async with asyncio.timeout(self._attempt_timeout_s) as limit:
                async with await self._open(prompt, client_request_id, safety_identifier) as stream:
                    await _hear(stream, attempt, on_progress)
        except TimeoutError:
            if not limit.expired():
                raise
            if not attempt.endings:
                raise _too_late(self._attempt_timeout_s, attempt.request_id) from None
        return _outcome(attempt)

    async def _open(
        self, prompt: Prompt, client_request_id: str, safety_identifier: str | None
    ) -> AsyncStream[ResponseStreamEvent]:
        try:
            return await self._client.responses.create(
                model=self._model,
                instructions=prompt.instructions,
                input=prompt.transcript,
                text=_narrative_format(),
                stream=True,
                store=False,
                max_output_tokens=self._max_output_tokens,
                safety_identifier=safety_identifier or omit,
                prompt_cache_key=f"{prompt.version}-{prompt.language}",
                extra_headers={"X-Client-Request-Id": client_request_id},
            )
        except _SDK_FAULTS as error:
            raise faults.of_exception(error, now=datetime.now(UTC)) from None


def _narrative_format() -> ResponseTextConfigParam:
    schema = narrative_codec.wire_schema()
    return {"format": {"type": "json_schema", "name": "narrative", "strict": True, "schema": schema}}


async def _hear(stream: AsyncStream[ResponseStreamEvent], attempt: _Attempt, on_progress: OnProgress) -> None:
    attempt.request_id = stream.response.headers.get("x-request-id")
    _check_media_type(stream.response, attempt.request_id)
    async with contextlib.aclosing(_events(stream, attempt.request_id)) as events:
        told: ModelProgress | None = None
        async for event in events:
            progress = _take(event, attempt)
            if progress != told:
                await on_progress(progress)
                told = progress
            if attempt.endings:
                await _drain(events, attempt)


def _check_media_type(response: httpx2.Response, request_id: str | None) -> None:
    media_type = response.headers.get("content-type", "")
    if "html" in media_type:
        text = "The provider's address answered with a web page, not with a stream: check OPENAI_BASE_URL."
        raise ModelUnavailable(text, request_id=request_id)


async def _events(
    stream: AsyncStream[ResponseStreamEvent], request_id: str | None
) -> AsyncGenerator[ResponseStreamEvent, None]:
    try:
        async for event in stream:
            yield event
    except _SDK_FAULTS as error:
        raise faults.of_exception(error, now=datetime.now(UTC), request_id=request_id) from None


def _take(event: ResponseStreamEvent, attempt: _Attempt) -> ModelProgress:
    kind = getattr(event, "type", None)
    if kind == "error":
        refusal = faults.Refusal(code=getattr(event, "code", None), request_id=attempt.request_id)
        raise faults.of_refusal(refusal, now=datetime.now(UTC))
    if (ending := ending_of(event)) is not None:
        attempt.endings.append(ending)
    piece = getattr(event, "delta", None) if kind == "response.output_text.delta" else None
    text = piece if isinstance(piece, str) else ""
    attempt.pieces.append(text)
    attempt.chars += len(text)
    if attempt.chars > ANSWER_CHARS_MAX:
        problem = f"The answer has more than {ANSWER_CHARS_MAX} characters; it was not read to its end."
        raise ModelAnswerUnusable(problem, request_id=attempt.request_id)
    return attempt.counter.feed(text)


async def _drain(events: AsyncIterator[ResponseStreamEvent], attempt: _Attempt) -> None:
    """Read on, so that the connection can be used again; a cut after the ending takes nothing away."""
    with contextlib.suppress(TimeoutError, ModelError):
        async with asyncio.timeout(_DRAIN_S):
            async for event in events:
                if (ending := ending_of(event)) is not None:
                    attempt.endings.append(ending)


def _outcome(attempt: _Attempt) -> ModelAnswer:
    request_id = attempt.request_id
    if not attempt.endings:
        text = "The provider's stream stopped before the answer was complete."
        raise ModelUnavailable(text, request_id=request_id)
    ending, *more = attempt.endings
    if more:
        text = "The provider ended the answer more than once; none of it is to be trusted."
        raise ModelUnavailable(text, request_id=request_id, usage=ending.usage)
    return answer_of(ending, "".join(attempt.pieces), request_id=request_id, now=datetime.now(UTC))


def _too_late(timeout_s: float, request_id: str | None) -> ModelUnavailable:
    return ModelUnavailable(f"No complete answer within {timeout_s:g} s.", request_id=request_id)
