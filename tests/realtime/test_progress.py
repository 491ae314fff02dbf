"""Progress: the snapshot first, then what changes, never backwards, the last one always; on every pod, by both ways."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.realtime.conftest import Pods
from tests.support.api import PARENT, in_transaction, token_for
from tests.support.sockets import Client, clients

from afterbell.adapters.db.reports import rows as reports

pytestmark = pytest.mark.engines


def ask(pods: Pods, session: str) -> UUID:
    with pods.a.client() as client:
        answer = client.post(f"/api/reports/session/{session}")
    return UUID(answer.json()["jobId"].removeprefix("report-"))


async def record(pods: Pods, work: Callable[[AsyncConnection], Awaitable[Any]]) -> Any:
    return await in_transaction(pods.a.database_url, work)


async def write_report(pods: Pods, report_id: UUID, *, steps: int = 20, pause_s: float = 0.03) -> None:
    """What a worker does to the record: claim, many small steps, finish."""
    claimed = await record(pods, lambda connection: reports.claim(connection, report_id, "w"))
    for step in range(1, steps):
        await record(pods, lambda c, step=step: reports.advance(c, claimed, step * 100 // steps, "writing"))
        await asyncio.sleep(pause_s)
    await record(pods, lambda c: reports.finish(c, claimed, {}, 1))


def shown(client: Client) -> list[tuple[int, int, int]]:
    return [(event["version"], event["attempt"], event["progress"]) for event in client.events["report:progress"]]


async def test_watchers_on_both_pods_see_it_rise_at_most_five_times_a_second_and_always_end(pods: Pods) -> None:
    session = pods.lesson()

    wanted = (pods.tutor, pods.student, (pods.a.url, token_for(**PARENT)))
    async with clients(*wanted) as watchers:
        for watcher in watchers:
            assert await watcher.ask("report:watch", session=session) == {"ok": True, "report": None}
        report_id = await asyncio.to_thread(ask, pods, session)
        started = asyncio.get_running_loop().time()
        await write_report(pods, report_id)
        for watcher in watchers:
            await watcher.until(lambda watcher=watcher: bool(watcher.events["report:ready"]))
            took_s = asyncio.get_running_loop().time() - started
            assert shown(watcher) == sorted(set(shown(watcher)))
            assert shown(watcher)[-1] == (1, 1, 100)
            assert 3 <= len(shown(watcher)) <= took_s * 5 + 2
            ready = watcher.events["report:ready"][0]
            assert (ready["url"], ready["version"]) == (f"/api/reports/session/{session}", 1)
        late = await watchers[0].ask("report:watch", session=session)
        assert (late["report"]["progress"], late["report"]["status"]) == (100, "completed")


async def test_within_an_attempt_it_never_falls_and_a_failure_is_told(pods: Pods) -> None:
    session = pods.lesson()

    async with clients(pods.tutor) as (tutor,):
        await tutor.ask("report:watch", session=session)
        report_id = await asyncio.to_thread(ask, pods, session)
        claimed = await record(pods, lambda c: reports.claim(c, report_id, "w"))
        await record(pods, lambda c: reports.advance(c, claimed, 65, "writing"))
        await tutor.until(lambda: (1, 1, 65) in shown(tutor))
        await record(pods, lambda c: reports.end_try(c, claimed, "queued", "waits 2 s", "the model was away"))
        await tutor.until(lambda: tutor.events["report:progress"][-1]["status"] == "waiting")
        assert tutor.events["report:progress"][-1]["progress"] == 65
        again = await record(pods, lambda c: reports.claim(c, report_id, "w"))
        await tutor.until(lambda: (1, 2, 0) in shown(tutor))
        await record(pods, lambda c: reports.end_try(c, again, "failed", "failed", "gave up"))
        await tutor.until(lambda: tutor.events["report:progress"][-1]["status"] == "failed")
        assert tutor.events["report:progress"][-1]["error"] == "gave up"
        assert tutor.events["report:ready"] == []


async def stream(url: str, token: str, session: str, **headers: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Every event of a stream until it ends: (id, name, data)."""
    events = []
    async with (
        httpx2.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}", **headers}, timeout=20) as client,
        client.stream("GET", f"/api/reports/session/{session}/events") as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        block: dict[str, str] = {}
        async for line in answer.aiter_lines():
            if line:
                name, _, value = line.partition(": ")
                block[name] = value
            elif "event" in block:
                events.append((block.get("id", ""), block["event"], json.loads(block["data"])))
                block = {}
    return events


async def test_the_stream_gives_the_snapshot_the_changes_and_ends(pods: Pods) -> None:
    session = pods.lesson()
    report_id = ask(pods, session)

    url, token = pods.student
    reading = asyncio.create_task(stream(url, token, session))
    await asyncio.sleep(0.3)
    await write_report(pods, report_id, steps=10, pause_s=0.1)
    events = await asyncio.wait_for(reading, 30)
    progress = [data["progress"] for _, name, data in events if name == "report:progress"]
    assert (progress[0], progress[-1]) == (0, 100)
    assert progress == sorted(progress)
    assert events[-1][1] == "report:ready"
    assert events[-2][0] == "1.1.100"
    assert [name for _, name, _ in await stream(url, token, session)] == ["report:progress", "report:ready"]


async def test_a_stream_taken_up_again_leaves_out_what_its_reader_has_seen_and_nothing_else(pods: Pods) -> None:
    session = pods.lesson()
    report_id = ask(pods, session)

    claimed = await record(pods, lambda connection: reports.claim(connection, report_id, "w"))
    await record(pods, lambda connection: reports.advance(connection, claimed, 40, "writing"))
    seen_it, seen_less = (
        asyncio.create_task(stream(*pods.student, session, **{"Last-Event-ID": last})) for last in ("1.1.40", "1.1.5")
    )
    await asyncio.sleep(0.5)
    await record(pods, lambda connection: reports.advance(connection, claimed, 70, "writing"))
    await asyncio.sleep(0.5)
    await record(pods, lambda connection: reports.finish(connection, claimed, {}, 1))
    rest = ["1.1.70", "1.1.100", ""]
    assert [event_id for event_id, _, _ in await asyncio.wait_for(seen_it, 30)] == rest
    assert [event_id for event_id, _, _ in await asyncio.wait_for(seen_less, 30)] == ["1.1.40", *rest]
    again = await stream(*pods.tutor, session, **{"Last-Event-ID": "1.1.100"})
    assert [name for _, name, _ in again] == ["report:progress", "report:ready"], "the end is always told"


def test_the_stream_is_not_for_strangers_and_there_is_none_without_a_report(pods: Pods) -> None:
    session = pods.lesson()
    with pods.a.client() as client:
        assert client.get(f"/api/reports/session/{session}/events").status_code == 404
    ask(pods, session)
    with pods.a.client(role="student", subject=f"p-{uuid.uuid4().hex}") as client:
        assert client.get(f"/api/reports/session/{session}/events").status_code == 404
    with pods.a.client(token="") as client:
        assert client.get(f"/api/reports/session/{session}/events").status_code == 401
