"""Payloads from elsewhere, clocks that are wrong, many tenants, a closed limiter, a cancelled stream."""

import asyncio
import json
import signal
from typing import Any

import pytest
from sqlalchemy import text
from tests.faults.conftest import Faults
from tests.faults.ledger import Allowed
from tests.faults.rig import LEASE_S, Rig
from tests.support.platform import UNPACED
from tests.support.waiting import eventually

from afterbell.adapters.queue.message import report_message
from afterbell.adapters.queue.redis_queue import NewJob
from afterbell.core.queue.outcomes import REPORT_TASK
from afterbell.dev.stub.settings import StubSettings

pytestmark = [pytest.mark.faults, pytest.mark.engines]
long = pytest.mark.long
SLOWER = StubSettings(ttft_ms=200, tokens_per_s=60)


async def test_payloads_from_a_newer_version_are_run_or_kept_as_dead_letters(faults: Faults) -> None:
    async with faults(
        "payloads of a newer version: more fields, another task, not JSON, more arguments", stub=UNPACED
    ) as up:
        await up.queue.pause()
        jobs = await up.enqueue(4)

        async def put() -> bool:
            return (await up.queue.stats()).waiting == len(jobs)

        await eventually(put)
        await up.queue.apply("remove", jobs)
        newer = _payloads(jobs)
        await up.queue.enqueue([NewJob(job, payload, tenant="school") for job, payload in newer.items()])
        # Not even an id this version could have made.
        await up.queue.enqueue([NewJob("digest-7", report_message("afterbell.digest", "digest-7"))])
        await up.worker()
        up.broken()
        await up.queue.resume()
        await up.settled()
        states = {
            row["job"]: row["status"] for row in await up.rows("SELECT 'report-' || id AS job, status FROM reports")
        }
        assert [states[job] for job in jobs] == ["succeeded", "failed", "failed", "failed"]
        kept = await up.queue.stats()
        assert kept.dead == 4, "dead letters keep their payload for a version that can read it"
        up.allowed = Allowed(dead=3, doubled=3, because="")


def _payloads(jobs: list[str]) -> dict[str, bytes]:
    message: dict[str, Any] = json.loads(report_message(REPORT_TASK, jobs[0]))
    more_fields = message | {"trace": {"id": "1"}, "schema": 9}
    another_task = json.loads(report_message(f"{REPORT_TASK}.v2", jobs[1]))
    more_arguments = json.loads(report_message(REPORT_TASK, jobs[3]))
    more_arguments["kwargs"]["tone"] = "warm"
    return {
        jobs[0]: json.dumps(more_fields).encode(),
        jobs[1]: json.dumps(another_task).encode(),
        jobs[2]: b"\x93\x01not json",
        jobs[3]: json.dumps(more_arguments).encode(),
    }


async def test_a_job_of_another_kind_that_is_given_up_stops_no_worker(faults: Faults) -> None:
    async with faults("a job of another kind whose workers vanished", stub=UNPACED, deliveries_max=3) as up:
        await up.queue.enqueue([NewJob("digest-7", report_message("afterbell.digest", "digest-7"))])
        for number in range(3):  # three workers that took it and vanished
            assert (await up.queue.poll(f"vanished-{number}", 1)).grants
            await asyncio.sleep(LEASE_S + 0.1)
        worker = await up.worker()

        async def given_up() -> bool:
            return (await up.queue.stats()).dead == 1

        await eventually(given_up, worker.said)
        await up.enqueue(1)
        up.broken()
        await up.settled(within_s=20)


@pytest.mark.parametrize("skew_s", [300, pytest.param(-300, marks=long)])
async def test_a_pod_whose_clock_is_five_minutes_off_decides_nothing_by_it(faults: Faults, skew_s: int) -> None:
    async with faults(f"workers {skew_s:+} s and {-skew_s:+} s off, one killed") as up:
        await up.up.faults("429:1", "500")
        skewed = await up.worker(FAULT_CLOCK_SKEW=str(skew_s), AFTERBELL_WORKER_CONCURRENCY="2")
        await up.worker(FAULT_CLOCK_SKEW=str(-skew_s), AFTERBELL_WORKER_CONCURRENCY="2")
        await up.enqueue(6)
        await up.writing(3)
        await skewed.kill()
        up.broken()
        await up.settled(within_s=LEASE_S + 25)
        # Besides the one that was told to wait, the three slots that had a job in hand at that moment wait as well.
        up.allowed = Allowed(doubled=7, because="429 and 500 of the model, the pause for all; its worker was killed")


