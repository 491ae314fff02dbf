"""What somebody may do and see is what the record says now: on every pod, at once, with Redis away or hanging too."""

import asyncio
import signal
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.faults.servers import TcpValkey
from tests.realtime.processes import ApiProcess, in_lesson, lesson, started
from tests.support.api import PARENT, STAFF, STUDENT, TUTOR, in_transaction, lesson_json, token_for
from tests.support.promises import Promised
from tests.support.sockets import Client, clients

from afterbell.adapters.db import retention
from afterbell.adapters.db.database import Database
from afterbell.adapters.db.retention import RetentionRules

pytestmark = pytest.mark.engines
TUTOR_ALONE = [{"id": "p-tutor", "role": "tutor", "display_name": "Okan"}]
WITH_ANOTHER = [
    *lesson_json()["participants"],
    {"id": "p-other", "role": "student", "display_name": "Leo"},
]
# Far below what a lost hint would cost, far above what a busy machine does.
SOON_S = 5.0


@pytest.fixture
def pods(valkey: TcpValkey, database_url: str) -> Iterator[list[ApiProcess]]:
    made = started(valkey, database_url)
    yield made
    for pod in made:
        pod.end()


@pytest.fixture(params=["hangs", "is dead", "answers"])
def redis(request: pytest.FixtureRequest, valkey: TcpValkey) -> Iterator[Any]:
    """Makes Redis hang or die, once everybody is in."""

    def fail() -> None:
        if request.param == "hangs":
            valkey.send(signal.SIGSTOP)
        elif request.param == "is dead":
            valkey.kill()

    yield fail
    if request.param == "hangs":
        valkey.send(signal.SIGCONT)


def staff(pod: ApiProcess, **who: Any) -> httpx2.AsyncClient:
    headers = {"Authorization": f"Bearer {token_for(**(who or STAFF))}"}
    return httpx2.AsyncClient(base_url=pod.url, headers=headers, timeout=20)


async def put(pod: ApiProcess, session: str, **changes: Any) -> None:
    async with staff(pod) as http:
        body = lesson_json(**({"messages": None} | changes))
        assert (await http.put(f"/api/sessions/{session}", json=body)).status_code == 200


async def erase(pod: ApiProcess, student: str) -> None:
    async with staff(pod, role="admin", subject="boss") as http:
        answer = await http.post(f"/api/students/{student}/erase", json={"reason": "asked"})
        assert answer.status_code == 200


def was_removed(client: Client) -> bool:
    return any(event["reason"] == "removed" for event in client.events["rt:resync"])


def was_changed(client: Client) -> bool:
    return any(event["reason"] == "imported" for event in client.events["rt:resync"])


async def test_who_is_taken_out_hears_reads_and_writes_no_more_whatever_redis_does(
    pods: list[ApiProcess], redis: Any, promised: Promised
) -> None:
    session = lesson(pods[0])
    async with in_lesson(session, pods[1], pods[1]) as (tutor, student):
        await student.ask("report:watch", session=session)
        assert (await student.say("I am here"))["ok"]
        redis()
        await put(pods[0], session, participants=TUTOR_ALONE)
        began = time.monotonic()
        said = {"session": session, "id": str(uuid.uuid4()), "text": "still here"}
        assert (await student.ask("chat:send", **said))["code"] in ("forbidden", "not_joined")
        assert (await student.ask("chat:history", session=session))["code"] in ("not_found", "not_joined")
        await student.until(lambda: was_removed(student), SOON_S)
        promised("taken_out_within", time.monotonic() - began, 1)
        heard = len(student.events["chat:message"])
        assert (await tutor.say("among ourselves"))["ok"]
        await tutor.until(lambda: tutor.live[-1:] == [2])
        assert (await student.ask("session:join", session=session))["code"] == "not_found"
        assert (await student.ask("report:watch", session=session))["code"] == "not_found"
        assert len(student.events["chat:message"]) == heard
        assert not was_removed(tutor)


async def test_what_was_erased_or_corrected_is_told_to_every_open_tab_whatever_redis_does(
    pods: list[ApiProcess], redis: Any
) -> None:
    session = lesson(pods[0])
    await put(pods[0], session, participants=WITH_ANOTHER)
    async with in_lesson(session, pods[1], pods[0]) as (tutor, student):
        assert (await student.say("my words"))["ok"]
        redis()
        await erase(pods[0], "p-student")
        await tutor.until(lambda: was_changed(tutor), SOON_S)
        await student.until(lambda: was_removed(student), SOON_S)
        joined = await tutor.ask("session:join", session=session, after=0)
        assert [message["text"] for message in joined["messages"]] == ["[erased]"]
        said = {"session": session, "id": str(uuid.uuid4()), "text": "still here"}
        assert (await student.ask("chat:send", **said))["code"] == "not_joined"

        tutor.events["rt:resync"].clear()
        correction = [{"id": "m1", "sender": "p-tutor", "text": "Corrected", "at": None}]
        await put(pods[0], session, messages=correction, participants=TUTOR_ALONE)
        await tutor.until(lambda: was_changed(tutor), SOON_S)
        corrected = await tutor.ask("session:join", session=session, after=0)
        assert [message["text"] for message in corrected["messages"]] == ["Corrected"]
        assert corrected["edition"] > joined["edition"]


