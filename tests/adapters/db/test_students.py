"""All that is kept about a student is handed out, or erased, and nothing about the others with it."""

import json
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text
from tests.core.sessions import lesson
from tests.support.record import Record

from afterbell.adapters.db import audit, sessions, students
from afterbell.adapters.db.students import Erased
from afterbell.core.errors import Forbidden, NotFound
from afterbell.core.session import Message, Participant, Session

pytestmark = pytest.mark.engines
TUTOR = Participant("t", "tutor", "Okan Kaya")
MINA, LEO = Participant("mina", "student", "Mina Sayed"), Participant("leo", "student", "Leo")
BY: dict[str, Any] = {"by": "admin:ada", "reason": "asked by the family"}


def session(session_id: str, *people: Participant) -> Session:
    said = [Message(f"{person.id}-1", person.id, f"{person.display_name} here, hello Mina!") for person in people]
    return replace(lesson("T: x"), id=session_id, participants=people, messages=tuple(said), goals=("Help Mina",))


async def stored(record: Record, session: Session) -> None:
    await record.stored(session)
    await record.report(session.id, status="succeeded", content={"text": f"about Mina in {session.id}"})


async def everything(record: Record) -> str:
    """All rows of the tenant but the audit log's, as text."""
    rows = []
    for table in ("sessions", "messages", "reports"):
        rows += await record.run(text(f"SELECT * FROM {table} WHERE tenant_id = :t").bindparams(t=record.tenant))  # noqa: S608
    return json.dumps([dict(row) for row in rows], default=str)


async def test_an_export_holds_all_about_the_student_and_no_name_or_word_of_others(record: Record) -> None:
    await stored(record, session("alone", TUTOR, MINA))
    await stored(record, session("shared", TUTOR, MINA, LEO))
    await stored(record, session("not-theirs", TUTOR, LEO))
    async with record.database.transaction() as connection:
        export = await students.export(connection, record.tenant, "mina", **BY)
    alone, shared = export["sessions"]
    assert (alone["session"]["id"], shared["session"]["id"]) == ("alone", "shared")
    assert (alone["shared"], shared["shared"]) == (False, True)
    assert [message["text"] for message in shared["messages"]] == ["Mina Sayed here, hello Mina!"]
    assert alone["reports"][0]["content"] == {"text": "about Mina in alone"}
    exported = json.dumps(export, default=str)
    assert "Leo" not in exported
    assert "Okan" not in exported
    async with record.database.transaction() as connection:
        (act,) = await audit.read(connection, record.tenant)
        assert (act.act.action, act.act.actor, act.act.reason) == ("student.export", "admin:ada", BY["reason"])


async def test_after_an_erasure_no_word_and_no_name_of_the_student_is_left(record: Record) -> None:
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
    assert [person["role"] for person in shared["participants"]] == ["tutor", "student", "student"]
    assert shared["goals"] == ["Help [erased]"]


def left_by(student: Participant, held: Session) -> Session:
    """The session as it is after the platform imported it without the student: what was said stays."""
    return replace(held, participants=tuple(person for person in held.participants if person != student), messages=())


async def stored_and_left(record: Record) -> None:
    """One session Mina takes part in, and one that she wrote in and left."""
    shared = session("left", TUTOR, MINA, LEO)
    await record.stored(session("alone", TUTOR, MINA))
    await record.stored(shared)
    async with record.database.transaction() as connection:
        await sessions.save(connection, record.tenant, left_by(MINA, shared), "other", keep_messages=True)
    await record.report("left", status="succeeded", content={"text": "about Mina in left"})


async def test_an_export_holds_what_a_student_wrote_in_a_session_they_left(record: Record) -> None:
    await stored_and_left(record)
    async with record.database.transaction() as connection:
        export = await students.export(connection, record.tenant, "mina", **BY)
    assert [part["session"]["id"] for part in export["sessions"]] == ["alone", "left"]
    assert [message["text"] for message in export["sessions"][1]["messages"]] == ["Mina Sayed here, hello Mina!"]
    assert export["sessions"][1]["shared"]


