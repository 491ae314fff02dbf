"""An api pod that the operator counts: it says how many sockets it has, empties itself when asked, and comes back."""

import asyncio
import itertools
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.realtime.conftest import Serve
from tests.support.api import Api, token_for
from tests.support.sockets import clients
from tests.support.waiting import eventually

from afterbell.adapters.bus import fanout
from afterbell.adapters.bus.api_pods import ApiPods
from afterbell.adapters.bus.fanout import RedisBus
from afterbell.adapters.db.changes import Changes
from afterbell.adapters.db.database import Database
from afterbell.adapters.queue.keys import QueueKeys
from afterbell.adapters.queue.subscription import Subscriber
from afterbell.adapters.redis.connections import connect
from afterbell.core.errors import StoreUnavailable
from afterbell.core.live.heartbeat import DRAIN_KEPT_S, PodHeartbeat, heartbeat_in
from afterbell.dev.engines.engines import EngineUrls
from afterbell.realtime.drain import UNREADY_S, Drain
from afterbell.realtime.heartbeat_sender import HeartbeatSender
from afterbell.realtime.report_feed import ReportFeed
from afterbell.realtime.rooms import Rooms

NAME = "afterbell-api-7d4b9c6f5-x2x4z"


@given(st.builds(PodHeartbeat, st.text(max_size=20), st.integers(0, 9_999), st.integers(1, 9_999), st.booleans()))
def test_a_sign_of_life_is_read_as_it_was_meant(sign: PodHeartbeat) -> None:
    assert heartbeat_in(sign.words) == sign


@pytest.mark.parametrize("words", [[], ["pod"], ["pod", 1, 2], ["pod", "1", 2, True], [1, 2, 3, True], ["p", 1, 2, 3]])
def test_a_sign_of_another_version_is_none(words: list[object]) -> None:
    assert heartbeat_in(words) is None


@pytest.mark.parametrize(
    ("sockets", "draining", "news"),
    [(100, False, False), (104, False, False), (105, False, True), (95, False, True), (100, True, True)],
)
def test_a_twentieth_of_what_a_pod_takes_is_news(sockets: int, draining: bool, news: bool) -> None:
    signs = [PodHeartbeat("pod", 100, 100, False), PodHeartbeat("pod", sockets, 100, draining)]
    telling = HeartbeatSender(lambda: signs[0])
    assert not telling.has_news, "nothing was told yet: the first heartbeat is on its way"
    telling.words()
    signs.pop(0)
    assert telling.has_news is news


def test_while_sockets_are_sent_away_every_one_is_news() -> None:
    signs = [PodHeartbeat("pod", 100, 2_000, True), PodHeartbeat("pod", 99, 2_000, True)]
    telling = HeartbeatSender(lambda: signs[0])
    telling.words()
    signs.pop(0)
    assert telling.has_news


async def test_a_drain_that_nobody_repeats_ends_by_itself_and_one_for_good_never_does() -> None:
    url = "postgresql://nobody@127.0.0.1:1/none"

    database = Database(url, pool_size=1)
    drain = Drain(Rooms(), ReportFeed(database, Changes(url)), 1.0)
    drain.asked(wanted=True, now=100.0)
    drain.asked(wanted=True, now=150.0)
    drain.tick(150.0 + DRAIN_KEPT_S)
    assert drain.under_way, "it was repeated a minute ago"
    drain.tick(150.1 + DRAIN_KEPT_S)
    assert not drain.under_way
    drain.asked(wanted=True, now=300.0)
    await drain.for_good(0.0)
    drain.tick(1_000.0)
    drain.asked(wanted=False, now=1_000.0)
    assert drain.under_way
    await database.close()


class Listener:
    """The operator's subscriber and mouth; ``signs`` is what was heard."""

    def __init__(self, pods: ApiPods) -> None:
        self.pods = pods
        self.signs: list[PodHeartbeat] = []
        self.lost: list[StoreUnavailable] = []
        self.token = ""

    def heard(self, token: str, sign: PodHeartbeat) -> None:
        self.token = token
        self.signs.append(sign)

    async def until(self, holds: Callable[[PodHeartbeat], bool], within_s: float) -> float:
        """Wait until the newest sign is so; seconds it took."""
        began = time.monotonic()
        await eventually(
            lambda: self.signs and holds(self.signs[-1]), lambda: f"a sign: {self.signs[-3:]}", within_s=within_s
        )
        return time.monotonic() - began


