"""Chat completions behind the same port: the real client against the real stub over a real socket."""

import json

import pytest
from tests.dev.stub.running import KEY, Heard, expected, log, prompt, set_faults

from afterbell.adapters.models import narrative_codec
from afterbell.adapters.models.answer import ModelAnswer, ModelProgress
from afterbell.adapters.models.chat_completions import ChatClient
from afterbell.adapters.models.section_counter import SECTIONS_TOTAL
from afterbell.core.errors import (
    ModelAnswerUnusable,
    ModelDeclined,
    ModelError,
    ModelInputTooLong,
    ModelMisconfigured,
    ModelToldToWait,
    ModelUnavailable,
)


async def ask(
    url: str, progressed: list[ModelProgress] | None = None, *, max_output_tokens: int = 4_000
) -> ModelAnswer:
    async def note(progress: ModelProgress) -> None:
        if progressed is not None:
            progressed.append(progress)

    client = ChatClient(
        api_key=KEY, base_url=f"{url}/v1", model="m", attempt_timeout_s=10, max_output_tokens=max_output_tokens
    )
    try:
        return await client.write(prompt(), client_request_id="report-7", safety_identifier="a1", on_progress=note)
    finally:
        await client.aclose()


async def test_an_answer_comes_with_its_model_request_id_usage_and_progress(url: str) -> None:
    progressed: list[ModelProgress] = []
    answer = await ask(url, progressed)
    assert narrative_codec.decode(answer.text) == expected()
    last = log(url)[-1]
    assert (last["api"], last["client_request_id"]) == ("chat", "report-7")
    assert (answer.model, answer.request_id) == ("afterbell-stub", last["request_id"])
    assert answer.usage.input_tokens == last["usage"]["input_tokens"] > 100
    assert answer.usage.output_tokens == last["usage"]["output_tokens"] > 100
    assert not answer.usage.estimated
    finished = [progress.sections_finished for progress in progressed]
    assert finished == sorted(set(finished))
    assert (finished[0], finished[-1]) == (0, SECTIONS_TOTAL)


async def test_the_request_keeps_nothing_at_the_provider_and_asks_for_strict_json_and_its_usage(
    url: str, heard: Heard
) -> None:
    await ask(url)
    body = json.loads(heard.bodies[-1])
    assert body["store"] is False
    assert body["response_format"]["json_schema"]["strict"] is True
    assert body["stream_options"] == {"include_usage": True}
    assert body["safety_identifier"] == "a1"


@pytest.mark.parametrize(
    ("fault", "kind", "has_usage"),
    [
        ("500", ModelUnavailable, False),
        ("html200", ModelUnavailable, False),
        ("503", ModelToldToWait, False),
        ("429:2", ModelToldToWait, False),
        ("insufficient_quota", ModelMisconfigured, False),
        ("400_context", ModelInputTooLong, False),
        ("refusal", ModelDeclined, True),
        ("incomplete", ModelAnswerUnusable, True),
        ("failed", ModelUnavailable, True),
        ("error_event", ModelUnavailable, True),
        ("cut", ModelUnavailable, True),
        ("eof", ModelUnavailable, True),
    ],
)
async def test_each_fault_says_whether_waiting_helps_and_what_it_cost(
    url: str, fault: str, kind: type[ModelError], has_usage: bool
) -> None:
    before = len(log(url))
    set_faults(url, fault)
    with pytest.raises(ModelError) as caught:
        await ask(url)
    assert type(caught.value) is kind
    usage = caught.value.usage
    assert (usage is not None) == has_usage
    requests = log(url)
    assert len(requests) == before + 1, "the queue retries, the client must not"
    if usage is not None:
        logged = requests[-1]["usage"]
        assert (usage.input_tokens, usage.output_tokens) == (logged["input_tokens"], logged["output_tokens"])
    assert "two quarters" not in repr(caught.value)


async def test_an_answer_that_reached_its_limit_is_unusable_and_paid_for(url: str) -> None:
    with pytest.raises(ModelAnswerUnusable, match="output token limit") as caught:
        await ask(url, max_output_tokens=50)
    assert caught.value.usage is not None
    assert caught.value.usage.output_tokens == 50