async def test_after_retention_open_tabs_forget_and_pages_say_what_there_is(
    pods: list[ApiProcess], database_url: str
) -> None:
    session = lesson(pods[0])
    async with in_lesson(session, *pods) as (tutor, student):
        for number in range(3):
            assert (await tutor.say(f"old {number}"))["ok"]
        await in_transaction(
            database_url, lambda c: c.execute(text("UPDATE sessions SET updated_at = now() - '1 d'::interval"))
        )
        database = Database(database_url, pool_size=1)
        rules = RetentionRules(0.5, 30, 30, 30, 30, 30)
        await retention.run(database, rules, now=datetime.now(UTC), by="staff:s")
        await database.close()
        for client in (tutor, student):
            await client.until(lambda client=client: was_changed(client), SOON_S)
        assert (await student.say("good morning again"))["seq"] == 4
        joined = await tutor.ask("session:join", session=session, after=0)
        assert [(message["seq"], message["text"]) for message in joined["messages"]] == [(4, "good morning again")]
        assert joined["nextAfter"] is None


a_day_old = text("UPDATE sessions SET updated_at = now() - interval '1 day'")


async def test_a_session_that_is_deleted_is_not_found_and_whoever_was_in_it_is_told(pods: list[ApiProcess]) -> None:
    session = lesson(pods[0])
    async with in_lesson(session, *pods) as (tutor, student):
        await erase(pods[0], "p-student")
        for client in (tutor, student):
            said = {"session": session, "id": str(uuid.uuid4()), "text": "anybody?"}
            assert (await client.ask("chat:send", **said))["code"] in ("not_found", "not_joined")
            await client.until(lambda client=client: was_removed(client), SOON_S)


async def test_no_message_written_after_a_removal_reaches_the_removed_also_where_no_hint_comes(
    pods: list[ApiProcess], database_url: str
) -> None:
    """A pooler may swallow NOTIFY: the message itself says by which edition its readers must have been judged."""
    session = lesson(pods[0])
    async with in_lesson(session, pods[0], pods[1]) as (tutor, student):
        await in_transaction(database_url, without_hints)
        await in_transaction(database_url, lambda connection: connection.execute(taken_out, {"id": session}))
        for number in range(20):
            assert (await tutor.say(f"secret {number}"))["ok"]
        await student.until(lambda: was_removed(student), SOON_S)
        assert student.events["chat:message"] == []


taken_out = text(
    """UPDATE sessions SET participants = '[{"id": "p-tutor", "role": "tutor", "display_name": "Okan"}]'
    WHERE id = :id"""
)


async def without_hints(connection: AsyncConnection) -> None:
    """As it is for whoever listens through a pooler in transaction mode."""
    await connection.execute(
        text("""CREATE OR REPLACE FUNCTION afterbell_new_edition() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN NEW.edition := nextval('session_editions'); RETURN NEW; END $$""")
    )


async def test_a_fresh_token_that_speaks_for_no_child_any_more_ends_what_was_watched(pods: list[ApiProcess]) -> None:
    session = lesson(pods[0])
    async with clients((pods[0].url, token_for(**PARENT))) as (mother,):
        assert (await mother.ask("report:watch", session=session))["ok"]
        fresh = token_for(**(PARENT | {"students": ("somebody-else",)}))
        assert (await mother.ask("auth:refresh", token=fresh))["ok"]
        await mother.until(lambda: was_removed(mother), SOON_S)
        async with staff(pods[0]) as http:
            assert (await http.post(f"/api/reports/session/{session}")).status_code == 202
        assert (await mother.ask("report:watch", session=session))["code"] == "not_found"
        assert not mother.events["report:progress"]


async def test_a_stream_of_progress_ends_with_its_reader_and_their_token(pods: list[ApiProcess]) -> None:
    session = lesson(pods[0])
    async with staff(pods[0]) as http:
        assert (await http.post(f"/api/reports/session/{session}")).status_code == 202

    async def lasts(pod: ApiProcess, token: str, opened: asyncio.Event) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            httpx2.AsyncClient(base_url=pod.url, headers=headers, timeout=60) as reader,
            reader.stream("GET", f"/api/reports/session/{session}/events") as stream,
        ):
            assert stream.status_code == 200
            async for _ in stream.aiter_lines():
                opened.set()

    removed, kept = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as readers:
        of_removed = readers.create_task(lasts(pods[1], token_for(**STUDENT), removed))
        of_tutor = readers.create_task(lasts(pods[1], token_for(**TUTOR), kept))
        await asyncio.gather(removed.wait(), kept.wait())
        await put(pods[0], session, participants=TUTOR_ALONE)
        await asyncio.wait_for(of_removed, SOON_S)
        assert not of_tutor.done()
        of_tutor.cancel()
