"""Messages wait for nobody, unless they were stored in an edition that is not known here yet."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from sqlalchemy import text
from tests.support.record import LESSON
from tests.support.waiting import eventually

from afterbell.adapters.db import sessions
from afterbell.adapters.db.database import Database
from afterbell.adapters.db.sessions import Roster
from afterbell.realtime.authority import HELD_MAX, Authority
from afterbell.realtime.rooms import room_of

pytestmark = pytest.mark.engines
ROOM = room_of("school", LESSON.id)


@asynccontextmanager
async def authority_on(database: Database, changes: list[tuple[str, Roster | None, bool]]) -> AsyncIterator[Authority]:
    """One that runs, for the room of LESSON."""
    authority = Authority(database, lambda: {ROOM}, lambda *change: changes.append(change))
    authority.start()
    try:
        yield authority
    finally:
        await authority.stop()


async def store(database: Database, digest: str, **changes: object) -> int:
    async with database.transaction() as connection:
        await sessions.save(connection, "school", replace(LESSON, **changes), digest, keep_messages=False)
        roster = await sessions.roster(connection, "school", LESSON.id)
    assert roster is not None
    return roster.edition


async def test_a_message_of_the_known_edition_goes_at_once_and_one_of_an_earlier_one_not_at_all(
    database_url: str,
) -> None:
    database = Database(database_url, pool_size=2)
    first = await store(database, "first")
    second = await store(database, "second")
    delivered: list[int] = []
    async with authority_on(database, []) as authority:
        await eventually(lambda: authority.known(ROOM))
        for edition in (second, first, second):
            authority.deliver(ROOM, edition, lambda edition=edition: delivered.append(edition))
        assert delivered == [second, second]
    await database.close()


async def test_a_message_of_a_later_edition_waits_until_its_readers_are_judged_however_long_that_takes(
    database_url: str,
) -> None:
    database = Database(database_url, pool_size=3)
    await store(database, "first")
    changes: list[tuple[str, Roster | None, bool]] = []
    order: list[object] = []
    async with authority_on(database, changes) as authority:
        await eventually(lambda: authority.known(ROOM))
        async with database.transaction() as slow:
            await slow.execute(text("UPDATE sessions SET participants = participants - 1"))
            edition = await slow.scalar(text("SELECT edition FROM sessions"))
            await slow.execute(text("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE"))
            for number in range(HELD_MAX + 5):
                authority.deliver(ROOM, edition, lambda number=number: order.append(number))
            assert order == []
        await eventually(lambda: len(order) == HELD_MAX)
        _, roster, was_known = changes[-1]
        assert roster is not None
        assert (roster.edition, len(roster.people), was_known) == (edition, 1, True)
        assert order == sorted(order)
    await database.close()


async def test_a_session_that_is_gone_is_told_and_what_waited_for_it_is_forgotten(database_url: str) -> None:
    database = Database(database_url, pool_size=2)
    edition = await store(database, "first")
    changes: list[tuple[str, Roster | None, bool]] = []
    delivered: list[int] = []
    async with authority_on(database, changes) as authority:
        await eventually(lambda: authority.known(ROOM))
        async with database.transaction() as connection:
            await connection.execute(text("DELETE FROM sessions"))
        authority.deliver(ROOM, edition + 1, lambda: delivered.append(1))
        await eventually(lambda: changes[-1][1] is None)
        assert authority.known(ROOM) is None
        assert delivered == []
    await database.close()
