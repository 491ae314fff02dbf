"""Chat across two pods: stored, acknowledged, broadcast; nothing lost, nothing twice, nobody else's."""

import asyncio
import uuid
from typing import Any

import pytest
from tests.realtime.conftest import Pods
from tests.support.api import PARENT, STAFF, imported, lesson_json, token_for
from tests.support.sockets import Client, clients

pytestmark = pytest.mark.engines


async def test_a_message_reaches_both_pods_with_its_seq_and_sending_it_again_changes_nothing(pods: Pods) -> None:
    session = pods.lesson()

    async with clients(pods.tutor, pods.student) as (tutor, student):
        await tutor.join(session)
        joined = await student.join(session)
        assert joined["you"] == "p-student"
        assert {person["displayName"] for person in joined["participants"]} == {"Okan", "Mina"}
        message_id = str(uuid.uuid4())
        first = await tutor.ask("chat:send", session=session, id=message_id, text="Hello")
        again = await tutor.ask("chat:send", session=session, id=message_id, text="Hello")
        assert (first["ok"], first["seq"], first["known"]) == (True, 1, False)
        assert (again["ok"], again["seq"], again["known"], again["at"]) == (True, 1, True, first["at"])
        await student.say("Hi")
        for client in (tutor, student):
            await client.until(lambda client=client: client.last == 2)
            assert [client.shown[seq]["text"] for seq in (1, 2)] == ["Hello", "Hi"]
            assert max(client.copies.values()) == 1


async def test_a_message_sent_over_rest_is_broadcast_and_a_new_import_asks_to_read_anew(pods: Pods) -> None:
    session = pods.lesson()

    async with clients(pods.student) as (student,):
        await student.join(session)
        with pods.a.client() as http:
            body = {"id": "r1", "sender": "p-tutor", "text": "by REST"}
            assert http.post(f"/api/sessions/{session}/messages", json=body).status_code == 201
            assert http.post(f"/api/sessions/{session}/messages", json=body).status_code == 201
            await student.until(lambda: student.live == [1])
            pods.lesson(session_id=session, subject="Physics")
        await student.until(lambda: bool(student.events["rt:resync"]))
        (resync,) = student.events["rt:resync"]
        assert (resync["session"], resync["reason"]) == (session, "imported")
        assert (await student.ask("session:join", session=session))["edition"] == resync["edition"]
        assert student.live == [1]


async def test_who_is_imported_out_of_a_session_is_out_on_either_pod_and_hears_no_more(pods: Pods) -> None:
    session = pods.lesson()

    async with clients(pods.tutor, pods.student) as (tutor, student):
        await tutor.join(session)
        await student.join(session)
        await student.ask("report:watch", session=session)
        with pods.a.client() as client:
            alone = [{"id": "p-tutor", "role": "tutor", "display_name": "T"}]
            imported(client, session, messages=[], participants=alone)
        removed = {"session": session, "reason": "removed"}
        await student.until(lambda: removed in student.events["rt:resync"])
        heard = len(student.events["chat:message"])
        assert (await tutor.say("among ourselves"))["ok"]
        answer = await student.ask("chat:send", session=session, id=str(uuid.uuid4()), text="still here")
        assert answer["code"] == "not_joined"
        assert (await student.ask("session:join", session=session))["code"] == "not_found"
        assert len(student.events["chat:message"]) == heard
        assert removed not in tutor.events["rt:resync"]


@pytest.mark.parametrize("others", [True, False])
async def test_who_is_erased_writes_no_more_and_nobody_keeps_their_words(pods: Pods, *, others: bool) -> None:
    people = [
        {"id": "p-tutor", "role": "tutor", "display_name": "Okan"},
        {"id": "p-student", "role": "student", "display_name": "Mina"},
        *([{"id": "p-other", "role": "student", "display_name": "Leo"}] if others else []),
    ]
    session = pods.lesson(participants=people)

    async with clients(pods.tutor, pods.student) as (tutor, student):
        await tutor.join(session)
        await student.join(session)
        assert (await student.say("my words"))["ok"]
        with pods.a.client(role="admin", subject="boss") as http:
            assert http.post("/api/students/p-student/erase", json={"reason": "asked"}).status_code == 200
        # At once, before any pod has heard of it.
        said = {"session": session, "id": str(uuid.uuid4()), "text": "still here"}
        assert (await student.ask("chat:send", **said))["code"] in ("forbidden", "not_found", "not_joined")
        removed = {"session": session, "reason": "removed"}
        await student.until(lambda: removed in student.events["rt:resync"])
        assert (await student.ask("session:join", session=session))["code"] == "not_found"
        await tutor.until(lambda: bool(tutor.events["rt:resync"]))
        if others:
            joined = await tutor.ask("session:join", session=session, after=0)
            assert [message["text"] for message in joined["messages"]] == ["[erased]"]
            with pods.a.client() as http:
                body = {name: value for name, value in lesson_json(participants=people).items() if name != "messages"}
                assert http.put(f"/api/sessions/{session}", json=body).status_code == 200
            assert (await student.ask("session:join", session=session))["ok"]
            assert (await student.ask("chat:send", **said))["ok"]


