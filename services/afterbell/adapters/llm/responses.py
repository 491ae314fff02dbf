"""One call of the Responses API: a streamed answer, or the ModelError that says whether waiting helps."""

from datetime import UTC, datetime

from openai import AsyncStream, omit
from openai.types.responses import ResponseStreamEvent, ResponseTextConfigParam

from afterbell.adapters.llm import faults, narrative_codec
from afterbell.adapters.llm.answer import ModelAnswer, ModelProgress, answer_of, ending_of
from afterbell.adapters.llm.exchange import Attempt, OnProgress, connect, headers_of, hear_out
from afterbell.core.errors import ModelError
from afterbell.core.prompt import Prompt


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
        self.model, self.output_tokens_max = model, max_output_tokens
        self._attempt_timeout_s = attempt_timeout_s
        self._client = connect(api_key, base_url)

    def __repr__(self) -> str:
        return f"ResponsesClient(model={self.model!r}, host={self._client.base_url.host!r})"

    async def aclose(self) -> None:
        """Close all connections; calls under way fail."""
        await self._client.close()

    async def write(
        self, prompt: Prompt, *, client_request_id: str, safety_identifier: str | None, on_progress: OnProgress,
        traceparent: str | None = None,
    ) -> ModelAnswer:  # fmt: skip
        """Ask once. ``on_progress`` hears 0 sections at the first event, then each time one more is finished.

        Raises a ModelError with the request id and what was billed, estimated where the provider did not tell; what
        ``on_progress`` raises passes through. The answer's text is for ``narrative_codec.decode``.
        """
        attempt = Attempt()

        async def open_stream() -> AsyncStream[ResponseStreamEvent]:
            return await self._open(prompt, headers_of(client_request_id, traceparent), safety_identifier)

        try:
            await hear_out(attempt, open_stream, _take, timeout_s=self._attempt_timeout_s, on_progress=on_progress)
            ending = attempt.the_ending()
            return answer_of(ending, attempt.text, request_id=attempt.request_id, now=datetime.now(UTC))
        except ModelError as error:
            if error.usage is None and attempt.is_open:
                error.usage = attempt.estimate(prompt)
            raise

    async def _open(
        self, prompt: Prompt, headers: dict[str, str], safety_identifier: str | None
    ) -> AsyncStream[ResponseStreamEvent]:
        return await self._client.responses.create(
            model=self.model,
            instructions=prompt.instructions,
            input=prompt.transcript,
            text=_narrative_format(),
            stream=True,
            store=False,
            max_output_tokens=self.output_tokens_max,
            safety_identifier=safety_identifier or omit,
            prompt_cache_key=f"{prompt.version}-{prompt.language}",
            extra_headers=headers,
        )


def _narrative_format() -> ResponseTextConfigParam:
    schema = narrative_codec.wire_schema()
    return {"format": {"type": "json_schema", "name": "narrative", "strict": True, "schema": schema}}


def _take(event: ResponseStreamEvent, attempt: Attempt) -> ModelProgress:
    kind = getattr(event, "type", None)
    if kind == "error":
        refusal = faults.Refusal(code=getattr(event, "code", None), request_id=attempt.request_id)
        raise faults.of_refusal(refusal, now=datetime.now(UTC))
    if (ending := ending_of(event)) is not None:
        attempt.endings.append(ending)
    return attempt.hear(getattr(event, "delta", None) if kind == "response.output_text.delta" else None)
