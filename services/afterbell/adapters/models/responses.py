"""One call of the Responses API: a streamed answer, or the ModelError that says whether waiting helps."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from openai import AsyncStream, omit
from openai.types.responses import ResponseFormatTextConfigParam, ResponseStreamEvent

from afterbell.adapters.models import failures, narrative_codec
from afterbell.adapters.models.answer import (
    UNKNOWN,
    ModelAnswer,
    ModelProgress,
    answer_of,
    stream_end_of,
    stream_end_of_response,
)
from afterbell.adapters.models.exchange import Attempt
from afterbell.adapters.models.model_client import ModelClient, instructions_for, tuning
from afterbell.adapters.models.profiles import Structure
from afterbell.core.errors import ModelDeclined, ModelError
from afterbell.core.report.prompt import Prompt
from afterbell.core.usage import Usage

_NARRATIVE_FORMATS: Final[dict[Structure, ResponseFormatTextConfigParam]] = {
    "json_schema": {
        "type": "json_schema",
        "name": "narrative",
        "strict": True,
        "schema": narrative_codec.wire_schema(),
    },
    "json_object": {"type": "json_object"},
}


class ResponsesClient(ModelClient):
    """Speaks the Responses API."""

    def _reader(self) -> "_ResponsesReader":
        return _ResponsesReader(self.model)

    async def _open(
        self, prompt: Prompt, headers: dict[str, str], safety_identifier: str | None
    ) -> AsyncStream[ResponseStreamEvent]:
        profile = self._profile
        return await self._client.responses.create(
            model=self.model,
            instructions=instructions_for(profile, prompt),
            input=prompt.transcript,
            text={"format": _NARRATIVE_FORMATS[profile.structure]},
            stream=True,
            store=False if profile.keeps_nothing else omit,
            max_output_tokens=self.output_tokens_max,
            safety_identifier=safety_identifier if profile.knows_user and safety_identifier else omit,
            prompt_cache_key=f"{prompt.version}-{prompt.language}" if profile.caches else omit,
            extra_headers=headers,
            extra_body=tuning(profile, "reasoning"),
        )


class _ResponsesReader:
    """The usage comes with the ending, so there is none before it."""

    usage: Usage | None = None

    def __init__(self, asked_model: str) -> None:
        self.model = asked_model

    def take(self, event: Any, attempt: Attempt) -> ModelProgress:
        if isinstance(event, dict):  # the whole response, from a server that does not stream
            attempt.endings.append(stream_end_of_response(event))
            return attempt.hear("")
        kind = getattr(event, "type", None)
        if kind == "error":
            flat = {"code": getattr(event, "code", None), "message": getattr(event, "message", None)}
            said = getattr(event, "error", None) or flat
            raise failures.of_refusal(
                failures.Refusal.of_body(said, request_id=attempt.request_id), now=datetime.now(UTC)
            )
        if (ending := stream_end_of(event)) is not None:
            attempt.endings.append(ending)
        return attempt.hear(getattr(event, "delta", None) if kind == "response.output_text.delta" else None)

    def answer(self, prompt: Prompt, attempt: Attempt) -> ModelAnswer:
        last = attempt.endings[-1] if attempt.endings else None
        billed = (last and last.usage) or attempt.estimate(prompt)
        try:
            answer = answer_of(attempt.the_ending(), attempt.text, request_id=attempt.request_id, now=datetime.now(UTC))
        except ModelDeclined:
            raise
        except ModelError as error:
            error.usage = error.usage or billed
            if not attempt.is_whole:
                raise
            answer = ModelAnswer(attempt.text, self.model, attempt.request_id, billed)
        return replace(answer, usage=billed, model=self.model if answer.model == UNKNOWN else answer.model)
