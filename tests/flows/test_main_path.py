"""The way of a report, on the real parts: from a session to what each reader gets."""

import signal
from typing import Any

import pytest
from tests.support.platform import SLOW, a_session, a_token, platform, worker_process
from tests.support.waiting import eventually

pytestmark = pytest.mark.engines
LATE = "SELECT 1 FROM report_attempts WHERE attempt = 1 AND outcome IS NOT NULL"


async def test_a_session_becomes_a_report_whose_every_claim_cites_its_turns(redis_url: str, database_url: str) -> None:
    async with platform(redis_url, database_url) as up:
        session = a_session()
        await up.import_session(session)
        requested = await up.request("lesson-1")
        statuses = await up.until("lesson-1", "completed", "failed")
        assert statuses[-1] == {
            "success": True,
            "status": "completed",
            "progress": 100,
            "jobId": requested["jobId"],
            "stage": "done",
            "attempt": 1,
        }
        report = await up.report("lesson-1")
        assert report["checks"]["claims"] > 0
        assert report["checks"]["dropped"] == []
        said = {f"t{number}": message["text"] for number, message in enumerate(session["messages"], start=1)}
        for section in ("topics", "skills", "misconceptions", "strengths", "open_questions"):
            for claim in report[section]:
                for evidence in claim["evidence"]:
                    assert set(evidence["turn_ids"]) <= set(said)
                    quote = evidence["quote"]
                    assert quote is None or any(quote in said[turn] for turn in evidence["turn_ids"])


async def test_progress_only_rises_within_an_attempt_and_shows_the_writing(redis_url: str, database_url: str) -> None:
    async with platform(redis_url, database_url, stub=SLOW) as up:
        await up.import_session(a_session())
        await up.request("lesson-1")
        statuses = await up.until("lesson-1", "completed", "failed")
        percents = [status["progress"] for status in statuses]
        assert percents == sorted(percents)
        assert len({percent for percent in percents if 15 <= percent < 100}) >= 2


async def test_the_same_session_again_is_the_same_job_until_it_changes(redis_url: str, database_url: str) -> None:
    async with platform(redis_url, database_url) as up:
        await up.import_session(a_session())
        first = await up.request("lesson-1")
        again = await up.request("lesson-1")
        assert again["jobId"] == first["jobId"]
        await up.until("lesson-1", "completed")
        assert (await up.request("lesson-1"))["jobId"] == first["jobId"]
        assert len(await up.model_requests()) == 1
        said = {"id": "late", "sender": "student", "text": "One more thing: I like the bars."}
        assert (await up.http.post("/api/sessions/lesson-1/messages", json=said)).status_code == 201
        assert (await up.request("lesson-1"))["jobId"] != first["jobId"]
        await up.until("lesson-1", "completed")
        assert (await up.report("lesson-1"))["version"] == 2


async def test_a_session_with_too_little_said_gets_a_report_that_says_so_without_a_model(
    redis_url: str, database_url: str
) -> None:
    async with platform(redis_url, database_url) as up:
        await up.import_session(a_session(turns=0))
        await up.request("lesson-1")
        await up.until("lesson-1", "completed")
        report = await up.report("lesson-1")
        assert report["basic"]
        assert report["insufficient_evidence"]
        assert await up.model_requests() == []


async def test_failed_tries_are_retried_after_each_back_off_and_the_report_is_made_once(
    redis_url: str, database_url: str
) -> None:
    async with platform(redis_url, database_url) as up:
        # An unusable answer is asked to be put right once, within its try.
        await up.faults("500", "cut", "wrong_schema", "bad_json")
        await up.import_session(a_session())
        await up.request("lesson-1")
        end = (await up.until("lesson-1", "completed", "failed"))[-1]
        assert (end["status"], end["attempt"]) == ("completed", 4)
        rows = await up.rows("SELECT attempt, outcome, input_tokens, ended_at FROM report_attempts ORDER BY attempt")
        assert [row["outcome"] for row in rows] == ["retry", "retry", "retry", "succeeded"]
        assert all(row["ended_at"] for row in rows)
        assert rows[2]["input_tokens"] > 0, "an unusable answer was paid for as well"
        assert len(await up.rows("SELECT id FROM reports")) == 1


async def test_a_report_whose_tries_are_used_up_has_failed_with_its_reason_and_can_be_asked_for_again(
    redis_url: str, database_url: str
) -> None:
    async with platform(redis_url, database_url, retry_backoff_s=(0.05, 0.05, 0.05)) as up:
        await up.faults("500", "eof", "html502", "failed")
        await up.import_session(a_session())
        first = await up.request("lesson-1")
        end = (await up.until("lesson-1", "completed", "failed"))[-1]
        assert end["status"] == "failed"
        assert end["error"].startswith("ModelUnavailable")
        assert (await up.request("lesson-1"))["jobId"] != first["jobId"]
        await up.until("lesson-1", "completed")


