"""What is too old goes, what is not stays, and what is still needed stays too."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.api import migrated
from tests.support.record import Record, on

from afterbell.adapters.db import audit, retention, sessions, webhooks
from afterbell.adapters.db.audit import Act
from afterbell.adapters.db.retention import RetentionRules
from afterbell.core.errors import Conflict

pytestmark = pytest.mark.engines
RULES = RetentionRules(transcript_days=90, report_days=365, attempt_days=30, delivery_days=30, audit_days=730)


@pytest.fixture
def fresh(database_url: str) -> str:
    """The job deletes from every tenant, so a test shares its tables with no other."""
    migrated(database_url)
    return database_url


async def left(record: Record) -> dict[str, int]:
    names = ("sessions", "messages", "reports", "report_attempts", "webhook_deliveries", "audit_log")
    return {name: (await record.run(text(f"SELECT count(*) FROM {name}")))[0]["count"] for name in names}  # noqa: S608


async def one_of_each(record: Record) -> None:
    session_id = await record.stored()
    report_id = await record.report(session_id, status="succeeded", content={}, finished_at=datetime.now(UTC))
    await record.run(text("INSERT INTO report_attempts (report_id, attempt, worker, outcome, ended_at)"
                          " VALUES (:id, 1, 'w', 'succeeded', now())").bindparams(id=report_id))  # fmt: skip
    endpoint_id = uuid.uuid4()
    async with record.database.transaction() as connection:
        await webhooks.add(connection, record.tenant, endpoint_id, url="https://h.example/", events=["report.ready"],
                           secret="s", by="admin:a")  # fmt: skip
        await audit.record(connection, Act(record.tenant, "admin:a", "report.view", session_id))
    await record.run(text("INSERT INTO webhook_deliveries (endpoint_id, event, body, status, ended_at)"
                          " SELECT :id, 'x', '', s, now() FROM unnest(ARRAY['delivered', 'pending']) s")
                     .bindparams(id=endpoint_id))  # fmt: skip


async def after(record: Record, days: float, *, dry_run: bool = False) -> dict[Any, int]:
    now = datetime.now(UTC) + timedelta(days=days)
    return await retention.run(record.database, RULES, now=now, by="cli:cron", dry_run=dry_run)


@pytest.mark.parametrize(
    ("days", "deleted"),
    [
        (29, {}),
        (31, {"attempts": 1, "deliveries": 1}),
        (89, {"attempts": 1, "deliveries": 1}),
        (91, {"attempts": 1, "deliveries": 1, "transcripts": 1}),
        (364, {"attempts": 1, "deliveries": 1, "transcripts": 1}),
        # With its report an attempt goes as well, before its own turn comes.
        (366, {"deliveries": 1, "transcripts": 1, "reports": 1, "sessions": 1}),
        (731, {"deliveries": 1, "transcripts": 1, "reports": 1, "sessions": 1, "audit_log": 1}),
    ],
)
def test_each_kind_goes_after_its_days(fresh: str, days: int, deleted: dict[str, int]) -> None:
    async def work(record: Record) -> None:
        await one_of_each(record)
        before = await left(record)
        expected = {"attempts": 1} | deleted if "reports" in deleted else deleted
        assert {kind: count for kind, count in (await after(record, days, dry_run=True)).items() if count} == {
            kind: count for kind, count in expected.items() if kind != "sessions"
        }
        assert await left(record) == before
        assert {kind: count for kind, count in (await after(record, days)).items() if count} == deleted
        again = await after(record, days)
        assert not any(count for kind, count in again.items() if kind != "audit_log")  # which the first run wrote to
        kept = await left(record)
        assert kept["messages"] == (0 if "transcripts" in deleted else before["messages"])
        assert kept["sessions"] == (0 if "sessions" in deleted else 1)
        assert kept["webhook_deliveries"] == (1 if deleted else 2)  # what is pending is still to be sent

    on(fresh, work)


def test_a_transcript_stays_while_a_report_is_to_be_written_from_it(fresh: str) -> None:
    async def work(record: Record) -> None:
        await record.report(await record.stored())
        assert not any((await after(record, 400)).values())

    on(fresh, work)


def test_a_session_that_is_sent_again_after_its_transcript_went_is_stored_anew(fresh: str) -> None:
    async def work(record: Record) -> None:
        session_id = await record.stored()
        assert (await after(record, 91))["transcripts"] == 1
        await record.stored()
        async with record.database.transaction() as connection:
            assert await sessions.count_messages(connection, record.tenant, session_id) > 0

    on(fresh, work)


def test_many_are_deleted_in_parts(fresh: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "SESSIONS_MAX", 3)
    monkeypatch.setattr(retention, "BATCH_MAX", 3)

    async def work(record: Record) -> None:
        session_id = await record.stored()
        for version in range(1, 9):
            await record.report(session_id, version=version, status="failed", finished_at=datetime.now(UTC))
        assert (await after(record, 366)) == {"transcripts": 1, "reports": 8, "sessions": 1, "attempts": 0,
                                              "deliveries": 0, "audit_log": 0}  # fmt: skip

    on(fresh, work)


def test_two_runs_at_once_do_not_meet_and_each_is_recorded(fresh: str) -> None:
    async def work(record: Record) -> None:
        await one_of_each(record)
        lock = text("SELECT pg_advisory_xact_lock(hashtext('afterbell.retention'))")
        async with record.database.transaction() as connection:
            await connection.execute(lock)
            with pytest.raises(Conflict, match="under way"):
                await after(record, 91)
        await after(record, 91)
        async with record.database.transaction() as connection:
            (act, *_) = await audit.read(connection, None)
        assert (act.act.action, act.act.actor) == ("retention.run", "cli:cron")
        assert act.act.details["transcripts"] == 1

    on(fresh, work)


def test_a_session_that_changes_meanwhile_is_left_alone(fresh: str) -> None:
    async def work(record: Record) -> None:
        session_id = await record.stored()
        async with record.database.transaction() as connection:
            await connection.execute(text("SELECT 1 FROM sessions WHERE id = :id FOR UPDATE").bindparams(id=session_id))
            async with asyncio.timeout(5):
                assert (await after(record, 91))["transcripts"] == 0

    on(fresh, work)
