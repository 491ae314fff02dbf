"""The bus between pods on a real Valkey that cuts, pauses and refuses: a gap is always told, and nothing stays deaf."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
import uvloop
from redis.asyncio import Redis
from tests.faults.servers import TcpValkey
from websockets.protocol import OPEN

from afterbell.adapters.redis import fanout
from afterbell.adapters.redis.fanout import RedisBus
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
        said = [one for one in orjson.loads(body.partition(b"\n")[2]) if one != ["alive"]]
        if ["break"] in said:
            raise RuntimeError("whoever hears this fails")
        self.heard += said

    def turned(self) -> None:
        self.turns.append(self.bus.connected)
        self.on_turn()

    def say(self, *words: Any) -> None:
        self.bus.publish(SHARD, orjson.dumps(list(words)))


async def until(holds: Callable[[], bool], within_s: float = 7) -> None:
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def two(url: str) -> AsyncIterator[tuple[Pod, Pod]]:
    pods = Pod(url), Pod(url)
    for one in pods:
        one.bus.start(one.take, one.turned)
        one.bus.want({SHARD})
    try:
        for one in pods:
            await until(lambda one=one: one.bus.connected)
            await one.bus.heard_from(SHARD)
        yield pods
    finally:
        for one in pods:
            await one.bus.stop()


def on_two(valkey: TcpValkey, work: Callable[[Pod, Pod, Redis], Awaitable[None]]) -> None:
    async def run() -> None:
        async with two(valkey.url) as pods, Redis.from_url(valkey.url) as admin:
            await work(*pods, admin)

    asyncio.run(run())


def test_a_listener_that_is_cut_off_hears_whatever_is_said_after_it_told_of_its_return(valkey: TcpValkey) -> None:
    async def work(a: Pod, b: Pod, admin: Redis) -> None:
        for number in range(5):
            b.on_turn = lambda number=number: a.say("after", number) if b.bus.connected else None
            await admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            await until(lambda number=number: ["after", number] in b.heard)
        assert b.turns == [True] + [False, True] * 5

    on_two(valkey, work)


def test_a_publisher_that_is_cut_off_says_that_something_was_missed_and_is_back_within_a_second(
    valkey: TcpValkey,
) -> None:
    async def work(a: Pod, b: Pod, admin: Redis) -> None:
        a.say("first")
        await until(lambda: ["first"] in b.heard)
        await admin.execute_command("CLIENT", "KILL", "TYPE", "normal")
        for number in range(100):
            a.say("said", number)
            await asyncio.sleep(0.01)
        await until(lambda: ["said", 99] in b.heard)
        numbers = [one[1] for one in b.heard if one[0] == "said"]
        assert numbers == sorted(numbers)
        assert len(numbers) > 80
        assert ["missed", str(SHARD)] in b.heard or len(numbers) == 100

    on_two(valkey, work)


def test_what_the_queue_cannot_hold_is_told_as_missed(valkey: TcpValkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "QUEUE_MAX", 10)

    async def work(a: Pod, b: Pod, _admin: Redis) -> None:
        for number in range(50):
            a.say("said", number)
        await until(lambda: ["missed", str(SHARD)] in b.heard)
        assert [one[1] for one in b.heard if one[0] == "said"] == list(range(10))

    on_two(valkey, work)


def test_a_message_nobody_can_take_costs_a_pod_a_moment_and_not_its_hearing(valkey: TcpValkey) -> None:
    async def work(a: Pod, b: Pod, _admin: Redis) -> None:
        a.say("break")
        await until(lambda: b.turns == [True, False, True])
        a.say("afterwards")
        await until(lambda: ["afterwards"] in b.heard)

    on_two(valkey, work)


def test_a_shard_left_and_entered_again_in_one_breath_is_heard_once_it_says_so(valkey: TcpValkey) -> None:
    async def work(a: Pod, b: Pod, admin: Redis) -> None:
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
        await until(lambda: ["heard"] in b.heard)

    on_two(valkey, work)


def test_a_shard_that_is_subscribed_too_late_tells_its_own_members_of_the_gap(valkey: TcpValkey) -> None:
    async def work(a: Pod, b: Pod, admin: Redis) -> None:
        b.bus.want(set())
        await asyncio.sleep(0.1)
        await admin.execute_command("CLIENT", "PAUSE", "4000", "ALL")
        b.bus.want({SHARD})
        began = asyncio.get_running_loop().time()
        await b.bus.heard_from(SHARD)
        assert asyncio.get_running_loop().time() - began < 3.5
        assert ["missed", str(SHARD)] not in b.heard
        await until(lambda: ["missed", str(SHARD)] in b.heard)
        a.say("now")
        await until(lambda: ["now"] in b.heard)

    on_two(valkey, work)


def test_a_frame_for_a_connection_that_has_just_broken_is_left_out_and_stops_nobody() -> None:
    async def run() -> None:
        accepted: list[asyncio.BaseTransport] = []

        class Accepting(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                accepted.append(transport)

        loop = asyncio.get_running_loop()
        server = await loop.create_server(Accepting, "127.0.0.1", 0)
        await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
        await until(lambda: bool(accepted))
        broken: Any = WebSockets.__new__(WebSockets)
        broken.handshake_complete, broken.close_sent, broken.conn = True, False, SimpleNamespace(state=OPEN)
        broken.transport = accepted[0]
        broken.send_frame(b"\x81\x01x")
        accepted[0].abort()  # type: ignore[attr-defined]
        await asyncio.sleep(0.05)
        broken.send_frame(b"\x81\x01x")
        assert broken.unread_bytes() == 0
        server.close()

    uvloop.run(run())
