"""The sweeper: what the queue never got or lost is put again, what it gave up is marked as failed."""

import asyncio
import random
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
import uvloop
from sqlalchemy import text
from tests.support.api import Api, fresh_api, imported
from tests.support.waiting import until

from afterbell.adapters.db.database import Database
from afterbell.adapters.db.reports import interventions
from afterbell.adapters.db.reports.rows import PendingReport
from afterbell.adapters.queue.keys import QueueKeys
from afterbell.adapters.queue.redis_queue import Ended, Queue, QueueRules
from afterbell.adapters.redis.connections import connect
from afterbell.api.reports.outbox import Outbox
from afterbell.core.queue.outcomes import Dead
from afterbell.dev.engines.engines import EngineUrls

pytestmark = pytest.mark.engines


@pytest.fixture(scope="module")
def sweeping(engine_urls: EngineUrls) -> Iterator[Api]:
    """An API that sweeps all the time, with the smallest pool there is."""
    with fresh_api(engine_urls, sweep_s=0.05, database_pool=1) as served:
        yield served


def change(api: Api, statement: str, **values: Any) -> None:
    api.record(lambda connection: connection.execute(text(statement).bindparams(**values)))


def asked(client: httpx2.Client) -> tuple[str, uuid.UUID]:
    session = imported(client)
    return session, uuid.UUID(client.post(f"/api/reports/session/{session}").json()["jobId"][len("report-") :])


def status(client: httpx2.Client, session: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.get(f"/api/reports/session/{session}/status").json()
    return answer


def test_a_report_that_was_never_put_is_put(sweeping: Api) -> None:
    """As where the process died between its commit and its put."""
    with sweeping.client() as client:
        session = imported(client)
        before = sweeping.jobs(Queue.stats).waiting
        change(
            sweeping,
            "INSERT INTO reports (id, tenant_id, session_id, version, revision, requested_by, created_at)"
            " VALUES (:id, 'school', :session, 1, 1, 'boss', now() - interval '11 seconds')",
            id=uuid.uuid4(),
            session=session,
        )
        until(lambda: sweeping.jobs(Queue.stats).waiting == before + 1)
        put_at = text("SELECT put_at FROM reports WHERE session_id = :id").bindparams(id=session)
        until(lambda: sweeping.record(lambda connection: connection.scalar(put_at)) is not None)


def test_a_report_the_queue_lost_is_put_again(sweeping: Api) -> None:
    with sweeping.client() as client:
        _, report_id = asked(client)
        until(lambda: sweeping.jobs(Queue.stats).waiting >= 1)

        async def lose_everything(queue: Queue) -> None:
            client = queue._client
            await client.delete(*[key async for key in client.scan_iter(match=queue.keys.prefix + "*", count=1000)])

        sweeping.jobs(lose_everything)
        assert sweeping.jobs(Queue.stats).waiting == 0
        change(sweeping, "UPDATE reports SET put_at = now() - interval '3 minutes' WHERE id = :id", id=report_id)
        until(lambda: sweeping.jobs(Queue.stats).waiting == 1)


def test_a_report_whose_job_is_dead_is_marked_as_failed_with_the_reason(sweeping: Api) -> None:
    with sweeping.client() as client:
        session, report_id = asked(client)

        async def give_up(queue: Queue) -> bool:
            taken = await queue.poll("w", 50, [])
            ours = [grant for grant in taken.grants if grant.job_id == f"report-{report_id}"]
            await queue.poll("w", 0, [], [Ended(grant, Dead("no more")) for grant in ours])
            return bool(ours)

        until(lambda: sweeping.jobs(give_up))
        change(sweeping, "UPDATE reports SET put_at = now() - interval '3 minutes' WHERE id = :id", id=report_id)
        until(lambda: status(client, session)["status"] == "failed")
        assert status(client, session)["error"] == "the queue gave this job up"


def test_a_failed_report_that_is_opened_again_has_its_dead_letter_retried(sweeping: Api) -> None:
    with sweeping.client() as client:
        _, report_id = asked(client)
        job_id = f"report-{report_id}"

        async def give_up(queue: Queue) -> bool:
            ours = [grant for grant in (await queue.poll("w", 50)).grants if grant.job_id == job_id]
            await queue.poll("w", 0, [], [Ended(grant, Dead("no more")) for grant in ours])
            return bool(ours)

        async def started_again(queue: Queue) -> bool:
            return job_id in {grant.job_id for grant in (await queue.poll("w", 50)).grants}

        until(lambda: sweeping.jobs(give_up))
        change(sweeping, "UPDATE reports SET status = 'failed' WHERE id = :id", id=report_id)
        sweeping.record(lambda connection: interventions.reopen(connection, [report_id]))
        change(sweeping, "UPDATE reports SET created_at = now() - interval '1 minute' WHERE id = :id", id=report_id)
        until(lambda: sweeping.jobs(started_again))


def test_a_sweeper_that_met_an_error_it_does_not_know_sweeps_on(
    sweeping: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    with sweeping.client() as client:
        _, report_id = asked(client)
        change(sweeping, "ALTER TABLE reports RENAME COLUMN put_at TO put_at_gone")
        try:
            until(lambda: "service_round_failed" in capsys.readouterr().out)
        finally:
            change(sweeping, "ALTER TABLE reports RENAME COLUMN put_at_gone TO put_at")
        change(sweeping, "UPDATE reports SET put_at = now() - interval '3 minutes' WHERE id = :id", id=report_id)
        put_at = text("SELECT put_at > now() - interval '1 minute' FROM reports WHERE id = :id").bindparams(
            id=report_id
        )
        until(lambda: sweeping.record(lambda connection: connection.scalar(put_at)) is True)


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_an_outbox_that_stops_while_it_connects_to_redis_ends(
    engine_urls: EngineUrls, loop: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    """redis-py loses a cancellation that meets a connection being made: about every third of these stops."""
    monkeypatch.setattr("afterbell.service.CANCEL_AGAIN_S", 0.02)
    chance = random.Random(7)  # noqa: S311 - repeatable, guards nothing

    async def stop_after_an_offer(database: Database) -> None:
        client = connect(engine_urls.redis_url or "")
        queue = Queue(client, QueueKeys(f"t{uuid.uuid4().hex}"), QueueRules())
        outbox = Outbox(database, queue)
        outbox.start()
        outbox.offer(PendingReport(uuid.uuid4(), "school"))
        await asyncio.sleep(chance.random() * 0.004)
        async with asyncio.timeout(30):
            await outbox.stop()
        await client.aclose()

    async def run() -> None:
        database = Database(engine_urls.database_url or "", pool_size=1)
        try:
            for _ in range(40):
                await stop_after_an_offer(database)
        finally:
            await database.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run())
