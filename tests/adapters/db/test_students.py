"""All that is kept about a student is handed out, or erased, and nothing about the others with it."""

import json
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text
from tests.core.sessions import lesson
from tests.support.record import Record, on

from afterbell.adapters.db import audit, students
from afterbell.adapters.db.students import Erased
from afterbell.core.session import Message, Participant, Session

pytestmark = pytest.mark.engines
TUTOR = Participant("t", "tutor", "Okan Kaya")
MINA, LEO = Participant("mina", "student", "Mina Sayed"), Participant("leo", "student", "Leo")
BY: dict[str, Any] = {"by": "admin:ada", "reason": "asked by the family"}


def session(session_id: str, *people: Participant) -> Session:
    said = [Message(f"{one.id}-1", one.id, f"{one.display_name} here, hello Mina!") for one in people]
    return replace(lesson("T: x"), id=session_id, participants=people, messages=tuple(said), goals=("Help Mina",))


async def stored(record: Record, one: Session) -> None:
    await record.stored(one)
    await record.report(one.id, status="succeeded", content={"text": f"about Mina in {one.id}"})


async def everything(record: Record) -> str:
    """All rows of the tenant but the audit log's, as text."""
    found = []
    for table in ("sessions", "messages", "reports"):
        found += await record.run(text(f"SELECT * FROM {table} WHERE tenant_id = :t").bindparams(t=record.tenant))  # noqa: S608
    return json.dumps([dict(row) for row in found], default=str)


def test_an_export_holds_all_about_the_student_and_no_name_or_word_of_others(tables: str) -> None:
    async def work(record: Record) -> None:
        await stored(record, session("alone", TUTOR, MINA))
        await stored(record, session("shared", TUTOR, MINA, LEO))
        await stored(record, session("not-theirs", TUTOR, LEO))
        async with record.database.transaction() as connection:
            found = await students.export(connection, record.tenant, "mina", **BY)
        alone, shared = found["sessions"]
        assert (alone["session"]["id"], shared["session"]["id"]) == ("alone", "shared")
        assert (alone["shared"], shared["shared"]) == (False, True)
        assert [one["text"] for one in shared["messages"]] == ["Mina Sayed here, hello Mina!"]
        assert alone["reports"][0]["content"] == {"text": "about Mina in alone"}
        told = json.dumps(found, default=str)
        assert "Leo" not in told
        assert "Okan" not in told
        async with record.database.transaction() as connection:
            (act,) = await audit.read(connection, record.tenant)
            assert (act.act.action, act.act.actor, act.act.reason) == ("student.export", "admin:ada", BY["reason"])

    on(tables, work)


def test_after_an_erasure_no_word_and_no_name_of_the_student_is_left(tables: str) -> None:
    async def work(record: Record) -> None:
        await stored(record, session("alone", TUTOR, MINA))
        await stored(record, session("shared", TUTOR, MINA, LEO))
        await stored(record, session("not-theirs", TUTOR, LEO))
        async with record.database.transaction() as connection:
            assert await students.erase(connection, record.tenant, "mina", **BY) == Erased(1, 1, 1, 2, 2)
        left = await everything(record)
        assert "Sayed" not in left
        assert '"mina"' not in left
        assert "mina-1" not in left
        assert left.count("Mina") == 4  # in the session Mina took no part in: two messages, a goal, a report
        query = text("SELECT * FROM sessions WHERE id = 'shared' AND tenant_id = :t").bindparams(t=record.tenant)
        (shared,) = await record.run(query)
        assert [one["role"] for one in shared["participants"]] == ["tutor", "student", "student"]
        assert shared["goals"] == ["Help [erased]"]

    on(tables, work)


def test_an_erasure_is_recorded_with_its_reason_also_when_it_finds_nothing(tables: str) -> None:
    async def work(record: Record) -> None:
        for _ in range(2):
            async with record.database.transaction() as connection:
                assert await students.erase(connection, record.tenant, "mina", **BY) == Erased()
        async with record.database.transaction() as connection:
            acts = await audit.read(connection, record.tenant, subject="mina", action="student.erase")
        assert [act.act.reason for act in acts] == [BY["reason"]] * 2

    on(tables, work)


def test_a_student_of_another_tenant_and_a_tutor_of_that_id_stay(tables: str) -> None:
    async def work(record: Record) -> None:
        await stored(record, session("alone", replace(TUTOR, id="mina"), LEO))
        other = Record(record.database)
        await stored(other, session("alone", TUTOR, MINA))
        async with record.database.transaction() as connection:
            assert await students.erase(connection, record.tenant, "mina", **BY) == Erased()
        assert "Mina Sayed" in await everything(other)

    on(tables, work)


def test_a_worker_that_writes_about_an_erased_session_changes_nothing(tables: str) -> None:
    async def work(record: Record) -> None:
        from afterbell.adapters.db import reports

        await record.stored(session("alone", TUTOR, MINA))
        claimed = await record.claim(await record.report("alone"))
        async with record.database.transaction() as connection:
            await students.erase(connection, record.tenant, "mina", **BY)
        async with record.database.transaction() as connection:
            assert not await reports.advance(connection, claimed, 50, "writing")
            assert not await reports.finish(connection, claimed, {"text": "Mina"}, 1)
            await reports.book(connection, claimed, outcome="superseded")
        assert "Mina" not in await everything(record)

    on(tables, work)
