"""The views of workers and of limits: on real stores, over HTTP and as they are drawn."""

import asyncio
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from rich.console import Console
from tests.api.test_admin_api import admin, asked, cleared
from tests.support.api import Api, fresh_api
from tests.support.queue import breaker_of
from tests.support.waiting import until

from afterbell.adapters.db import costs
from afterbell.adapters.db.costs import CallEnded, CallToOpen
from afterbell.adapters.queue.redis_queue import Queue
from afterbell.cli.admin import rendering
from afterbell.core.money.budgets import Budgets
from afterbell.dev.engines.engines import EngineUrls

pytestmark = pytest.mark.engines
WHY = {"reason": "trying it"}


@pytest.fixture(scope="module")
def api(engine_urls: EngineUrls) -> Iterator[Api]:
    with fresh_api(
        engine_urls, model_requests_per_minute=60, budget_day_usd=Decimal(20), tenant_budget_month_usd=Decimal(5)
    ) as served:
        yield served


def drawn(what: Any) -> str:
    screen = Console(width=200, force_terminal=False)
    with screen.capture() as captured:
        screen.print(what)
    return captured.get()


def test_workers_are_seen_busy_idle_drained_and_gone(api: Api) -> None:
    with admin(api) as client:
        assert client.get("/admin/workers").json()["workers"] == []
        assert drawn(rendering.workers(client.get("/admin/workers").json(), wide=False)) == "no workers\n"
        asked(api)
        until(lambda: api.jobs(lambda queue: queue.stats()).waiting == 1)
        client.post("/admin/workers/pod-c/drain", json=WHY)

        async def look(queue: Queue) -> dict[str, Any]:
            async with queue._client.pubsub() as channels:
                await channels.subscribe(queue.keys.wakeup("pod-a-00000001"), queue.keys.wakeup("pod-b-00000002"))
                assert len((await queue.poll("pod-a-00000001", 1)).grants) == 1
                await queue.poll("pod-b-00000002", 3)
                await queue.poll("pod-d-00000004", 3)
                return dict((await asyncio.to_thread(client.get, "/admin/workers")).json())

        shown = api.jobs(look)
        busy, idle, gone = shown["workers"]
        assert (busy["name"], busy["pod"], busy["jobs"], busy["idle"]) == ("pod-a-00000001", "pod-a", 1, False)
        assert busy["renewed_ms_ago"] < 5000
        assert (idle["jobs"], idle["idle"], idle["there"], idle["renewed_ms_ago"]) == (0, True, True, None)
        assert (gone["name"], gone["there"]) == ("pod-d-00000004", False)
        assert shown["drained_unseen"] == ["pod-c"]
        rows = [line.split()[:3] for line in drawn(rendering.workers(shown, wide=True)).splitlines()[1:]]
        assert rows == [
            ["pod-a-00000001", "busy", "1"],
            ["pod-b-00000002", "idle", "0"],
            ["pod-d-00000004", "gone", "0"],
            ["pod-c", "drained", "0"],
        ]
        cleared(client)


def test_limits_show_what_is_allowed_beside_what_has_been_used(api: Api) -> None:
    budgets, today = Budgets(tenant_month_usd=Decimal(5)), datetime.now(UTC).date()

    async def spend(connection: Any) -> None:
        job_id = asked_before.removeprefix("report-")
        call = CallToOpen("school", uuid.UUID(job_id), 1, "small-1", "c-1", Decimal("0.5"))
        opened = await costs.open_call(connection, call, budgets, today=today)
        await costs.close_call(connection, opened, CallEnded("ok", cost_usd=Decimal("0.25")), budgets)

    with admin(api) as client:
        asked_before = asked(api)
        api.record(spend)
        api.jobs(lambda queue: breaker_of(queue).apply("ask", "small-1", "c-1", 700, 60, 0, 0, 60_000))
        api.jobs(lambda queue: breaker_of(queue).apply("wait", "other/model", 20_000, 1, 0, 0))
        shown = client.get("/admin/limits").json()
        assert shown["limiter"]["starts_max"] == 10
        assert shown["held_ms"] > 15_000
        assert [(breaker["model"], breaker["trips"]) for breaker in shown["breakers"]] == [("other/model", 0)]
        assert shown["quotas"]["used"] == [{"model": "small-1", "requests": 1, "tokens": 700, "in_flight": 1}]
        held = {
            (budget["tenant_id"], budget["period"]): (Decimal(budget["spent_usd"]), budget["limit_usd"])
            for budget in shown["budgets"]
        }
        quarter = Decimal("0.25")
        assert held == {
            (None, "day"): (quarter, "20"),
            (None, "month"): (quarter, None),
            ("school", "day"): (quarter, None),
            ("school", "month"): (quarter, "5"),
        }
        spent = client.get("/admin/costs").json()
        assert (spent["since"], spent["calls"], Decimal(spent["cost_usd"])) == (today.isoformat(), 1, quarter)
        (line,) = spent["lines"]
        assert (line["tenant_id"], line["model"], line["calls"], line["reports"]) == ("school", "small-1", 1, 1)
        before = shown["commands"]["today"]
        assert client.get("/admin/limits").json()["commands"]["today"] == before, "looking changes nothing"
        text = drawn(rendering.limits(shown, wide=False))
        for words in ("requests per minute  small-1", "the provider asked to wait", "5 USD", "no limit", "each 60 s"):
            assert words in text
        api.jobs(lambda queue: breaker_of(queue).apply("ok", "other/model"))
        cleared(client)


def test_a_viewer_may_look_at_both_and_nobody_without_a_token(api: Api) -> None:
    for path in ("/admin/workers", "/admin/limits"):
        with admin(api, "viewer") as client:
            assert client.get(path).status_code == 200
            assert client.get(path, headers={"Authorization": ""}).status_code == 401