async def test_many_at_once_on_both_pods_get_one_order_without_gaps(pods: Pods) -> None:
    session = pods.lesson()

    async with clients(pods.tutor, pods.student) as (tutor, student):
        await asyncio.gather(tutor.join(session), student.join(session))
        await asyncio.gather(*(speaker.say(f"{n}") for n in range(100) for speaker in (tutor, student)))
        for client in (tutor, student):
            await client.until(lambda client=client: client.last == 200)
        assert [tutor.shown[n]["id"] for n in range(1, 201)] == [student.shown[n]["id"] for n in range(1, 201)]


async def test_presence_tells_who_is_here_on_either_pod_and_forgives_a_reload(pods: Pods) -> None:
    session = pods.lesson()

    async with clients(pods.tutor, pods.student) as (tutor, student):
        assert (await tutor.join(session))["online"] == ["p-tutor"]
        await student.join(session)
        await tutor.until(lambda: bool(tutor.events["presence"]))
        assert tutor.events["presence"] == [{"session": session, "joined": ["p-student"], "left": []}]
        again = await student.ask("session:join", session=session)
        assert again["online"] == ["p-student", "p-tutor"]
        await student.ask("session:leave", session=session)
        await student.join(session)
        await asyncio.sleep(0.3)
        assert len(tutor.events["presence"]) == 1
        await student.ask("session:leave", session=session)
        await tutor.until(lambda: len(tutor.events["presence"]) == 2)
        assert tutor.events["presence"][1] == {"session": session, "joined": [], "left": ["p-student"]}


async def test_somebody_with_a_tab_on_each_pod_is_told_once(pods: Pods) -> None:
    session = pods.lesson()
    elsewhere = (pods.a.url, pods.student[1])

    async with clients(pods.tutor, pods.student, elsewhere) as (tutor, student, second):
        for client in (tutor, student):
            await client.join(session)
        await tutor.until(lambda: bool(tutor.events["presence"]))
        await second.join(session)
        await student.say("once for me as well")
        await tutor.until(lambda: bool(tutor.live))
        assert tutor.events["presence"] == [{"session": session, "joined": ["p-student"], "left": []}]


async def test_typing_reaches_the_others_and_not_the_one_who_types(pods: Pods) -> None:
    session = pods.lesson()

    async with clients(pods.tutor, pods.student) as (tutor, student):
        await asyncio.gather(tutor.join(session), student.join(session))
        assert await tutor.ask("chat:typing", session=session, typing=True) == {"ok": True}
        await student.until(lambda: bool(student.events["chat:typing"]))
        assert student.events["chat:typing"] == [{"session": session, "user": "p-tutor", "typing": True}]
        assert tutor.events["chat:typing"] == []


async def test_history_is_read_forwards_and_backwards_in_pages(pods: Pods) -> None:
    session = pods.lesson()

    async with clients(pods.tutor) as (tutor,):
        await tutor.join(session)
        for n in range(1, 8):
            await tutor.say(f"{n}")

        async def page(**asked: Any) -> tuple[list[int], int | None]:
            answer = await tutor.ask("chat:history", session=session, **asked)
            return [message["seq"] for message in answer["messages"]], answer["nextAfter"]

        assert await page(after=2, limit=3) == ([3, 4, 5], 5)
        assert await page(after=5) == ([6, 7], None)
        assert await page(before=4, limit=2) == ([2, 3], None)


async def test_long_messages_come_in_pages_that_a_slow_reader_can_take(pods: Pods) -> None:
    said = [{"id": f"m{n}", "sender": "p-tutor", "text": f"{n} " + "x" * 7_900} for n in range(1, 51)]
    session = pods.lesson(messages=said)

    async with clients(pods.tutor) as (tutor,):
        joined = await tutor.join(session)
        assert 10 < len(joined["messages"]) < 20
        assert joined["nextAfter"] == joined["messages"][-1]["seq"]
        seqs, after = [message["seq"] for message in joined["messages"]], joined["nextAfter"]
        while after is not None:
            page = await tutor.ask("chat:history", session=session, after=after, limit=500)
            seqs, after = seqs + [message["seq"] for message in page["messages"]], page["nextAfter"]
        assert seqs == list(range(1, 51))
        before = await tutor.ask("chat:history", session=session, before=51)
        assert before["messages"][-1]["seq"] == 50
        assert 10 < len(before["messages"]) < 20


