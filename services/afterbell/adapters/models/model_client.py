"""The client of one model at one provider: what the clients of both APIs share."""

import json
from abc import ABC, abstractmethod
from typing import Any, Literal, Protocol

from openai import AsyncStream

from afterbell.adapters.models import narrative_codec
from afterbell.adapters.models.answer import ModelAnswer, ModelProgress
from afterbell.adapters.models.exchange import Attempt, OnProgress, connect, headers_of, hear_out
from afterbell.adapters.models.profiles import OPENAI, Profile
from afterbell.core.errors import ModelError
from afterbell.core.report.prompt import Prompt
from afterbell.core.usage import Usage


class StreamReader(Protocol):
    """Reads one stream of an API. ``usage`` is what the stream has said of the tokens so far, if anything."""

    usage: Usage | None

    def take(self, event: Any, attempt: Attempt) -> ModelProgress:
        """Take the next event, or the whole answer as a dict. Every field may be missing or of another type."""

    def answer(self, prompt: Prompt, attempt: Attempt) -> ModelAnswer:
        """The complete answer. Raises the ModelError that the ending means."""


class ModelClient(ABC):
    """The connections to one provider, shared by all calls of an event loop; close it at the end."""

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str | None,
        model: str,
        attempt_timeout_s: float = 180.0,
        max_output_tokens: int = 4_000,
        profile: Profile = OPENAI,
    ) -> None:
        """``base_url`` None is OpenAI's own. Raises SettingsError for a key or an address that cannot be used."""
        self.model, self.output_tokens_max = model, max_output_tokens
        self._attempt_timeout_s, self._profile = attempt_timeout_s, profile
        self._client = connect(api_key, base_url)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self.model!r}, host={self._client.base_url.host!r})"

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
        traceparent: str | None = None,
    ) -> ModelAnswer:
        """Ask once. ``on_progress`` hears 0 sections at the first event, then each time one more is finished.

        Raises a ModelError that says whether waiting helps, with the request id and what was billed, estimated if the
        provider did not say. What ``on_progress`` raises passes through. The answer's text is for
        ``narrative_codec.decode``.
        """
        attempt, reader, timeout_s = Attempt(), self._reader(), self._attempt_timeout_s

        async def open_stream() -> AsyncStream[Any]:
            return await self._open(prompt, headers_of(client_request_id, traceparent), safety_identifier)

        try:
            await hear_out(attempt, open_stream, reader.take, timeout_s=timeout_s, on_progress=on_progress)
            return reader.answer(prompt, attempt)
        except ModelError as error:
            error.usage = error.usage or reader.usage
            if error.usage is None and attempt.is_open:
                error.usage = attempt.estimate(prompt)
            raise

    @abstractmethod
    def _reader(self) -> StreamReader:
        """A reader for one call."""

    @abstractmethod
    async def _open(self, prompt: Prompt, headers: dict[str, str], safety_identifier: str | None) -> AsyncStream[Any]:
        """Send the request; the stream of its answer."""


def instructions_for(profile: Profile, prompt: Prompt) -> str:
    """The instructions, with the schema in words where the server is not told it."""
    if profile.structure == "json_schema":
        return prompt.instructions
    schema = json.dumps(narrative_codec.wire_schema(), separators=(",", ":"))
    return (
        f"{prompt.instructions}\n\nAnswer with one JSON object and nothing else. It follows this JSON schema:\n{schema}"
    )


def tuning(profile: Profile, reasoning: Literal["reasoning", "reasoning_effort"]) -> dict[str, Any]:
    """What an operator set for the model; nothing is sent that is not set. The APIs name ``reasoning`` differently."""
    body: dict[str, Any] = {}
    if profile.temperature is not None:
        body["temperature"] = profile.temperature
    if profile.reasoning_effort is not None:
        effort = profile.reasoning_effort
        body[reasoning] = effort if reasoning == "reasoning_effort" else {"effort": effort}
    return body
