"""The bus between pods on a real Valkey that cuts, pauses and refuses: a gap is always told, and nothing stays deaf."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis
from tests.faults.servers import TcpValkey
from tests.support.waiting import eventually
from websockets.protocol import OPEN

from afterbell.adapters.bus import fanout
from afterbell.adapters.bus.fanout import RedisBus
from afterbell.realtime.protocol import WebSockets

pytestmark = pytest.mark.engines
SHARD = 3


class Pod:
    """A bus, what it heard, and how often it turned."""

    def __init__(self, url: str) -> None:
        self.bus = RedisBus(url, "t:")
        self.heard: list[Any] = []
        self.turns: list[bool] = []
        self.on_turn: Callable[[], None] = lambda: None

    def take(self, body: bytes) -> None:
        said = [message for message in orjson.loads(body.partition(b"\n")[2]) if message != ["alive"]]
        if ["break"] in said:
            raise RuntimeError("whoever hears this fails")
        self.heard += said

    def turned(self) -> None:
        self.turns.append(self.bus.connected)
        self.on_turn()

    def say(self, *words: Any) -> None:
        self.bus.publish(SHARD, orjson.dumps(list(words)))


@asynccontextmanager
async def two(url: str) -> AsyncIterator[tuple[Pod, Pod]]:
    pods = Pod(url), Pod(url)
    for pod in pods:
        pod.bus.start(pod.take, pod.turned)
        pod.bus.want({SHARD})
    try:
        for pod in pods:
            await eventually(lambda pod=pod: pod.bus.connected)
            await pod.bus.heard_from(SHARD)
        yield pods
    finally:
        for pod in pods:
            await pod.bus.stop()


@asynccontextmanager
async def two_and_admin(valkey: TcpValkey) -> AsyncIterator[tuple[Pod, Pod, Redis]]:
    """Two pods that hear each other, and a client that may cut them off."""
    async with two(valkey.url) as pods, Redis.from_url(valkey.url) as admin:
        yield *pods, admin


async def test_a_listener_that_is_cut_off_hears_whatever_is_said_after_it_told_of_its_return(valkey: TcpValkey) -> None:
    async with two_and_admin(valkey) as (a, b, admin):
        for number in range(5):
            b.on_turn = lambda number=number: a.say("after", number) if b.bus.connected else None
            await admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            await eventually(lambda number=number: ["after", number] in b.heard)
        assert b.turns == [True] + [False, True] * 5


async def test_a_publisher_that_is_cut_off_says_that_something_was_missed_and_is_back_within_a_second(
    valkey: TcpValkey,
) -> None:
    async with two_and_admin(valkey) as (a, b, admin):
        a.say("first")
        await eventually(lambda: ["first"] in b.heard)
        await admin.execute_command("CLIENT", "KILL", "TYPE", "normal")
        for number in range(100):
            a.say("said", number)
            await asyncio.sleep(0.01)
        await eventually(lambda: ["said", 99] in b.heard)
        numbers = [message[1] for message in b.heard if message[0] == "said"]
        assert numbers == sorted(numbers)
        assert len(numbers) > 80
        assert ["missed", str(SHARD)] in b.heard or len(numbers) == 100


async def test_what_the_queue_cannot_hold_is_told_as_missed(valkey: TcpValkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "QUEUE_MAX", 10)

    async with two_and_admin(valkey) as (a, b, _admin):
        for number in range(50):
            a.say("said", number)
        await eventually(lambda: ["missed", str(SHARD)] in b.heard)
        assert [message[1] for message in b.heard if message[0] == "said"] == list(range(10))


async def test_a_message_nobody_can_take_costs_a_pod_a_moment_and_not_its_hearing(valkey: TcpValkey) -> None:
    async with two_and_admin(valkey) as (a, b, _admin):
        a.say("break")
        await eventually(lambda: b.turns == [True, False, True])
        a.say("afterwards")
        await eventually(lambda: ["afterwards"] in b.heard)


async def test_a_shard_left_and_entered_again_in_one_breath_is_heard_once_it_says_so(valkey: TcpValkey) -> None:
    async with two_and_admin(valkey) as (a, b, admin):
        for number in range(200):
            b.bus.want(set())
            await asyncio.sleep(0.0002 * (number % 7))
            b.bus.want({SHARD})
            await asyncio.sleep(0.0002 * (number % 5))
            b.bus.want({SHARD + 1})
            b.bus.want({SHARD})
            await b.bus.heard_from(SHARD)
            (_, count), *_ = await admin.pubsub_numsub(f"t:rt:{SHARD}")
            assert count == 2, f"round {number}: told that it hears, and does not"
        a.say("heard")
        await eventually(lambda: ["heard"] in b.heard)


async def test_a_shard_that_is_subscribed_too_late_tells_its_own_members_of_the_gap(valkey: TcpValkey) -> None:
    async with two_and_admin(valkey) as (a, b, admin):
        b.bus.want(set())
        await asyncio.sleep(0.1)
        await admin.execute_command("CLIENT", "PAUSE", "4000", "ALL")
        b.bus.want({SHARD})
        began = asyncio.get_running_loop().time()
        await b.bus.heard_from(SHARD)
        assert asyncio.get_running_loop().time() - began < 3.5
        assert ["missed", str(SHARD)] not in b.heard
        await eventually(lambda: ["missed", str(SHARD)] in b.heard)
        a.say("now")
        await eventually(lambda: ["now"] in b.heard)


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})])
async def test_a_frame_for_a_connection_that_has_just_broken_is_left_out_and_stops_nobody() -> None:
    accepted: list[asyncio.BaseTransport] = []

    class Accepting(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted.append(transport)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(Accepting, "127.0.0.1", 0)
    await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
    await eventually(lambda: bool(accepted))
    broken: Any = WebSockets.__new__(WebSockets)
    broken.handshake_complete, broken.close_sent, broken.conn = True, False, SimpleNamespace(state=OPEN)
    broken.transport = accepted[0]
    broken.send_frame(b"\x81\x01x")
    accepted[0].abort()  # type: ignore[attr-defined]
    await asyncio.sleep(0.05)
    broken.send_frame(b"\x81\x01x")
    assert broken.unread_bytes() == 0
    server.close()
