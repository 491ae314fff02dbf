"""What clients are told that come as none can: by HTTP long-polling, or with the protocol of Socket.IO 2.

A bare status would reach their programs as "xhr poll error" or as a lost connection, and they would try again for
ever. So the handshake is answered, and the first packet after it says in Socket.IO's own words what to change.
Nothing is remembered and nothing that they send is read.
"""

from typing import Final
from urllib.parse import parse_qs

import orjson
from starlette.types import Receive, Scope, Send

_ADVICE: Final = {
    "websocket_only": 'long polling is off: connect with {transports: ["websocket"]}',
    "protocol_too_old": "Engine.IO 3 (socket.io-client 2) is not spoken here: use socket.io-client 4",
}
_OPEN: Final = {"sid": "none", "upgrades": [], "pingInterval": 25_000, "pingTimeout": 20_000, "maxPayload": 131_072}
CLOSED_AS: Final = 1003


def is_old(scope: Scope) -> bool:
    """Whether a client speaks the protocol before today's."""
    return _query(scope, "EIO") in ("2", "3")


async def answer_polling(scope: Scope, send: Send) -> None:
    """The handshake to whoever has none yet, then the refusal; a POST is taken and not looked at."""
    old, has_sid = is_old(scope), _query(scope, "sid") != ""
    if scope["method"] == "POST":
        body = "ok"
    elif old:
        body = "".join(f"{len(packet)}:{packet}" for packet in (_open(), *_refusal(old=True)))
    else:
        body = "".join(_refusal(old=False)) if has_sid else _open()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})


async def answer_old_socket(receive: Receive, send: Send) -> None:
    """Take a WebSocket of the old protocol for as long as it takes to say so."""
    await receive()
    await send({"type": "websocket.accept"})
    for packet in (_open(), *_refusal(old=True)):
        await send({"type": "websocket.send", "text": packet})
    await send({"type": "websocket.close", "code": CLOSED_AS, "reason": "protocol_too_old"})


def _open() -> str:
    return "0" + orjson.dumps(_OPEN).decode()


def _refusal(*, old: bool) -> tuple[str, ...]:
    code = "protocol_too_old" if old else "websocket_only"
    refusal = {"code": code, "message": _ADVICE[code]}
    if old:  # an ERROR packet has one value, which the client's listener for "error" gets
        return (f"44{orjson.dumps(refusal).decode()}",)
    return (f"44{orjson.dumps({'message': code, 'data': refusal}).decode()}",)


def _query(scope: Scope, name: str) -> str:
    query: bytes = scope.get("query_string", b"")
    return parse_qs(query.decode("latin-1")).get(name, [""])[0]
