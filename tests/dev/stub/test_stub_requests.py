"""The stub rejects what the real API rejects, and remembers no text."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from tests.dev.stub.running import KEY, expected, log, prompt, serving

from afterbell.adapters.models.narrative_codec import decode, wire_schema
from afterbell.core.errors import SettingsError
from afterbell.dev.stub.app import create_app
from afterbell.dev.stub.settings import StubSettings

BEARER = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(create_app(StubSettings(api_key=KEY))) as address:
        yield address


def body(**changes: Any) -> dict[str, Any]:
    schema = {"type": "json_schema", "name": "narrative", "strict": True, "schema": wire_schema()}
    asked = {"model": "gpt-6-luna", "input": prompt().transcript, "text": {"format": schema}, "store": False}
    return {name: value for name, value in (asked | changes).items() if value is not ...}


def post(url: str, content: Any, headers: dict[str, str] = BEARER) -> httpx2.Response:
    sent = content if isinstance(content, bytes) else json.dumps(content).encode()
    return httpx2.post(f"{url}/v1/responses", content=sent, headers=headers)


def error_of(response: httpx2.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status
    assert response.headers["x-request-id"].startswith("req_")
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def test_an_answer_without_a_stream_is_the_whole_response(url: str) -> None:
    response = post(url, body())
    answer = response.json()
    assert answer["status"] == "completed"
    assert decode(answer["output"][0]["content"][0]["text"]) == expected()
    assert answer["model"] == "afterbell-stub"
    assert answer["usage"]["total_tokens"] > 0


def test_input_may_be_a_list_of_items(url: str) -> None:
    parts = [{"type": "input_text", "text": prompt().transcript}]
    assert post(url, body(input=[{"role": "user", "content": parts}])).status_code == 200
    assert post(url, body(input=[{"role": "user", "content": prompt().transcript}])).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer"}, {"Authorization": "Basic abc"}])
def test_no_key_is_unauthorised(url: str, headers: dict[str, str]) -> None:
    error_of(post(url, body(), headers), 401)


def test_another_key_is_unauthorised_and_not_repeated(url: str) -> None:
    response = post(url, body(), {"Authorization": "Bearer sk-other"})
    assert error_of(response, 401)["code"] == "invalid_api_key"
    assert "sk-other" not in response.text
    assert KEY not in response.text


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"model": ...}, "model"),
        ({"model": ""}, "model"),
        ({"input": ...}, "input"),
        ({"input": 7}, "input"),
        ({"input": ["x"]}, "input"),
        ({"stream": "yes"}, "stream"),
        ({"max_output_tokens": 1}, "max_output_tokens"),
        ({"text": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}, "text.format.name"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        (
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "array"}}}},
            "text.format.schema",
        ),
    ],
)
def test_a_wrong_parameter_is_named(url: str, changes: dict[str, Any], param: str) -> None:
    assert error_of(post(url, body(**changes)), 400)["param"] == param


@pytest.mark.parametrize("sent", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_body_that_is_not_a_json_object_is_rejected(url: str, sent: bytes) -> None:
    error_of(post(url, sent), 400)


@pytest.mark.parametrize("spoil", ["required", "additionalProperties", "oneOf", "nested"])
def test_a_schema_outside_the_strict_subset_is_rejected(url: str, spoil: str) -> None:
    schema = copy.deepcopy(wire_schema())
    if spoil == "required":
        schema["required"].remove("headline")
    elif spoil == "additionalProperties":
        del schema["additionalProperties"]
    elif spoil == "oneOf":
        schema["properties"]["headline"] = {"oneOf": [{"type": "string"}, {"type": "null"}]}
    else:
        schema["$defs"]["Evidence"]["required"] = []
    wanted = {"type": "json_schema", "name": "narrative", "strict": True, "schema": schema}
    error = error_of(post(url, body(text={"format": wanted})), 400)
    assert error["code"] == "invalid_json_schema"
    assert spoil == "nested" or spoil in error["message"]


def test_a_text_that_is_no_transcript_is_rejected_with_what_the_stub_is_for(url: str) -> None:
    error = error_of(post(url, body(input="Write a poem.")), 400)
    assert "only writes Afterbell reports" in error["message"]


def test_an_unknown_address_has_the_envelope_too(url: str) -> None:
    response = httpx2.post(f"{url}/v1/embeddings", headers=BEARER, json={})
    assert response.status_code == 404
    assert "/v1/embeddings" in response.json()["error"]["message"]


def test_models_and_health_answer(url: str) -> None:
    assert httpx2.get(f"{url}/v1/models", headers=BEARER).json()["data"][0]["id"] == "afterbell-stub"
    assert httpx2.get(f"{url}/v1/models").status_code == 401
    assert httpx2.get(f"{url}/healthz").json() == {"status": "ok"}


def test_faults_come_in_turn_and_a_header_goes_first(url: str) -> None:
    named = {"faults": ["500", "ok", "429:2"]}
    assert httpx2.post(f"{url}/_stub/faults", json=named).json() == named
    assert post(url, body()).status_code == 500
    assert post(url, body(), BEARER | {"X-Stub-Fault": "html502"}).status_code == 502
    assert post(url, body()).status_code == 200
    assert post(url, body()).headers["retry-after"] == "2"
    assert post(url, body()).status_code == 200


@pytest.mark.parametrize(
    "sent",
    [{"faults": ["nonsense"]}, {"faults": ["429:soon"]}, {"faults": ["stall:-1"]}, {"faults": 5}, {}, [1]],
)
def test_an_unknown_fault_is_rejected(url: str, sent: Any) -> None:
    assert httpx2.post(f"{url}/_stub/faults", json=sent).status_code == 400


def test_an_unknown_fault_in_the_header_is_rejected_with_those_there_are(url: str) -> None:
    response = post(url, body(), BEARER | {"X-Stub-Fault": "nonsense"})
    assert "insufficient_quota" in error_of(response, 400)["message"]


@pytest.mark.parametrize("fault", ["cut", "eof", "error_event"])
def test_without_a_stream_a_break_is_a_server_error(url: str, fault: str) -> None:
    error_of(post(url, body(), BEARER | {"X-Stub-Fault": fault}), 500)


def test_the_log_tells_what_was_asked_but_no_text(url: str) -> None:
    post(url, body(), BEARER | {"X-Client-Request-Id": "report-9", "X-Stub-Fault": "incomplete"})
    last = log(url)[-1]
    assert last["client_request_id"] == "report-9"
    assert (last["model"], last["store"], last["fault"], last["status"]) == (
        "gpt-6-luna",
        False,
        "incomplete",
        200,
    )
    assert last["usage"]["output_tokens"] > 0
    assert "quarters" not in httpx2.get(f"{url}/_stub/log").text


def test_any_key_will_do_where_none_is_set_and_the_rate_is_truly_limited() -> None:
    with serving(create_app(StubSettings(requests_per_minute=2))) as url:
        first = post(url, body(), {"Authorization": "Bearer anything"})
        assert first.headers["x-ratelimit-limit-requests"] == "2"
        assert first.headers["x-ratelimit-remaining-requests"] == "1"
        assert post(url, body()).status_code == 200
        third = post(url, body())
    assert error_of(third, 429)["code"] == "rate_limit_exceeded"
    assert 55 <= int(third.headers["retry-after"]) <= 60
    assert third.headers["x-ratelimit-remaining-requests"] == "0"


def test_tokens_a_minute_are_what_is_read_and_may_be_written_and_a_refused_request_uses_up_nothing() -> None:
    sent = body(max_output_tokens=1_000)
    with serving(create_app(StubSettings(requests_per_minute=9))) as url:
        counted = httpx2.post(f"{url}/v1/responses/input_tokens", json=sent, headers=BEARER).json()
    assert counted["object"] == "response.input_tokens"
    each = counted["input_tokens"] + 1_000
    with serving(create_app(StubSettings(requests_per_minute=9, tokens_per_minute=2 * each + 1))) as url:
        answers = [post(url, sent) for _ in range(3)]
    assert [answer.headers["x-ratelimit-remaining-tokens"] for answer in answers] == [str(each + 1), "1", "1"]
    assert answers[1].headers["x-ratelimit-remaining-requests"] == "7"
    assert error_of(answers[2], 429)["type"] == "tokens"
    assert 55 <= int(answers[2].headers["retry-after"]) <= 60


@pytest.mark.parametrize("wrong", [{"ttft_ms": -1}, {"tokens_per_s": float("nan")}, {"requests_per_minute": 0}])
def test_settings_that_cannot_be_are_rejected(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        StubSettings(**wrong)


def test_settings_do_not_show_the_key() -> None:
    assert KEY not in repr(StubSettings(api_key=KEY))
