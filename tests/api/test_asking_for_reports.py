"""Asking for a report and following it, as the platform's first version promised it to its clients."""

import asyncio
import re
import uuid

import pytest
from sqlalchemy import text
from tests.support.api import STUDENT, TUTOR, Api, imported, lesson_json
from tests.support.waiting import until

from afterbell.adapters.queue.redis_queue import Queue

pytestmark = pytest.mark.engines

JOB_ID = re.compile(r"report-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def waiting_in_queue(api: Api) -> int:
    return api.jobs(Queue.stats).waiting


def test_the_answer_to_a_request_is_exactly_the_promised_one(api: Api) -> None:
    with api.client() as client:
        session = imported(client)
        answer = client.post(f"/api/reports/session/{session}")
    assert answer.status_code == 202
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert JOB_ID.fullmatch(body["jobId"])
    assert list(body.items()) == [
        ("success", True),
        ("status", "queued"),
        ("jobId", body["jobId"]),
        ("message", "Report generation started. Check back in 30-60 seconds."),
        ("statusUrl", f"/api/reports/session/{session}/status"),
    ]
    assert isinstance(body["success"], bool)


def test_asking_again_gives_the_same_job_and_queues_no_second_one(api: Api) -> None:
    with api.client() as client:
        session, other = imported(client), imported(client)
        before = waiting_in_queue(api)
        answers = [client.post(f"/api/reports/session/{session}") for _ in range(5)]
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.text for answer in answers}) == 1
        client.post(f"/api/reports/session/{other}")  # put in order: when it is there, so is a second one of the first
        until(lambda: waiting_in_queue(api) >= before + 2)
    assert waiting_in_queue(api) == before + 2


async def test_a_hundred_clients_at_once_get_one_job_for_a_session(api: Api) -> None:
    with api.client() as client:
        session = imported(client)
    async with api.async_client() as many:
        answers = await asyncio.gather(*(many.post(f"/api/reports/session/{session}") for _ in range(100)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["jobId"] for answer in answers}) == 1


def test_a_waiting_report_says_its_place_and_when_to_expect_it(api: Api) -> None:
    with api.client() as client:
        session = imported(client)
        job_id = client.post(f"/api/reports/session/{session}").json()["jobId"]
        answer = client.get(f"/api/reports/session/{session}/status")
    assert answer.status_code == 200
    body = answer.json()
    assert body == {
        "success": True,
        "status": "waiting",
        "progress": 0,
        "jobId": job_id,
        "stage": "queued",
        "attempt": 0,
        "position": body["position"],
        "eta_seconds": body["eta_seconds"],
    }
    assert body["position"] >= 1
    assert body["eta_seconds"] > 0


def test_a_running_report_says_how_far_it_is_and_a_failed_one_why(api: Api) -> None:
    with api.client() as client:
        session = imported(client)
        report_id = client.post(f"/api/reports/session/{session}").json()["jobId"].removeprefix("report-")
        answers = []
        for values in (
            "status = 'running', progress = 65, attempt = 1",
            "status = 'failed', error = 'the model refused'",
        ):
            change = text(f"UPDATE reports SET {values} WHERE id = '{report_id}'")  # noqa: S608
            api.record(lambda connection, change=change: connection.execute(change))
            answers.append(client.get(f"/api/reports/session/{session}/status").json())
    assert (answers[0]["status"], answers[0]["progress"], answers[0]["attempt"]) == ("active", 65, 1)
    assert "position" not in answers[0]
    assert (answers[1]["status"], answers[1]["error"]) == ("failed", "the model refused")


def test_after_a_failure_a_request_makes_a_new_job(api: Api) -> None:
    with api.client() as client:
        session = imported(client)
        first = client.post(f"/api/reports/session/{session}").json()["jobId"]
        failed = text("UPDATE reports SET status = 'failed' WHERE id = :id").bindparams(id=uuid.UUID(first[7:]))
        api.record(lambda connection: connection.execute(failed))
        again = client.post(f"/api/reports/session/{session}").json()
    assert again["jobId"] != first
    assert again["status"] == "queued"


def test_no_session_no_report_and_the_answer_says_what_to_do(api: Api) -> None:
    with api.client() as client:
        answer = client.post("/api/reports/session/never-imported")
        assert answer.status_code == 404
        assert "PUT /api/sessions/never-imported" in answer.json()["detail"]
        session = imported(client)
        for path in (f"/api/reports/session/{session}", f"/api/reports/session/{session}/status"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
            assert "POST" in answer.json()["detail"]


def test_an_unfinished_report_is_not_there_yet_and_says_where_to_look(api: Api) -> None:
    with api.client() as client:
        session = imported(client)
        client.post(f"/api/reports/session/{session}")
        answer = client.get(f"/api/reports/session/{session}")
    assert answer.status_code == 404
    body = answer.json()
    assert (body["code"], body["jobState"], body["progress"]) == ("report_not_ready", "waiting", 0)
    assert body["statusUrl"] == f"/api/reports/session/{session}/status"


def test_a_session_without_messages_can_have_its_report(api: Api) -> None:
    with api.client() as client:
        session = imported(client, messages=[])
        assert client.post(f"/api/reports/session/{session}").status_code == 202


def test_a_tutor_asks_for_the_reports_of_own_sessions_only(api: Api) -> None:
    others = lesson_json()["participants"]
    others[0] = others[0] | {"id": "p-another"}
    with api.client() as staff, api.client(**TUTOR) as tutor, api.client(**STUDENT) as student:
        own, foreign = imported(staff), imported(staff, participants=others, messages=[])
        assert tutor.post(f"/api/reports/session/{own}").status_code == 202
        assert tutor.post(f"/api/reports/session/{foreign}").status_code == 404
        assert student.post(f"/api/reports/session/{own}").status_code == 403


def test_a_report_asked_for_in_bulk_starts_after_one_that_somebody_waits_for(api: Api) -> None:
    with api.client() as client:
        many, single = imported(client), imported(client)
        waiting = client.post(f"/api/reports/session/{many}?bulk=true").json()["jobId"]
        wanted = client.post(f"/api/reports/session/{single}").json()["jobId"]

        async def both_wait(queue: Queue) -> bool:
            return await queue.apply("promote", [waiting, wanted]) == ["waiting", "waiting"]

        async def started(queue: Queue) -> list[str]:
            ours: list[str] = []
            while len(ours) < 2:
                taken = await queue.poll("w", 1)
                ours += [grant.job_id for grant in taken.grants if grant.job_id in (waiting, wanted)]
            return ours

        until(lambda: api.jobs(both_wait))
        assert api.jobs(started) == [wanted, waiting]
