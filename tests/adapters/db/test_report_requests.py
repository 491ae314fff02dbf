"""Asking for reports, many at once: one row a session and version, few commits, everybody answered."""

import asyncio
import uuid
from dataclasses import replace

import pytest
from sqlalchemy import text
from tests.support.record import LESSON, Record

from afterbell.adapters.db.database import Database
from afterbell.adapters.db.reports.requests import BATCH_MAX, ReportRequest, ReportRequests, RequestedReport
from afterbell.core.errors import StoreUnavailable

pytestmark = pytest.mark.engines


def wants(record: Record, session_id: str = LESSON.id, subject: str = "boss", *, own: bool = False) -> ReportRequest:
    return ReportRequest(uuid.uuid4(), record.tenant, session_id, subject, own)


async def asked(record: Record, request: ReportRequest | None = None) -> RequestedReport:
    answer = await ReportRequests(record.database).request(request or wants(record))
    assert answer is not None
    return answer


async def rows(record: Record) -> int:
    statement = text("SELECT count(*) FROM reports WHERE tenant_id = :t").bindparams(t=record.tenant)
    return int((await record.run(statement))[0]["count"])


async def test_a_hundred_requests_of_one_session_at_once_make_one_row_with_one_id(record: Record) -> None:
    await record.stored()
    requests = ReportRequests(record.database)
    answers = await asyncio.gather(*(requests.request(wants(record)) for _ in range(100)))
    assert all(answer is not None for answer in answers)
    assert len({answer.report_id for answer in answers if answer}) == 1
    assert [answer.is_new for answer in answers if answer].count(True) == 1
    assert await rows(record) == 1


async def test_requests_of_several_processes_at_once_make_one_row_a_session(record: Record) -> None:
    """Each ReportRequests is what one api process has: they meet in PostgreSQL only."""

    names = [await record.stored(replace(LESSON, id=f"s{n}")) for n in range(5)]
    processes = [ReportRequests(record.database) for _ in range(8)]
    answers = await asyncio.gather(
        *(process.request(wants(record, name)) for process in processes for name in names * 3)
    )
    assert len({answer.report_id for answer in answers if answer}) == 5
    assert [answer.is_new for answer in answers if answer].count(True) == 5
    assert await rows(record) == 5


async def test_a_hundred_sessions_at_once_share_a_few_commits(record: Record) -> None:
    names = [await record.stored(replace(LESSON, id=f"s{n}")) for n in range(100)]
    requests = ReportRequests(record.database)
    answers = await asyncio.gather(*(requests.request(wants(record, name)) for name in names))
    assert len({answer.report_id for answer in answers if answer}) == 100
    # A row's xmin is the transaction that wrote it.
    statement = text("SELECT count(DISTINCT xmin::text) FROM reports WHERE tenant_id = :t")
    assert (await record.run(statement.bindparams(t=record.tenant)))[0]["count"] <= 3


async def test_more_requests_than_a_batch_holds_are_all_answered(record: Record) -> None:
    await record.stored()
    requests = ReportRequests(record.database)
    unknown = [wants(record, f"none-{n}") for n in range(BATCH_MAX + 10)]
    answers = await asyncio.gather(*(requests.request(request) for request in [*unknown, wants(record)]))
    assert answers[:-1] == [None] * len(unknown)
    assert answers[-1] is not None


async def test_who_may_not_see_the_session_gets_none_and_makes_no_row(record: Record) -> None:
    await record.stored()
    requests = ReportRequests(record.database)
    foreign = replace(wants(record), tenant_id="another")
    refused = [wants(record, "unknown"), foreign, wants(record, subject="stranger", own=True)]
    assert await asyncio.gather(*(requests.request(request) for request in refused)) == [None] * 3
    assert await rows(record) == 0
    assert await requests.request(wants(record, subject="p-tutor", own=True)) is not None


async def test_being_named_like_a_part_of_a_participant_is_not_taking_part(record: Record) -> None:
    await record.stored()
    for subject in ("p-", "tutor", "Okan", "", '"', "%"):
        assert await ReportRequests(record.database).request(wants(record, subject=subject, own=True)) is None


@pytest.mark.parametrize("status", ["queued", "deferred", "running"])
async def test_an_unfinished_report_is_the_answer_whatever_happened_to_the_session(record: Record, status: str) -> None:
    await record.stored()
    first = await record.report(status=status)
    await record.stored(replace(LESSON, subject="Geometry"), "changed")
    answer = await asked(record)
    assert (answer.report_id, answer.status, answer.is_new) == (first, status, False)


@pytest.mark.parametrize("status", ["failed", "cancelled"])
async def test_after_a_failure_the_next_request_makes_the_next_version(record: Record, status: str) -> None:
    await record.stored()
    first = await record.report(status=status)
    answer = await asked(record)
    assert answer.is_new
    assert answer.report_id != first
    assert (await record.row(answer.report_id))["version"] == 2
    assert await asked(record) == replace(answer, is_new=False)


async def test_a_finished_report_is_the_answer_until_the_session_changes(record: Record) -> None:
    await record.stored()
    first = await record.report(status="succeeded")
    assert (await asked(record)).report_id == first
    await record.stored(LESSON, "d")  # the same again
    assert (await asked(record)).report_id == first
    await record.stored(replace(LESSON, subject="Geometry"), "changed")
    answer = await asked(record)
    assert answer.is_new
    row = await record.row(answer.report_id)
    assert (row["version"], row["revision"], row["requested_by"], row["status"]) == (2, 2, "boss", "queued")


async def test_while_postgresql_is_away_every_asker_hears_of_it_and_nobody_waits_for_ever() -> None:
    database = Database("postgresql://u:s3cret@127.0.0.1:1/none")
    requests = ReportRequests(database)
    asking = (requests.request(ReportRequest(uuid.uuid4(), "t", f"s{n}", "x", False)) for n in range(20))
    answers = await asyncio.wait_for(asyncio.gather(*asking, return_exceptions=True), 10)
    assert all(isinstance(answer, StoreUnavailable) for answer in answers)
    await database.close()


async def test_an_asker_who_left_takes_nobody_along(record: Record) -> None:
    await record.stored()
    requests = ReportRequests(record.database)
    leaving = [asyncio.create_task(requests.request(wants(record))) for _ in range(5)]
    staying = [asyncio.create_task(requests.request(wants(record))) for _ in range(5)]
    await asyncio.sleep(0)
    for task in leaving:
        task.cancel()
    answers = await asyncio.wait_for(asyncio.gather(*staying), 10)
    assert len({answer.report_id for answer in answers if answer}) == 1
