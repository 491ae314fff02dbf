"""Sessions and messages in PostgreSQL: the same again changes nothing, messages are numbered without a gap."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import text
from tests.core.sessions import START, lesson
from tests.core.sessions import sessions as any_session
from tests.support.record import LESSON, Record, record_in

from afterbell.adapters.db import sessions, students
from afterbell.core.errors import NotFound
from afterbell.core.session import MESSAGES_MAX, Message, Participant, Session

pytestmark = pytest.mark.engines


async def loaded(record: Record, session_id: str = LESSON.id) -> tuple[Session, int]:
    async with record.database.transaction() as connection:
        stored = await sessions.load(connection, record.tenant, session_id)
    assert stored is not None
    return stored


async def appended(record: Record, message: Message, count_max: int = MESSAGES_MAX) -> sessions.StoredMessage | None:
    async with record.database.transaction() as connection:
        done = await sessions.append(connection, record.tenant, LESSON.id, message, count_max)
    return None if done is None else done.message


async def saved(record: Record, session: Session, digest: str, *, keep_messages: bool = False) -> bool:
    async with record.database.transaction() as connection:
        return await sessions.save(connection, record.tenant, session, digest, keep_messages=keep_messages)


async def test_a_session_comes_back_as_it_was_stored(record: Record) -> None:
    session = replace(LESSON, goals=("one", "two"), started_at=START, ended_at=None, level=None)
    assert await saved(record, session, "d")
    assert await loaded(record) == (session, 1)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(any_session())
async def test_any_session_the_api_lets_in_comes_back(tables: str, session: Session) -> None:
    if "\0" in repr(session) or "\\x00" in repr(session) or any("\ud800" <= c <= "\udfff" for c in str(session)):
        return  # the API refuses these

    async with record_in(tables, pool_size=1) as record:
        assert await saved(record, session, "d")
        assert (await loaded(record))[0] == session


async def test_the_same_session_again_changes_nothing(record: Record) -> None:
    assert await saved(record, LESSON, "d")
    before = await loaded(record)
    assert not await saved(record, LESSON, "d")
    assert await loaded(record) == before
    assert await saved(record, LESSON, "e")
    assert (await loaded(record))[1] == before[1] + 1


async def test_new_messages_replace_the_old_ones_unless_they_are_to_be_kept(record: Record) -> None:
    await saved(record, LESSON, "d")
    await saved(record, replace(LESSON, subject="Geometry", messages=()), "e", keep_messages=True)
    session, revision = await loaded(record)
    assert (session.subject, session.messages, revision) == ("Geometry", LESSON.messages, 2)
    shorter = lesson("T: Only this.")
    await saved(record, shorter, "f")
    assert (await loaded(record))[0].messages == shorter.messages
    await saved(record, replace(LESSON, messages=()), "g")
    assert (await loaded(record))[0].messages == ()


async def test_keeping_messages_of_a_session_nobody_knew_stores_it_without_any(record: Record) -> None:
    assert await saved(record, replace(LESSON, messages=()), "d", keep_messages=True)
    stored = await appended(record, Message("c1", "p-tutor", "first"))
    assert stored is not None
    assert stored.seq == 1


async def test_fifty_messages_at_once_are_numbered_without_a_gap(record: Record) -> None:
    await saved(record, LESSON, "d")
    many = [Message(f"c{n}", "p-tutor", str(n)) for n in range(50)]
    stored = await asyncio.gather(*(appended(record, message) for message in many))
    assert sorted(message.seq for message in stored if message) == list(range(3, 53))
    session, revision = await loaded(record)
    assert len(session.messages) == 52
    assert revision == 51


async def test_a_message_sent_twenty_times_at_once_is_stored_once(record: Record) -> None:
    await saved(record, LESSON, "d")
    same = Message("c1", "p-tutor", "once", START)
    stored = await asyncio.gather(*(appended(record, same) for _ in range(20)))
    assert set(stored) == {sessions.StoredMessage(3, "c1", "p-tutor", "once", START)}
    # Another text under the id gives what is stored: the API makes a conflict of it.
    other = await appended(record, replace(same, text="twice"))
    assert other is not None
    assert other.text == "once"


async def test_an_appended_message_lets_the_next_import_count_as_a_change(record: Record) -> None:
    await saved(record, LESSON, "d")
    await appended(record, Message("c1", "p-tutor", "more"))
    assert await saved(record, LESSON, "d")
    assert (await loaded(record))[0].messages == LESSON.messages


async def test_a_full_session_takes_no_message_but_gives_back_the_ones_it_has(record: Record) -> None:
    await saved(record, LESSON, "d")
    assert await appended(record, Message("c1", "p-tutor", "x"), count_max=2) is None
    again = await appended(record, LESSON.messages[0], count_max=2)
    assert again is not None
    assert again.seq == 1


async def test_an_unknown_session_and_another_tenants_are_not_there(record: Record) -> None:
    await saved(record, LESSON, "d")
    async with record.database.transaction() as connection:
        for tenant, name in ((record.tenant, "none"), ("another", LESSON.id)):
            assert await sessions.load(connection, tenant, name) is None
            assert await sessions.roster(connection, tenant, name) is None
            with pytest.raises(NotFound):
                await sessions.append(connection, tenant, name, LESSON.messages[0], 9)
            assert await sessions.read_messages(connection, tenant, name, after=0, limit=9) == []


LEO = Participant("p-leo", "student", "Leo")


async def edition(record: Record, session_id: str = LESSON.id) -> int:
    async with record.database.transaction() as connection:
        stands = await sessions.roster(connection, record.tenant, session_id)
    assert stands is not None
    return stands.edition


async def test_an_edition_is_another_one_when_people_or_words_change_and_the_same_when_somebody_speaks(
    record: Record,
) -> None:
    await saved(record, LESSON, "d")
    first = await edition(record)
    await appended(record, Message("c1", "p-tutor", "x"))
    async with record.database.statement() as connection:
        new = await sessions.append_new(connection, record.tenant, LESSON.id, Message("c2", "p-tutor", "y"), 99)
    assert new is not None
    assert (new.edition, await edition(record)) == (first, first)

    editions = [first]
    for change in (
        lambda c: sessions.save(c, record.tenant, LESSON, "imported anew", keep_messages=False),
        lambda c: sessions.save(
            c,
            record.tenant,
            replace(LESSON, participants=(LESSON.participants[0], LEO)),
            "taken out",
            keep_messages=True,
        ),
        lambda c: students.erase(c, record.tenant, "p-student", by="staff:s", reason="asked"),
        lambda c: c.execute(text("UPDATE sessions SET emptied_at = now()")),
    ):
        async with record.database.transaction() as connection:
            await change(connection)
        editions.append(await edition(record))
    assert editions == sorted(set(editions)), "each is another, and a later one is greater"

    async with record.database.transaction() as connection:
        await connection.execute(text("DELETE FROM sessions WHERE tenant_id = :id"), {"id": record.tenant})
    await saved(record, LESSON, "d")
    assert await edition(record) > editions[-1], "deleted and stored again it is none that was there before"


async def test_only_sessions_of_another_edition_than_the_known_one_are_read(record: Record) -> None:
    await saved(record, LESSON, "d")
    known = await edition(record)
    mine, gone = (record.tenant, LESSON.id), (record.tenant, "gone")
    async with record.database.statement() as connection:
        assert await sessions.changed(connection, {}) == {}
        assert await sessions.changed(connection, {mine: known}) == {}
        answer = await sessions.changed(connection, {mine: known - 1, gone: 7, ("another", LESSON.id): 7})
    assert answer.pop(mine).ids == {"p-tutor", "p-student"}
    assert answer == {gone: None, ("another", LESSON.id): None}
