"""The stub's stream, judged by the SDK's own types and helpers."""

import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest
from openai import AsyncOpenAI
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter
from tests.dev.stub.running import KEY, expected, prompt, serving

from afterbell.dev.stub.app import create_app
from afterbell.dev.stub.faults import Fault
from afterbell.dev.stub.quota import MinuteQuota, duration
from afterbell.dev.stub.replies import CHARS_PER_TOKEN, write_answer
from afterbell.dev.stub.request import StubRequest
from afterbell.dev.stub.settings import StubSettings
from afterbell.dev.stub.stream_events import Cut, Delay, Exchange, Step, steps

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
ECHOED = {"text": None, "prompt_cache_key": "k", "safety_identifier": "s", "metadata": None}
ENDS = ["response.output_text.done", "response.content_part.done", "response.output_item.done"]


def exchange(fault: Fault) -> Exchange:
    request = StubRequest("gpt-6-luna", "Write.", prompt().transcript, True, False, None, ECHOED)
    return Exchange("resp_1", 1_790_000_000, request, write_answer(request, fault))


def played(kind: str = "ok", settings: StubSettings | None = None) -> list[Step]:
    fault = Fault(kind)
    return list(steps(exchange(fault), fault, settings or StubSettings()))


def events(kind: str = "ok") -> list[dict[str, Any]]:
    return [step for step in played(kind) if isinstance(step, dict)]


def order(kind: str = "ok") -> list[str]:
    return [name for name, _ in itertools.groupby(event["type"] for event in events(kind))]


def test_events_come_in_the_order_of_the_real_api() -> None:
    assert order() == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        *ENDS,
        "response.completed",
    ]


@pytest.mark.parametrize(
    ("fault", "last"),
    [
        ("incomplete", "response.incomplete"),
        ("failed", "response.failed"),
        ("refusal", "response.completed"),
        ("error_event", "error"),
        ("eof", "response.output_text.delta"),
        ("cut", "response.output_text.delta"),
    ],
)
def test_a_fault_ends_the_stream_as_it_should(fault: str, last: str) -> None:
    assert order(fault)[-1] == last
    assert isinstance(played(fault)[-1], Cut) == (fault == "cut")


@pytest.mark.parametrize("fault", ["ok", "refusal", "incomplete", "failed", "error_event"])
def test_every_event_is_strictly_what_the_sdk_declares(fault: str) -> None:
    for number, event in enumerate(events(fault)):
        assert event["sequence_number"] == number
        parsed: BaseModel = EVENT.validate_python(event, strict=True)
        assert parsed.model_extra == {}, "nothing the SDK does not know"
        if "response" in event:
            Response.model_validate(event["response"], strict=True)


def test_deltas_add_up_to_the_text() -> None:
    text = "".join(event["delta"] for event in events() if event["type"] == "response.output_text.delta")
    done = next(event for event in events() if event["type"] == "response.output_text.done")
    assert text == done["text"] == events()[-1]["response"]["output"][0]["content"][0]["text"]


def test_pacing_is_the_time_to_the_first_token_then_one_token_at_a_time() -> None:
    pauses = [step.seconds for step in played("ok", StubSettings(500, 50.0)) if isinstance(step, Delay)]
    assert pauses[0] == 0.5
    assert set(pauses[1:]) == {0.02}
    (message,) = [item for item in events()[-1]["response"]["output"] if item["type"] == "message"]
    assert len(pauses) - 1 == -(-len(message["content"][0]["text"]) // CHARS_PER_TOKEN)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(create_app(StubSettings(ttft_ms=50, tokens_per_s=8_000))) as address:
        yield address


async def test_the_sdks_stream_helper_accepts_the_stream(url: str) -> None:
    started = time.monotonic()
    async with (
        AsyncOpenAI(api_key=KEY, base_url=f"{url}/v1", max_retries=0) as client,
        client.responses.stream(model="any", input=prompt().transcript) as stream,
    ):
        response = await stream.get_final_response()
        took_s = time.monotonic() - started
    assert expected().headline in response.output_text
    assert response.usage is not None
    assert took_s > 0.05 + response.usage.output_tokens / 8_000


async def test_the_sdk_parses_the_whole_response_and_lists_the_models(url: str) -> None:
    async with AsyncOpenAI(
        api_key=KEY, base_url=f"{url}/v1", max_retries=0, _strict_response_validation=True
    ) as client:
        response = await client.responses.create(model="any", input=prompt().transcript)
        models = [model.id async for model in client.models.list()]
    assert response.status == "completed"
    assert response._request_id is not None
    assert models == ["afterbell-stub"]


def test_no_minute_holds_more_requests_than_the_quota() -> None:
    quota = MinuteQuota(3)
    starts = [second for second in range(200) if not quota.admit(float(second)).wait_s]
    assert starts[:4] == [0, 1, 2, 60]
    assert all(sum(start <= other < start + 60 for other in starts) <= 3 for start in starts)


def test_a_refused_request_is_told_the_true_wait() -> None:
    quota = MinuteQuota(1)
    quota.admit(100.0)
    refused = quota.admit(130.5)
    assert refused.wait_s == 29.5
    assert not quota.admit(130.5 + refused.wait_s).wait_s


@pytest.mark.parametrize(("seconds", "shown"), [(0.12, "120ms"), (6.5, "6.5s"), (60, "1m0s"), (61.4, "1m1s")])
def test_durations_read_as_the_providers(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown
