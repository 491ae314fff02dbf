"""llmock, a mock server of other people's making, judges the client: it sees each attempt and its timing.

One ``write`` is one attempt, the queue retries; so these tests stand in for the queue where a retry is due.
"""

import asyncio

import pytest
from llmock.pytest_plugin import LLMock
from tests.dev.stub.running import KEY, expected, prompt

from afterbell.adapters.models import narrative_codec
from afterbell.adapters.models.answer import ModelAnswer, ModelProgress
from afterbell.adapters.models.chat_completions import ChatClient
from afterbell.adapters.models.responses import ResponsesClient
from afterbell.core.errors import (
    ModelAnswerUnusable,
    ModelError,
    ModelRefused,
    ModelToldToWait,
    ModelUnavailable,
)

CLIENT: dict[str, type[ResponsesClient] | type[ChatClient]] = {}


async def nothing(_: ModelProgress) -> None:
    """Progress nobody listens to."""


@pytest.fixture(params=[ResponsesClient, ChatClient], ids=["responses", "chat"], autouse=True)
def client_class(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both clients are judged."""
    monkeypatch.setitem(CLIENT, "class", request.param)


async def ask(llmock: LLMock, *, timeout_s: float = 60.0) -> ModelAnswer:
    client = CLIENT["class"](api_key=KEY, base_url=llmock.base_url(), model="gpt-6-luna", attempt_timeout_s=timeout_s)
    try:
        return await client.write(prompt(), client_request_id="r", safety_identifier=None, on_progress=nothing)
    finally:
        await client.aclose()


async def test_a_scripted_narrative_arrives_whole(llmock: LLMock) -> None:
    llmock.reply(narrative_codec.encode(expected()))
    answer = await ask(llmock)
    assert narrative_codec.decode(answer.text) == expected()
    assert answer.model == "gpt-6-luna"
    assert answer.usage.output_tokens > 0
    llmock.assert_resilient(strict=True)


async def test_an_answer_made_from_our_schema_breaks_nothing_but_bounds(llmock: LLMock) -> None:
    with pytest.raises(ModelAnswerUnusable) as caught:
        narrative_codec.decode((await ask(llmock)).text)
    rules = str(caught.value).removeprefix("The answer is not a narrative: ").split("; ")
    listed = [rule for rule in rules if not rule.startswith("and ")]
    assert listed
    assert all(" should have at " in rule and "characters" in rule for rule in listed), listed


async def test_a_rate_limit_is_honoured_to_the_tenth_of_a_second(llmock: LLMock) -> None:
    llmock.rate_limit(times=1, retry_after=1.2).reply(narrative_codec.encode(expected()))
    with pytest.raises(ModelToldToWait) as caught:
        await ask(llmock)
    assert 1.2 <= caught.value.seconds <= 2.0
    await asyncio.sleep(caught.value.seconds)
    await ask(llmock)
    verdict = llmock.verdict()
    assert verdict.passed
    assert verdict.attempts == 2


@pytest.mark.parametrize("fault", ["truncate", "disconnect", "corrupt"])
async def test_a_broken_stream_is_a_failure_and_the_next_try_succeeds(llmock: LLMock, fault: str) -> None:
    getattr(llmock, fault)(after_chunks=6)
    with pytest.raises(ModelUnavailable):
        await ask(llmock)
    await ask(llmock)
    llmock.assert_resilient()


async def test_a_stalled_stream_is_left_in_time(llmock: LLMock) -> None:
    llmock.stall(after_chunks=4, seconds=5)
    with pytest.raises(ModelUnavailable):
        await ask(llmock, timeout_s=0.4)
    await ask(llmock)
    llmock.assert_resilient(strict=True)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ModelRefused),
        (401, ModelRefused),
        (404, ModelRefused),
        (422, ModelRefused),
        (500, ModelUnavailable),
    ],
)
async def test_one_call_is_one_attempt_whatever_the_status(llmock: LLMock, status: int, kind: type[ModelError]) -> None:
    llmock.fail(status, times=None)
    with pytest.raises(kind):
        await ask(llmock)
    verdict = llmock.verdict()
    assert verdict.attempts == 1
    assert verdict.passed
