"""Whatever comes from outside is read, or refused with an error of ours; nothing else leaves a parser.

What else left one became a 500 that a stranger can make, a loop that ends, or a webhook that is never settled.
"""

import base64
import contextlib
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.attacks import Attack

from afterbell.adapters.bus.api_pods import _heartbeats_in
from afterbell.adapters.models import failures, wait_hints
from afterbell.adapters.models.exchange import SDK_FAULTS, _document
from afterbell.adapters.models.narrative_codec import decode
from afterbell.adapters.queue.consumer import timer_of
from afterbell.adapters.queue.subscription import _load_in
from afterbell.api.admin.admin_tokens import admin_of
from afterbell.api.admin.routes import _cursor
from afterbell.api.auth.bearer import Verifier
from afterbell.api.auth.signing_keys import _key_id, _keys_in
from afterbell.cli.session_files import parse_sessions
from afterbell.core import trace
from afterbell.core.errors import MALFORMED, AfterbellError
from afterbell.core.http_dates import seconds_until
from afterbell.core.live.heartbeat import heartbeat_in
from afterbell.core.translation import preferred
from afterbell.core.webhooks.destinations import destination_of
from afterbell.core.webhooks.signing import key_of
from afterbell.realtime.wire import JoinRequest, RefreshRequest, Refused, parsed

NOW: Final = datetime(2026, 12, 1, tzinfo=UTC)
SECRET: Final = "a secret of these tests, long enough for HS256"


def signed(claims: bytes, header: bytes = b'{"alg":"HS256"}') -> str:
    """A token with a right signature over whatever is inside."""
    message = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, claims))
    signature = hmac.new(SECRET.encode(), message, hashlib.sha256).digest()
    return (message + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


def token(claims: bytes) -> Any:
    return Verifier((SECRET,), None).verified_at(signed(claims), NOW.timestamp())


def answer_of_a_model(body: bytes) -> Any:
    with contextlib.suppress(*SDK_FAULTS):  # each of them becomes an error of ours, in one place
        return _document(body, None)


def refusal_of_a_model(body: bytes) -> Any:
    with contextlib.suppress(ValueError, RecursionError):
        return failures.of_refusal(failures.Refusal.of_body(json.loads(body), status=429), now=NOW)


def keys(body: bytes) -> Any:
    import jwt

    with contextlib.suppress(jwt.PyJWTError, *MALFORMED):  # what a fetch takes for a failed one
        return _keys_in(body)


def words(body: bytes) -> Any:
    with contextlib.suppress(ValueError):
        return heartbeat_in(orjson.loads(body))


def text(parse: Callable[[str], Any]) -> Callable[[bytes], Any]:
    return lambda given: parse(given.decode("latin-1"))


PARSERS: Final[dict[str, Callable[[bytes], Any]]] = {
    "a token's claims": token,
    "a token's header": lambda given: _key_id(signed(b"{}", given)),
    "a token": text(lambda given: Verifier((SECRET,), None).verified_at(given, NOW.timestamp())),
    "an admin token": text(lambda given: admin_of(given, (SECRET,))),
    "an admin token's claims": lambda given: admin_of(signed(given), (SECRET,)),
    "a key server's keys": keys,
    "a traceparent": text(trace.read),
    "an Accept-Language": text(preferred),
    "a date": text(lambda given: seconds_until(given, NOW)),
    "a Retry-After": text(lambda given: wait_hints.seconds({"retry-after": given}, given, NOW)),
    "a page cursor": text(_cursor),
    "a cursor's content": lambda given: _cursor(base64.urlsafe_b64encode(given).decode()),
    "a webhook's address": text(destination_of),
    "a webhook's secret": text(key_of),
    "a file of sessions": text(lambda given: parse_sessions(given, "f")),
    "a model's answer": answer_of_a_model,
    "a model's refusal": refusal_of_a_model,
    "a model's narrative": text(decode),
    "Redis: the queue's load": _load_in,
    "Redis: a timer": timer_of,
    "Redis: heartbeats": lambda given: list(_heartbeats_in(given)),
    "Redis: a heartbeat": words,
    "a socket's payload": lambda given: parsed(JoinRequest, given.decode("latin-1")),
    "a socket's token": lambda given: parsed(RefreshRequest, {"token": given.decode("latin-1")}),
}
BROKE: Final = {
    "a token's header",
    "a key server's keys",
    "a date",
    "a Retry-After",
    "Redis: the queue's load",
    "Redis: a timer",
}
DEEP: Final = b"[" * 100_000
KNOWN: Final = (
    b"",
    b"[]",
    b"null",
    b"1e999",
    b"NaN",
    b"-1",
    b"9" * 5_000,
    b"0" * 4_301,
    DEEP,
    b'{"a":' * 100_000,
    b"\xff\xfe",
    b"\0",
    b"\xed\xa0\x80",
    b'{"keys":5}',
    b'{"keys":[1]}',
    b'{"keys":[{"kty":["RSA"]}]}',
    b'{"alg":["RS256"]}',
    b'{"alg":{}}',
    b'{"alg":null}',
    b'{"alg":"RS256","kid":[1]}',
    b'{"sub":"x","tenant":"t","role":["staff"],"exp":9999999999}',
    b'{"sub":1,"tenant":"t","role":"staff","exp":1e400}',
    b'{"sub":"x","tenant":"t","role":"staff","exp":1' + b"0" * 400 + b"}",
    b'{"sub":"x","tenant":"t","role":"staff","exp":[]}',
    b'{"sub":"x","aud":"afterbell-admin","exp":9e99,"role":{}}',
    b"Mon, 30 Nov 2026 12:00:00 +99999999999999",
    b"Mon, 30 Nov 9999 23:59:59 -1200",
    b"Mon, 01 Jan 0001 00:00:00 +1400",
    b"0001-01-01T00:00:00+14:00 00000000-0000-0000-0000-000000000000",
    b"watch",
    b"watch nan inf",
    b"quiet 1e9",
    b"nan inf",
    b"inf " * 12,
    b"http://[::1",
    b"http://a:99999999999/",
    b"whsec_!",
    b"pod\n5",
    b"pod\n" + DEEP,
    b'{"error":[]}',
    b'{"error":{"error":{"code":5e9}}}',
    b'{"id":' + b"9" * 5_000 + b"}",
)
NESTED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode())


@pytest.mark.edge
@pytest.mark.parametrize("name", PARSERS)
def test_bytes_from_outside_are_read_or_refused_with_an_error_of_ours(
    name: str, attacked: Callable[[Attack], None]
) -> None:
    @given(given=st.binary(max_size=200) | st.text(max_size=80).map(lambda line: line.encode("utf-8")) | NESTED)
    def reads(given: bytes) -> None:
        with contextlib.suppress(AfterbellError, Refused):
            PARSERS[name](given)

    for known in KNOWN:
        reads = example(given=known)(reads)
    reads()
    attacked(
        Attack(f"foreign bytes as {name}", "500, or a loop that ends" if name in BROKE else "read", "read or refused")
    )
