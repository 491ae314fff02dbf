"""The platform's public keys (JWKS, RFC 7517): fetched beside the requests, kept through every outage of their server.

- A known key is used at once, however old the set is; a set older than FRESH_S is fetched anew meanwhile.
- An unknown key id waits for one fetch, the same for all who wait, at the most one every REFETCH_S: tokens with made-up
  key ids cannot make us call the platform more often.
"""

import asyncio
from typing import Any, Final

import httpx2
import jwt
import structlog

from afterbell.api.auth.bearer import REMEMBERED_MAX, Checked, Unauthenticated, remembering, unexpired
from afterbell.core.errors import MALFORMED, StoreUnavailable
from afterbell.service import Background

ALGORITHMS: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
FRESH_S: Final = 600.0
REFETCH_S: Final = 30.0
FETCH_TIMEOUT_S: Final = 5.0
SET_BYTES_MAX: Final = 256 * 1024
KEYS_MAX: Final = 100

log = structlog.get_logger(__name__)


class KeysUnavailable(StoreUnavailable):
    """No key of the platform could be fetched yet: waiting helps."""

    code = "keys_unavailable"


class SigningKeys:
    """The keys at ``url``, by key id."""

    def __init__(self, url: str, *, refetch_s: float = REFETCH_S, fresh_s: float = FRESH_S) -> None:
        self._url, self._refetch_s, self._fresh_s = url, refetch_s, fresh_s
        self._keys: dict[str, jwt.PyJWK] = {}
        self._tried_at = self._fetched_at = float("-inf")
        self._fetches = Background("signing_keys")
        self._fetching: asyncio.Task[None] | None = None

    async def key_of(self, key_id: str, now: float) -> jwt.PyJWK:
        """The key with this id; ``now`` is the event loop's time. Raises Unauthenticated, KeysUnavailable."""
        key = self._keys.get(key_id)
        if key is None or now - self._fetched_at > self._fresh_s:
            fetching = self._fetch_once(now)
            if key is None and fetching is not None:
                await asyncio.shield(fetching)
                key = self._keys.get(key_id)
        if key is not None:
            return key
        if not self._keys:
            raise KeysUnavailable("The signing key server", "no keys could be fetched yet")
        raise Unauthenticated("invalid token: it is signed with a key that the platform does not publish")

    async def aclose(self) -> None:
        """End a fetch that is under way."""
        await self._fetches.stop()

    def _fetch_once(self, now: float) -> "asyncio.Task[None] | None":
        """The fetch under way, a new one, or None: the last one was a moment ago."""
        if self._fetching is not None and not self._fetching.done():
            return self._fetching
        if now - self._tried_at < self._refetch_s:
            return None
        self._tried_at = now
        self._fetching = self._fetches.begin(self._fetch(now))
        return self._fetching

    async def _fetch(self, now: float) -> None:
        try:
            keys = _keys_in(await self._read())
        except (httpx2.HTTPError, TimeoutError, jwt.PyJWTError, *MALFORMED) as error:
            log.warning(
                "signing_keys_fetch_failed", error=f"{type(error).__name__}: {error}"[:200], kept=len(self._keys)
            )
            return
        # The same key stays the same object: tokens that held are remembered by it.
        known = self._keys
        self._keys = {
            name: known[name] if name in known and _same(known[name], key) else key for name, key in keys.items()
        }
        self._fetched_at = now
        log.info("signing_keys_read", keys=len(keys))

    async def _read(self) -> bytes:
        async with (
            asyncio.timeout(FETCH_TIMEOUT_S),
            httpx2.AsyncClient(timeout=FETCH_TIMEOUT_S, follow_redirects=False) as client,
            client.stream("GET", self._url) as answer,
        ):
            answer.raise_for_status()
            body = b""
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > SET_BYTES_MAX:
                    raise ValueError(f"the key set is larger than {SET_BYTES_MAX} bytes")
            return body


class KeyVerifier:
    """Checks tokens with the platform's public keys; a symmetric or missing signature never holds."""

    def __init__(self, keys: SigningKeys, audience: str | None, issuer: str | None) -> None:
        self._keys = keys
        self._verified = remembering(audience, issuer, REMEMBERED_MAX)

    async def check(self, token: str, now: float) -> Checked:
        """The caller, and when the token ends. Raises Unauthenticated, KeysUnavailable."""
        key = await self._keys.key_of(_key_id(token), asyncio.get_running_loop().time())
        return unexpired(self._verified(token, key), now)


def _key_id(token: str) -> str:
    try:
        header = jwt.get_unverified_header(token)
        known = header.get("alg") in ALGORITHMS
    except (jwt.InvalidTokenError, *MALFORMED) as error:
        raise Unauthenticated(f"invalid token: {error}") from None
    if not known:
        raise Unauthenticated("invalid token: it must be signed with one of the platform's published keys")
    key_id = header.get("kid", "")
    return key_id if isinstance(key_id, str) else ""


def _keys_in(body: bytes) -> dict[str, jwt.PyJWK]:
    """The usable keys by id; one that is not for signatures, or of a kind we do not take, is left out."""
    keys = {}
    for key in jwt.PyJWKSet.from_json(body.decode()).keys[:KEYS_MAX]:
        if key.public_key_use in (None, "sig") and key.algorithm_name in ALGORITHMS:
            keys[key.key_id or ""] = key
    if not keys:
        raise ValueError("the key set contains no signing key")
    return keys


def _same(left: jwt.PyJWK, right: jwt.PyJWK) -> bool:
    def facts(key: jwt.PyJWK) -> Any:
        return key._jwk_data

    return bool(facts(left) == facts(right))
