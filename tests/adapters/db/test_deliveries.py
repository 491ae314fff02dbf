"""Deliveries are made with their report, claimed by one sender, settled once, and always end."""

import asyncio
import json
import uuid
from collections import Counter
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.support.record import Record

from afterbell.adapters.db.reports import rows as reports
from afterbell.adapters.db.webhooks import deliveries, endpoints
from afterbell.adapters.db.webhooks.deliveries import CHANNEL, DueDelivery
from afterbell.core.webhooks.signing import Again, Answer, Delivered, GivenUp, Verdict

pytestmark = pytest.mark.engines
REFUSED = Answer(500, "answered 500")
CONTENT = {"narrative": {"concerns": []}}


@pytest.fixture
def record(alone: Record) -> Record:
    """A claim takes whatever is due, so a test shares its tables with no other."""
    return alone


async def endpoint(record: Record, *events: str, tenant: str = "") -> UUID:
    endpoint_id, wanted = uuid.uuid4(), [*events] or ["report.ready"]
    async with record.database.transaction() as connection:
        assert await endpoints.add(
            connection,
            tenant or record.tenant,
            endpoint_id,
            url="https://h.example/",
            events=wanted,
            secret=f"s{endpoint_id}",
            by="admin:a",
        )
    return endpoint_id


async def finished(record: Record, content: Any = CONTENT) -> UUID:
    report_id = await record.report(await record.stored())
    claimed = await record.claim(report_id)
    async with record.database.transaction() as connection:
        assert await reports.finish(connection, claimed, content, 1)
    return report_id


async def made(record: Record, endpoint_id: UUID) -> list[dict[str, Any]]:
    """The endpoint's deliveries, all columns, oldest first."""
    return await record.run(
        text("SELECT * FROM webhook_deliveries WHERE endpoint_id = :id ORDER BY created_at").bindparams(id=endpoint_id)
    )


async def claimed(record: Record, *, count: int = 10) -> list[DueDelivery]:
    async with record.database.transaction() as connection:
        due, _ = await deliveries.claim(connection, count=count, lease_s=60)
    return due


async def settled(record: Record, due: DueDelivery, verdict: Verdict, answer: Answer = REFUSED) -> bool:
    async with record.database.transaction() as connection:
        return await deliveries.settle(connection, due, answer, verdict)


async def due_now(record: Record) -> None:
    """As after a lease, or a back-off, that is over."""
    await record.run(text("UPDATE webhook_deliveries SET due_at = now() - interval '1 s' WHERE status = 'pending'"))
    await record.run(text("UPDATE webhook_endpoints SET sending_until = now() - interval '1 s'"))


async def test_a_finished_report_is_told_to_those_who_asked_and_to_nobody_else(record: Record) -> None:
    ready, both = await endpoint(record), await endpoint(record, "report.ready", "report.failed")
    others = [await endpoint(record, "report.failed"), await endpoint(record, tenant="another")]
    off = await endpoint(record)
    async with record.database.transaction() as connection:
        await endpoints.change(connection, record.tenant, off, url=None, events=None, enabled=False)
    report_id = await finished(record)
    for endpoint_id in (ready, both):
        (row,) = await made(record, endpoint_id)
        body = json.loads(row["body"])
        assert (body["type"], row["event"], row["report_id"]) == ("report.ready", "report.ready", report_id)
        assert body["data"]["jobId"] == f"report-{report_id}"
        assert set(body["data"]) == {"jobId", "sessionId", "version", "statusUrl"}
    for other in (*others, off):
        assert await made(record, other) == []


async def test_a_delivery_is_committed_with_its_report_or_not_at_all(record: Record) -> None:
    async def fail(record: Record, report_id: UUID) -> None:
        claim = await record.claim(report_id)
        async with record.database.transaction() as connection:
            await reports.finish(connection, claim, CONTENT, 1)
            raise RuntimeError

    endpoint_id = await endpoint(record)
    report_id = await record.report(await record.stored())
    with pytest.raises(RuntimeError):
        await fail(record, report_id)
    assert await made(record, endpoint_id) == []


