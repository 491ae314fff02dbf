"""Api processes whose Redis is not there yet, or is not wanted."""

import time

import pytest
from tests.faults.servers import TcpValkey
from tests.realtime.processes import ApiProcess, all_show, in_lesson, lesson, started
from tests.support.waiting import eventually

pytestmark = pytest.mark.engines


async def test_without_redis_at_the_start_pods_are_up_hardly_later_than_with_it_and_heal_without_a_restart(
    valkey: TcpValkey, database_url: str
) -> None:
    began = time.monotonic()
    for pod in started(valkey, database_url):
        pod.end()
    with_redis_s = time.monotonic() - began
    valkey.kill()
    began = time.monotonic()
    pods = started(valkey, database_url)
    try:
        # Most of a start is importing, which takes as long as the machine is busy: so it is the measure.
        assert time.monotonic() - began < 2 * with_redis_s + 5
        assert pods[0].facts()["realtime"] == "degraded"
        session = lesson(pods[0])

        async with in_lesson(session, pods[0], pods[0], pods[1]) as clients:
            await clients[0].say("heard by those on the same pod")
            await clients[1].until(lambda: clients[1].live == [1])
            valkey.start()
            await eventually(lambda: all(pod.facts()["realtime"] == "ok" for pod in pods), within_s=5)
            await clients[0].say("heard by all")
            await clients[2].until(lambda: 2 in clients[2].live)
            await all_show(clients, 2)
    finally:
        for pod in pods:
            pod.end()


async def test_a_single_pod_without_any_redis_holds_the_whole_lesson_and_one_with_it_spares_its_commands(
    valkey: TcpValkey, database_url: str
) -> None:
    (pod,) = started(valkey, database_url, 1, AFTERBELL_LIVE_REDIS_URL="none")
    try:
        await whole_lesson(pod)
        assert pod.metric('afterbell_redis_commands_total{purpose="realtime"') == 0
        valkey.kill()
        assert pod.facts()["ready"]
        assert pod.facts()["realtime"] == "ok"
        await whole_lesson(pod)
    finally:
        pod.end()


async def whole_lesson(pod: ApiProcess) -> None:
    """Presence, typing, chat, history and a report that is asked for, on one pod."""
    session = lesson(pod)
    async with in_lesson(session, pod, pod) as (tutor, student):
        await tutor.until(lambda: any("p-student" in presence["joined"] for presence in tutor.events["presence"]))
        assert (await student.ask("chat:typing", session=session, typing=True))["ok"]
        await tutor.until(lambda: bool(tutor.events["chat:typing"]))
        for number in range(20):
            assert (await (tutor, student)[number % 2].say(f"{number}"))["ok"]
        await all_show([tutor, student], 20)
        assert len((await tutor.ask("chat:history", session=session, limit=5))["messages"]) == 5
        assert (await tutor.ask("report:watch", session=session))["report"] is None
        answer = await tutor.http.post(f"/api/reports/session/{session}")
        assert answer.status_code == 202
        await tutor.until(lambda: bool(tutor.events["report:progress"]))
