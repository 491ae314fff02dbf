"""Every fault of the stub, by both APIs: what class it is, how many tries it takes, how long is waited, how it ends."""

from typing import Any

import pytest
from tests.support.platform import Platform, a_session, platform

from afterbell.adapters.models import failures
from afterbell.dev.stub.faults import KINDS

pytestmark = pytest.mark.engines

RETRY_S, TOLD_S, ATTEMPT_S = 0.1, 1.0, 1.5
AWAY = (("model_unavailable", "answered"), ("retry", "succeeded"), RETRY_S, "completed")
REPAIRED = (("answered", "answered"), ("succeeded",), 0.0, "completed")
WAIT = (("model_told_to_wait", "answered"), ("defer", "succeeded"), TOLD_S, "completed")
SET_UP = (("model_misconfigured",), ("dead",), 0.0, "failed")
MATRIX: dict[str, tuple[tuple[str, ...], tuple[str, ...], float, str]] = {
    # the calls in the books, what became of each try, the wait between two, how the report ends
    "ok": (("answered",), ("succeeded",), 0.0, "completed"),
    "500": AWAY,
    "503": WAIT,
    "html502": AWAY,
    "html200": AWAY,
    "429": WAIT,
    "429:1": WAIT,
    "429ms:1000": WAIT,
    "429date:2": WAIT,
    "401": SET_UP,
    "404_model": SET_UP,
    "insufficient_quota": SET_UP,
    "400_context": (("model_input_too_long", *["answered"] * 7), ("succeeded",), 0.0, "completed"),
    "refusal": (("model_declined",), ("dead",), 0.0, "failed"),
    "incomplete": (("model_answer_unusable", "answered"), ("retry", "succeeded"), RETRY_S, "completed"),
    "failed": AWAY,
    "bad_json": REPAIRED,
    "wrong_schema": REPAIRED,
    "invented_turns": REPAIRED,
    "obey": (("answered",), ("succeeded",), 0.0, "completed"),
    "error_event": AWAY,
    "cut": AWAY,
    "eof": AWAY,
    "twice": (("answered",), ("succeeded",), 0.0, "completed"),
    "stall:5": AWAY,
    "trickle": AWAY,
}
CALLS = """SELECT outcome FROM model_calls JOIN reports ON reports.id = report_id
           WHERE session_id = '{}' ORDER BY model_calls.started_at"""
TRIES = """SELECT outcome, report_attempts.started_at, ended_at FROM report_attempts
           JOIN reports ON reports.id = report_id WHERE session_id = '{}' ORDER BY report_attempts.attempt"""


def test_the_matrix_has_every_fault_there_is() -> None:
    assert {name.partition(":")[0] for name in MATRIX} == KINDS


@pytest.mark.parametrize("api", ["responses", "chat"])
async def test_each_fault_has_its_class_attempts_waits_and_end(
    redis_url: str, database_url: str, api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "WAIT_DEFAULT_S", TOLD_S)  # 20 s, where the provider names no time

    settings: dict[str, Any] = {
        "llm_api": api,
        "attempt_timeout_s": ATTEMPT_S,
        "breaker_failures": 99,
        "breaker_open_max_s": 0.1,
        "retry_backoff_s": (RETRY_S,) * 2,
    }
    async with platform(redis_url, database_url, **settings) as up:
        ends = {fault: await _faulted(up, fault, number) for number, fault in enumerate(MATRIX)}
        assert ends == MATRIX
        assert {request["api"] for request in await up.model_requests()} == {api}
        assert await up.rows("SELECT 1 FROM reports WHERE status NOT IN ('succeeded', 'failed')") == []
        assert await up.rows("SELECT 1 FROM model_calls WHERE outcome IS NULL") == []


async def _faulted(up: Platform, fault: str, number: int) -> tuple[tuple[str, ...], tuple[str, ...], float, str]:
    name = f"lesson-{number}"
    await up.faults(fault)
    await up.import_session(a_session(name))
    await up.request(name)
    end = (await up.until(name, "completed", "failed", within_s=30))[-1]["status"]
    await up.faults()
    calls, tries = await up.rows(CALLS.format(name)), await up.rows(TRIES.format(name))
    outcomes = tuple(attempt["outcome"] for attempt in tries)
    return tuple(call["outcome"] for call in calls), outcomes, _waited(tries, MATRIX[fault][2]), end


def _waited(tries: list[dict[str, Any]], expected_s: float) -> float:
    """The wait as the matrix has it, where it was no shorter and not much longer."""
    if len(tries) < 2:
        return 0.0
    waited_s = (tries[1]["started_at"] - tries[0]["ended_at"]).total_seconds()
    return expected_s if expected_s * 0.95 <= waited_s <= expected_s + 1.5 else waited_s