async def test_a_failed_report_and_a_concern_are_events_of_their_own(record: Record) -> None:
    failed, concern = await endpoint(record, "report.failed"), await endpoint(record, "report.concern")
    await finished(record)
    assert await made(record, concern) == []
    session_id = await record.stored()
    ended = await record.claim(await record.report(session_id, version=2))
    buried = await record.report(session_id, version=3)
    async with record.database.transaction() as connection:
        assert await reports.end_try(connection, ended, "queued", "waits", "again")
    assert await made(record, failed) == []
    ended = await record.claim(ended.report_id)
    async with record.database.transaction() as connection:
        assert await reports.end_try(connection, ended, "failed", "failed", "no")
        assert await reports.bury(connection, buried, "lost")
        assert not await reports.bury(connection, buried, "lost")
    assert [row["report_id"] for row in await made(record, failed)] == [ended.report_id, buried]
    claim = await record.claim(await record.report(session_id, version=4))
    async with record.database.transaction() as connection:
        await reports.finish(connection, claim, {"narrative": {"concerns": [{"kind": "safety"}]}}, 1)
    (row,) = await made(record, concern)
    assert "safety" not in row["body"]


async def test_one_delivery_is_claimed_by_one_of_many_senders(record: Record) -> None:
    endpoints = [await endpoint(record) for _ in range(8)]
    await finished(record)
    claims = await asyncio.gather(*(claimed(record, count=3) for _ in range(8)))
    ids = [due.delivery_id for claim in claims for due in claim]
    assert len(ids) == len(set(ids))
    rest = await claimed(record)
    assert {due.endpoint_id for claim in (*claims, rest) for due in claim} == set(endpoints)
    assert await claimed(record) == []


async def test_an_endpoint_gets_one_message_at_a_time_in_order(record: Record) -> None:
    await endpoint(record)
    for version in range(1, 4):
        claim = await record.claim(await record.report(await record.stored(), version=version))
        async with record.database.transaction() as connection:
            await reports.finish(connection, claim, CONTENT, 1)
    versions = []
    for _ in range(3):
        (due,) = await claimed(record)
        assert await claimed(record) == [], "though another process asks"
        versions.append(json.loads(due.body)["data"]["version"])
        assert await settled(record, due, Delivered(), Answer(200))
    assert versions == [1, 2, 3]


async def many_due(record: Record, endpoint_id: UUID, count: int, *, since_s: float = 3_600) -> None:
    await record.run(
        text(
            """INSERT INTO webhook_deliveries (endpoint_id, event, body, due_at, created_at)
               SELECT :id, 'report.ready', n::text, now() - make_interval(secs => :since_s - n * 0.001),
                      now() - make_interval(secs => :since_s - n * 0.001) FROM generate_series(1, :count) n"""
        ).bindparams(id=endpoint_id, count=count, since_s=since_s)
    )


async def test_every_endpoint_is_served_in_its_turn_however_many_there_are(record: Record) -> None:
    """Thirty endpoints with five messages each, a sender with ten places: all of them are served alike."""
    for n in range(30):
        await many_due(record, await endpoint(record, tenant=f"t{n}"), 5)
    served: Counter[UUID] = Counter()
    after = deliveries.START
    for turn in range(6):
        async with record.database.transaction() as connection:
            batch, after = await deliveries.claim(connection, count=10, lease_s=60, after=after)
        for due in batch:
            served[due.endpoint_id] += 1
            assert await settled(record, due, Delivered(), Answer(200))
        assert turn != 2 or len(served) == 30
    assert set(served.values()) == {2}


async def test_a_backlog_of_one_endpoint_hides_no_message_of_another(record: Record) -> None:
    slow, quick = await endpoint(record), await endpoint(record)
    await many_due(record, slow, 1_000)
    await many_due(record, quick, 1, since_s=5)
    assert {due.endpoint_id for due in await claimed(record, count=2)} == {slow, quick}


async def test_what_a_sender_took_with_it_comes_first_when_its_lease_is_over(record: Record) -> None:
    endpoint_id = await endpoint(record)
    await many_due(record, endpoint_id, 3)
    (died,) = await claimed(record)
    await record.run(text("UPDATE webhook_deliveries SET due_at = now() - interval '1 s' WHERE attempt > 0"))
    assert await claimed(record) == [], "the endpoint is still leased"
    await record.run(text("UPDATE webhook_endpoints SET sending_until = now() - interval '1 s'"))
    (again,) = await claimed(record)
    assert (again.delivery_id, again.body, again.attempt) == (died.delivery_id, b"1", 2)


async def test_an_attempt_that_was_overtaken_changes_nothing(record: Record) -> None:
    endpoint_id = await endpoint(record)
    await finished(record)
    (first,) = await claimed(record)
    await due_now(record)  # its sender was silent for longer than its lease
    (second,) = await claimed(record)
    assert (first.message_id, first.attempt, second.attempt) == (second.message_id, 1, 2)
    assert not await settled(record, first, GivenUp(gone=False))
    assert await settled(record, second, Delivered(), Answer(200))
    assert not await settled(record, second, Delivered(), Answer(200))
    (row,) = await made(record, endpoint_id)
    assert (row["status"], row["attempt"], row["answer_status"]) == ("delivered", 2, 200)


