"""The bill, on the real parts: what the books say is what the provider says."""

import json
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs
from tests.support.platform import Platform, a_session, platform
from tests.support.waiting import eventually

pytestmark = pytest.mark.engines

INPUT_USD, OUTPUT_USD = Decimal("3.70"), Decimal("11.30")  # a million tokens
CENT = Decimal("0.01")


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    path = tmp_path / "prices.json"
    stub = {"model": "afterbell-stub", "input": float(INPUT_USD), "output": float(OUTPUT_USD)}
    path.write_text(json.dumps({"version": "of-this-test", "models": [stub]}))
    return path


def billed_platform(redis_url: str, database_url: str, **settings: Any) -> AbstractAsyncContextManager[Platform]:
    return platform(redis_url, database_url, model="afterbell-stub", **settings)


async def billed(up: Platform) -> Decimal:
    """What the provider's own log of tokens comes to."""
    usages = [entry["usage"] for entry in await up.model_requests() if entry["usage"]]
    return sum(
        (usage["input_tokens"] * INPUT_USD + usage["output_tokens"] * OUTPUT_USD) / 1_000_000 for usage in usages
    ) or Decimal(0)


async def made(up: Platform, *names: str, state: str = "completed") -> None:
    for name in names:
        await up.import_session(a_session(name))
        await up.request(name)
    for name in names:
        assert (await up.until(name, "completed", "failed"))[-1]["status"] == state


async def test_the_ledger_equals_the_providers_own_token_log_failed_and_thrown_away_calls_included(
    redis_url: str, database_url: str, prices: Path
) -> None:
    async with billed_platform(
        redis_url, database_url, prices=prices, retry_backoff_s=(0.05,) * 12, breaker_failures=99
    ) as up:
        await up.faults(
            "ok",
            "500",
            "cut",
            "wrong_schema",
            "ok",
            "failed",
            "bad_json",
            "eof",
            "incomplete",
            "error_event",
            "429:1",
            "html502",
            "ok",
        )
        for number in range(3):
            await made(up, f"lesson-{number}")
        # The second call puts right what the first invented; both are paid for.
        await up.faults("invented_turns", "ok", "ok", "ok", "refusal")
        await made(up, "lesson-3", "lesson-4", "lesson-5")
        await made(up, "lesson-6", state="failed")
        calls = await up.rows("SELECT * FROM model_calls")
        requests = await up.model_requests()
        assert len(calls) == len(requests)
        assert {call["client_request_id"] for call in calls} == {request["client_request_id"] for request in requests}
        assert all(call["price_version"] == "of-this-test" for call in calls)
        total = sum(call["cost_usd"] for call in calls)
        assert total == await billed(up) > CENT
        (everybody,) = await up.rows("SELECT * FROM budget_ledger WHERE tenant_id = '' AND period = 'day'")
        assert (everybody["spent_usd"], everybody["reserved_usd"]) == (total, 0)
        assert {call["outcome"] for call in calls} >= {"answered", "model_unavailable", "model_told_to_wait"}
        estimated = [call["request_id"] for call in calls if call["estimated"]]
        assert estimated == [
            request["request_id"] for request in requests if request["fault"] in {"cut", "eof", "error_event"}
        ]


async def test_each_mark_of_a_budget_is_told_once_and_from_80_percent_on_as_an_error(
    redis_url: str, database_url: str, prices: Path
) -> None:
    budget = Decimal("0.45")
    async with billed_platform(
        redis_url, database_url, prices=prices, budget_day_usd=budget, output_tokens_max=1500
    ) as up:
        before = {mark: _marks(mark) for mark in ("50", "80", "100")}
        with capture_logs() as lines:
            for number in range(45):  # one after the other: what is reserved for others at the moment leaves less room
                await made(up, f"lesson-{number}")
        (day,) = await up.rows("SELECT * FROM budget_ledger WHERE tenant_id = '' AND period = 'day'")
        passed = [mark for mark in (50, 80, 100) if day["spent_usd"] * 100 >= budget * mark]
        assert passed[:2] == [50, 80], "what is left over is less than a call can cost"
        logged = [(line["percent"], line["log_level"]) for line in lines if line["event"] == "budget_passed"]
        assert logged == [(mark, "error" if mark >= 80 else "warning") for mark in passed]
        assert {mark for mark in before if _marks(mark) == before[mark] + 1} == {str(mark) for mark in passed}


def _marks(percent: str) -> float:
    labels = {"period": "day", "whose": "all", "percent": percent}
    return REGISTRY.get_sample_value("afterbell_budget_marks_total", labels) or 0.0