@pytest.mark.parametrize(
    ("event", "payload", "code"),
    [
        ("no:such", {"session": "s"}, "unknown_event"),
        ("session:join", {"session": "s-of-nobody"}, "not_found"),
        ("session:join", {"session": "x" * 65}, "invalid_input"),
        ("session:join", {"session": "s", "more": 1}, "invalid_input"),
        ("session:join", {"session": 5}, "invalid_input"),
        ("session:join", [], "invalid_input"),
        ("chat:send", {"session": "s-not-joined", "id": "1", "text": "x"}, "not_joined"),
        ("chat:send", {"session": "s", "id": "1", "text": ""}, "invalid_input"),
        ("chat:send", {"session": "s", "id": "1", "text": "x" * 8_001}, "invalid_input"),
        ("chat:send", {"session": "s", "id": "1", "text": "\x00"}, "invalid_input"),
        ("chat:send", {"session": "s", "id": "1", "text": "\ud800"}, "invalid_input"),
        ("auth:refresh", {"token": "forged"}, "unauthenticated"),
        ("auth:refresh", {"token": token_for(**STAFF)}, "forbidden"),
    ],
)
async def test_every_refusal_is_acknowledged_with_a_code(pods: Pods, event: str, payload: Any, code: str) -> None:
    async with clients(pods.tutor) as (tutor,):
        answer = await tutor.sio.call(event, payload, timeout=5)
        assert (answer["ok"], answer["code"]) == (False, code)
        assert answer["message"]


async def test_only_participants_speak_and_parents_do_not_even_listen(pods: Pods) -> None:
    session = pods.lesson()

    wanted = (
        (pods.a.url, token_for(**STAFF)),
        (pods.a.url, token_for(**PARENT)),
        (pods.a.url, token_for(role="student", subject="p-stranger")),
        (pods.a.url, token_for("other-school", role="tutor", subject="p-tutor")),
    )
    async with clients(*wanted) as (staff, parent, stranger, other_tenant):
        assert (await staff.join(session))["ok"]
        codes = [
            await staff.ask("chat:send", session=session, id="1", text="x"),
            await parent.ask("session:join", session=session),
            await stranger.ask("session:join", session=session),
            await other_tenant.ask("session:join", session=session),
            await stranger.ask("report:watch", session=session),
        ]
        assert [answer["code"] for answer in codes] == ["forbidden", "forbidden", "not_found", "not_found", "not_found"]
        assert await parent.ask("report:watch", session=session) == {"ok": True, "report": None}


async def test_people_whose_connections_break_in_mid_talk_cost_the_others_nothing(pods: Pods) -> None:
    session = pods.lesson()

    async with clients(pods.tutor, pods.student) as (tutor, student):
        await asyncio.gather(tutor.join(session), student.join(session))
        for number in range(10):
            leaving = [
                Client(url, token_for(role="staff", subject=f"s-{n}"), reconnection=False)
                for n, url in enumerate((pods.a.url, pods.b.url) * 5)
            ]
            await asyncio.gather(*(client.connect() for client in leaving))
            await asyncio.gather(*(client.join(session) for client in leaving))
            said = [asyncio.create_task(tutor.say(f"{number}.{n}")) for n in range(20)]
            await asyncio.sleep(0.005)
            for client in leaving:
                client.sio.eio.ws._response.connection.transport.abort()
            await asyncio.gather(*said)
            await asyncio.gather(*(client.close() for client in leaving))
        await student.until(lambda: student.last == 200)
        assert sorted(student.live) == list(range(1, 201)), "live, and not by catching up"
        assert sorted(tutor.live) == list(range(1, 201))


async def test_an_event_without_an_acknowledgement_is_done_and_a_bad_one_is_forgotten(pods: Pods) -> None:
    session = pods.lesson()

    async with clients(pods.tutor) as (tutor,):
        await tutor.join(session)
        await tutor.sio.emit("chat:send", {"session": session, "id": "1", "text": "no answer wanted"})
        await tutor.sio.emit("chat:send", {"session": session, "id": "2"})
        await tutor.sio.emit("no:such", {"session": session})
        await tutor.sio.emit("chat:send")
        assert (await tutor.ask("chat:send", session=session, id="3", text="last"))["seq"] == 2
        assert [message["id"] for message in (await tutor.ask("chat:history", session=session))["messages"]] == [
            "1",
            "3",
        ]


async def test_joining_a_hundred_times_is_joining_once_and_a_hundred_foreign_sessions_are_none(pods: Pods) -> None:
    session = pods.lesson()

    async with clients(pods.tutor, pods.student) as (tutor, student):
        await student.join(session)
        assert all([(await tutor.ask("session:join", session=session))["ok"] for _ in range(100)])
        codes = {(await tutor.ask("session:join", session=f"s-foreign-{n}"))["code"] for n in range(100)}
        assert codes == {"not_found"}
        await student.say("once")
        await tutor.until(lambda: bool(tutor.events["chat:message"]))
        await asyncio.sleep(0.1)
        assert len(tutor.events["chat:message"]) == 1
        assert student.events["presence"] == [{"session": session, "joined": ["p-tutor"], "left": []}]
