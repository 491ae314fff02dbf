"""Two real api processes, a Valkey of their own that is killed and stopped, clients on both: nothing lost or doubled.

The properties of a live channel that people rely on. `make test-realtime` runs the long forms.
"""

import asyncio
import signal
from collections.abc import Iterator
from itertools import pairwise
from uuid import UUID

import httpx2
import pytest
from redis import Redis
from tests.faults.servers import TcpValkey
from tests.realtime.processes import ApiProcess, Chatter, all_show, in_lesson, lesson, started
from tests.support.api import STUDENT, TUTOR, Api, api_on, imported, in_transaction, token_for
from tests.support.promises import Promised
from tests.support.sockets import Client
from tests.support.waiting import eventually

from afterbell.adapters.db.reports import rows as reports

pytestmark = pytest.mark.engines


@pytest.fixture
def pods(valkey: TcpValkey, database_url: str) -> Iterator[list[ApiProcess]]:
    made = started(valkey, database_url)
    yield made
    for pod in made:
        pod.end()


@pytest.mark.parametrize(
    "away_s", [2, pytest.param(8, marks=pytest.mark.long), pytest.param(60, marks=pytest.mark.long)]
)
async def test_while_redis_is_dead_no_committed_message_is_lost_and_it_heals_within_three_seconds(
    pods: list[ApiProcess], valkey: TcpValkey, away_s: float, promised: Promised
) -> None:
    session = lesson(pods[0])

    async with in_lesson(session, *pods) as clients:
        chatter = Chatter(clients, 20 if away_s < 60 else 5)
        await asyncio.sleep(1)
        valkey.kill()
        await asyncio.sleep(away_s)
        assert [pod.facts()["realtime"] for pod in pods] == ["degraded", "degraded"]
        assert all(pod.facts()["ready"] for pod in pods)
        valkey.start()
        back = asyncio.get_running_loop().time()
        await eventually(lambda: all(pod.facts()["realtime"] == "ok" for pod in pods))
        promised(f"healed_after_{away_s:g}_s_away", asyncio.get_running_loop().time() - back, 3)
        # Live again, not only by catching up.
        live = len(clients[1].live)
        await clients[1].until(lambda: len(clients[1].live) >= live + 10)
        count = await chatter.stop()
        await all_show(clients, count)
        assert clients[1].events["rt:degraded"][0] == {"degraded": True}
        assert clients[1].events["rt:degraded"][-1] == {"degraded": False}


@pytest.mark.parametrize("hung_s", [3, pytest.param(10, marks=pytest.mark.long)])
async def test_while_redis_hangs_acknowledgements_come_as_ever_and_nothing_is_lost(
    pods: list[ApiProcess], valkey: TcpValkey, hung_s: float, promised: Promised
) -> None:
    session = lesson(pods[0])

    async with in_lesson(session, *pods) as clients:
        chatter = Chatter(clients)
        await asyncio.sleep(1)
        valkey.send(signal.SIGSTOP)
        await asyncio.sleep(hung_s)
        valkey.send(signal.SIGCONT)
        await asyncio.sleep(1)
        count = await chatter.stop()
        promised(f"acknowledged_p99_while_hung_{hung_s:g}_s", chatter.p99_s, 0.3)
        await all_show(clients, count)


async def test_while_redis_restarts_in_the_middle_of_a_job_progress_rises_and_ends_for_watchers_of_both_pods(
    pods: list[ApiProcess], valkey: TcpValkey, database_url: str
) -> None:
    session = lesson(pods[0])

    async with in_lesson(session, *pods) as clients:
        for client in clients:
            assert (await client.ask("report:watch", session=session))["ok"]
        asked = await clients[0].http.post(f"/api/reports/session/{session}")
        report_id = UUID(asked.json()["jobId"].removeprefix("report-"))
        claimed = await in_transaction(database_url, lambda c: reports.claim(c, report_id, "w"))
        for step in range(1, 20):
            await in_transaction(database_url, lambda c, step=step: reports.advance(c, claimed, step * 5, "writing"))
            await asyncio.sleep(0.1)
            if step == 5:
                valkey.kill()
            if step == 15:
                valkey.start()
        await in_transaction(database_url, lambda c: reports.finish(c, claimed, {}, 1))
        for client in clients:
            await client.until(lambda client=client: bool(client.events["report:ready"]))
            shown = [event["progress"] for event in client.events["report:progress"] if event["attempt"] == 1]
            assert shown == sorted(shown)
            assert shown[-1] == 100
            assert len([percent for percent in shown if 25 < percent < 75]) >= 2, "also while Redis was away"


def by_speaker(listener: Client) -> list[list[int]]:
    """The numbers of what came live, for each of the four who spoke, in the order in which it came."""
    heard: list[list[int]] = [[] for _ in range(4)]
    for seq in listener.live:
        heard[int(listener.shown[seq]["text"]) % 4].append(seq)
    return heard


