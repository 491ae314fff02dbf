"""One call of chat completions, for compatible servers that do not speak the Responses API. The same promises."""

from typing import Any, Final

from openai import AsyncStream, omit
from openai.types.chat import ChatCompletionChunk
from openai.types.shared_params import ResponseFormatJSONObject, ResponseFormatJSONSchema

from afterbell.adapters.models import failures, narrative_codec
from afterbell.adapters.models.answer import ModelAnswer, ModelProgress, StreamEnd, count, part
from afterbell.adapters.models.exchange import Attempt
from afterbell.adapters.models.model_client import ModelClient, instructions_for, tuning
from afterbell.adapters.models.profiles import Structure
from afterbell.core.errors import ModelAnswerUnusable, ModelDeclined
from afterbell.core.report.prompt import Prompt
from afterbell.core.usage import Usage

# How compatible servers say that the answer is complete; some of them name the token that ended it.
_STOPPED: Final = frozenset({"stop", "eos", "eos_token", "end_turn"})


_NARRATIVE_FORMATS: Final[dict[Structure, ResponseFormatJSONSchema | ResponseFormatJSONObject]] = {
    "json_schema": {
        "type": "json_schema",
        "json_schema": {"name": "narrative", "strict": True, "schema": narrative_codec.wire_schema()},
    },
    "json_object": {"type": "json_object"},
}


class ChatClient(ModelClient):
    """Speaks chat completions."""

    def _reader(self) -> "_ChatReader":
        return _ChatReader(self.model)

    async def _open(
        self, prompt: Prompt, headers: dict[str, str], safety_identifier: str | None
    ) -> AsyncStream[ChatCompletionChunk]:
        profile, limit = self._profile, self.output_tokens_max
        return await self._client.chat.completions.create(
            model=self.model,
            messages=[
                {"role": "system", "content": instructions_for(profile, prompt)},
                {"role": "user", "content": prompt.transcript},
            ],
            response_format=_NARRATIVE_FORMATS[profile.structure],
            stream=True,
            stream_options={"include_usage": True} if profile.tells_usage else omit,
            store=False if profile.keeps_nothing else omit,
            max_completion_tokens=limit if profile.chat_limit == "max_completion_tokens" else omit,
            max_tokens=limit if profile.chat_limit == "max_tokens" else omit,
            safety_identifier=safety_identifier if profile.knows_user and safety_identifier else omit,
            prompt_cache_key=f"{prompt.version}-{prompt.language}" if profile.caches else omit,
            extra_headers=headers,
            extra_body=tuning(profile, "reasoning_effort"),
        )


class _ChatReader:
    """What a chat stream says besides the answer's text. Its last chunk, after the ending, carries the usage."""

    def __init__(self, asked_model: str) -> None:
        self.model = asked_model
        self.usage: Usage | None = None
        self.refused = False

    def take(self, chunk: Any, attempt: Attempt) -> ModelProgress:
        model = part(chunk, "model")
        self.model = model if isinstance(model, str) and model else self.model
        self.usage = _usage_of(chunk) or self.usage
        choice = _first(part(chunk, "choices"))
        said = part(choice, "delta") or part(choice, "message")
        self.refused = self.refused or bool(part(said, "refusal"))
        progress = attempt.hear(_text_of(choice, said))
        reason = part(choice, "finish_reason")
        if isinstance(reason, str) and reason:
            attempt.endings.append(StreamEnd(reason, None, self.usage))
        return progress

    def answer(self, prompt: Prompt, attempt: Attempt) -> ModelAnswer:
        request_id = attempt.request_id
        usage = self.usage or attempt.estimate(prompt)  # compatible servers may leave it out
        answer = ModelAnswer(attempt.text, self.model, request_id, usage)
        if self.refused:
            text = "The model refused to write about this session."
            raise ModelDeclined(text, request_id=request_id, usage=usage)
        if attempt.is_whole:
            return answer
        if (reason := attempt.the_ending().type.lower()) not in _STOPPED:
            raise failures.of_incomplete(reason, request_id=request_id, usage=usage)
        if not attempt.text:
            raise ModelAnswerUnusable("The answer is empty.", request_id=request_id, usage=usage)
        return answer


def _first(choices: Any) -> Any:
    """Our own choice: a server may send others, which nobody asked for."""
    listed = choices if isinstance(choices, list) else []
    return next((choice for choice in listed if part(choice, "index") in (0, None)), None)


def _text_of(choice: Any, said: Any) -> str:
    """The text in a chunk: plain, in parts beside thoughts, as the arguments of a call, or the old API's."""
    content = part(said, "content")
    if isinstance(content, list):
        pieces = [part(piece, "text") for piece in content if part(piece, "type") in ("text", None)]
        return "".join(piece for piece in pieces if isinstance(piece, str))
    if isinstance(content, str) and content:
        return content
    calls = part(said, "tool_calls")
    call = part(calls[0], "function") if isinstance(calls, list) and calls else None
    other = part(call, "arguments") if call is not None else part(choice, "text")
    return other if isinstance(other, str) else ""


def _usage_of(chunk: Any) -> Usage | None:
    usage = part(chunk, "usage") or part(part(chunk, "x_groq"), "usage")
    if usage is None:
        return None
    read, written = part(usage, "prompt_tokens_details"), part(usage, "completion_tokens_details")
    return Usage(
        input_tokens=count(usage, "prompt_tokens"),
        cached_tokens=count(read, "cached_tokens") or count(usage, "prompt_cache_hit_tokens"),
        output_tokens=count(usage, "completion_tokens"),
        reasoning_tokens=count(written, "reasoning_tokens"),
        cache_write_tokens=count(read, "cache_write_tokens"),
    )