async def test_being_told_to_wait_uses_no_try(redis_url: str, database_url: str) -> None:
    async with platform(redis_url, database_url, retry_backoff_s=()) as up:
        await up.faults(*(["429:1"] * 2))
        await up.import_session(a_session())
        await up.request("lesson-1")
        end = (await up.until("lesson-1", "completed", "failed"))[-1]
        assert end["status"] == "completed"
        outcomes = await up.rows("SELECT outcome FROM report_attempts ORDER BY attempt")
        assert [row["outcome"] for row in outcomes] == ["defer", "defer", "succeeded"]


async def test_a_provider_that_asks_to_wait_for_ever_holds_no_report_longer_than_its_patience(
    redis_url: str, database_url: str
) -> None:
    async with platform(redis_url, database_url, patience_s=2, when_model_fails="basic") as up:
        await up.faults(*(["429:1"] * 50))
        await up.import_session(a_session())
        await up.request("lesson-1")
        assert (await up.until("lesson-1", "completed", "failed"))[-1]["status"] == "completed"
        (report,) = await up.rows("SELECT content, upgrade_pending FROM reports")
        assert report["upgrade_pending"], "a model is asked again later"
        outcomes = [row["outcome"] for row in await up.rows("SELECT outcome FROM report_attempts ORDER BY attempt")]
        assert outcomes == ["defer"] * (len(outcomes) - 1) + ["basic"]
        assert 2 <= len(outcomes) <= 4, "the waits double"


async def test_a_refused_call_is_not_tried_again(redis_url: str, database_url: str) -> None:
    async with platform(redis_url, database_url) as up:
        await up.faults("401")
        await up.import_session(a_session())
        await up.request("lesson-1")
        end = (await up.until("lesson-1", "completed", "failed"))[-1]
        assert (end["status"], end["attempt"]) == ("failed", 1)


async def test_each_reader_gets_their_view_and_nobody_elses(redis_url: str, database_url: str) -> None:
    async with platform(redis_url, database_url) as up:
        await up.import_session(a_session())
        await up.request("lesson-1")
        await up.until("lesson-1", "completed")

        async def read(**who: Any) -> tuple[int, dict[str, Any]]:
            headers = {"Authorization": f"Bearer {a_token(**who)}"}
            answer = await up.http.get("/api/reports/session/lesson-1", headers=headers)
            return answer.status_code, answer.json()

        code, parent = await read(role="parent", subject="p1", students=("student",))
        assert code == 200
        assert {"concerns", "tutor_note", "checks"}.isdisjoint(parent["report"])
        assert (await read(role="student", subject="student"))[0] == 200
        assert (await read(role="student", subject="somebody"))[0] == 404
        assert (await read(role="parent", subject="p2", students=("another",)))[0] == 404
        assert (await read(role="staff", tenant="another-school"))[0] == 404


async def test_a_killed_workers_report_is_finished_by_the_next_one_once(redis_url: str, database_url: str) -> None:
    async with platform(redis_url, database_url, stub=SLOW, workers=0) as up:
        await up.import_session(a_session())
        async with worker_process(up.settings) as first:
            await up.request("lesson-1")
            await up.writing("lesson-1")
            first.send(signal.SIGKILL)
            await first.ended()
        assert (await up.status("lesson-1"))["status"] == "active"
        async with worker_process(up.settings):
            await up.until("lesson-1", "completed")
        rows = await up.rows("SELECT attempt, outcome FROM report_attempts ORDER BY attempt")
        assert [row["outcome"] for row in rows] == [None, "succeeded"]
        assert len(await up.rows("SELECT id FROM reports WHERE status = 'succeeded'")) == 1


async def test_a_stalled_workers_late_result_is_refused_and_its_cost_is_booked(
    redis_url: str, database_url: str
) -> None:
    async with platform(redis_url, database_url, stub=SLOW, workers=0) as up:
        await up.import_session(a_session())
        async with worker_process(up.settings) as stalled:
            await up.request("lesson-1")
            await up.writing("lesson-1")
            stalled.send(signal.SIGSTOP)
            async with worker_process(up.settings):
                await up.until("lesson-1", "completed")
                report = await up.report("lesson-1")
                stalled.send(signal.SIGCONT)
                await eventually(lambda: up.rows(LATE))
                assert await up.report("lesson-1") == report
        rows = await up.rows("SELECT outcome FROM report_attempts ORDER BY attempt")
        assert rows[1]["outcome"] == "succeeded"
        assert rows[0]["outcome"] in ("stopped", "superseded")


async def test_a_stopping_worker_finishes_its_report_and_exits_with_0(redis_url: str, database_url: str) -> None:
    async with platform(redis_url, database_url, stub=SLOW, workers=0) as up:
        await up.import_session(a_session())
        async with worker_process(up.settings) as stopping:
            await up.request("lesson-1")
            await up.writing("lesson-1")
            stopping.send(signal.SIGTERM)
            assert await stopping.ended() == 0
        assert (await up.status("lesson-1"))["status"] == "completed"
        assert len(await up.rows("SELECT attempt FROM report_attempts")) == 1
