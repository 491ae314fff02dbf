"""A waiting client's place in the queue: right, capped, and the same price for one client and for hundreds."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from sqlalchemy import text
from tests.support.api import SECRET
from tests.support.record import Record, ago, record_in

from afterbell.adapters.db.reports import estimates
from afterbell.api.reports.throughput import PLACES_MAX, Throughput, position_in
from afterbell.settings import ApiSettings, read

MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 2), timezones=st.just(UTC))  # noqa: DTZ001


@pytest.fixture
async def alone(database_url: str) -> AsyncIterator[Record]:
    async with record_in(database_url, pool_size=4) as record:
        yield record


def connections_had() -> float:
    return REGISTRY.get_sample_value("afterbell_postgres_pool_wait_seconds_count") or 0.0


def throughput_of(record: Record) -> Throughput:
    return Throughput(record.database, read(ApiSettings, jwt_secret=SECRET))


@given(waiting=st.lists(MOMENTS, max_size=40), asked_at=MOMENTS)
def test_a_place_counts_what_was_asked_for_no_later_and_the_report_itself(
    waiting: list[datetime], asked_at: datetime
) -> None:
    before = [moment for moment in waiting if moment <= asked_at]
    assert position_in(sorted(waiting), asked_at) == max(len(before) + (asked_at not in waiting), 1)


def test_a_place_counts_no_further_than_anybody_wants_to_know() -> None:
    now = datetime.now(UTC)
    assert position_in([now] * PLACES_MAX, now + timedelta(seconds=1)) == PLACES_MAX


@pytest.mark.engines
async def test_only_what_waits_has_a_place(alone: Record) -> None:
    await alone.stored()
    moments = [ago(seconds) for seconds in (50, 40, 30, 20, 10)]
    states = ("queued", "running", "deferred", "succeeded", "queued")
    for version, (status, moment) in enumerate(zip(states, moments, strict=True), start=1):
        await alone.report(version=version, status=status, created_at=moment)
    async with alone.database.statement() as connection:
        assert await estimates.waiting(connection, most=9) == [moments[0], moments[2], moments[4]]
        assert await estimates.waiting(connection, most=2) == [moments[0], moments[2]]
    throughput = throughput_of(alone)
    assert [(await throughput.wait_of(moments[n])).position for n in (0, 2, 4)] == [1, 2, 3]


@pytest.mark.engines
async def test_four_hundred_clients_who_ask_at_once_cost_one_connection(alone: Record) -> None:
    await alone.stored()
    moment = ago(10)
    await alone.report(created_at=moment)
    throughput, before = throughput_of(alone), connections_had()
    waits = await asyncio.gather(*(throughput.wait_of(moment) for _ in range(400)))
    assert {wait.position for wait in waits} == {1}
    assert connections_had() == before + 1


@pytest.mark.engines
async def test_a_place_is_read_from_an_index_that_holds_only_what_is_unfinished(alone: Record) -> None:
    await alone.stored()
    await alone.run(
        text(
            """INSERT INTO reports (id, tenant_id, session_id, version, revision, requested_by, status, finished_at)
               SELECT gen_random_uuid(), tenant_id, id, n, 1, 'x', 'succeeded', now()
               FROM sessions, generate_series(1, 20000) n"""
        )
    )
    await alone.run(text("ANALYZE reports"))
    query = str(estimates._WAITING.compile(compile_kwargs={"literal_binds": False})).split("WHERE")[0]
    explain = text(
        f"""EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query} WHERE status IN ('queued', 'deferred')
            ORDER BY created_at LIMIT 5000"""
    )
    (row,) = await alone.run(explain)
    plan = row["QUERY PLAN"][0]["Plan"]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 20, plan
