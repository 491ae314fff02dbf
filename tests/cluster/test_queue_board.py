"""Each row of the old queue board's table, three ways: by REST, by `afterbell` and by `kubectl afterbell`."""

import json
import secrets
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from sqlalchemy import text
from tests.cluster.board import DRAIN, ROWS, WHY, Row
from tests.cluster.conftest import Workload
from tests.cluster.test_kubectl_plugin import deploy, folder, kubectl
from tests.support.api import SECRET, Api
from tests.support.cluster import Cluster
from tests.support.command import run
from tests.support.engines import fresh_database
from tests.support.waiting import until

from afterbell.adapters.queue.redis_queue import NewJob
from afterbell.api.admin.admin_tokens import mint_admin
from afterbell.dev.engines.engines import EngineUrls

pytestmark = [pytest.mark.cluster, pytest.mark.engines]
__all__ = ["folder"]
WAYS = ("rest", "afterbell", "kubectl")
TENANT = text("INSERT INTO tenants (id) VALUES ('school') ON CONFLICT DO NOTHING")
SESSION = text("""INSERT INTO sessions (tenant_id, id, subject, language, goals, participants, input_sha256)
    VALUES ('school', :session, 'mathematics', 'en', '[]', '[{"id": "p-1"}]', '') ON CONFLICT DO NOTHING""")
REPORT = text("""INSERT INTO reports
    (id, tenant_id, session_id, version, revision, status, error, requested_by, traceparent, put_at)
    VALUES (CAST(:id AS text)::uuid, 'school', :session, 1, 0, :status, :error, 'staff', :traceparent, now())""")
TRY = text("""INSERT INTO report_attempts (report_id, attempt, worker, outcome, error, log)
    VALUES (CAST(:id AS text)::uuid, 1, 'w-1', 'dead', :error, '[{"event": "model_failed"}]')""")


@dataclass(frozen=True, slots=True)
class Site:
    """The api in the cluster, with the stores behind it and the secret of its admin API."""

    workload: Workload
    api: Api
    secret: str
    folder: Path

    def token(self, role: str | None) -> str:
        if role is None:
            return "nonsense"
        known: Any = role
        until = timedelta(hours=1)
        return mint_admin(self.secret, subject="ada", role=known, now=datetime.now(UTC), lifetime=until)

    def make(self, status: str, error: str) -> str:
        """A job of this status, in the record and, where it waits for its time, in the queue."""
        report_id = str(uuid.uuid4())
        values = {
            "id": report_id,
            "session": report_id,
            "status": status,
            "error": error,
            "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01",
        }

        async def write(connection: Any) -> None:
            await connection.execute(TENANT)
            await connection.execute(SESSION, {"session": report_id})
            await connection.execute(REPORT, values)
            await connection.execute(TRY, {"id": report_id, "error": error})

        self.api.record(write)
        job_id = f"report-{report_id}"
        if status == "deferred":
            self.api.jobs(lambda queue: queue.enqueue([NewJob(job_id, b"x", delay_s=600)]))
        return job_id

    def status(self, job_id: str) -> str:
        answer = self.rest("GET", f"/admin/jobs/{job_id}", None, "viewer")
        return "gone" if answer.status_code == 404 else str(answer.json()["status"])

    def rest(self, method: str, path: str, body: dict[str, Any] | None, role: str | None) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.token(role)}"}
        return httpx2.request(method, self.api.internal_url + path, json=body, headers=headers, timeout=20)


