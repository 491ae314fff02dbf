"""A child's disclosure reaches the staff at once, on the real parts: whoever writes the report, or nobody."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from standardwebhooks import Webhook
from tests.support.platform import Platform, a_session, a_token, platform, worker_process
from tests.support.receiver import Receiver, receiver
from tests.support.waiting import eventually

pytestmark = pytest.mark.engines

OUTRIGHT = "I could not do it because my dad hit me again so I hid in my room."
TOPICS = ["hint", "violence"]
ROUNDABOUT = "Every time my phone rings I think it is him and I shake."


def told_session(**more: Any) -> dict[str, Any]:
    session = a_session() | more
    praised = {"sender": "tutor", "text": "Exactly, that is right, well done."}
    for number, said in ((9, OUTRIGHT), (11, ROUNDABOUT)):
        session["messages"].append({"id": f"m{number}", "sender": "student", "text": said})
        session["messages"].append({"id": f"m{number + 1}"} | praised)
    return session


def raised(topic: str) -> float:
    return REGISTRY.get_sample_value("afterbell_report_concerns_total", {"topic": topic}) or 0.0


async def subscribed(up: Platform, staff: Receiver) -> str:
    headers = {"Authorization": f"Bearer {a_token(role='admin', subject='boss')}"}
    body = {"url": staff.url, "events": ["concern.raised"]}
    answer = await up.http.post("/api/webhooks", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["secret"])


async def families_read(up: Platform) -> str:
    pages = []
    for who in (
        {"role": "parent", "subject": "p", "students": ("student",)},
        {"role": "student", "subject": "student"},
    ):
        headers = {"Authorization": f"Bearer {a_token(**who)}"}
        pages.append((await up.http.get("/api/reports/session/lesson-1", headers=headers)).text)
    return "\n".join(pages)


@pytest.mark.parametrize("written_by", ["a model", "nobody outside", "no model", "no budget"])
async def test_the_staff_hear_of_it_and_no_family_reads_it(
    redis_url: str, database_url: str, tmp_path: Path, written_by: str
) -> None:
    prices = tmp_path / "prices.json"
    prices.write_text(
        json.dumps({"version": "here", "models": [{"model": "afterbell-stub", "input": 3.0, "output": 9.0}]})
    )
    settings: dict[str, Any] = {"webhook_allow": "127.0.0.1", "when_model_fails": "basic", "model": "afterbell-stub"}
    if written_by == "no budget":
        settings |= {"prices": prices, "budget_day_usd": Decimal("0.0001")}
    before = [raised(topic) for topic in TOPICS]
    async with receiver() as staff, platform(redis_url, database_url, **settings) as up:
        secret = await subscribed(up, staff)
        if written_by == "no model":
            await up.faults(*["500"] * 8)
        await up.import_session(told_session(ai_processing_allowed=written_by != "nobody outside"))
        await up.request("lesson-1")
        await staff.until(1)
        heard = Webhook(secret).verify(staff.got[0].body, staff.got[0].headers)
        assert (heard["type"], heard["data"]["sessionId"]) == ("concern.raised", "lesson-1")
        await up.until("lesson-1", "completed")
        assert bool(await up.model_requests()) is (written_by in ("a model", "no model"))
        quoted = [
            evidence["quote"]
            for concern in (await up.report("lesson-1"))["concerns"]
            for evidence in concern["evidence"]
        ]
        read = await families_read(up) + staff.got[0].body.decode()
        for said in (OUTRIGHT, ROUNDABOUT):
            assert said in quoted
            assert said not in read
        assert [raised(topic) for topic in TOPICS] == [count + 1 for count in before]
    assert len(staff.got) == 1


async def test_a_fresh_workers_log_of_the_try_names_topics_and_turns(redis_url: str, database_url: str) -> None:
    async with platform(redis_url, database_url, workers=0) as up, worker_process(up.settings):
        await up.import_session(told_session())
        await up.request("lesson-1")
        await up.until("lesson-1", "completed")
        assert await logged(up) == (str(TOPICS), "['t9', 't11']")


async def logged(up: Platform) -> tuple[str, str]:
    """What is kept of it beside the try: the topics and turns of the first try's log line."""

    async def ended() -> list[Any]:
        return await up.rows("SELECT log FROM report_attempts WHERE attempt = 1 AND log IS NOT NULL")

    await eventually(ended)
    (row,) = await ended()
    (line,) = [line for line in row["log"] if line["event"] == "concern_raised"]
    return line["topics"], line["turns"]
