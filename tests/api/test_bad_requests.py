"""Bad input gets a clear answer: the status, the field, the limit, and never a 500."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.api import STUDENT, Api, imported, lesson_json

pytestmark = pytest.mark.engines

LIMIT = 2 * 1024 * 1024
TUTOR_JSON = {"id": "p-tutor", "role": "tutor", "display_name": "Okan"}


def message(**changes: Any) -> list[dict[str, Any]]:
    return [{"id": "m1", "sender": "p-tutor", "text": "hello"} | changes]


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("subject", {"subject": None}),
    ("subject", {"subject": ""}),
    ("subject", {"subject": "   "}),
    ("subject", {"subject": "x" * 81}),
    ("subject", {"subject": "nul\0nul"}),
    ("subject", {"subject": "half \ud800 a pair"}),
    ("level", {"level": "a\0b"}),
    ("language", {"language": "english please"}),
    ("goals.0", {"goals": [""]}),
    ("goals.0", {"goals": ["a\0b"]}),
    ("goals", {"goals": ["x"] * 11}),
    ("goals", {"goals": "one"}),
    ("started_at", {"started_at": "yesterday"}),
    ("started_at", {"started_at": "2026-03-03T16:00:00"}),
    ("started_at", {"started_at": "0001-01-01T00:00:00+14:00"}),
    ("ended_at", {"ended_at": "9999-12-31T23:59:59-12:00"}),
    ("ended_at", {"ended_at": "2026-03-03T15:00:00Z"}),
    ("participants", {"participants": []}),
    ("participants", {"participants": [TUTOR_JSON] * 2, "messages": []}),
    ("participants", {"participants": [TUTOR_JSON | {"id": f"p{n}"} for n in range(13)], "messages": []}),
    ("participants.0.role", {"participants": [TUTOR_JSON | {"role": "boss"}]}),
    ("participants.0.id", {"participants": [TUTOR_JSON | {"id": "a b"}]}),
    ("participants.0.display_name", {"participants": [TUTOR_JSON | {"display_name": "a\0b"}]}),
    ("participants.0.display_name", {"participants": [TUTOR_JSON | {"display_name": "\udfff"}]}),
    ("messages.0.sender", {"messages": message(sender="nobody")}),
    ("messages.1.id", {"messages": message() * 2}),
    ("messages.0.id", {"messages": message(id="{m}")}),
    ("messages.0.text", {"messages": message(text="x" * 8_001)}),
    ("messages.0.text", {"messages": message(text="a\0b")}),
    ("messages.0.text", {"messages": message(text="\ud83d")}),
    ("messages.0.text", {"messages": message(text=7)}),
    ("messages.0.at", {"messages": message(at="9999-12-31T23:59:59-12:00")}),
    ("messages", {"messages": [message(id=f"m{n}")[0] for n in range(5_001)]}),
    ("messages", {"messages": {"m1": "hello"}}),
    ("surprise", {"surprise": 1}),
    ("x" * 120, {"x" * 10_000: 1}),
    ("body", {"\ud800": 1}),
]


def put(api: Api, content: bytes | Iterator[bytes], **headers: str) -> Any:
    with api.client() as client:
        return client.put("/api/sessions/bad", content=content, headers={"Content-Type": "application/json"} | headers)


def as_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize(("field", "changes"), WRONG, ids=[f"{n}-{field[:30]}" for n, (field, _) in enumerate(WRONG)])
def test_a_session_that_makes_no_sense_is_refused_with_its_field(api: Api, field: str, changes: dict[str, Any]) -> None:
    answer = put(api, as_bytes(lesson_json(**changes)))
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), answer.text
    body = answer.json()
    assert body["code"] == "invalid_input"
    assert body["field"] == field
    assert field in [error["field"] for error in body["errors"]]
    assert body["detail"].startswith(f"{field}: ")


@pytest.mark.parametrize(
    "content", [b"{", b"", b"[]", b"null", b"7", b'"x"', b'{"subject": NaN', b"\xff\xfe", b"[" * 100_000]
)
def test_what_is_no_json_object_is_refused_with_a_word_about_it(api: Api, content: bytes) -> None:
    answer = put(api, content)
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


def test_malformed_json_is_told_with_its_place(api: Api) -> None:
    answer = put(api, b'{"subject": }')
    assert answer.status_code == 422
    assert "invalid JSON: Expecting value at character 13" in answer.json()["detail"]


def test_a_body_of_another_content_type_is_told_which_one_to_send(api: Api) -> None:
    answer = put(api, as_bytes(lesson_json()), **{"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 422
    assert "Content-Type: application/json" in answer.json()["detail"]


def test_the_body_and_the_path_name_one_session(api: Api) -> None:
    answer = put(api, as_bytes(lesson_json(id="good")))
    assert (answer.status_code, answer.json()["field"]) == (422, "id")


def test_an_announced_body_over_the_limit_is_refused_with_the_limit(api: Api) -> None:
    answer = put(api, b" " * (LIMIT + 1))
    assert answer.status_code == 413
    assert answer.json()["code"] == "payload_too_large"
    assert answer.json()["limit"] == LIMIT
    assert str(LIMIT) in answer.json()["detail"]
    assert answer.json()["requestId"] == answer.headers["x-request-id"]


def test_a_streamed_body_over_the_limit_is_refused_with_the_limit(api: Api) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(LIMIT // 65_536 + 1):
            yield b" " * 65_536

    answer = put(api, pieces())
    assert answer.status_code == 413
    assert (answer.json()["code"], answer.json()["limit"]) == ("payload_too_large", LIMIT)


def test_a_body_just_under_the_limit_is_read(api: Api) -> None:
    body = as_bytes(lesson_json())
    assert put(api, body + b" " * (LIMIT - len(body))).status_code == 200


@pytest.mark.parametrize(
    "session_id", ["%7B%7D", "a%20b", "a%0Ab", "a%00b", "%ED%A0%80", "%C3%A9", "x" * 65, "x" * 10_240, "%", "a;b", "*"]
)
def test_an_id_that_is_none_is_refused_on_every_route(api: Api, session_id: str) -> None:
    routes = [
        ("POST", f"/api/reports/session/{session_id}"),
        ("GET", f"/api/reports/session/{session_id}"),
        ("GET", f"/api/reports/session/{session_id}/status"),
        ("PUT", f"/api/sessions/{session_id}"),
        ("GET", f"/api/sessions/{session_id}/messages"),
        ("POST", f"/api/sessions/{session_id}/messages"),
    ]
    with api.client() as client:
        for method, path in routes:
            answer = client.request(method, path, json=lesson_json() if method == "PUT" else {"text": "x"})
            assert (answer.status_code, answer.json()["field"]) == (422, "session_id")
            assert len(answer.content) < 2_000


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("text", {}),
        ("text", {"text": ""}),
        ("text", {"text": "x" * 8_001}),
        ("text", {"text": "a\0b"}),
        ("text", {"text": "\udc00"}),
        ("id", {"text": "x", "id": "a b"}),
        ("at", {"text": "x", "at": "0001-01-01T00:00:00+14:00"}),
        ("seq", {"text": "x", "seq": 3}),
        ("sender", {"text": "x", "sender": "nobody"}),
    ],
)
def test_a_message_that_makes_no_sense_is_refused_with_its_field(api: Api, field: str, body: dict[str, Any]) -> None:
    with api.client() as client:
        session = imported(client)
        headers = {"Content-Type": "application/json"}
        answer = client.post(f"/api/sessions/{session}/messages", content=as_bytes(body), headers=headers)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


@pytest.mark.parametrize("query", ["after=-1", "after=x", "limit=0", "limit=501", "after=99999999999999999999"])
def test_a_page_that_cannot_be_is_refused_with_its_parameter(api: Api, query: str) -> None:
    with api.client() as client:
        answer = client.get(f"/api/sessions/{imported(client)}/messages?{query}")
    assert (answer.status_code, answer.json()["field"]) == (422, query.partition("=")[0])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


# The API is served by this process: what it takes from `random` meanwhile is not the strategy's doing.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from([*lesson_json(), "id", "x"]), JSON, max_size=4))
def test_no_json_whatever_is_a_fault_of_ours(api: Api, changes: dict[str, Any]) -> None:
    assert put(api, as_bytes(lesson_json() | changes)).status_code in (200, 422)


def test_a_refused_import_changes_nothing(api: Api) -> None:
    with api.client() as client:
        session = imported(client)
        for changes in ({"messages": message(sender="nobody")}, {"subject": ""}):
            assert client.put(f"/api/sessions/{session}", json=lesson_json(**changes)).status_code == 422
        assert client.put(f"/api/sessions/{session}", json=lesson_json()).json()["changed"] is False


def test_a_role_that_may_not_import_is_told_so_even_where_its_session_makes_sense(api: Api) -> None:
    with api.client(**STUDENT) as client:
        assert client.put("/api/sessions/x", json=lesson_json()).status_code == 403
