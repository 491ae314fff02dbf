"""One call of chat completions, for compatible servers that do not speak the Responses API. The same promises."""

from typing import Any, Final

from openai import AsyncStream, omit
from openai.types.chat import ChatCompletionChunk
from openai.types.shared_params import ResponseFormatJSONSchema

from afterbell.adapters.llm import faults, narrative_codec
from afterbell.adapters.llm.answer import Ending, ModelAnswer, ModelProgress
from afterbell.adapters.llm.exchange import Attempt, OnProgress, connect, headers_of, hear_out
from afterbell.core.errors import ModelAnswerUnusable, ModelDeclined, ModelError
from afterbell.core.prompt import Prompt
from afterbell.core.report import Usage

_REASONS: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ChatClient:
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
        self.model, self.output_tokens_max = model, max_output_tokens
        self._attempt_timeout_s = attempt_timeout_s
        self._client = connect(api_key, base_url)

    def __repr__(self) -> str:
        return f"ChatClient(model={self.model!r}, host={self._client.base_url.host!r})"

    async def aclose(self) -> None:
        """Close all connections; calls under way fail."""
        await self._client.close()

    async def write(
        self, prompt: Prompt, *, client_request_id: str, safety_identifier: str | None, on_progress: OnProgress,
        traceparent: str | None = None,
    ) -> ModelAnswer:  # fmt: skip
        """Ask once, as ``ResponsesClient.write`` does, errors and usage included."""
        attempt, heard = Attempt(), _Heard()

        async def open_stream() -> AsyncStream[ChatCompletionChunk]:
            return await self._open(prompt, headers_of(client_request_id, traceparent), safety_identifier)

        try:
            await hear_out(attempt, open_stream, heard.take, timeout_s=self._attempt_timeout_s, on_progress=on_progress)
            return self._answer(prompt, attempt, heard)
        except ModelError as error:
            error.usage = error.usage or heard.usage
            if error.usage is None and attempt.is_open:
                error.usage = attempt.estimate(prompt)
            raise

    def _answer(self, prompt: Prompt, attempt: Attempt, heard: "_Heard") -> ModelAnswer:
        reason, request_id = attempt.the_ending().type, attempt.request_id
        usage = heard.usage or attempt.estimate(prompt)  # compatible servers may leave it out
        if heard.refused:
            text = "The model refused to write about this session."
            raise ModelDeclined(text, request_id=request_id, usage=usage)
        if reason != "stop":
            raise faults.of_incomplete(_REASONS.get(reason, reason), request_id=request_id, usage=usage)
        if not attempt.text:
            raise ModelAnswerUnusable("The answer is empty.", request_id=request_id, usage=usage)
        return ModelAnswer(attempt.text, heard.model or self.model, request_id, usage)

    async def _open(
        self, prompt: Prompt, headers: dict[str, str], safety_identifier: str | None
    ) -> AsyncStream[ChatCompletionChunk]:
        return await self._client.chat.completions.create(
            model=self.model,
            messages=[
                {"role": "system", "content": prompt.instructions},
                {"role": "user", "content": prompt.transcript},
            ],
            response_format=_narrative_format(),
            stream=True,
            stream_options={"include_usage": True},
            store=False,
            max_completion_tokens=self.output_tokens_max,
            safety_identifier=safety_identifier or omit,
            prompt_cache_key=f"{prompt.version}-{prompt.language}",
            extra_headers=headers,
        )


class _Heard:
    """What a chat stream says besides the answer's text. Its last chunk, after the ending, carries the usage."""

    def __init__(self) -> None:
        self.model: str | None = None
        self.usage: Usage | None = None
        self.refused = False

    def take(self, chunk: Any, attempt: Attempt) -> ModelProgress:
        """Take the next chunk. The SDK does not validate it, so every field may be missing or of another type."""
        model = getattr(chunk, "model", None)
        self.model = model if isinstance(model, str) and model else self.model
        self.usage = _usage_of(chunk) or self.usage
        choice = next(iter(getattr(chunk, "choices", None) or ()), None)
        delta = getattr(choice, "delta", None)
        self.refused = self.refused or bool(getattr(delta, "refusal", None))
        progress = attempt.hear(getattr(delta, "content", None))
        reason = getattr(choice, "finish_reason", None)
        if isinstance(reason, str):
            attempt.endings.append(Ending(reason, None, self.usage))
        return progress


def _narrative_format() -> ResponseFormatJSONSchema:
    schema = narrative_codec.wire_schema()
    return {"type": "json_schema", "json_schema": {"name": "narrative", "strict": True, "schema": schema}}


def _usage_of(chunk: Any) -> Usage | None:
    usage = getattr(chunk, "usage", None)
    if usage is None:
        return None
    read, written = getattr(usage, "prompt_tokens_details", None), getattr(usage, "completion_tokens_details", None)
    return Usage(
        input_tokens=_count(usage, "prompt_tokens"),
        cached_tokens=_count(read, "cached_tokens"),
        output_tokens=_count(usage, "completion_tokens"),
        reasoning_tokens=_count(written, "reasoning_tokens"),
        cache_write_tokens=_count(read, "cache_write_tokens"),
    )


def _count(part: object, name: str) -> int:
    value = getattr(part, name, None)
    return value if isinstance(value, int) and value >= 0 else 0
