"""The real client against the real stub over a real socket."""

import asyncio
import json
import logging
import socket
import time
import traceback
from collections.abc import Awaitable, Callable

import pytest
from tests.dev.stub.running import (
    KEY,
    STUDENT_NAME,
    TUTOR_NAME,
    Heard,
    expected,
    log,
    prompt,
    set_faults,
)

from afterbell.adapters.models import narrative_codec
from afterbell.adapters.models.answer import ModelAnswer, ModelProgress
from afterbell.adapters.models.responses import ResponsesClient
from afterbell.adapters.models.section_counter import SECTIONS_TOTAL
from afterbell.core.errors import (
    ModelAnswerUnusable,
    ModelDeclined,
    ModelError,
    ModelInputTooLong,
    ModelMisconfigured,
    ModelToldToWait,
    ModelUnavailable,
    SettingsError,
    StoreUnavailable,
)

OnProgress = Callable[[ModelProgress], Awaitable[None]]


async def nothing(_: ModelProgress) -> None:
    """Progress nobody listens to."""


async def ask(
    url: str,
    *,
    times: int = 1,
    key: str = KEY,
    timeout_s: float = 20.0,
    max_output_tokens: int = 4_000,
    on_progress: OnProgress = nothing,
) -> ModelAnswer:
    """One client, ``times`` calls, the last answer."""

    client = ResponsesClient(
        api_key=key,
        base_url=f"{url}/v1",
        model="gpt-6-luna",
        attempt_timeout_s=timeout_s,
        max_output_tokens=max_output_tokens,
    )
    try:
        for _ in range(times):
            answer = await client.write(
                prompt(), client_request_id="report-7", safety_identifier="a1b2", on_progress=on_progress
            )
        return answer
    finally:
        await client.aclose()


async def failure(url: str, fault: str, *, timeout_s: float = 20.0) -> ModelError:
    set_faults(url, fault)
    with pytest.raises(ModelError) as caught:
        await ask(url, timeout_s=timeout_s)
    return caught.value


async def test_an_answer_comes_with_its_model_request_id_and_usage(url: str) -> None:
    answer = await ask(url)
    assert narrative_codec.decode(answer.text) == expected()
    assert answer.model == "afterbell-stub"
    last = log(url)[-1]
    assert answer.request_id == last["request_id"]
    assert answer.usage.input_tokens == last["usage"]["input_tokens"] > 100
    assert answer.usage.output_tokens == last["usage"]["output_tokens"] > 100


async def test_progress_starts_at_zero_never_falls_and_ends_complete(url: str) -> None:
    heard: list[ModelProgress] = []

    async def note(progress: ModelProgress) -> None:
        heard.append(progress)

    await ask(url, on_progress=note)
    finished = [progress.sections_finished for progress in heard]
    assert finished[0] == 0
    assert finished == sorted(set(finished))
    assert finished[-1] == SECTIONS_TOTAL == heard[-1].sections_total
    assert len(finished) > 5, "progress follows the stream, not only its end"


async def test_the_request_keeps_nothing_at_the_provider_and_asks_for_strict_json(url: str, heard: Heard) -> None:
    await ask(url)
    body, headers = json.loads(heard.bodies[-1]), heard.headers[-1]
    assert body["store"] is False
    assert body["stream"] is True
    assert body["max_output_tokens"] == 4_000
    assert body["model"] == "gpt-6-luna"
    assert body["safety_identifier"] == "a1b2"
    assert body["prompt_cache_key"] == f"{prompt().version}-en"
    wanted = body["text"]["format"]
    assert (wanted["type"], wanted["strict"], wanted["name"]) == ("json_schema", True, "narrative")
    assert wanted["schema"] == narrative_codec.wire_schema()
    assert headers["x-client-request-id"] == log(url)[-1]["client_request_id"] == "report-7"


async def test_the_session_is_in_the_input_alone_and_nobodys_name_is_sent(url: str, heard: Heard) -> None:
    await ask(url)
    body = json.loads(heard.bodies[-1])
    assert body.pop("input") == prompt().transcript
    rest = json.dumps(body)
    assert "two quarters" not in rest
    sent = heard.bodies[-1].decode() + json.dumps(heard.headers[-1])
    assert TUTOR_NAME not in sent
    assert STUDENT_NAME not in sent


async def test_calls_share_a_connection(url: str, heard: Heard) -> None:
    await ask(url, times=3)
    assert len(set(heard.clients[-3:])) == 1


