"""Limits are a person's, whatever their sockets do; and what a client calls things stays with the client."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
import websockets
from tests.support.api import STAFF, STUDENT, TUTOR, Api, fresh_api, imported, token_for
from tests.support.waiting import eventually
from websockets.asyncio.client import ClientConnection, connect

from afterbell.dev.engines.engines import EngineUrls

pytestmark = pytest.mark.engines
TUTORS = token_for(**TUTOR)


@pytest.fixture(scope="module")
def api(engine_urls: EngineUrls) -> Iterator[Api]:
    limits = {"sockets_per_user": 3, "streams_per_user": 2, "streams_per_tenant": 3}
    with fresh_api(engine_urls, events_per_s=1, events_burst=10, **limits) as served:
        yield served


@asynccontextmanager
async def opened(api: Api, token: str) -> AsyncIterator[ClientConnection]:
    address = api.url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket"
    async with connect(address, max_size=None, ping_interval=None) as connection:
        assert str(await connection.recv()).startswith("0{")
        await connection.send("40" + json.dumps({"token": token}))
        assert str(await connection.recv()).startswith("40{")
        yield connection


async def asked(connection: ClientConnection, packet: str) -> Any:
    """The acknowledgement to ``packet``, whose number is 1."""
    await connection.send(packet)
    while not (answer := str(await asyncio.wait_for(connection.recv(), 10))).startswith("431"):
        pass
    return json.loads(answer.removeprefix("431"))[0]


def person(role: str = "staff") -> str:
    return token_for(role=role, subject=f"p-{uuid.uuid4().hex}")


def metrics_of(api: Api) -> str:
    return httpx2.get(api.internal_url + "/metrics").text


def sockets_of(api: Api) -> int:
    return int(httpx2.get(api.internal_url + "/readyz").json()["sockets"])


@pytest.mark.parametrize(
    "packet",
    [
        '421["disconnect","mine"]',
        '421["\\u0064isconnect","mine"]',
        '421["connect",{}]',
        "421[5,{}]",
        "421[null]",
        '421[{"a":1},{}]',
        '421["*",{}]',
        '421["",{}]',
    ],
)
async def test_no_name_of_a_client_reaches_the_servers_own_handlers(api: Api, packet: str) -> None:
    async with opened(api, person()) as connection:
        answer = await asked(connection, packet)
        assert (answer["ok"], answer["code"]) == (False, "unknown_event")
        assert (await asked(connection, '421["report:unwatch",{"session":"s"}]'))["ok"], "the socket is still there"
    assert "mine" not in metrics_of(api)


async def test_another_namespace_is_refused_in_words_a_client_can_read(api: Api) -> None:
    async with opened(api, person()) as connection:
        await connection.send("40/custom,")
        answer = str(await asyncio.wait_for(connection.recv(), 10))
        assert answer.startswith("44/custom,")
        assert json.loads(answer.removeprefix("44/custom,"))["data"]["code"] == "unknown_namespace"
        assert (await asked(connection, '421["report:unwatch",{"session":"s"}]'))["ok"]


@pytest.mark.parametrize(("goodbye", "code"), [("41", 1000), ("1", 1000), ("40", 1003), ("40{}", 1003)])
async def test_whoever_says_goodbye_or_comes_in_twice_is_gone_at_once(api: Api, goodbye: str, code: int) -> None:
    async with opened(api, person()) as connection:
        await connection.send(goodbye)
        with suppress(websockets.ConnectionClosed):
            while True:
                await asyncio.wait_for(connection.recv(), 5)
        assert connection.close_code == code
    await eventually(lambda: sockets_of(api) == 0, within_s=5)


async def test_a_person_has_one_allowance_over_all_their_tabs_and_returns(api: Api) -> None:
    token, event = person(), '421["report:unwatch",{"session":"s"}]'
    codes = []
    async with opened(api, token) as first, opened(api, token) as second:
        codes += [(await asked(connection, event)).get("code") for _ in range(4) for connection in (first, second)]
    for _ in range(3):
        async with opened(api, token) as again:
            codes += [(await asked(again, event)).get("code") for _ in range(4)]
    assert codes[:8] == [None] * 8
    assert codes.count("rate_limited") >= 20 - 10 - 6, "10 at once, and one a second"
    async with opened(api, person()) as neighbour:
        assert (await asked(neighbour, event))["ok"]


async def test_acknowledgements_are_as_small_as_what_was_written(api: Api) -> None:
    with api.client() as client:
        said = [{"id": "m1", "sender": "p-tutor", "text": "Дроби и числа" * 20, "at": None}]
        session = imported(client, messages=said)
    async with opened(api, TUTORS) as connection:
        await connection.send(f'421["session:join",{{"session":"{session}"}}]')
        while not (answer := str(await connection.recv())).startswith("431"):
            pass
        assert "Дроби" in answer
        assert "\\u" not in answer


async def test_the_longest_message_fits_into_a_frame_however_a_client_writes_it(api: Api) -> None:
    with api.client() as client:
        session = imported(client, messages=[])
    async with opened(api, token_for(**STUDENT)) as connection:
        assert (await asked(connection, f'421["session:join",{{"session":"{session}"}}]'))["ok"]
        message = {"session": session, "id": uuid.uuid4().hex, "text": "\U0001f600" * 8_000}
        assert (await asked(connection, "421" + json.dumps(["chat:send", message], ensure_ascii=True)))["ok"]


async def test_the_time_of_a_message_is_the_servers_but_for_who_imports(api: Api) -> None:
    with api.client() as client:
        session = imported(client, messages=[])
    before = datetime.now(UTC) - timedelta(seconds=1)
    for who in (STUDENT, TUTOR):
        with api.client(**who) as client:
            for at in ("2099-01-01T00:00:00Z", "1970-01-01T00:00:00Z", None):
                body = {"id": uuid.uuid4().hex, "text": "on time", "at": at}
                answer = client.post(f"/api/sessions/{session}/messages", json=body)
                assert answer.status_code == 201
                assert before <= datetime.fromisoformat(answer.json()["at"]) <= datetime.now(UTC)
    with api.client(**STAFF) as client:
        body = {"id": "old", "sender": "p-tutor", "text": "said elsewhere", "at": "2026-03-03T16:01:00Z"}
        answer = client.post(f"/api/sessions/{session}/messages", json=body)
        assert answer.json()["at"].startswith("2026-03-03T16:01:00")


async def test_nobody_takes_the_streams_of_progress_of_everybody_else(api: Api) -> None:
    with api.client() as client:
        session = imported(client)
        assert client.post(f"/api/reports/session/{session}").status_code == 202
    path = f"/api/reports/session/{session}/events"

    async def status(stack: AsyncExitStack, token: str) -> int:
        http = await stack.enter_async_context(httpx2.AsyncClient(base_url=api.url, timeout=20))
        headers = {"Authorization": f"Bearer {token}"}
        stream = await stack.enter_async_context(http.stream("GET", path, headers=headers))
        return int(stream.status_code)

    token = token_for(**STUDENT)
    async with AsyncExitStack() as stack:
        assert sorted([await status(stack, token) for _ in range(4)]) == [200, 200, 429, 429]
        assert await status(stack, TUTORS) == 200, "another person of the tenant"
        assert await status(stack, person()) == 429, "the tenant has three"

    async def is_free() -> bool:
        async with AsyncExitStack() as stack:
            return await status(stack, token) == 200

    await eventually(is_free)


async def test_a_stream_of_progress_ends_with_its_token(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afterbell.api.reports.event_stream.LEEWAY_S", 0)
    with api.client() as client:
        session = imported(client)
        client.post(f"/api/reports/session/{session}")
    headers = {"Authorization": f"Bearer {token_for(**TUTOR, lifetime=timedelta(seconds=2))}"}
    async with (
        httpx2.AsyncClient(base_url=api.url, headers=headers, timeout=20) as http,
        http.stream("GET", f"/api/reports/session/{session}/events") as stream,
    ):
        assert stream.status_code == 200
        async with asyncio.timeout(10):
            lines = [line async for line in stream.aiter_lines()]
        assert any(line.startswith("data") for line in lines)


async def test_what_was_told_before_an_acknowledgement_is_in_it(api: Api) -> None:
    """Read literally: ``online`` of the acknowledgement, then every ``presence`` in the order of arrival."""
    with api.client() as client:
        people = [{"id": f"q{n}", "role": "student" if n else "tutor", "display_name": "S"} for n in range(12)]
        session = imported(client, messages=[], participants=people)
    shown: dict[int, set[str]] = {}

    async def come(number: int) -> None:
        role = "student" if number else "tutor"
        async with opened(api, token_for(role=role, subject=f"q{number}")) as connection:
            await connection.send(f'421["session:join",{{"session":"{session}"}}]')
            while not all_are_shown.is_set():
                packet = str(await asyncio.wait_for(connection.recv(), 10))
                if packet.startswith("431"):
                    shown[number] = set(json.loads(packet.removeprefix("431"))[0]["online"])
                elif packet.startswith('42["presence"'):
                    change = json.loads(packet.removeprefix("42"))[1]
                    shown[number] = (shown.get(number, set()) | set(change["joined"])) - set(change["left"])
                if sum(len(people) for people in shown.values()) == 12 * 12:
                    all_are_shown.set()
                    for other in others:
                        other.cancel()

    all_are_shown = asyncio.Event()
    others = [asyncio.create_task(come(number)) for number in range(12)]
    async with asyncio.timeout(20):
        await all_are_shown.wait()
    await asyncio.gather(*others, return_exceptions=True)
