"""Tokens signed with the platform's keys: fetched once, kept through outages, and no other signature holds."""

import asyncio
import json
import threading
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from tests.support.api import SECRET, api_on
from tests.support.sockets import Client

from afterbell.api.auth.bearer import Unauthenticated
from afterbell.api.auth.signing_keys import KeysUnavailable, KeyVerifier, SigningKeys

KEYS: dict[str, Any] = {
    "RS256": rsa.generate_private_key(public_exponent=65_537, key_size=2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
STRANGER = ec.generate_private_key(ec.SECP256R1())
WRITERS: dict[str, Any] = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}
NOW = datetime.now(UTC).timestamp()


def published(*names: str) -> dict[str, Any]:
    """Key ids are the algorithms' names."""
    keys = [
        json.loads(WRITERS[name].to_jwk(KEYS[name].public_key())) | {"kid": name, "alg": name, "use": "sig"}
        for name in names
    ]
    return {"keys": keys}


class Platform:
    """The platform's server of keys; ``answer`` is what it says, None a 500."""

    def __init__(self) -> None:
        self.answer: Any = published("RS256", "ES256", "EdDSA")
        self.asked = 0
        platform = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                platform.asked += 1
                self.send_response(500 if platform.answer is None else 200)
                self.end_headers()
                answer = platform.answer
                self.wfile.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/jwks.json"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def platform() -> Iterator[Platform]:
    server = Platform()
    yield server
    server.close()


def signed(key: Any = None, algorithm: str = "ES256", kid: str | None = None, **changes: Any) -> str:
    claims = {"sub": "boss", "tenant": "school", "role": "staff", "exp": 4_000_000_000} | changes
    headers = {"kid": algorithm if kid is None else kid}
    return jwt.encode(claims, key or KEYS[algorithm], algorithm=algorithm, headers=headers)


@asynccontextmanager
async def within(platform: Platform, **options: float) -> AsyncIterator[KeyVerifier]:
    """A verifier that reads the platform's keys."""
    keys = SigningKeys(platform.url, **options)
    try:
        yield KeyVerifier(keys, None, None)
    finally:
        await keys.aclose()


async def test_every_kind_of_key_holds_and_many_at_once_cost_one_fetch(platform: Platform) -> None:
    async with within(platform) as verifier:
        tokens = [signed(algorithm=name, sub=f"{name}-{number}") for name in KEYS for number in range(20)]
        checked = await asyncio.gather(*(verifier.check(token, NOW) for token in tokens))
        assert {caller.subject for caller, _ in checked} == {f"{name}-{n}" for name in KEYS for n in range(20)}
        assert platform.asked == 1


@pytest.mark.parametrize(
    "token",
    [
        jwt.encode({"sub": "b", "tenant": "s", "role": "admin", "exp": 4e9}, SECRET, headers={"kid": "ES256"}),
        jwt.encode({"sub": "b", "tenant": "s", "role": "admin", "exp": 4e9}, None, "none", headers={"kid": "ES256"}),
        signed(STRANGER),
        signed(KEYS["RS256"], "RS256", kid="ES256"),
        signed(KEYS["RS256"], "RS512", kid="RS256"),
        signed(exp=1),
        signed(role="king"),
        "garbage",
        urlsafe_b64encode(b'{"alg":["RS256"]}').decode() + ".e30.x",
    ],
    ids=["secret", "unsigned", "stranger", "other kid", "other algorithm", "expired", "role", "garbage", "alg list"],
)
async def test_no_other_signature_holds(platform: Platform, token: str) -> None:
    async with within(platform) as verifier:
        with pytest.raises(Unauthenticated):
            await verifier.check(token, NOW)


async def test_made_up_key_ids_cause_one_fetch_and_a_new_key_is_found_by_the_next(platform: Platform) -> None:
    async with within(platform, refetch_s=0.25) as verifier:
        await verifier.check(signed(), NOW)
        for number in range(20):
            with pytest.raises(Unauthenticated, match="does not publish"):
                await verifier.check(signed(kid=f"made-up-{number}"), NOW)
        assert platform.asked == 1  # within the pause after the first
        await asyncio.sleep(0.3)
        platform.answer = published("RS256")
        assert (await verifier.check(signed(algorithm="RS256"), NOW))[0].subject == "boss"
        with pytest.raises(Unauthenticated):  # asked for anew, and the key is withdrawn
            await verifier.check(signed(kid="unknown"), NOW)
        with pytest.raises(Unauthenticated):
            await verifier.check(signed(), NOW)


async def test_known_keys_hold_while_their_server_is_away(platform: Platform) -> None:
    async with within(platform, refetch_s=0.01, fresh_s=0.01) as verifier:
        await verifier.check(signed(), NOW)
        platform.answer = None
        for _ in range(5):
            assert (await verifier.check(signed(), NOW))[0].subject == "boss"
            await asyncio.sleep(0.05)
        assert platform.asked > 1


@pytest.mark.parametrize(
    "nonsense", [b'{"keys": "nonsense"}', b"[]", b"[" * 100_000, b"\xff", b'{"keys":[{"kty":["RSA"]}]}']
)
async def test_without_any_key_yet_waiting_helps_and_it_heals(platform: Platform, nonsense: bytes) -> None:
    async with within(platform, refetch_s=0.1) as verifier:
        platform.answer = nonsense
        with pytest.raises(KeysUnavailable):
            await verifier.check(signed(), NOW)
        platform.answer = published("ES256")
        await asyncio.sleep(0.15)
        assert (await verifier.check(signed(), NOW))[0].subject == "boss"


async def is_live(url: str, token: str) -> bool:
    client = Client(url, token, reconnection=False)
    try:
        await client.connect()
        return (await client.ask("auth:refresh", token=token))["ok"] is True
    except Exception:
        return False
    finally:
        await client.close()


@pytest.mark.engines
async def test_the_api_and_the_sockets_take_the_platforms_tokens_and_no_others(
    platform: Platform, redis_url: str, database_url: str
) -> None:
    settings = {"jwks_url": platform.url, "jwt_issuer": "https://id.example", "jwt_audience": "afterbell"}
    right = signed(iss="https://id.example", aud="afterbell", exp=datetime.now(UTC) + timedelta(hours=1))
    wrong = signed(iss="https://elsewhere.example", aud="afterbell")
    hs256 = jwt.encode({"sub": "b", "tenant": "s", "role": "admin", "exp": 4e9}, SECRET)
    with api_on(redis_url, database_url, **settings) as api:
        async with httpx2.AsyncClient(base_url=api.url) as http:
            for token, status in ((right, 404), (wrong, 401), (hs256, 401)):
                headers = {"Authorization": f"Bearer {token}"}
                assert (await http.get("/api/reports/session/none", headers=headers)).status_code == status
                assert await is_live(api.url, token) is (status == 404)