@pytest.mark.parametrize(
    ("fault", "kind", "has_id", "has_usage"),
    [
        ("500", ModelUnavailable, True, False),
        ("html502", ModelUnavailable, False, False),
        ("html200", ModelUnavailable, False, False),
        ("503", ModelToldToWait, True, False),
        ("429:2", ModelToldToWait, True, False),
        ("insufficient_quota", ModelMisconfigured, True, False),
        ("401", ModelMisconfigured, True, False),
        ("404_model", ModelMisconfigured, True, False),
        ("400_context", ModelInputTooLong, True, False),
        ("refusal", ModelDeclined, True, True),
        ("incomplete", ModelAnswerUnusable, True, True),
        ("failed", ModelUnavailable, True, True),
        ("error_event", ModelUnavailable, True, True),
        ("cut", ModelUnavailable, True, True),
        ("eof", ModelUnavailable, True, True),
    ],
)
async def test_each_fault_says_whether_waiting_helps_and_what_it_cost(
    url: str, fault: str, kind: type[ModelError], has_id: bool, has_usage: bool
) -> None:
    before = len(log(url))
    error = await failure(url, fault)
    assert type(error) is kind
    assert (error.request_id is not None) == has_id
    assert (error.usage is not None) == has_usage
    if error.usage is not None:
        logged = log(url)[-1]["usage"]
        assert error.usage.estimated == (fault in {"error_event", "cut", "eof"}), "the provider did not say"
        assert (error.usage.input_tokens, error.usage.output_tokens) == (
            logged["input_tokens"],
            logged["output_tokens"],
        )
    assert len(log(url)) == before + 1, "the queue retries, the client must not"
    shown = "".join(traceback.format_exception(error)) + repr(error)
    assert KEY not in shown
    assert "two quarters" not in shown


@pytest.mark.parametrize("fault", ["bad_json", "wrong_schema"])
async def test_an_unusable_answer_is_paid_for_before_it_is_parsed(url: str, fault: str) -> None:
    set_faults(url, fault)
    answer = await ask(url)
    assert answer.usage.output_tokens > 0
    with pytest.raises(ModelAnswerUnusable):
        narrative_codec.decode(answer.text)


async def test_invented_turns_are_left_to_the_grounding_checks(url: str) -> None:
    set_faults(url, "invented_turns")
    narrative = narrative_codec.decode((await ask(url)).text)
    assert narrative.topics[0].evidence[0].turn_ids == ("t99999",)


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        ("429:2", 2.0),
        ("429ms:1500", 1.5),
        ("429date:90", 90.0),
        ("429", 20.0),
        ("429:0", 1.0),
        ("429:3600", 900.0),
    ],
)
async def test_told_to_wait_waits_as_long_as_told_within_limits(url: str, fault: str, seconds: float) -> None:
    error = await failure(url, fault)
    assert isinstance(error, ModelToldToWait)
    assert error.seconds == pytest.approx(seconds, abs=2.0 if "date" in fault else 0.01)


@pytest.mark.parametrize("fault", ["stall:30", "trickle"])
async def test_an_attempt_ends_in_time_though_the_stream_does_not(url: str, fault: str) -> None:
    started = time.monotonic()
    error = await failure(url, fault, timeout_s=0.5)
    assert time.monotonic() - started < 20, "not the 30 s of the stream"
    assert type(error) is ModelUnavailable
    assert error.request_id is not None


async def test_an_answer_over_the_token_limit_is_cut_and_paid_for(url: str) -> None:
    with pytest.raises(ModelAnswerUnusable) as caught:
        await ask(url, max_output_tokens=50)
    assert caught.value.usage is not None
    assert caught.value.usage.output_tokens == 50


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: nobody else can answer there
        with pytest.raises(ModelUnavailable):
            await ask(f"http://127.0.0.1:{taken.getsockname()[1]}")


async def test_a_wrong_key_is_refused_and_never_shown(url: str) -> None:
    wrong = KEY[::-1]
    with pytest.raises(ModelMisconfigured) as caught:
        await ask(url, key=wrong)
    assert "OPENAI_API_KEY" in str(caught.value)
    assert wrong not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("problem", [StoreUnavailable("Redis", "gone"), TimeoutError("slow listener")])
async def test_what_the_listener_raises_passes_through(url: str, problem: Exception) -> None:
    async def fail(_: ModelProgress) -> None:
        raise problem

    with pytest.raises(type(problem)):
        await ask(url, on_progress=fail)


async def test_a_cancelled_call_stays_cancelled(url: str) -> None:
    set_faults(url, "stall:30")
    client = ResponsesClient(api_key=KEY, base_url=f"{url}/v1", model="m")
    call = client.write(prompt(), client_request_id="r", safety_identifier=None, on_progress=nothing)
    task = asyncio.create_task(call)
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await client.aclose()


async def test_the_client_shows_its_model_and_host_but_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "https://elsewhere.invalid/v1")
    client = ResponsesClient(api_key=KEY, base_url=None, model="gpt-6-luna")
    assert repr(client) == "ResponsesClient(model='gpt-6-luna', host='api.openai.com')"
    await client.aclose()


@pytest.mark.parametrize("key", ["", "sk-secret\n", "sk-sécret", "sk secret"])
def test_a_key_that_cannot_be_sent_is_a_settings_error_without_the_key(key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        ResponsesClient(api_key=key, base_url=None, model="m")
    assert "OPENAI_API_KEY" in str(caught.value)
    assert not key or key not in str(caught.value)


async def test_debug_logs_hold_neither_the_session_nor_the_key(url: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        await ask(url)
    assert "two quarters" not in caplog.text
    assert KEY not in caplog.text