@asynccontextmanager
async def listening(api: Api) -> AsyncIterator[Listener]:
    client = connect(api.redis_url)
    subscriber = Subscriber(client)
    subscriber.start()
    listener = Listener(ApiPods(client, subscriber, QueueKeys(api.queue)))
    await listener.pods.subscribe(listener.heard, listener.lost.append)
    try:
        yield listener
    finally:
        await subscriber.stop()
        await client.aclose()


@pytest.mark.engines
async def test_a_counted_pod_tells_its_sockets_empties_itself_when_asked_and_comes_back(serve: Serve) -> None:
    with serve(sockets_max=40, drain_window_s=1, pod_name=NAME) as api:
        numbers = itertools.count()
        async with listening(api) as operator, httpx2.AsyncClient(base_url=api.internal_url) as internal:

            def people(count: int) -> list[tuple[str, str]]:
                return [(api.url, token_for(role="staff", subject=f"s-{next(numbers)}")) for _ in range(count)]

            await operator.until(lambda sign: sign == PodHeartbeat(NAME, 0, 40, False), 30)
            async with clients(*people(6)) as first:
                await operator.until(lambda sign: sign.sockets == 6, 30)
                assert await operator.pods.ask(operator.token, "drain")
                await operator.until(lambda sign: sign.draining, 20)
                assert (await internal.get("/readyz")).status_code == 503
                async with clients(*people(1)) as late:
                    assert late[0].sio.connected, "until load balancers know, nobody is refused"
                    await operator.until(lambda sign: sign.sockets == 0, UNREADY_S + 30)
                    assert late[0].events["server:draining"]
                assert all(client.events["server:draining"] for client in first)
                assert await operator.pods.ask(operator.token, "undrain")
                await operator.until(lambda sign: not sign.draining, 20)
                assert (await internal.get("/readyz")).status_code == 200
                await operator.until(lambda sign: sign.sockets == 6, 40)
        assert operator.lost == []


@pytest.mark.engines
async def test_news_does_not_wait_for_the_next_heartbeat(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "HEARTBEAT_EVERY_S", 3_600.0)

    with serve(sockets_max=40, pod_name=NAME) as api:
        people = [(api.url, token_for(role="staff", subject=f"s-{n}")) for n in range(6)]
        async with listening(api) as operator, clients(*people):
            await operator.until(lambda sign: sign.sockets == 6, 30)


@pytest.mark.engines
async def test_a_process_that_is_gone_hears_nothing_and_the_operator_learns_that(serve: Serve) -> None:
    with serve() as api:
        async with listening(api) as operator:
            assert not await operator.pods.ask("0123456789ab", "drain")


@pytest.mark.engines
async def test_alone_a_counted_pod_speaks_without_taking_itself_for_deaf_and_another_keeps_silent(
    engine_urls: EngineUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout, "HEARTBEAT_EVERY_S", 0.1)
    monkeypatch.setattr(fanout, "DEAF_AFTER_S", 1.5)
    url, keys = engine_urls.redis_url or "", QueueKeys(f"t{uuid.uuid4().hex}")

    heard: Counter[bytes] = Counter()
    turns: list[bool] = []
    counted, other = RedisBus(url, keys.prefix), RedisBus(url, keys.prefix)
    client = connect(url)
    subscriber = Subscriber(client)
    subscriber.start()

    def count(message: bytes | StoreUnavailable | None) -> None:
        if isinstance(message, bytes):
            heard[message.partition(b"\n")[0]] += 1

    await subscriber.subscribe(fanout.channel_of_pods(keys.prefix), count)
    counted.start(lambda _: None, lambda: turns.append(counted.connected), lambda: [NAME, 0, 9, False])
    other.start(lambda _: None, lambda: None)
    await eventually(lambda: heard[counted.pod.encode()] >= 20)
    assert heard[other.pod.encode()] <= 1, "the first one, by which it learns that it can speak"
    assert turns == [True]
    await asyncio.gather(subscriber.stop(), counted.stop(), other.stop(), client.aclose(), return_exceptions=True)
