"""A basic report that a model should have written is written anew when one can be had, and stands until then."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.support.platform import Platform, a_session, platform
from tests.support.waiting import eventually

from afterbell.core.report.report import STUB_MODEL

pytestmark = pytest.mark.engines
VERSIONS = "SELECT version, status, upgrade_pending, requested_by FROM reports ORDER BY version"
QUICK: dict[str, Any] = {
    "when_model_fails": "basic",
    "retry_backoff_s": (0.05,),
    "sweep_s": 0.1,
    "pending_s": 0,
    "upgrade_s": 0.3,
    "breaker_open_s": 0.1,
    "breaker_open_max_s": 0.2,
}


def upgrading(redis_url: str, database_url: str, **settings: Any) -> AbstractAsyncContextManager[Platform]:
    return platform(redis_url, database_url, **QUICK | settings)


async def basic(up: Platform) -> None:
    await up.import_session(a_session())
    await up.request("lesson-1")
    await up.until("lesson-1", "completed")
    assert (await up.report("lesson-1"))["provenance"]["model"] is None


async def versions(up: Platform, wanted: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    async def rows_as_wanted() -> list[dict[str, Any]] | None:
        rows = await up.rows(VERSIONS)
        return rows if wanted(rows) else None

    return await eventually(rows_as_wanted) or []


async def asked_times(up: Platform, least: int) -> bool:
    return len(await up.model_requests()) >= least


def is_upgraded(rows: list[dict[str, Any]]) -> bool:
    return len(rows) == 2 and rows[1]["status"] == "succeeded"


@pytest.mark.parametrize("fault", ["500", "401", "404_model"])
async def test_after_an_outage_a_basic_report_is_followed_by_a_models(
    redis_url: str, database_url: str, fault: str
) -> None:
    async with upgrading(redis_url, database_url) as up:
        await up.faults(fault, fault)
        await basic(up)
        await up.faults()
        rows = await versions(up, is_upgraded)
        assert [row["upgrade_pending"] for row in rows] == [False, False]
        report = await up.report("lesson-1")
        assert (report["version"], report["provenance"]["model"]) == (2, STUB_MODEL)
        await asyncio.sleep(1)  # some more sweeps
        assert len(await up.rows(VERSIONS)) == 2


async def test_while_no_model_can_be_had_the_basic_report_stands_and_no_version_fails(
    redis_url: str, database_url: str
) -> None:
    async with upgrading(redis_url, database_url) as up:
        await up.faults(*["401"] * 999)
        await basic(up)
        await eventually(lambda: asked_times(up, 4))
        assert (await up.report("lesson-1"))["version"] == 1
        assert await up.rows("SELECT 1 FROM reports WHERE status = 'failed'") == []
        assert await up.rows("SELECT 1 FROM model_calls WHERE outcome = 'answered'") == []
        await up.faults()
        await versions(up, is_upgraded)


async def test_a_session_the_model_declines_stays_with_its_basic_report(redis_url: str, database_url: str) -> None:
    async with upgrading(redis_url, database_url) as up:
        await up.faults("401", "refusal")
        await basic(up)
        rows = await versions(up, lambda rows: [row["upgrade_pending"] for row in rows] == [False])
        assert [row["version"] for row in rows] == [1]
        assert [request["fault"] for request in await up.model_requests()] == ["401", "refusal"]


async def test_where_the_budget_was_spent_the_better_version_waits_for_money(
    redis_url: str, database_url: str, tmp_path: Path
) -> None:
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({"version": "v", "models": [{"model": STUB_MODEL, "input": 3.7, "output": 11.3}]}))

    async with upgrading(
        redis_url, database_url, prices=prices, model=STUB_MODEL, budget_day_usd=Decimal("0.0001")
    ) as up:
        await basic(up)
        rows = await versions(up, lambda rows: len(rows) == 2 and rows[1]["status"] == "deferred")
        assert rows[1]["requested_by"] == "afterbell:upgrade"
        assert await up.model_requests() == []
        assert (await up.report("lesson-1"))["version"] == 1
