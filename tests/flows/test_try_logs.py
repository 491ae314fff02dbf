"""A try's log lines are kept with it, for a report that succeeds and for tries that fail."""

import pytest
from tests.support.platform import a_session, platform, worker_process

pytestmark = pytest.mark.engines


async def test_each_try_keeps_its_own_lines(redis_url: str, database_url: str) -> None:
    async with platform(redis_url, database_url, workers=0) as up, worker_process(up.settings):
        await up.faults("500")
        await up.import_session(a_session())
        await up.request("lesson-1")
        await up.until("lesson-1", "completed")
        failed, succeeded = await up.rows("SELECT attempt, outcome, log FROM report_attempts ORDER BY attempt")
    assert [failed["outcome"], succeeded["outcome"]] == ["retry", "succeeded"]
    events = [line["event"] for line in failed["log"]]
    assert events == ["try_started", "session_prepared", "model_failed"]
    assert failed["log"][2]["then"] == "retry"
    events = [line["event"] for line in succeeded["log"]]
    assert events == ["try_started", "session_prepared", "model_answered", "report_checked"]
    assert all({"timestamp", "level"} <= set(line) and "session_id" not in line for line in succeeded["log"])