async def test_a_message_waits_for_its_next_attempt_and_its_end_is_known(record: Record) -> None:
    await endpoint(record)
    await finished(record)
    (due,) = await claimed(record)
    assert await settled(record, due, Again(300))
    assert await claimed(record) == []
    async with record.database.transaction() as connection:
        assert await deliveries.next_due_s(connection) == pytest.approx(300, abs=5)


async def test_410_switches_an_endpoint_off_and_what_waits_for_it_fails(record: Record) -> None:
    endpoint_id = await endpoint(record)
    await finished(record)
    await finished_again(record)
    (due,) = await claimed(record)
    assert await settled(record, due, GivenUp(gone=True), Answer(410, "answered 410"))
    assert {row["status"] for row in await made(record, endpoint_id)} == {"failed"}
    async with record.database.transaction() as connection:
        stored = await endpoints.find(connection, record.tenant, endpoint_id)
        assert stored is not None
        assert stored.disabled_because == "it answered 410 Gone"
        await endpoints.change(connection, record.tenant, endpoint_id, url=None, events=None, enabled=True)
        assert await deliveries.send_again(connection, endpoint_id, due.delivery_id)
    (again,) = await claimed(record)
    assert (again.message_id, again.attempt) == (due.message_id, 1)


async def finished_again(record: Record) -> None:
    claim = await record.claim(await record.report(await record.stored(), version=2))
    async with record.database.transaction() as connection:
        await reports.finish(connection, claim, CONTENT, 1)


async def test_only_an_endpoint_that_accepts_nothing_at_all_is_switched_off_in_the_end(record: Record) -> None:
    endpoint_id = await endpoint(record)
    await finished(record)
    (bad,) = await claimed(record)
    await settled(record, bad, Again(300))
    await finished_again(record)
    (good,) = await claimed(record)
    await settled(record, good, Delivered(), Answer(200))
    await due_now(record)
    (bad,) = await claimed(record)
    await settled(record, bad, GivenUp(gone=False))
    async with record.database.transaction() as connection:
        stored = await endpoints.find(connection, record.tenant, endpoint_id)
        assert stored is not None
        assert stored.disabled_at is None
        await deliveries.send_again(connection, endpoint_id, bad.delivery_id)
    await record.run(text("UPDATE webhook_endpoints SET accepted_at = accepted_at - interval '3 d'"))
    (bad,) = await claimed(record)
    await settled(record, bad, GivenUp(gone=False))
    async with record.database.transaction() as connection:
        stored = await endpoints.find(connection, record.tenant, endpoint_id)
        assert stored is not None
        assert stored.disabled_at is not None


async def test_messages_are_held_while_an_endpoint_is_switched_off(record: Record) -> None:
    endpoint_id = await endpoint(record)
    await finished(record)
    for enabled, count in ((False, 0), (True, 1)):
        async with record.database.transaction() as connection:
            await endpoints.change(connection, record.tenant, endpoint_id, url=None, events=None, enabled=enabled)
            assert (await deliveries.next_due_s(connection) is None) == (count == 0)
        assert len(await claimed(record)) == count


async def test_during_a_rotation_both_secrets_sign(record: Record) -> None:
    endpoint_id = await endpoint(record)
    await finished(record)
    for overlap_s, count in ((60, 2), (0, 1)):
        async with record.database.transaction() as connection:
            await endpoints.rotate(connection, record.tenant, endpoint_id, f"new{count}", overlap_s=overlap_s)
        (due,) = await claimed(record)
        assert (due.secrets[0], len(due.secrets)) == (f"new{count}", count)
        assert "new" not in repr(due)
        await due_now(record)


async def test_who_listens_hears_of_a_commit_and_of_nothing_before(record: Record) -> None:
    heard = asyncio.Event()
    async with record.database.listening(CHANNEL, heard.set):
        await finished(record)
        await endpoint(record)
        await asyncio.sleep(0.1)
        assert not heard.is_set()
        await finished_again(record)
        async with asyncio.timeout(5):
            await heard.wait()


async def test_a_tenant_has_a_limited_number_of_endpoints(record: Record) -> None:
    async def add(record: Record) -> bool:
        async with record.database.transaction() as connection:
            return await endpoints.add(
                connection,
                record.tenant,
                uuid.uuid4(),
                url="https://h.example/",
                events=["report.ready"],
                secret="s",
                by="admin:a",
            )

    added = await asyncio.gather(*(add(record) for _ in range(endpoints.ENDPOINTS_MAX + 5)))
    assert sum(added) == endpoints.ENDPOINTS_MAX
