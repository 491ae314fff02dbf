"""``make bench-admin``: the admin API over a hundred thousand finished jobs and ten thousand that wait.

The api is a process of its own on engines started for the run, and another one, without a job, is there to compare
scrapes. Each figure is the 99th percentile of requests sent one after the other over one connection, as a person and a
dashboard send them.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import httpx2
import typer

# So that `python benchmarks/admin.py` finds its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.api import commands_seen
from benchmarks.harness import Figure, note, report
from benchmarks.servers import await_port, migrate, process, sql
from tests.support.ports import free_port
from tests.support.processes import AFTERBELL

from afterbell.adapters.queue.keys import QueueKeys
from afterbell.adapters.queue.message import report_message
from afterbell.adapters.queue.redis_queue import BULK_MAX, NewJob, Queue, QueueRules
from afterbell.adapters.redis.connections import connect
from afterbell.api.admin.admin_tokens import mint_admin
from afterbell.api.queue_gauges import EVERY_S
from afterbell.core.queue.outcomes import REPORT_TASK
from afterbell.dev.engines.engines import engines
from afterbell.settings import DEVELOPMENT_SECRET

FINISHED: Final = 100_000
WAITING: Final = 10_000
TENANTS: Final = 40
SESSIONS: Final = 2_000
P99_TARGET_MS: Final = 50.0
METRICS_P99_TARGET_MS: Final = 20.0
WARM_UP: Final = 10
PART: Final = 10_000
# Ids are made of the job's number, so that the queue is filled without asking for them.
_ID: Final = "('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid"
_TENANT: Final = f"'tenant-' || (n % {SESSIONS} % {TENANTS})"
_SESSION: Final = f"'s' || (n % {SESSIONS})"
_FILL: Final = (
    f"INSERT INTO tenants (id) SELECT 'tenant-' || n FROM generate_series(0, {TENANTS - 1}) n",
    f"""INSERT INTO sessions (tenant_id, id, subject, language, goals, participants, input_sha256)
        SELECT {_TENANT}, {_SESSION}, 'mathematics', 'en', '[]',
               jsonb_build_array(jsonb_build_object('id', 'student-' || n % 400, 'role', 'student')), md5(n::text)
        FROM generate_series(0, {SESSIONS - 1}) n""",
    # Ninety days of finished jobs; of a hundred, four failed, one of those with other words, and one was cancelled.
    f"""INSERT INTO reports (id, tenant_id, session_id, version, revision, status, progress, attempt, requested_by,
                            error, put_at, created_at, finished_at)
        SELECT {_ID}, {_TENANT}, {_SESSION}, n / {SESSIONS} + 1, 1,
               CASE WHEN n % 100 < 4 THEN 'failed' WHEN n % 100 = 4 THEN 'cancelled' ELSE 'succeeded' END,
               100, 1, 'boss',
               CASE WHEN n % 100 = 0 THEN 'ModelDeclined: will not write about it'
                    WHEN n % 100 < 4 THEN 'ModelUnavailable: the provider answered 503 for the fourth time' END,
               now(), at, at
        FROM (SELECT n, now() - interval '90 days' * (1 - n / {FINISHED}.0) - interval '1 hour' AS at
              FROM generate_series(0, {FINISHED - 1}) n) made""",
    f"""INSERT INTO reports (id, tenant_id, session_id, version, revision, requested_by, put_at)
        SELECT {_ID}, {_TENANT}, {_SESSION}, n / {SESSIONS} + 1, 1, 'boss', now()
        FROM generate_series({FINISHED}, {FINISHED + WAITING - 1}) n""",
    f"""INSERT INTO report_attempts (report_id, attempt, worker, ended_at, outcome, log)
        SELECT {_ID}, 1, 'worker-' || n % 20, now(), 'succeeded',
               jsonb_build_array(jsonb_build_object('event', 'try_started', 'level', 'info', 'worker', n),
                                 jsonb_build_object('event', 'report_checked', 'level', 'info', 'claims', '12'))
        FROM generate_series(0, {FINISHED - 1}) n""",
    # In parts: the sums that each of them adds to grow by one version a call until a statement ends.
    *(
        f"""INSERT INTO model_calls (id, tenant_id, report_id, attempt, day, model, client_request_id, reserved_usd,
                                    outcome, input_tokens, output_tokens, cost_usd)
            SELECT {_ID}, {_TENANT}, {_ID}, 1, current_date - 90 * ({FINISHED} - n) / {FINISHED}, 'small-1',
                   'call-' || n, 0, 'answered', 4000, 700, 0.0021
            FROM generate_series({first}, {first + PART - 1}) n"""
        for first in range(0, FINISHED, PART)
    ),
    f"""INSERT INTO audit_log (actor, action, subject, reason, details)
        SELECT 'operator:ada', 'job.retry', 'report-' || n, 'trying it', '{{}}'
        FROM generate_series(1, {FINISHED}) n""",
    "ANALYZE",
)
_REPORT: Final = "report-00000000-0000-4000-8000-{:012x}"


def fill(database_url: str, redis_url: str) -> None:
    """The record of ninety days, and the queue with the jobs that wait."""
    sql(database_url, *_FILL)

    async def put() -> None:
        client = connect(redis_url)
        queue = Queue(client, QueueKeys("reports"), QueueRules(starts_max=0))
        for first in range(FINISHED, FINISHED + WAITING, BULK_MAX):
            names = [_REPORT.format(n) for n in range(first, first + BULK_MAX)]
            await queue.enqueue(
                [
                    NewJob(name, report_message(REPORT_TASK, name), tenant=f"t{n % TENANTS}")
                    for n, name in enumerate(names)
                ]
            )
        await client.aclose()

    asyncio.run(put())


def questions(client: httpx2.Client) -> dict[str, tuple[str, str, dict[str, Any] | None]]:
    """Figure → method, path, body."""
    page = "/admin/jobs?limit=200"
    deep: str | None = client.get(f"{page}&older_than_s={45 * 86400}").json()["nextPage"]
    job_id = _REPORT.format(FINISHED // 2)
    count = {"reason": "counting", "dry_run": True}
    return {
        "queue": ("GET", "/admin/queue", None),
        "why": ("GET", "/admin/queue/why", None),
        "jobs_newest": ("GET", page, None),
        "jobs_waiting": ("GET", f"{page}&state=queued", None),
        "jobs_failed": ("GET", f"{page}&state=failed", None),
        "jobs_of_tenant": ("GET", f"{page}&tenant=tenant-7", None),
        "jobs_of_session": ("GET", f"{page}&session=s7", None),
        "jobs_of_participant": ("GET", f"{page}&participant=student-7", None),
        "jobs_by_error": ("GET", f"{page}&error=declined", None),
        "jobs_by_error_nobody_had": ("GET", f"{page}&error=nobody+had+this", None),
        "jobs_older": ("GET", f"{page}&older_than_s={60 * 86400}", None),
        "jobs_failed_lately": ("GET", f"{page}&state=failed&newer_than_s={7 * 86400}", None),
        "jobs_page_in_the_middle": ("GET", f"{page}&page={deep}", None),
        "job": ("GET", f"/admin/jobs/{job_id}", None),
        "job_logs": ("GET", f"/admin/jobs/{job_id}/logs", None),
        "count_failed": ("POST", "/admin/jobs/retry", count),
        "count_waiting": ("POST", "/admin/jobs/cancel", count),
        "workers": ("GET", "/admin/workers", None),
        "limits": ("GET", "/admin/limits", None),
        "audit": ("GET", "/admin/audit?limit=200", None),
        "costs": ("GET", "/admin/costs?days=30", None),
    }


def measure(client: httpx2.Client, rounds: int, requests: int) -> list[Figure]:
    """The 99th percentile of each question, in ms."""
    figures = []
    for name, (method, path, body) in questions(client).items():
        figure = Figure(f"{name}_p99", "ms", target=P99_TARGET_MS)
        for _ in range(rounds):
            figure.runs.append(_rank_ms([_asked(client, method, path, body) for _ in range(requests)], 0.99))
        figures.append(figure)
    return figures


def scrapes(full: "Site", empty: "Site", rounds: int, requests: int) -> list[Figure]:
    """Of a scrape: times, beside those of an api without a job, and how many commands Redis saw for it, from whomever.

    The two are asked in turn, so that both meet the same machine.
    """
    slowest = Figure("metrics_p99", "ms", target=METRICS_P99_TARGET_MS)
    usual = Figure("metrics_p50_to_without_jobs", "ratio", target=1.2)
    commands = Figure("metrics_commands", "commands", target=0)
    for _ in range(rounds):
        before = commands_seen(full.redis_url)
        took = [[_asked(site.client, "GET", "/metrics", None) for site in (full, empty)] for _ in range(requests)]
        commands.runs.append((commands_seen(full.redis_url) - before) / requests)
        ours, theirs = ([pair[index] for pair in took] for index in (0, 1))
        slowest.runs.append(_rank_ms(ours, 0.99))
        usual.runs.append(_rank_ms(ours, 0.5) / _rank_ms(theirs, 0.5))
    return [slowest, usual, commands]


def _asked(client: httpx2.Client, method: str, path: str, body: dict[str, Any] | None) -> float:
    started = time.perf_counter()
    client.request(method, path, json=body).raise_for_status()
    return (time.perf_counter() - started) * 1000


def _rank_ms(times_ms: list[float], share: float) -> float:
    warm = sorted(times_ms[WARM_UP:])
    return warm[min(len(warm) - 1, round(len(warm) * share))]


@dataclass(frozen=True, slots=True)
class Site:
    """An api on engines of its own, and an operator's connection to it."""

    database_url: str
    redis_url: str
    client: httpx2.Client