async def test_a_thousand_at_once_are_shown_in_one_order_and_need_few_connections(
    pods: list[ApiProcess], valkey: TcpValkey
) -> None:
    session = lesson(pods[0])

    async with in_lesson(session, pods[0], pods[1], pods[0], pods[1]) as clients:
        await asyncio.gather(*(clients[n % 4].say(f"{n}") for n in range(1_000)))
        await all_show(clients, 1_000)
        for client in clients:
            assert all(heard == sorted(heard) for heard in by_speaker(client)), "one socket's messages came in order"

    with Redis.from_url(valkey.url) as redis:
        assert redis.info("clients")["connected_clients"] - 1 <= 4 * 2


@pytest.mark.parametrize("people", [20, pytest.param(200, marks=pytest.mark.long)])
async def test_a_drained_pod_sends_everybody_to_the_other_and_nobody_misses_a_message(
    valkey: TcpValkey, database_url: str, people: int, promised: Promised
) -> None:
    window_s = 2 if people < 100 else 10
    a, b = started(valkey, database_url, AFTERBELL_DRAIN_WINDOW_SECONDS=str(window_s))
    session = lesson(a)

    balancer = await Balancer.serve([a.port, b.port])
    made = [Client(balancer.url, token_for(**(TUTOR, STUDENT)[n % 2])) for n in range(people)]
    try:
        for client in made:
            await client.connect()
            await client.join(session)
        chatter = Chatter(made[:2], 10)
        balancer.ports = [b.port]  # what a pod that is not ready any more gets
        arrivals: list[int] = []
        counting = asyncio.create_task(count_arrivals(b, arrivals))
        async with httpx2.AsyncClient(timeout=60) as http:
            answer = await http.get(a.internal_url + "/drain")
        counting.cancel()
        assert answer.json()["sent_away"] == people // 2
        a.send(signal.SIGTERM)
        await eventually(lambda: b.facts()["sockets"] >= people, within_s=window_s + 5)
        peak = max(after - before for before, after in pairwise([people // 2, *arrivals, people]))
        promised(f"most_of_{people // 2}_who_came_in_one_second", peak, people / window_s + 2)
        assert await a.ended() == 0
        count = await chatter.stop()
        await all_show(made, count, 20)
    finally:
        await asyncio.gather(*(client.close() for client in made), return_exceptions=True)
        await balancer.close()
        a.end()
        b.end()


async def count_arrivals(pod: ApiProcess, arrivals: list[int]) -> None:
    """Once a second, how many sockets this pod has."""
    while True:
        await asyncio.sleep(1)
        arrivals.append((await asyncio.to_thread(pod.facts))["sockets"])


class Balancer:
    """A TCP proxy that gives each connection to the next port."""

    def __init__(self, ports: list[int]) -> None:
        self.ports = ports
        self._next = 0
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()

    @classmethod
    async def serve(cls, ports: list[int]) -> "Balancer":
        made = cls(ports)
        made._server = await asyncio.start_server(made._link, "127.0.0.1", 0)
        return made

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._links.add(task := asyncio.current_task())  # type: ignore[arg-type]
        self._next += 1
        ends = [writer]
        try:
            up = await asyncio.open_connection("127.0.0.1", self.ports[self._next % len(self.ports)])
            ends.append(up[1])
            await asyncio.gather(_pour(reader, up[1]), _pour(up[0], writer))
        except OSError:
            pass
        except asyncio.CancelledError:
            for end in ends:
                end.transport.abort()  # closing would wait for a peer that may be gone
        finally:
            for end in ends:
                end.close()
            self._links.discard(task)  # type: ignore[arg-type]


async def _pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while piece := await source.read(65_536):
        sink.write(piece)
        await sink.drain()
    sink.close()


@pytest.mark.long
async def test_churned_sockets_leave_nothing_behind(redis_url: str, database_url: str) -> None:
    with api_on(redis_url, database_url) as api:
        with api.client() as client:
            session = imported(client, messages=[])

        async def come_and_go(number: int) -> None:
            client = Client(api.url, token_for(role="staff", subject=f"s-{number}"))
            await client.connect()
            await client.ask("session:join", session=session)
            await client.close()

        async def churn(count: int) -> None:
            for first in range(0, count, 50):
                await asyncio.gather(*(come_and_go(n) for n in range(first, first + 50)))

        await churn(50)
        await asyncio.sleep(27)  # a socket's ping task ends after 25 s
        before = left_behind(api)
        await churn(1_000)
        await eventually(lambda: left_behind(api) == before)
        assert before[:2] == [0, 0]


def left_behind(api: Api) -> list[float]:
    """Sockets, rooms, tasks. (The server asks no client for an acknowledgement, so there are no callbacks.)"""
    lines = httpx2.get(api.internal_url + "/metrics").text.splitlines()
    names = [f"afterbell_realtime_{name} " for name in ("sockets", "rooms", "tasks")]
    return [float(line.split()[1]) for name in names for line in lines if line.startswith(name)]
