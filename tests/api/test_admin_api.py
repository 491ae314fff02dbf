"""The admin API on the internal port: inspected and controlled by those who may, and written down."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import text
from structlog.testing import capture_logs
from tests.support.api import SECRET, STAFF, Api, fresh_api, imported, token_for
from tests.support.queue import breaker_of
from tests.support.waiting import until

from afterbell.adapters.db.reports import rows as reports
from afterbell.adapters.queue.redis_queue import Ended
from afterbell.api.admin.admin_tokens import AdminRole, mint_admin
from afterbell.core.queue.outcomes import Cancelled, Dead, Defer, Outcome, Retry
from afterbell.dev.engines.engines import EngineUrls
from afterbell.settings import DEVELOPMENT_SECRET, ApiSettings, read

pytestmark = pytest.mark.engines
WHY = {"reason": "the provider is back"}


def admin(api: Api, role: AdminRole = "operator", *, secret: str = DEVELOPMENT_SECRET) -> httpx2.Client:
    token = mint_admin(secret, subject="ada", role=role, now=datetime.now(UTC), lifetime=timedelta(hours=1))
    return httpx2.Client(base_url=api.internal_url, headers={"Authorization": f"Bearer {token}"}, timeout=20)


def asked(api: Api, tenant: str = "school") -> str:
    with api.client(tenant) as client:
        return str(client.post(f"/api/reports/session/{imported(client)}").json()["jobId"])


def tried(api: Api, outcome: Outcome, tenant: str = "school") -> str:
    """The only job that waits, whose first try ended so, in the queue."""
    job_id = asked(api, tenant)
    until(lambda: api.jobs(lambda queue: queue.stats()).waiting == 1)

    async def end(queue: Any) -> None:
        (grant,) = (await queue.poll("w-00000001", 1)).grants
        await queue.poll("w-00000001", 0, [], [Ended(grant, outcome)])

    api.jobs(end)
    return job_id


def failed(api: Api, error: str, tenant: str = "school") -> str:
    """A job that failed for good, in the record and in the queue."""
    job_id = tried(api, Dead(error), tenant)
    values = {"id": job_id.removeprefix("report-"), "error": error}
    fail = text("UPDATE reports SET status = 'failed', error = :error WHERE id = CAST(:id AS text)::uuid")
    api.record(lambda connection: connection.execute(fail, values))
    return job_id


def acts(client: httpx2.Client, job_id: str) -> list[dict[str, Any]]:
    return [act for act in client.get("/admin/audit").json()["acts"] if act["subject"] == job_id]


def cleared(client: httpx2.Client) -> None:
    """No job waits any more, so that a test sees its own only."""
    client.post("/admin/jobs/cancel", json=WHY)


def test_nobody_without_an_admin_token_sees_or_does_anything(api: Api) -> None:
    platform = token_for(role="admin", subject="boss")
    forged = mint_admin(SECRET, subject="eve", role="operator", now=datetime.now(UTC), lifetime=timedelta(hours=1))
    for token in ("", platform, forged):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        for path in ("/admin/queue", "/admin/jobs", "/admin/audit"):
            answer = httpx2.get(api.internal_url + path, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
            assert not token or token not in answer.text


def test_who_comes_without_a_token_of_ours_is_in_the_audit_log_however_often_they_come(
    engine_urls: EngineUrls,
) -> None:
    tries, platform = 30, {"Authorization": f"Bearer {token_for(**STAFF)}"}
    with fresh_api(engine_urls) as api, capture_logs() as lines:
        httpx2.post(api.internal_url + "/admin/queue/pause", json=WHY)
        for _ in range(tries):
            assert httpx2.get(api.internal_url + "/admin/jobs", headers=platform).status_code == 401
        with admin(api, "viewer") as client:
            acts = client.get("/admin/audit").json()["acts"]
    refused = [line for line in lines if line["event"] == "admin_refused"]
    assert [line["tried"] for line in refused] == ["POST /admin/queue/pause", *["GET /admin/jobs"] * tries]
    assert {(act["actor"], act["action"]) for act in acts} == {("nobody", "admin.refused")}
    assert acts[-1]["subject"] == "POST /admin/queue/pause"
    assert "missing admin token" in acts[-1]["reason"]
    assert len(acts) < 4, "a row in ten seconds, so that nobody fills the record by being refused"
    assert "eyJ" not in str((lines, acts))


def test_a_viewer_looks_and_changes_nothing(api: Api) -> None:
    with admin(api, "viewer") as client:
        assert client.get("/admin/queue").status_code == 200
        answer = client.post("/admin/queue/pause", json=WHY)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert client.get("/admin/queue").json()["facts"]["paused"] is False
        act = client.get("/admin/audit").json()["acts"][0]
        assert (act["actor"], act["action"], act["subject"]) == (
            "viewer:ada",
            "admin.refused",
            "POST /admin/queue/pause",
        )
        assert client.post("/admin/workers/a%00%1b[2Jb/drain", json=WHY).status_code == 403
        assert client.get("/admin/audit").json()["acts"][0]["subject"] == "POST /admin/workers/a\\x00\\x1b[2Jb/drain"


def test_an_unknown_queue_is_named(api: Api) -> None:
    with admin(api, "viewer") as client:
        assert client.get("/admin/queues").json()["queues"] == [api.queue]
        assert client.get(f"/admin/queues/{api.queue}").json()["name"] == api.queue
        answer = client.get("/admin/queues/other")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert "'other'" in answer.json()["detail"]
        assert api.queue in answer.json()["detail"]


def test_an_error_of_a_megabyte_and_hostile_text_is_cut_and_escaped(api: Api) -> None:
    with admin(api) as operator:
        cleared(operator)
    job_id, stack = failed(api, "big"), "Traceback \x1b[2J\u202e<script>" + "frame\n" * 170_000
    assert len(stack) > 1_000_000
    spoil = text("UPDATE reports SET error = :error WHERE id = CAST(:id AS text)::uuid")
    tried = text(
        "INSERT INTO report_attempts (report_id, attempt, worker, outcome, error)"
        " VALUES (CAST(:id AS text)::uuid, 1, 'w', 'dead', :error)"
    )
    values = {"id": job_id.removeprefix("report-"), "error": stack}
    api.record(lambda connection: connection.execute(spoil, values))
    api.record(lambda connection: connection.execute(tried, values))
    with admin(api, "viewer") as client:
        listed = client.get("/admin/jobs", params={"state": "failed", "limit": 1})
        shown = client.get(f"/admin/jobs/{job_id}")
        logs = client.get(f"/admin/jobs/{job_id}/logs")
        for answer in (listed, shown, logs):
            assert len(answer.content) < 20_000
        for error in (
            listed.json()["jobs"][0]["error"],
            shown.json()["attempts"][0]["error"],
            logs.json()["tries"][0]["error"],
        ):
            assert error.startswith("Traceback \\x1b[2J\\u202e<script>frame\n")
            assert error.endswith("… (cut)")


def test_the_public_port_has_no_admin_api(api: Api) -> None:
    with admin(api) as client:
        assert httpx2.get(api.url + "/admin/queue", headers=client.headers).status_code == 404


def test_production_has_no_admin_api_without_a_secret_of_its_own() -> None:
    def keys(**given: Any) -> tuple[str, ...]:
        return read(ApiSettings, app_env="production", jwt_secret=SECRET, **given).admin_keys

    assert keys() == ()
    assert keys(admin_secret=SECRET[::-1]) == (SECRET[::-1],)


def test_a_pause_stops_starts_and_is_written_down_with_who_and_why(api: Api) -> None:
    with admin(api) as client:
        cleared(client)
        assert client.post("/admin/queue/pause", json=WHY).status_code == 200
        asked(api)
        until(lambda: api.jobs(lambda queue: queue.stats()).waiting == 1)
        assert api.jobs(lambda queue: queue.poll("w-00000001", 1)).grants == ()
        assert client.post("/admin/queue/resume", json=WHY).status_code == 200
        assert client.get("/admin/queue").json()["facts"]["paused"] is False
        first = client.get("/admin/audit").json()["acts"][0]
        assert (first["action"], first["actor"], first["reason"]) == ("queue.resume", "operator:ada", WHY["reason"])
        cleared(client)


def test_why_work_waits_is_told_in_one_sentence(api: Api) -> None:
    with admin(api, "viewer") as client:

        def why() -> dict[str, Any]:
            return dict(client.get("/admin/queue/why").json())

        with admin(api) as operator:
            cleared(operator)
        assert why() == {"success": True, "cause": "nothing_waits", "sentence": "No jobs are waiting."}
        asked(api)
        until(lambda: api.jobs(lambda queue: queue.stats()).waiting == 1)
        assert why()["cause"] == "scaling"
        api.jobs(lambda queue: breaker_of(queue).apply("wait", "small-1", 20_000, 1, 0, 0))
        assert (why()["cause"], "small-1" in why()["sentence"]) == ("told_to_wait", True)
        api.jobs(lambda queue: breaker_of(queue).apply("ok", "small-1"))
        with admin(api) as operator:
            cleared(operator)


def test_jobs_that_wait_for_a_budget_say_so(api: Api) -> None:
    with admin(api) as client:
        cleared(client)
        job_id = tried(api, Defer(600, "BudgetSpent: the day's"))
        values = {"id": job_id.removeprefix("report-"), "error": "BudgetSpent: the day's"}
        put_off = text("UPDATE reports SET status = 'deferred', error = :error WHERE id = CAST(:id AS text)::uuid")
        api.record(lambda connection: connection.execute(put_off, values))
        assert client.get("/admin/queue/why").json()["cause"] == "budget"
        cleared(client)


def test_a_drained_worker_is_named_until_it_is_undrained(api: Api) -> None:
    with admin(api) as client:
        client.post("/admin/workers/pod-7/drain", json=WHY)
        assert client.get("/admin/queue").json()["drained"] == ["pod-7"]
        client.post("/admin/workers/pod-7/undrain", json=WHY)
        assert client.get("/admin/queue").json()["drained"] == []


def test_jobs_are_found_by_state_tenant_session_and_words_of_the_error(api: Api) -> None:
    tenant = f"tenant-{uuid.uuid4().hex}"
    with admin(api) as client:
        cleared(client)
        job_id = failed(api, "the 100% odd_model is away", tenant)

        def ids(**query: Any) -> list[str]:
            jobs = client.get("/admin/jobs", params={"tenant": tenant} | query).json()["jobs"]
            return [job["jobId"] for job in jobs]

        session = client.get("/admin/jobs", params={"tenant": tenant}).json()["jobs"][0]["session_id"]
        assert ids(state="failed") == ids(session=session) == ids(error="100% ODD_model") == [job_id]
        assert ids(state="queued") == ids(error="100_ odd") == ids(session="other") == ids(older_than_s=60) == []
        assert ids(participant="p-tutor") == ids(newer_than_s=60) == ids(error="", session="", state="") == [job_id]
        assert ids(participant="p-other") == ids(newer_than_s=0) == []


def test_a_job_names_the_trace_it_was_asked_for_in(api: Api) -> None:
    traced = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
    with api.client() as client, admin(api) as administrator:
        job_id = client.post(f"/api/reports/session/{imported(client)}", headers=traced).json()["jobId"]
        assert administrator.get(f"/admin/jobs/{job_id}").json()["trace_id"] == "ab" * 16


def test_pages_follow_each_other_without_a_job_twice_or_left_out(api: Api) -> None:
    tenant = f"tenant-{uuid.uuid4().hex}"
    made = [asked(api, tenant) for _ in range(5)]
    listed: list[str] = []
    with admin(api) as client:
        page: str | None = None
        while True:
            params = {"tenant": tenant, "limit": 2} | ({"page": page} if page else {})
            answer = client.get("/admin/jobs", params=params).json()
            listed += [job["jobId"] for job in answer["jobs"]]
            page = answer["nextPage"]
            if page is None:
                break
        assert listed == made[::-1]
        cleared(client)


def test_a_failed_job_is_retried_once_and_the_queue_has_it_again(api: Api) -> None:
    with admin(api) as client:
        cleared(client)
        job_id = failed(api, "away")
        assert client.post(f"/admin/jobs/{job_id}/retry", json=WHY).status_code == 200
        assert api.jobs(lambda queue: queue.stats()).waiting == 1
        again = client.post(f"/admin/jobs/{job_id}/retry", json=WHY)
        assert (again.status_code, again.json()["code"]) == (409, "conflict")
        assert "queued" in again.json()["detail"]
        (act,) = acts(client, job_id)
        assert (act["action"], act["details"]) == ("job.retry", {"status": "failed"})
        cleared(client)


def test_all_that_match_are_retried_and_a_dry_run_only_counts_them(api: Api) -> None:
    with admin(api) as client:
        cleared(client)
        marked, other = failed(api, "odd quota"), failed(api, "another")
        body = WHY | {"where": {"error": "odd quota"}}
        assert client.post("/admin/jobs/retry", json=body | {"dry_run": True}).json()["matched"] == 1
        assert acts(client, marked) == []
        answer = client.post("/admin/jobs/retry", json=body).json()
        assert (answer["done"], answer["nextPage"]) == (1, None)
        assert client.get(f"/admin/jobs/{marked}").json()["status"] == "queued"
        assert client.get(f"/admin/jobs/{other}").json()["status"] == "failed"
        cleared(client)


def test_all_that_wait_for_their_time_are_promoted_or_cancelled(api: Api) -> None:
    with admin(api) as client:
        cleared(client)
        where = {"where": {"tenant": f"tenant-{uuid.uuid4().hex}"}}
        job_id = tried(api, Retry(600, "away"), where["where"]["tenant"])
        assert client.post("/admin/jobs/promote", json=WHY | where).json()["done"] == 1
        facts = api.jobs(lambda queue: queue.stats())
        assert (facts.waiting, facts.due) == (1, 0)
        assert client.post("/admin/jobs/cancel", json=WHY | where).json()["done"] == 1
        assert client.get(f"/admin/jobs/{job_id}").json()["status"] == "cancelled"
        assert api.jobs(lambda queue: queue.stats()).waiting == 0
        assert [act["action"] for act in acts(client, job_id)] == ["job.cancel", "job.promote"]


def test_a_job_that_waits_for_its_next_try_is_promoted(api: Api) -> None:
    with admin(api) as client:
        cleared(client)
        job_id = tried(api, Retry(600, "away"))
        assert client.post(f"/admin/jobs/{job_id}/promote", json=WHY).status_code == 200
        facts = api.jobs(lambda queue: queue.stats())
        assert (facts.waiting, facts.due) == (1, 0)
        assert client.post(f"/admin/jobs/{job_id}/promote", json=WHY).status_code == 409
        assert len(acts(client, job_id)) == 1
        cleared(client)


def test_a_cancelled_job_leaves_the_queue_and_a_removed_one_is_gone(api: Api) -> None:
    with admin(api) as client:
        cleared(client)
        job_id = asked(api)
        until(lambda: api.jobs(lambda queue: queue.stats()).waiting == 1)
        assert client.post(f"/admin/jobs/{job_id}/cancel", json=WHY).status_code == 200
        assert api.jobs(lambda queue: queue.stats()).waiting == 0
        assert client.get(f"/admin/jobs/{job_id}").json()["status"] == "cancelled"
        assert client.post(f"/admin/jobs/{job_id}/remove", json=WHY).status_code == 200
        assert client.get(f"/admin/jobs/{job_id}").status_code == 404
        assert [act["action"] for act in acts(client, job_id)] == ["job.remove", "job.cancel"]


def test_the_lines_of_each_try_are_shown(api: Api) -> None:
    job_id = asked(api)
    tries = text("""INSERT INTO report_attempts (report_id, attempt, worker, outcome, log) VALUES
        (CAST(:id AS text)::uuid, 1, 'w-1', 'retry', '[{"event": "model_failed"}]'),
        (CAST(:id AS text)::uuid, 2, 'w-1', NULL, NULL)""")
    api.record(lambda connection: connection.execute(tries, {"id": job_id.removeprefix("report-")}))
    with admin(api, "viewer") as client:
        tries = client.get(f"/admin/jobs/{job_id}/logs").json()["tries"]
        assert [(attempt["attempt"], attempt["log"]) for attempt in tries] == [
            (1, [{"event": "model_failed"}]),
            (2, []),
        ]
        (second,) = client.get(f"/admin/jobs/{job_id}/logs", params={"attempt": 2}).json()["tries"]
        assert second["attempt"] == 2
        assert "log" not in client.get(f"/admin/jobs/{job_id}").json()["attempts"][0]
        assert client.get("/admin/jobs/report-x/logs").status_code == 404


def test_a_running_job_is_told_to_stop_and_its_worker_may_write_no_more(api: Api) -> None:
    with admin(api) as client:
        cleared(client)
        job_id = asked(api)
        until(lambda: api.jobs(lambda queue: queue.stats()).waiting == 1)
        (grant,) = api.jobs(lambda queue: queue.poll("w-00000001", 1)).grants
        report_id = uuid.UUID(job_id.removeprefix("report-"))
        claimed = api.record(lambda connection: reports.claim(connection, report_id, "w-00000001"))
        assert claimed is not None
        assert client.post(f"/admin/jobs/{job_id}/cancel", json=WHY).status_code == 200
        assert api.jobs(lambda queue: queue.poll("w-00000001", 0, [grant])).cancelled == {job_id}
        assert not api.record(lambda connection: reports.advance(connection, claimed, 50, "writing"))
        assert client.get(f"/admin/jobs/{job_id}").json()["status"] == "cancelled"
        api.jobs(lambda queue: queue.poll("w-00000001", 0, [], [Ended(grant, Cancelled())]))


@pytest.mark.parametrize("job_id", ["report-x", "report-5f0c1f0e-6f0b-4c53-9d0e-1f3f5a0d7c11", "nonsense"])
def test_an_unknown_job_is_named(api: Api, job_id: str) -> None:
    with admin(api) as client:
        for answer in (client.get(f"/admin/jobs/{job_id}"), client.post(f"/admin/jobs/{job_id}/retry", json=WHY)):
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
            assert job_id in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/admin/queue/pause", {}),
        ("/admin/queue/pause", {"reason": "  "}),
        ("/admin/queue/stop", WHY),
        ("/admin/jobs/retry", WHY | {"where": {"colour": "red"}}),
        ("/admin/jobs/retry", WHY | {"page": "nonsense"}),
        ("/admin/workers/a b/drain", WHY),
    ],
)
def test_what_cannot_be_meant_is_refused_and_says_where(api: Api, path: str, body: dict[str, Any]) -> None:
    with admin(api) as client:
        answer = client.post(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
        assert answer.json()["field"]