@pytest.fixture(scope="module")
def site(cluster: Cluster, folder: Path, engine_urls: EngineUrls) -> Iterator[Site]:
    name = f"t-{uuid.uuid4().hex[:12]}"
    cluster.kubectl("create", "namespace", name)
    workload, secret = Workload(cluster, name), secrets.token_hex(32)
    with fresh_database(engine_urls) as database_url:
        stores = {"DATABASE_URL": database_url, "REDIS_URL": str(engine_urls.redis_url)}
        deploy(workload, admin_secret=secret, jwt_secret=SECRET, **stores)
        internal = cluster.serve(name, "afterbell-api-internal", "internal")
        until(lambda: answers(internal), "the Service to lead to the api")
        yield Site(workload, Api("", internal, stores["REDIS_URL"], database_url, name), secret, folder)
        cluster.kubectl("delete", "deployment", "--all", "-n", name)
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.mark.parametrize("name", ROWS)
def test_a_row_of_the_board_is_done_by_rest_by_the_cli_and_by_kubectl(site: Site, name: str) -> None:
    row = ROWS[name]
    made = {way: site.make(row.job, f"{row.error} {way}") if row.job else "" for way in WAYS}
    said = three_ways(site, row, made)
    if row.refused:
        assert said["rest"].status_code == row.refused
        for way in ("afterbell", "kubectl"):
            assert said[way].returncode == 1
            assert str(row.refused) in said[way].stderr
        return
    assert said["rest"].status_code == 200, said["rest"].text
    for way in ("afterbell", "kubectl"):
        assert said[way].returncode == 0, said[way].stderr
        assert row.says in said[way].stdout
        assert said[way].stdout.replace("\n", "").isprintable() or name.startswith("The live page")
    if row.same:
        assert_alike(row, said)
    if row.becomes:
        assert {way: site.status(job_id) for way, job_id in made.items()} == dict.fromkeys(WAYS, row.becomes)


def test_what_was_changed_shows_and_is_written_down_three_times_with_who_and_why(site: Site) -> None:
    def read(path: str) -> Any:
        return site.rest("GET", path, None, "viewer").json()

    made = {way: site.make("deferred", "later") for way in WAYS}
    three_ways(site, ROWS["Promote"], made)
    assert site.api.jobs(lambda queue: queue.stats()).due == 0
    three_ways(site, ROWS["Pause"], made)
    three_ways(site, ROWS[DRAIN], made)
    status = read("/admin/queue")
    assert (status["facts"]["paused"], set(status["drained"])) == (True, set(WAYS))
    acts = [act for act in read("/admin/audit?limit=9")["acts"] if act["subject"] in (*WAYS, *made.values())]
    assert {act["subject"] for act in acts} == {*WAYS, *made.values()}
    assert {act["reason"] for act in acts} == {WHY["reason"]}
    assert site.rest("POST", "/admin/queue/resume", WHY, "operator").status_code == 200


def answers(url: str) -> bool:
    try:
        return httpx2.get(url + "/livez").status_code == 200
    except httpx2.TransportError:
        return False


def three_ways(site: Site, row: Row, made: dict[str, str]) -> dict[str, Any]:
    """What each way answered. The two commands run beside each other, each on a job of its own."""
    said: dict[str, Any] = {}

    def type_in(way: str) -> None:
        words = [filled(word, row, site, way, made) for word in row.words]
        if way == "kubectl":
            role = ("--role", row.role) if row.role else ("--token", site.token(None))
            said[way] = kubectl(site.folder, site.workload, *words, "-n", site.workload.namespace, *role, COLUMNS="400")
        else:
            address = {"AFTERBELL_ADMIN_URL": site.api.internal_url, "AFTERBELL_ADMIN_TOKEN": site.token(row.role)}
            said[way] = run(*words, **address)

    threads = [threading.Thread(target=type_in, args=(way,)) for way in ("afterbell", "kubectl")]
    for thread in threads:
        thread.start()
    method, path = filled(row.request, row, site, "rest", made).split(" ", 1)
    body = row.body and dict(row.body)
    if body and "--all" in row.words:
        body["where"] = {"error": f"{row.error} rest"}
    said["rest"] = site.rest(method, path, body, row.role)
    for thread in threads:
        thread.join()
    return said


def filled(pattern: str, row: Row, site: Site, way: str, made: dict[str, str]) -> str:
    return pattern.format(job=made[way], error=f"{row.error} {way}", way=way, queue=site.workload.namespace)


def assert_alike(row: Row, said: dict[str, Any]) -> None:
    """All three told the same; a job's own lines are those of the job that was made for the way."""
    assert row.same is not None
    if row.words[-1] == "wide":
        return
    printed = {way: yaml.safe_load(said[way].stdout)[row.same] for way in ("afterbell", "kubectl")}
    printed["rest"] = json.loads(said["rest"].content)[row.same]
    assert printed["rest"]
    if row.same not in ("tries", "attempts", "nextPage"):
        assert printed["afterbell"] == printed["kubectl"] == printed["rest"]
