"""What sockets may not do: nothing before a token, nothing foreign, too fast, too large, too slow or unreadable."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import httpx2
import jwt
import pytest
import socketio
import websockets
from structlog.testing import capture_logs
from tests.realtime.conftest import Serve
from tests.support.api import SECRET, STAFF, STUDENT, TUTOR, Api, fresh_api, imported, token_for
from tests.support.promises import Promised
from tests.support.sockets import Client, clients
from tests.support.waiting import eventually
from websockets.asyncio.client import ClientConnection, connect

from afterbell.dev.engines.engines import EngineUrls

pytestmark = pytest.mark.engines
TUTORS = token_for(**TUTOR)


@pytest.fixture(scope="module")
def api(engine_urls: EngineUrls) -> Iterator[Api]:
    with fresh_api(engine_urls, sockets_max=30, rooms_per_socket=3, drain_window_s=1) as served:
        yield served


def lesson(api: Api) -> str:
    with api.client() as client:
        return imported(client, messages=[])


def raw(api: Api, **options: Any) -> Any:
    address = api.url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket"
    return connect(address, max_size=None, **options)


async def code_of(connection: ClientConnection, within_s: float = 5) -> int:
    """The code the server closed with; 1006 where it only cut the connection."""
    async with asyncio.timeout(within_s):
        try:
            while True:
                await connection.recv()
        except websockets.ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006


async def everything(connection: ClientConnection) -> list[str]:
    """What comes until the server closes."""
    answers = []
    try:
        while True:
            answers.append(str(await asyncio.wait_for(connection.recv(), 5)))
    except websockets.ConnectionClosed:
        return answers


async def opened(connection: ClientConnection, token: str = TUTORS) -> None:
    """Past the handshake and the token."""
    assert str(await connection.recv()).startswith("0{")
    await connection.send("40" + json.dumps({"token": token}))
    assert str(await connection.recv()).startswith("40{")


def unsigned() -> str:
    claims = {"sub": "p-tutor", "tenant": "school", "role": "tutor", "exp": 4_000_000_000}
    return jwt.encode(claims, None, algorithm="none")


@pytest.mark.parametrize(
    "auth",
    [
        None,
        {},
        {"token": ""},
        {"token": 5},
        {"token": "forged"},
        {"token": unsigned()},
        {"token": TUTORS[:-3] + "abc"},
        {"token": token_for(**TUTOR, lifetime=timedelta(seconds=-60))},
    ],
)
async def test_without_a_token_that_holds_nobody_comes_in(api: Api, auth: Any) -> None:
    client = socketio.AsyncClient(reconnection=False)
    refusals: list[Any] = []
    client.on("connect_error", refusals.append)
    with pytest.raises(socketio.exceptions.ConnectionError):
        await client.connect(api.url, transports=["websocket"], auth=auth, wait_timeout=3)
    assert [refusal["data"]["code"] for refusal in refusals if isinstance(refusal, dict)] == ["unauthenticated"]
    await client.shutdown()


async def test_nothing_is_sent_and_nothing_is_done_before_the_token(api: Api) -> None:
    session = lesson(api)

    async with raw(api) as silent, clients((api.url, TUTORS)) as (tutor,):
        assert str(await silent.recv()).startswith("0{")
        await silent.send('421["session:join",{"session":"' + session + '"}]')
        await tutor.join(session)
        await tutor.say("for those who are in")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(silent.recv(), 0.5)


async def test_a_connection_that_never_shows_a_token_is_closed_within_twelve_seconds(
    api: Api, promised: Promised
) -> None:
    started = time.monotonic()
    async with raw(api) as silent:
        assert await code_of(silent, 60) == 1008
    assert time.monotonic() - started > 9
    promised("closed_without_token", time.monotonic() - started, 12)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("garbage", 1003),
        ("", 1003),
        (b"\x00\x01", 1003),
        ("2probe", 1003),
        ("4", 1003),
        ("4x", 1003),
        ("42", 1003),
        ("42{}", 1003),
        ("42[", 1003),
        ('42["chat:send"', 1003),
        ('451-["chat:send",{"_placeholder":true,"num":0}]', 1003),
        ("4" + "[" * 5000, 1003),
        ('42["x","' + "x" * 1_000_000 + '"]', 1009),
    ],
)
async def test_garbage_closes_the_socket_that_sent_it_and_no_other(api: Api, frame: str | bytes, code: int) -> None:
    session = lesson(api)

    async with clients((api.url, TUTORS)) as (tutor,), raw(api) as bad:
        await tutor.join(session)
        await opened(bad)
        await bad.send(frame)
        assert await code_of(bad) == code
        assert (await tutor.say("unharmed"))["ok"]


def flood(session: str) -> list[str]:
    return [f'42{n}["chat:typing",{{"session":"{session}","typing":true}}]' for n in range(400)]


@pytest.mark.parametrize(
    "frames",
    [
        lambda _session: ["garbage"],
        lambda _session: [b"\x00\x01"],
        lambda session: ['42["chat:send",{"session":"' + session + '","id":"1","text":"' + "x" * 1_000_000 + '"}]'],
        lambda session: ['42["chat:send",{"session":"' + session + '","id":"1","text":"no end'],
        flood,
    ],
)
async def test_whoever_is_cut_off_is_logged_once_and_has_stored_nothing(api: Api, frames: Any) -> None:
    session = lesson(api)

    with capture_logs() as lines:
        async with raw(api) as bad:
            await opened(bad)
            await bad.send(f'421["session:join",{{"session":"{session}"}}]')
            await bad.recv()
            with suppress(websockets.ConnectionClosed):
                for frame in frames(session):
                    await bad.send(frame)
            await code_of(bad)
    assert len([line for line in lines if line["log_level"] != "debug"]) <= 1, lines
    with api.client() as client:
        assert client.get(f"/api/sessions/{session}/messages").json()["messages"] == []


async def test_invalid_utf8_is_refused(api: Api) -> None:
    async with raw(api) as bad:
        await opened(bad)
        await bad.send(b"4\xff\xfe", text=True)
        assert await code_of(bad) in (1006, 1007)


async def test_long_polling_foreign_pages_and_foreign_namespaces_are_refused(api: Api) -> None:
    polling = api.url + "/socket.io/?EIO=4&transport=polling"
    assert httpx2.get(polling).text.startswith("0{")
    assert httpx2.post(polling + "&sid=none", content=b"x").text == "ok"
    refusal = json.loads(httpx2.get(polling + "&sid=none").text.removeprefix("44"))
    assert refusal["data"]["code"] == "websocket_only"

    with pytest.raises(websockets.InvalidStatus, match="403"):
        await raw(api, origin="https://evil.example")
    async with raw(api, origin=api.url) as own:
        await opened(own)
    async with raw(api) as other:
        await other.recv()
        await other.send("40/admin," + json.dumps({"token": TUTORS}))
        assert str(await other.recv()).startswith("44/admin,")


async def test_a_flood_is_throttled_with_a_code_then_closed_and_its_neighbour_feels_nothing(
    api: Api, promised: Promised
) -> None:
    session = lesson(api)

    async with clients((api.url, token_for(**STUDENT))) as (neighbour,), raw(api) as flooder:
        await neighbour.join(session)
        await opened(flooder, token_for(role="staff", subject="flooder"))
        for number in range(400):
            await flooder.send(f'42{number}["chat:typing",{{"session":"{session}","typing":true}}]')
        slowest_s = 0.0
        for number in range(8):
            started = time.monotonic()
            assert (await neighbour.say(f"{number}"))["ok"]
            slowest_s = max(slowest_s, time.monotonic() - started)
        answers = await everything(flooder)
        codes = [json.loads(answer[answer.index("[") :])[0]["code"] for answer in answers if answer.startswith("43")]
        assert codes.count("not_joined") in range(20, 30)
        assert codes.count("rate_limited") in range(90, 110)
        assert flooder.close_code == 1008
        promised("neighbour_of_a_flood", slowest_s, 0.15)


@pytest.mark.parametrize("answers_pings", [True, False])
async def test_a_reader_that_stops_reading_is_cut_off_and_the_others_are_served(api: Api, answers_pings: bool) -> None:
    session = lesson(api)

    stalled = socket.create_connection(("127.0.0.1", int(api.url.rpartition(":")[2])))
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader = token_for(role="staff", subject=f"reader-{answers_pings}")
    async with raw(api, sock=stalled) as slow, clients((api.url, reader)) as (tutor,):
        await opened(slow)
        await slow.send(f'421["session:join",{{"session":"{session}"}}]')
        await slow.recv()
        await tutor.join(session)
        slow.transport.pause_reading()
        before = sockets_of(api)
        for number in range(450):
            await tutor.sio.emit("chat:history", {"session": session})
            with api_post(api) as post:
                post(session, f"{number}-" + "x" * 7_000)
            if answers_pings and number % 50 == 0:
                await slow.send("3")
            if sockets_of(api) < before:
                break
        else:
            pytest.fail("the slow reader is still there")
        await tutor.until(lambda: tutor.last > 0)
        stalled.close()


def sockets_of(api: Api) -> int:
    return int(httpx2.get(api.internal_url + "/readyz").json()["sockets"])


class api_post:  # noqa: N801
    """Messages by REST, which no bucket throttles."""

    def __init__(self, api: Api) -> None:
        self._client = api.client()

    def __enter__(self) -> Any:
        return self._post

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def _post(self, session: str, text: str) -> None:
        answer = self._client.post(f"/api/sessions/{session}/messages", json={"sender": "p-tutor", "text": text})
        assert answer.status_code == 201


async def test_there_is_a_limit_to_rooms_to_sockets_of_a_user_and_to_sockets_of_a_process(api: Api) -> None:
    sessions = [lesson(api) for _ in range(4)]

    token = token_for(role="staff", subject="many")
    async with clients((api.url, token)) as (tutor,):
        answers = [await tutor.ask("session:join", session=session) for session in sessions]
        assert [answer["ok"] for answer in answers] == [True, True, True, False]
        assert answers[3]["code"] == "too_many_rooms"
        async with clients(*[(api.url, token)] * 9):
            with pytest.raises(socketio.exceptions.ConnectionError):
                await Client(api.url, token, reconnection=False).connect()
    many = [(api.url, token_for(role="staff", subject=f"s-{number}")) for number in range(30)]
    async with clients(*many):
        with pytest.raises(websockets.InvalidStatus, match="503"):
            await raw(api)

    await eventually(lambda: sockets_of(api) == 0)


async def test_an_expired_token_ends_a_live_socket_and_a_fresh_one_keeps_it(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afterbell.realtime.server.EXPIRED_GRACE_S", 1.0)

    with serve(jwt_secret=SECRET) as api:
        short = token_for(**TUTOR, lifetime=timedelta(seconds=2))
        async with clients((api.url, short), (api.url, short)) as (leaves, stays):
            await stays.until(lambda: bool(stays.events["auth:expiring"]))
            assert stays.events["auth:expiring"][0]["expiresInMs"] <= 2_000
            answer = await stays.ask("auth:refresh", token=TUTORS)
            assert answer["ok"]
            assert answer["expiresAt"].endswith("Z")
            assert (await stays.ask("auth:refresh", token=token_for(**STAFF)))["code"] == "forbidden"
            await leaves.until(lambda: bool(leaves.events["auth:expired"]))
            await eventually(lambda: not leaves.sio.connected)
            assert stays.sio.connected


async def test_drain_tells_when_to_come_back_and_sends_everybody_away(serve: Serve) -> None:
    with serve(drain_window_s=1) as api:
        wanted = [(api.url, token_for(role="staff", subject=f"s-{number}")) for number in range(20)]
        async with clients(*wanted) as everybody:
            async with httpx2.AsyncClient() as http:
                answer = await http.post(api.internal_url + "/drain", timeout=10)
                assert answer.json() == {"draining": True, "sent_away": 20}
                ready = await http.get(api.internal_url + "/readyz")
                assert (ready.status_code, ready.json()["realtime"]) == (503, "draining")
            for client in everybody:
                (draining,) = client.events["server:draining"]
                assert 0 <= draining["retryInMs"] <= 1_000
            with pytest.raises(websockets.InvalidStatus, match="503"):
                await raw(api)
        await eventually(lambda: sockets_of(api) == 0)


async def test_a_client_of_the_old_protocol_is_told_what_to_change(api: Api) -> None:
    length, _, packets = httpx2.get(api.url + "/socket.io/?EIO=3&transport=polling").text.partition(":")
    assert packets[0] == "0"
    assert packets[int(length) :].partition(":")[2].startswith('44{"code":"protocol_too_old"')
    address = api.url.replace("http", "ws") + "/socket.io/?EIO=3&transport=websocket"
    async with connect(address) as old:
        assert str(await old.recv()).startswith("0{")
        assert json.loads(str(await old.recv()).removeprefix("44"))["code"] == "protocol_too_old"
        assert await code_of(old) == 1003


@pytest.mark.parametrize("written", ["https://app.example", "https://App.Example/", " HTTPS://app.example:443 ,x://y"])
async def test_pages_of_an_allowed_origin_use_rest_streams_and_sockets_and_others_none(
    serve: Serve, written: str
) -> None:
    with serve(allowed_origins=written) as api:
        path = f"/api/sessions/{lesson(api)}/messages"
        for origin, allowed in (("https://app.example", True), ("https://evil.example", False)):
            asks = {"Origin": origin, "Access-Control-Request-Method": "GET"}
            preflight = httpx2.options(
                api.url + path, headers=asks | {"Access-Control-Request-Headers": "authorization"}
            )
            assert (preflight.status_code == 200) is allowed
            for answer in (
                httpx2.get(api.url + path, headers={"Origin": origin, "Authorization": f"Bearer {TUTORS}"}),
                httpx2.get(api.url + path, headers={"Origin": origin}),
                httpx2.get(api.url + "/socket.io/?EIO=4&transport=polling", headers={"Origin": origin}),
            ):
                shown_to = answer.headers.get("access-control-allow-origin")
                assert shown_to == (origin if allowed else None), answer.text
            if allowed:
                async with raw(api, origin=origin) as connection:
                    await opened(connection)
            else:
                with pytest.raises(websockets.InvalidStatus, match="403"):
                    await raw(api, origin=origin)