@contextmanager
def served(folder: Path) -> Iterator[Site]:
    """An api without a job."""
    with ExitStack() as stack:
        folder.mkdir()
        urls = stack.enter_context(engines(folder / "engines"))
        database_url, redis_url = str(urls.database_url), str(urls.redis_url)
        migrate(database_url)
        port, internal_port, log = free_port(), free_port(), folder / "api.log"
        variables = {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "PORT": str(port),
            "AFTERBELL_INTERNAL_PORT": str(internal_port),
        }
        stack.enter_context(process(*AFTERBELL, "api", log=log, **variables))
        await_port(port, log)
        token = mint_admin(
            DEVELOPMENT_SECRET, subject="bench", role="operator", now=datetime.now(UTC), lifetime=timedelta(hours=2)
        )
        headers = {"Authorization": f"Bearer {token}"}
        url = f"http://127.0.0.1:{internal_port}"
        client = stack.enter_context(httpx2.Client(base_url=url, timeout=30, headers=headers))
        yield Site(database_url, redis_url, client)


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each figure.")] = 3,
    requests: Annotated[int, typer.Option(min=WARM_UP + 1, help="Requests of each run.")] = 210,
) -> None:
    """Measure and report; exit code 1 where a target is missed."""
    with tempfile.TemporaryDirectory(prefix="bench-admin-") as name, ExitStack() as stack:
        full, empty = (stack.enter_context(served(Path(name, which))) for which in ("full", "empty"))
        note(f"{FINISHED:,} finished and {WAITING:,} waiting jobs are made")
        fill(full.database_url, full.redis_url)
        waiting = full.client.get("/admin/queue").json()["facts"]["waiting"]
        note(f"the queue holds {waiting:,} jobs")
        for method, path, body in questions(full.client).values():
            empty.client.request(
                method, path, json=body
            )  # a route that was asked has series of its own in every scrape
        figures = measure(full.client, rounds, requests)
        time.sleep(EVERY_S)  # so that the gauges have been counted over all of them
        figures += scrapes(full, empty, rounds, requests)
        code = report("admin", figures)
    raise typer.Exit(code)


if __name__ == "__main__":
    typer.run(main)