async def test_a_worker_warns_at_its_start_of_a_model_that_ends_within_60_days(
    redis_url: str, database_url: str
) -> None:
    # Its date is 2027-01-14, which the clock of this test may be past: then it has ended, and is warned of as well.
    chain = {"model": "gpt-6-luna", "fallback_model": "gpt-4o-mini"}
    with capture_logs() as lines:
        async with platform(redis_url, database_url, **chain):
            pass
    (line,) = [line for line in lines if line["event"] == "model_ends"]
    assert (line["model"], line["shutdown"], line["log_level"]) == ("gpt-4o-mini", "2027-01-14", "warning")
    ends = REGISTRY.get_sample_value("afterbell_model_shutdown_timestamp_seconds", {"model": "gpt-4o-mini"})
    assert ends == datetime(2027, 1, 14, tzinfo=UTC).timestamp()


async def test_no_money_for_a_call_makes_a_basic_report_that_waits_for_better_days(
    redis_url: str, database_url: str, prices: Path
) -> None:
    async with billed_platform(redis_url, database_url, prices=prices, budget_day_usd=Decimal("0.0001")) as up:
        await made(up, "lesson-1", "lesson-2")
        assert (await up.report("lesson-1"))["basic"]
        assert await up.model_requests() == []
        rows = await up.rows("SELECT upgrade_pending FROM reports")
        assert [row["upgrade_pending"] for row in rows] == [True, True]
        (attempt, _) = await up.rows("SELECT outcome, error FROM report_attempts")
        assert attempt["outcome"] == "basic"
        assert attempt["error"].startswith("BudgetSpent: the day budget of all tenants")


async def test_a_report_may_wait_for_the_next_period_instead(redis_url: str, database_url: str, prices: Path) -> None:
    async with billed_platform(
        redis_url, database_url, prices=prices, tenant_budget_month_usd=Decimal("0.0001"), budget_spent="wait"
    ) as up:
        await up.import_session(a_session())
        await up.request("lesson-1")
        await eventually(lambda: up.rows("SELECT 1 FROM reports WHERE status = 'deferred'"))
        assert await up.model_requests() == []


async def test_many_workers_at_once_spend_no_more_than_the_budget(
    redis_url: str, database_url: str, prices: Path
) -> None:
    budget = Decimal("0.10")
    async with billed_platform(redis_url, database_url, prices=prices, workers=4, budget_day_usd=budget) as up:
        await made(up, *(f"lesson-{number}" for number in range(24)))
        (day,) = await up.rows("SELECT * FROM budget_ledger WHERE tenant_id = '' AND period = 'day'")
        assert 0 < day["spent_usd"] <= budget
        assert day["reserved_usd"] == 0
        assert await billed(up) == day["spent_usd"]
        basic = await up.rows("SELECT 1 FROM reports WHERE upgrade_pending")
        assert 0 < len(basic) < 24


async def test_a_model_without_a_price_is_not_called_where_that_is_forbidden(redis_url: str, database_url: str) -> None:
    async with platform(redis_url, database_url, model="nobodys-model", unknown_price="block") as up:
        await made(up, "lesson-1", state="failed")
        assert "has no price for model" in (await up.status("lesson-1"))["error"]
        assert await up.model_requests() == []


async def test_the_second_model_is_asked_where_the_first_is_not_set_up(redis_url: str, database_url: str) -> None:
    async with billed_platform(redis_url, database_url, fallback_model="second") as up:
        await up.faults("404_model")
        await made(up, "lesson-1")
        assert [request["model"] for request in await up.model_requests()] == ["afterbell-stub", "second"]
        calls = await up.rows("SELECT model, outcome FROM model_calls ORDER BY started_at")
        assert [call["outcome"] for call in calls] == ["model_misconfigured", "answered"]


@pytest.mark.parametrize(("fault", "upgrade"), [("500", True), ("401", True), ("refusal", False)])
async def test_a_report_no_model_writes_becomes_a_basic_one(
    redis_url: str, database_url: str, fault: str, upgrade: bool
) -> None:
    async with billed_platform(redis_url, database_url, when_model_fails="basic", retry_backoff_s=(0.05,)) as up:
        await up.faults(fault, fault)
        await made(up, "lesson-1")
        assert (await up.report("lesson-1"))["basic"]
        (row,) = await up.rows("SELECT upgrade_pending FROM reports")
        assert row["upgrade_pending"] is upgrade
