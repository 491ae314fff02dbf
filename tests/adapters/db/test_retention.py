"""What is too old goes, what is not stays, and what is still needed stays too."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.record import LESSON, Record

from afterbell.adapters.db import audit, retention, sessions, work_locks
from afterbell.adapters.db.audit import Act
from afterbell.adapters.db.retention import RetentionRules
from afterbell.adapters.db.webhooks import endpoints
from afterbell.core.errors import Conflict

pytestmark = pytest.mark.engines
RULES = RetentionRules(
    transcript_days=90, report_days=365, attempt_days=30, delivery_days=30, audit_days=730, call_days=365
)


@pytest.fixture
def record(alone: Record) -> Record:
    """The job deletes from every tenant, so a test shares its tables with no other."""
    return alone


async def left(record: Record) -> dict[str, int]:
    names = ("sessions", "messages", "reports", "report_attempts", "webhook_deliveries", "audit_log")
    return {name: (await record.run(text(f"SELECT count(*) FROM {name}")))[0]["count"] for name in names}  # noqa: S608


async def one_of_each(record: Record) -> None:
    session_id = await record.stored()
    report_id = await record.report(session_id, status="succeeded", content={}, finished_at=datetime.now(UTC))
    await record.run(
        text(
            "INSERT INTO report_attempts (report_id, attempt, worker, outcome, ended_at)"
            " VALUES (:id, 1, 'w', 'succeeded', now())"
        ).bindparams(id=report_id)
    )
    endpoint_id = uuid.uuid4()
    async with record.database.transaction() as connection:
        await endpoints.add(
            connection,
            record.tenant,
            endpoint_id,
            url="https://h.example/",
            events=["report.ready"],
            secret="s",
            by="admin:a",
        )
        await audit.record(connection, Act(record.tenant, "admin:a", "report.view", session_id))
    await record.run(
        text(
            "INSERT INTO webhook_deliveries (endpoint_id, event, body, status, ended_at)"
            " SELECT :id, 'x', '', s, now() FROM unnest(ARRAY['delivered', 'pending']) s"
        ).bindparams(id=endpoint_id)
    )


async def after(record: Record, days: float, *, dry_run: bool = False) -> dict[Any, int]:
    now = datetime.now(UTC) + timedelta(days=days)
    deleted = await retention.run(record.database, RULES, now=now, by="cli:cron", dry_run=dry_run)
    assert not any(outcome.failure for outcome in deleted.values()), deleted
    return {kind: outcome.count for kind, outcome in deleted.items()}


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
async def test_each_kind_goes_after_its_days(record: Record, days: int, deleted: dict[str, int]) -> None:
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


async def test_a_transcript_stays_while_a_report_is_to_be_written_from_it(record: Record) -> None:
    await record.report(await record.stored())
    assert not any((await after(record, 400)).values())


async def test_a_session_that_is_sent_again_after_its_transcript_went_is_stored_anew(record: Record) -> None:
    session_id = await record.stored()
    assert (await after(record, 91))["transcripts"] == 1
    await record.stored()
    async with record.database.transaction() as connection:
        stored = await sessions.roster(connection, record.tenant, session_id)
    assert stored is not None
    assert stored.last_seq > 0


async def test_many_are_deleted_in_parts(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH_FIRST", 3)
    monkeypatch.setattr(retention, "BATCH_MAX", 3)

    session_id = await record.stored()
    for version in range(1, 9):
        await record.report(session_id, version=version, status="failed", finished_at=datetime.now(UTC))
    assert (await after(record, 366)) == {
        "transcripts": 1,
        "reports": 8,
        "sessions": 1,
        "attempts": 0,
        "deliveries": 0,
        "model_calls": 0,
        "audit_log": 0,
    }


async def test_two_runs_at_once_do_not_meet_and_each_is_recorded(record: Record) -> None:
    await one_of_each(record)
    async with record.database.statement() as connection:
        assert await work_locks.acquire(connection, "retention", "another", for_s=3)
    with pytest.raises(Conflict, match="under way"):
        await after(record, 91)
    # One that was killed keeps its turn for a while, which a run waits for if it is told to.
    now = datetime.now(UTC) + timedelta(days=91)
    await retention.run(record.database, RULES, now=now, by="cli:cron", patience_s=30)
    async with record.database.transaction() as connection:
        (act, *_) = await audit.read(connection, None)
    assert (act.act.action, act.act.actor) == ("retention.run", "cli:cron")
    assert act.act.details["transcripts"] == 1
    await after(record, 91)


async def test_a_kind_that_fails_is_named_and_the_others_go_on(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "AGAIN_S", 0.0)
    await one_of_each(record)
    await record.run(text("ALTER TABLE messages RENAME TO messages_away"))
    now = datetime.now(UTC) + timedelta(days=91)
    deleted = await retention.run(record.database, RULES, now=now, by="cli:cron")
    failure = deleted["transcripts"].failure or ""
    assert "messages" in failure
    assert "5 times" in failure
    assert (deleted["attempts"].count, deleted["deliveries"].count) == (1, 1)
    async with record.database.statement() as connection:
        lags = await retention.lag(connection)
        (act, *_) = await audit.read(connection, None)
    assert act.act.details["failed"] == ["transcripts"]
    assert lags["transcripts"].completed_at is None
    assert lags["attempts"].completed_at is not None
    assert lags["transcripts"].keep_s == 90 * 86_400
    await record.run(text("ALTER TABLE messages_away RENAME TO messages"))
    assert (await after(record, 91))["transcripts"] == 1


async def test_how_far_behind_it_is_is_told_for_each_kind(record: Record) -> None:
    async with record.database.statement() as connection:
        assert {lag.oldest_s for lag in (await retention.lag(connection)).values()} == {0.0}
    session_id = await record.stored()
    await record.run(text("UPDATE sessions SET updated_at = now() - interval '100 days'"))
    async with record.database.statement() as connection:
        lags = await retention.lag(connection)
    assert lags["transcripts"].oldest_s == pytest.approx(100 * 86_400, abs=60)
    assert (await after(record, 0))["transcripts"] == 1
    async with record.database.statement() as connection:
        assert (await retention.lag(connection))["transcripts"].oldest_s == 0
        # Said anew, it has a transcript again.
        assert await sessions.append(connection, record.tenant, session_id, LESSON.messages[0], 100) is not None
        assert (await retention.lag(connection))["transcripts"].oldest_s < 60
    assert (await after(record, 91))["transcripts"] == 1


async def test_a_row_that_is_locked_holds_up_no_other(record: Record) -> None:
    session_id = await record.stored()
    ids = [
        await record.report(session_id, version=version, status="failed", finished_at=datetime.now(UTC))
        for version in (1, 2)
    ]
    async with record.database.transaction() as connection:
        await connection.execute(text("SELECT 1 FROM reports WHERE id = :id FOR UPDATE").bindparams(id=ids[0]))
        async with asyncio.timeout(5):
            assert (await after(record, 366))["reports"] == 1
    assert (await after(record, 366))["reports"] == 1


async def test_calls_of_models_go_and_their_sums_stay(record: Record) -> None:
    call = text(
        """INSERT INTO model_calls (id, tenant_id, attempt, day, model, client_request_id, reserved_usd, outcome,
                                    cost_usd)
           SELECT gen_random_uuid(), 't', 1, current_date - n, 'm', 'c', 0, outcome, 1
           FROM unnest(ARRAY[400, 400, 1], ARRAY['answered', NULL, 'answered']) AS one (n, outcome)"""
    )
    await record.run(call)
    sums = await record.run(text("SELECT sum(calls) AS calls FROM daily_costs"))
    assert (await after(record, 0))["model_calls"] == 1
    assert len(await record.run(text("SELECT id FROM model_calls"))) == 2
    assert await record.run(text("SELECT sum(calls) AS calls FROM daily_costs")) == sums


async def test_each_kind_is_found_by_an_index_that_ends_where_the_work_ends(record: Record) -> None:
    """On tables in which nothing is due, a year of what is kept costs no page more than none."""
    await record.stored()
    await record.run(
        text(
            """INSERT INTO sessions (tenant_id, id, subject, goals, participants, input_sha256, last_seq, emptied_at,
                                     updated_at)
               SELECT :tenant, 'old' || n, 'm', '[]', '[]', '', 9, now(), now() - interval '200 days'
               FROM generate_series(1, 20000) n"""
        ).bindparams(tenant=record.tenant)
    )
    await record.run(
        text(
            """INSERT INTO reports (id, tenant_id, session_id, version, revision, requested_by, status, finished_at)
               SELECT gen_random_uuid(), :tenant, 'old' || n, 1, 1, 'x', 'succeeded', now()
               FROM generate_series(1, 20000) n"""
        ).bindparams(tenant=record.tenant)
    )
    for table in ("sessions", "reports"):
        await record.run(text(f"ANALYZE {table}"))
    before = datetime.now(UTC) - timedelta(days=90)
    for kind in ("transcripts", "reports"):
        explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {retention._OLD[kind]}"
        (row,) = await record.run(text(explain).bindparams(before=before, batch=50))
        plan = row["QUERY PLAN"][0]["Plan"]
        assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 50, plan


async def test_a_session_that_changes_meanwhile_is_left_alone(record: Record) -> None:
    session_id = await record.stored()
    async with record.database.transaction() as connection:
        await connection.execute(text("SELECT 1 FROM sessions WHERE id = :id FOR UPDATE").bindparams(id=session_id))
        async with asyncio.timeout(5):
            assert (await after(record, 91))["transcripts"] == 0