@pytest.mark.parametrize("skew_s", [-300, pytest.param(300, marks=long)])
async def test_the_sweeper_of_a_pod_with_a_wrong_clock_puts_again_in_time(faults: Faults, skew_s: int) -> None:
    async with faults(f"FLUSHALL, and the only sweeper's clock is {skew_s:+} s off", stub=UNPACED, sweep_s=3600) as up:
        await up.api(FAULT_CLOCK_SKEW=str(skew_s), AFTERBELL_SWEEP_SECONDS="0.5")
        await up.enqueue(3)
        up.valkey.ask("FLUSHALL")
        up.broken()
        await up.worker()
        await up.settled(within_s=20)


@pytest.mark.parametrize(("jobs", "window_s"), [(24, 4.0), pytest.param(60, 5.0, marks=long)])
async def test_four_workers_and_a_killed_one_never_start_more_than_the_limit(
    faults: Faults, jobs: int, window_s: float
) -> None:
    async with faults(
        f"4 processes on a limit of 10 per {window_s:g} s, one killed", stub=UNPACED, starts_max=10, window_s=window_s
    ) as up:
        fleet = [await up.worker() for _ in range(4)]
        log: dict[str, float] = {}
        watching = asyncio.create_task(_watch_starts(up, log))
        await up.enqueue(jobs)
        await asyncio.sleep(1)
        fleet[0].send(signal.SIGKILL)
        up.broken()
        await up.settled(within_s=jobs / 10 * window_s + 20)
        watching.cancel()
        _read_starts(up, log)
        moments = sorted(log.values())
        assert len(moments) >= jobs
        worst = max(sum(at <= moment < at + window_s * 1000 for moment in moments) for at in moments)
        assert worst <= 10, f"{worst} starts within {window_s:g} s"
        up.allowed = Allowed(doubled=5, because="its worker was killed")


async def _watch_starts(up: Rig, log: dict[str, float]) -> None:
    """Every start of the limiter's log, which forgets those that left the window."""
    while True:
        _read_starts(up, log)
        await asyncio.sleep(0.3)


def _read_starts(up: Rig, log: dict[str, float]) -> None:
    with up.valkey.client() as client:
        log.update(client.zrange(up.queue.keys.prefix + "starts", 0, -1, withscores=True))


@pytest.mark.parametrize("noise", [60, pytest.param(1000, marks=long)])
async def test_a_quiet_tenants_report_starts_within_two_starts_of_a_noisy_one(faults: Faults, noise: int) -> None:
    async with faults(f"a tenant with {noise} reports before a tenant with one", stub=UNPACED, waiting_s=600) as up:
        await up.queue.pause()
        await up.enqueue(noise, tenant="noisy", name="noisy")
        quiet = (await up.enqueue(1, tenant="quiet", name="quiet"))[0]

        async def put() -> bool:
            return (await up.queue.stats()).waiting == noise + 1

        await eventually(put)
        await up.worker(AFTERBELL_WORKER_CONCURRENCY="1")
        await up.queue.resume()
        up.broken()
        await up.settled(within_s=240)
        order = [
            row["job"]
            for row in await up.rows("SELECT 'report-' || report_id AS job FROM report_attempts ORDER BY started_at")
        ]
        assert order.index(quiet) < 2
    # The sweeper is kept out: it would ask PostgreSQL about a thousand rows twice a second.


async def test_cancelling_a_running_report_ends_the_models_stream_within_two_seconds(faults: Faults) -> None:
    async with faults("a running report cancelled during the model's stream", stub=SLOWER) as up:
        worker = await up.worker()
        cancelled, kept = await up.enqueue(2)
        await up.writing(2)
        port = int(up.up.settings["base_url"].rpartition(":")[2].split("/")[0])
        await eventually(lambda: worker.connections_to(port) == 2, worker.said)
        async with up.database.transaction() as connection:
            await connection.execute(
                text("UPDATE reports SET status = 'cancelled', finished_at = now() WHERE 'report-' || id = :job"),
                {"job": cancelled},
            )
        assert await up.queue.apply("cancel", [cancelled]) == ["ok"]
        up.broken()
        await eventually(lambda: worker.connections_to(port) == 1, worker.said)
        await up.settled()
        states = {
            row["job"]: row["status"] for row in await up.rows("SELECT 'report-' || id AS job, status FROM reports")
        }
        assert states == {cancelled: "cancelled", kept: "succeeded"}
        up.allowed = Allowed(cancelled=1)