async def test_an_erasure_takes_what_a_student_wrote_and_their_name_from_a_session_they_left(record: Record) -> None:
    await stored_and_left(record)
    async with record.database.transaction() as connection:
        assert await students.erase(connection, record.tenant, "mina", **BY) == Erased(1, 1, 1, 2, 1)
    left = await everything(record)
    assert "Leo here" in left
    assert "ina" not in left.replace("Erased", "")


@pytest.mark.parametrize(
    ("name", "said", "left"),
    [
        ("王小明", ("王小明同学,你好", "谢谢小明"), ("[erased]同学,你好", "谢谢[erased]")),
        ("Li Wei", ("Li was right", "ask Li Wei"), ("[erased] was right", "ask [erased]")),
        ("José Álvarez", ("Jose said 12", "jose!", "José too"), ("[erased] said 12", "[erased]!", "[erased] too")),
        ("Will Hart", ("I will mark it", "it will do"), ("I will mark it", "it will do")),
    ],
)
async def test_an_erasure_finds_a_name_as_redaction_does(
    record: Record, name: str, said: tuple[str, ...], left: tuple[str, ...]
) -> None:
    student = replace(MINA, display_name=name)
    lesson = replace(
        session("shared", TUTOR, student, LEO),
        messages=tuple(Message(f"m{number}", "t", words) for number, words in enumerate(said)),
    )

    await record.stored(lesson)
    async with record.database.transaction() as connection:
        await students.erase(connection, record.tenant, "mina", **BY)
        kept = await sessions.read_messages(connection, record.tenant, "shared", after=0, limit=None)
    assert tuple(message.text for message in kept) == left


async def test_nothing_is_written_under_an_erased_id_until_it_is_invited_again(record: Record) -> None:
    shared = session("shared", TUTOR, MINA, LEO)
    await record.stored(shared)
    await record.stored(session("alone", TUTOR, MINA))
    async with record.database.transaction() as connection:
        erased = await students.erase(connection, record.tenant, "mina", **BY)
    assert erased.session_ids == ("alone", "shared")
    late = Message("late", "mina", "still here")
    for session_id, refused in (("shared", Forbidden), ("alone", NotFound)):
        async with record.database.transaction() as connection:
            assert await sessions.append_new(connection, record.tenant, session_id, late, 100) is None
            with pytest.raises(refused):
                await sessions.append(connection, record.tenant, session_id, late, 100)
    async with record.database.transaction() as connection:
        await sessions.save(connection, record.tenant, shared, "again", keep_messages=True)
        assert await sessions.append_new(connection, record.tenant, "shared", late, 100) is not None


async def test_an_erasure_is_recorded_with_its_reason_also_when_it_finds_nothing(record: Record) -> None:
    for _ in range(2):
        async with record.database.transaction() as connection:
            assert await students.erase(connection, record.tenant, "mina", **BY) == Erased()
    async with record.database.transaction() as connection:
        acts = await audit.read(connection, record.tenant, subject="mina", action="student.erase")
    assert [act.act.reason for act in acts] == [BY["reason"]] * 2


async def test_a_student_of_another_tenant_and_a_tutor_of_that_id_stay(record: Record) -> None:
    await stored(record, session("alone", replace(TUTOR, id="mina"), LEO))
    other = Record(record.database)
    await stored(other, session("alone", TUTOR, MINA))
    async with record.database.transaction() as connection:
        assert await students.erase(connection, record.tenant, "mina", **BY) == Erased()
    assert "Mina Sayed" in await everything(other)


async def test_a_worker_that_writes_about_an_erased_session_changes_nothing(record: Record) -> None:
    from afterbell.adapters.db.reports import rows as reports

    await record.stored(session("alone", TUTOR, MINA))
    claimed = await record.claim(await record.report("alone"))
    async with record.database.transaction() as connection:
        await students.erase(connection, record.tenant, "mina", **BY)
    async with record.database.transaction() as connection:
        assert not await reports.advance(connection, claimed, 50, "writing")
        assert not await reports.finish(connection, claimed, {"text": "Mina"}, 1)
        await reports.book(connection, claimed, outcome="superseded")
    assert "Mina" not in await everything(record)
