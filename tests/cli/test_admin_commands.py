"""`afterbell queue …` and `afterbell jobs …` on a served API, as an operator types them."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from sqlalchemy import text
from tests.support.api import Api, fresh_api, imported
from tests.support.command import PROGRAM, environment_of, refused, run
from tests.support.ports import free_port
from tests.support.waiting import until

from afterbell.cli.admin.commands import MOVED
from afterbell.dev.engines.engines import EngineUrls

pytestmark = pytest.mark.engines
WHY = ("--reason", "trying it")


@pytest.fixture(scope="module")
def api(engine_urls: EngineUrls) -> Iterator[Api]:
    with fresh_api(engine_urls) as served:
        yield served


@pytest.fixture(scope="module")
def operator(api: Api) -> dict[str, str]:
    minted = run("token", "--admin", "operator", "--sub", "ada")
    assert minted.returncode == 0, minted.stderr
    return {"AFTERBELL_ADMIN_TOKEN": minted.stdout.strip(), "AFTERBELL_ADMIN_URL": api.internal_url}


def test_the_queue_is_seen_paused_resumed_drained_and_undrained(api: Api, operator: dict[str, str]) -> None:
    assert run("queue", "pause", *WHY, **operator).returncode == 0
    assert run("queue", "drain", "pod-7", *WHY, **operator).returncode == 0
    status = json.loads(run("queue", "status", "-o", "json", **operator).stdout)
    assert (status["facts"]["paused"], status["drained"]) == (True, ["pod-7"])
    assert "paused" in run("queue", "status", **operator).stdout
    assert run("queue", "why", **operator).stdout.startswith("nothing_waits: ")
    assert run("queue", "resume", *WHY, **operator).returncode == 0
    assert run("queue", "undrain", "pod-7", *WHY, **operator).returncode == 0
    status = json.loads(run("queue", "status", "-o", "json", **operator).stdout)
    assert (status["facts"]["paused"], status["drained"]) == (False, [])


def test_jobs_are_listed_shown_and_acted_on_one_by_one_or_all_that_match(api: Api, operator: dict[str, str]) -> None:
    with api.client() as client:
        made = [client.post(f"/api/reports/session/{imported(client)}").json()["jobId"] for _ in range(3)]
    until(lambda: api.jobs(lambda queue: queue.stats()).waiting == 3)
    listed = json.loads(run("jobs", "list", "--state", "queued", "-o", "json", **operator).stdout)
    assert [job["jobId"] for job in listed["jobs"]] == made[::-1]
    assert "queued" in run("jobs", "show", made[0], **operator).stdout
    done = run("jobs", "cancel", made[0], *WHY, **operator)
    assert (done.returncode, done.stdout) == (0, f"{made[0]}: cancel done\n")
    again = run("jobs", "cancel", made[0], *WHY, **operator)
    assert again.returncode == 1
    assert "is cancelled" in again.stderr
    assert run("jobs", "remove", "--all", "--dry-run", *WHY, **operator).stdout == "3 jobs match\n"
    every = run("jobs", "cancel", "--all", "--tenant", "school", "--yes", *WHY, **operator)
    assert (every.returncode, every.stdout) == (0, "2 jobs match\ncancel: 2 done\n"), every.stderr
    assert api.jobs(lambda queue: queue.stats()).waiting == 0
    assert run("jobs", "show", "report-x", **operator).returncode == 1


def test_each_try_of_a_job_is_shown_with_its_time_and_error(api: Api, operator: dict[str, str]) -> None:
    with api.client() as client:
        job_id = client.post(f"/api/reports/session/{imported(client)}").json()["jobId"]
    insert = text("""INSERT INTO report_attempts (report_id, attempt, worker, started_at, ended_at, outcome, error)
        VALUES (CAST(:id AS text)::uuid, 1, 'w-1', '2026-03-03T16:00:00Z', '2026-03-03T16:00:31Z', 'retry', 'away'),
               (CAST(:id AS text)::uuid, 2, 'w-2', '2026-03-03T16:01:00Z', NULL, NULL, NULL)""")
    api.record(lambda connection: connection.execute(insert, {"id": job_id.removeprefix("report-")}))
    rows = [line.split() for line in run("jobs", "show", job_id, **operator).stdout.splitlines()[-3:]]
    assert rows == [
        ["ATTEMPT", "WORKER", "STARTED", "TOOK", "OUTCOME", "ERROR"],
        ["1", "w-1", "2026-03-03T16:00:00", "31s", "retry", "away"],
        ["2", "w-2", "2026-03-03T16:01:00", "-", "-", "-"],
    ]


def test_the_lines_of_a_job_are_printed_and_cannot_move_the_terminal(api: Api, operator: dict[str, str]) -> None:
    with api.client() as client:
        job_id = client.post(f"/api/reports/session/{imported(client)}").json()["jobId"]
    line = json.dumps([{"event": "try_failed", "level": "error", "exception": "Trace\n\u001b[2Jline"}])
    insert = text(
        "INSERT INTO report_attempts (report_id, attempt, worker, outcome, log)"
        " VALUES (CAST(:id AS text)::uuid, 1, 'w-1', 'retry', CAST(:line AS text)::jsonb)"
    )
    values = {"id": job_id.removeprefix("report-"), "line": line}
    api.record(lambda connection: connection.execute(insert, values))
    shown = run("jobs", "logs", job_id, **operator).stdout
    assert shown.splitlines()[0] == "attempt 1 on w-1: retry"
    assert "try_failed exception=Trace\\n\\x1b[2Jline" in shown
    assert json.loads(run("jobs", "logs", job_id, "-o", "json", **operator).stdout)["tries"][0]["attempt"] == 1


def test_every_format_prints_the_same_queue(operator: dict[str, str]) -> None:
    as_yaml = yaml.safe_load(run("queue", "status", "-o", "yaml", **operator).stdout)
    as_json = json.loads(run("queue", "status", "-o", "json", **operator).stdout)
    assert as_yaml["jobs"] == as_json["jobs"]
    assert "commands today" in run("queue", "status", **operator).stdout
    assert "lanes" in run("queue", "status", "--output", "wide", **operator).stdout
    assert "queue." in run("queue", "audit", **operator).stdout
    assert run("queue", "status", "-o", "xml", **operator).returncode == 2


def test_the_queue_group_has_the_words_for_jobs_as_well(api: Api, operator: dict[str, str]) -> None:
    with api.client() as client:
        job_id = client.post(f"/api/reports/session/{imported(client)}").json()["jobId"]
    assert job_id in run("jobs", "list", "--state", "queued", **operator).stdout
    assert "asked" not in run("jobs", "list", "--error", "no such words", **operator).stdout
    assert "queued" in run("jobs", "show", job_id, **operator).stdout
    assert run("jobs", "logs", job_id, **operator).stdout == "no attempts yet\n"
    assert run("jobs", "cancel", "--all", "--session", "none", *WHY, **operator).stdout == "0 jobs match\n"
    assert run("jobs", "cancel", job_id, *WHY, **operator).returncode == 0


def test_without_a_yes_nothing_is_done_to_all_that_match(api: Api, operator: dict[str, str]) -> None:
    with api.client() as client:
        session = imported(client)
        job_id = client.post(f"/api/reports/session/{session}").json()["jobId"]
    asked = run("jobs", "cancel", "--all", "--session", session, *WHY, stdin=b"n\n", **operator)
    assert (asked.returncode, asked.stdout.strip()) == (1, "1 job matches")
    assert "cancel 1 jobs?" in asked.stderr
    assert "queued" in run("jobs", "show", job_id, **operator).stdout
    assert run("jobs", "cancel", "--all", "--session", session, "-y", *WHY, **operator).returncode == 0


def test_ten_thousand_jobs_are_named_before_anything_is_done_to_them(api: Api, operator: dict[str, str]) -> None:
    many = text("""WITH made AS (
            INSERT INTO sessions (tenant_id, id, subject, language, goals, participants, input_sha256)
            SELECT 'school', 'many-' || n, 'mathematics', 'en', '[]', '[]', '' FROM generate_series(1, 10000) n
            RETURNING id)
        INSERT INTO reports (id, tenant_id, session_id, version, revision, status, error, requested_by)
        SELECT gen_random_uuid(), 'school', id, 1, 0, 'failed', 'ten thousand of us', 'staff' FROM made""")
    with api.client() as client:
        imported(client)
    api.record(lambda connection: connection.execute(many))
    every = ("--all", "--error", "ten thousand of us", *WHY)
    assert run("jobs", "remove", "--dry-run", *every, **operator).stdout == "10000 jobs match\n"
    asked = run("jobs", "remove", *every, stdin=b"n\n", **operator)
    assert (asked.returncode, asked.stdout.strip()) == (1, "10000 jobs match")
    assert "remove 10000 jobs?" in asked.stderr
    assert run("jobs", "retry", "--dry-run", *every, **operator).stdout == "10000 jobs match\n", "none was removed"


def test_the_live_screen_is_drawn_and_ends(operator: dict[str, str]) -> None:
    done = run("queue", "top", "--frames", "1", **operator)
    assert done.returncode == 0, done.stderr


def test_a_watch_prints_what_changes_until_it_is_interrupted(api: Api, operator: dict[str, str]) -> None:
    words = [*PROGRAM, "queue", "status", "-o", "json", "--watch"]
    watching = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment_of(**operator))
    assert watching.stdout is not None
    assert json.loads(watching.stdout.readline())["facts"]["paused"] is False
    assert run("queue", "pause", *WHY, **operator).returncode == 0
    while not json.loads(watching.stdout.readline())["facts"]["paused"]:
        pass
    watching.send_signal(signal.SIGINT)
    assert watching.wait(10) == 130
    watching.communicate()
    assert run("queue", "resume", *WHY, **operator).returncode == 0


def test_a_shell_completes_commands_and_formats() -> None:
    words = {"_AFTERBELL_COMPLETE": "complete_bash", "COMP_WORDS": "afterbell queue dr", "COMP_CWORD": "2"}
    done = subprocess.run(
        ["afterbell"],
        executable=str(Path(sys.executable).with_name("afterbell")),
        env=environment_of(**words),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split() == ["drain"], done.stderr


def test_a_command_that_cannot_be_meant_says_so_and_changes_nothing(operator: dict[str, str]) -> None:
    refused(run("queue", "status"), "no admin token")
    nobody = operator | {"AFTERBELL_ADMIN_URL": f"http://127.0.0.1:{free_port()}"}
    away = run("queue", "why", **nobody)
    assert (away.returncode, away.stdout) == (1, "")
    assert f"GET {nobody['AFTERBELL_ADMIN_URL']}/admin/queue/why: no answer" in away.stderr
    refused(run("jobs", "retry", *WHY, **operator), "name the jobs")
    refused(run("jobs", "retry", "report-x", "--all", *WHY, **operator), "name the jobs")
    refused(run("token", "--admin", "owner"), "viewer, operator")
    assert run("queue", "pause", **operator).returncode == 2


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_a_command_that_moved_names_its_new_place(old: str, new: str) -> None:
    done = run("queue", old, "report-1", "--all", "--reason", "none")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"`queue {old}` was renamed: use `jobs {new}`" in done.stderr
