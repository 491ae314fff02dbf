"""Sessions and their messages over REST."""

import asyncio
from typing import Any

import pytest
from tests.support.api import Api, imported, lesson_json

from afterbell.adapters.db import sessions

pytestmark = pytest.mark.engines


def test_importing_the_same_session_again_changes_nothing(api: Api) -> None:
    with api.client() as client:
        first = client.put("/api/sessions/again", json=lesson_json())
        assert first.json() == {"success": True, "sessionId": "again", "changed": True, "messages": 2}
        for same in (lesson_json(), lesson_json(id="again")):
            assert client.put("/api/sessions/again", json=same).json()["changed"] is False
        changed = client.put("/api/sessions/again", json=lesson_json(subject="Geometry"))
        assert changed.json()["changed"] is True


def test_what_was_said_is_read_as_it_was_sent(api: Api) -> None:
    said = ["  spaces stay  ", "", "\u202eright to left", "emoji \U0001f600", "x" * 8_000, "tab\tand\nline", "<script>"]
    messages = [{"id": f"m{n}", "sender": "p-tutor", "text": text} for n, text in enumerate(said)]
    with api.client() as client:
        session = imported(client, messages=messages)
        page = client.get(f"/api/sessions/{session}/messages").json()
    assert [message["text"] for message in page["messages"]] == said
    assert [message["seq"] for message in page["messages"]] == list(range(1, len(said) + 1))
    assert page["nextAfter"] is None


def test_messages_are_paged_without_a_gap_or_a_double(api: Api) -> None:
    messages = [{"id": f"m{n}", "sender": "p-tutor", "text": str(n)} for n in range(25)]
    with api.client() as client:
        session = imported(client, messages=messages)
        texts, after = [], 0
        while after is not None:
            page = client.get(f"/api/sessions/{session}/messages?limit=10&after={after}").json()
            texts += [message["text"] for message in page["messages"]]
            after = page["nextAfter"]
    assert texts == [str(n) for n in range(25)]


def test_an_import_without_messages_keeps_those_that_were_sent(api: Api) -> None:
    with api.client() as client:
        session = imported(client)
        client.post(f"/api/sessions/{session}/messages", json={"text": "third", "sender": "p-tutor"})
        facts = lesson_json(subject="Geometry")
        del facts["messages"]
        stored = client.put(f"/api/sessions/{session}", json=facts).json()
        said = client.get(f"/api/sessions/{session}/messages").json()["messages"]
        assert [message["seq"] for message in said] == [1, 2, 3]
        assert (stored["changed"], stored["messages"]) == (True, 3)


def test_a_message_sent_again_is_stored_once_and_its_id_cannot_say_two_things(api: Api) -> None:
    with api.client() as client:
        path = f"/api/sessions/{imported(client)}/messages"
        body = {"id": "c1", "sender": "p-tutor", "text": "once"}
        first, second = client.post(path, json=body), client.post(path, json=body)
        assert (first.status_code, second.status_code) == (201, 201)
        assert first.json() == second.json()
        assert first.json() | {"at": None} == {"seq": 3, "id": "c1", "sender": "p-tutor", "text": "once", "at": None}
        assert first.json()["at"].endswith("Z"), "when it came in, where nobody says when it was said"
        other = client.post(path, json=body | {"text": "twice"})
        assert (other.status_code, other.json()["code"]) == (409, "conflict")
        assert len(client.get(path).json()["messages"]) == 3


async def test_fifty_messages_at_once_are_numbered_without_a_gap(api: Api) -> None:
    with api.client() as client:
        path = f"/api/sessions/{imported(client, messages=[])}/messages"
    bodies = [{"sender": "p-tutor", "text": str(number)} for number in range(50)]
    async with api.async_client() as many:
        answers = await asyncio.gather(*(many.post(path, json=body) for body in bodies))
    assert sorted(answer.json()["seq"] for answer in answers) == list(range(1, 51))


def test_moments_are_kept_whatever_their_offset(api: Api) -> None:
    with api.client() as client:
        path = f"/api/sessions/{imported(client)}/messages"
        body = {"text": "x", "sender": "p-tutor", "at": "2026-03-03T18:05:00+02:00"}
        assert client.post(path, json=body).json()["at"] == "2026-03-03T16:05:00Z"


def test_a_full_session_takes_no_further_message(api: Api) -> None:
    messages = [{"id": f"m{n}", "sender": "p-tutor", "text": "x"} for n in range(5_000)]
    with api.client() as client:
        session = imported(client, messages=messages)
        answer = client.post(f"/api/sessions/{session}/messages", json={"text": "x", "sender": "p-tutor"})
    assert (answer.status_code, answer.json()["field"]) == (422, "messages")
    assert "5000" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("report_language", "ja", "ar (Arabic), de (German), en (English)"),
        ("report_language", "german", "pattern"),
        ("time_zone", "Berlin", "use one such as Europe/Berlin"),
        ("time_zone", "../../etc/passwd", "IANA"),
    ],
)
def test_a_language_or_a_time_zone_that_is_not_there_is_refused_by_name(
    api: Api, field: str, value: str, says: str
) -> None:
    with api.client() as client:
        answer = client.put("/api/sessions/refused", json=lesson_json(**{field: value}))
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert says in answer.json()["detail"]


def test_the_language_of_the_report_and_the_time_zone_are_part_of_a_session(api: Api) -> None:
    said = {"report_language": "pt-BR", "time_zone": "America/Sao_Paulo"}
    with api.client() as client:
        session = imported(client)
        assert client.put(f"/api/sessions/{session}", json=lesson_json(**said)).json()["changed"] is True
        assert client.put(f"/api/sessions/{session}", json=lesson_json(**said)).json()["changed"] is False

    async def stored(connection: Any) -> Any:
        return await sessions.load(connection, "school", session)

    loaded, _ = api.record(stored)
    assert (loaded.report_language, loaded.time_zone) == ("pt-BR", "America/Sao_Paulo")
