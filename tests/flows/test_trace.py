"""One trace id from the client's request over the record and the worker's log to the model's call."""

import json
import signal

import pytest
from tests.support.platform import a_session, platform, worker_process

pytestmark = pytest.mark.engines
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
GIVEN = f"00-{TRACE}-00f067aa0ba902b7-01"


async def test_a_report_is_one_trace_from_the_request_to_the_model(redis_url: str, database_url: str) -> None:
    async with (
        platform(redis_url, database_url, workers=0) as up,
        worker_process(up.settings, AFTERBELL_LOG_FORMAT="json") as worker,
    ):
        for name, header in (("given", GIVEN), ("own", "nonsense")):
            await up.import_session(a_session(name))
            await up.http.post(f"/api/reports/session/{name}", headers={"traceparent": header})
            await up.until(name, "completed")
        worker.send(signal.SIGTERM)
        await worker.ended()
        said = worker.said()
        rows = await up.rows("SELECT session_id, traceparent FROM reports")
        calls = await up.model_requests()
    traces = {row["session_id"]: row["traceparent"].split("-")[1] for row in rows}
    assert traces["given"] == TRACE
    assert traces["own"] not in (TRACE, "nonsense")
    called = [call["traceparent"] for call in calls]
    assert [header.split("-")[1] for header in called] == [traces["given"], traces["own"]]
    assert GIVEN not in called, "each try is a step of its own"
    lines = [json.loads(line) for line in said.splitlines()]
    assert {line["trace_id"] for line in lines if line["event"] == "try_ended"} == set(traces.values())
