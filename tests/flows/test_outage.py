"""Half an hour without the provider, on a clock that runs 60 times as fast: it costs delay, not reports."""

import asyncio
import itertools
from datetime import datetime
from typing import Any

import pytest
from tests.support.platform import Platform, a_session, platform

pytestmark = pytest.mark.engines

SPEED = 60
OUTAGE_S = 30 * 60 / SPEED
OPEN_S, OPEN_MAX_S = 30 / SPEED, 600 / SPEED
FAILURES_MIN = 5
OPENED_WITHIN_S = 10
SLOTS = 2 * 5


async def asked(up: Platform, *names: str) -> None:
    for name in names:
        await up.import_session(a_session(name))
    await asyncio.gather(*(up.request(name) for name in names))


def times(requests: list[dict[str, Any]]) -> list[float]:
    return [datetime.fromisoformat(request["time"]).timestamp() for request in requests]


async def test_every_report_asked_for_in_an_outage_is_made_after_it_and_none_twice(
    redis_url: str, database_url: str
) -> None:
    scaled = {"breaker_open_s": OPEN_S, "breaker_open_max_s": OPEN_MAX_S, "breaker_window_s": 60 / SPEED}
    async with platform(redis_url, database_url, workers=2, when_model_fails="basic", **scaled) as up:
        first = [f"before-{number}" for number in range(10)]
        await up.faults(*(["500"] * 999))
        await asked(up, *first)
        later = []
        for number in range(5):
            await asyncio.sleep(OUTAGE_S / 5)
            later.append(f"during-{number}")
            await asked(up, later[-1])
        during = await up.model_requests()
        await up.faults()
        for name in (*first, *later):
            assert (await up.until(name, "completed", "failed", within_s=30))[-1]["status"] == "completed"
        _check_calls(times(during))
        rows = await up.rows("SELECT count(*) AS reports, count(DISTINCT session_id) AS sessions FROM reports")
        assert rows == [{"reports": 15, "sessions": 15}]
        answered = await up.rows("SELECT 1 FROM model_calls WHERE outcome = 'answered'")
        assert len(answered) == 15
        basic = await up.rows("SELECT 1 FROM reports WHERE upgrade_pending OR attempt > 20")
        assert basic == []


def _check_calls(at: list[float]) -> None:
    """The breaker opened, and from then on there was one call an interval, each longer than the last."""
    opened = at[FAILURES_MIN - 1]
    probes = [moment for moment in at if moment > opened + OPEN_S * 0.8]
    under_way = [moment for moment in at if opened < moment <= opened + OPEN_S * 0.8]
    assert len(under_way) <= SLOTS, "calls that had begun before it opened"
    assert opened - at[0] <= OPENED_WITHIN_S
    gaps = [after - before for before, after in itertools.pairwise(probes)]
    expected = [min(OPEN_S * 2**number, OPEN_MAX_S) for number in range(1, len(gaps) + 1)]
    assert all(gap >= least * 0.95 for gap, least in zip(gaps, expected, strict=True)), (gaps, expected)
    assert len(probes) >= 4, "it was asked again and again"
