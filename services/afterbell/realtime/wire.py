"""What crosses the sockets: payloads of clients, refusals, and frames that are built once for everybody."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from afterbell.core.session import ID_CHARS_MAX, MESSAGE_CHARS_MAX

Id = Annotated[
    str, StringConstraints(min_length=1, max_length=ID_CHARS_MAX, pattern=r"^[A-Za-z0-9_:@-][A-Za-z0-9._:@-]*$")
]
Text = Annotated[str, StringConstraints(min_length=1, max_length=MESSAGE_CHARS_MAX, pattern=r"^[^\x00]*$")]
Seq = Annotated[int, Field(ge=0, le=2**31 - 1, strict=True)]
PAGE_MAX: Final = 500
RETRY_MS: Final = 2_000
TEXT_FRAME: Final = 0x81  # RFC 6455: the last and only frame of a text message


class _Payload(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SessionRequest(_Payload):
    """An event about one session."""

    session: Id


class JoinRequest(SessionRequest):
    """``after``: the greatest seq already shown."""

    after: Seq = 0


class SendRequest(SessionRequest):
    """A message; ``id`` makes sending it again harmless."""

    id: Id
    text: Text


class HistoryRequest(SessionRequest):
    """A page of messages after one seq, or below another."""

    after: Seq | None = None
    before: Seq | None = None
    limit: Annotated[int, Field(ge=1, le=PAGE_MAX, strict=True)] = 100


class TypingRequest(SessionRequest):
    """Whether the caller is writing now."""

    typing: Annotated[bool, Field(strict=True)]


class RefreshRequest(_Payload):
    """A new token for a socket that stays."""

    token: Annotated[str, StringConstraints(min_length=1, max_length=8_192)]


class Refused(Exception):
    """An event that is not done; the acknowledgement says why."""

    def __init__(self, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.code, self.more = code, more

    @property
    def acknowledgement(self) -> dict[str, Any]:
        """``{ok: false, code, message, …}``."""
        return {"ok": False, "code": self.code, "message": str(self), **self.more}


@dataclass(frozen=True, slots=True)
class Event:
    """An event for clients, encoded once however many it goes to."""

    text: str

    @classmethod
    def of(cls, name: str, payload: dict[str, Any]) -> "Event":
        """The Socket.IO packet of an event in the namespace ``/``."""
        return cls("2" + orjson.dumps([name, payload], default=str, option=orjson.OPT_UTC_Z).decode())

    def frame(self) -> bytes:
        """The WebSocket frame of the Engine.IO message around it, as a server sends it."""
        body = b"4" + self.text.encode()
        if len(body) < 126:
            return bytes((TEXT_FRAME, len(body))) + body
        if len(body) < 65_536:
            return bytes((TEXT_FRAME, 126)) + len(body).to_bytes(2, "big") + body
        return bytes((TEXT_FRAME, 127)) + len(body).to_bytes(8, "big") + body


def parsed(model: type[BaseModel], payload: object) -> Any:
    """The payload as ``model``. Raises Refused ``invalid_input`` naming the field, never its value."""
    if not isinstance(payload, dict):
        raise Refused("invalid_input", "send one JSON object", field="payload")
    try:
        return model.model_validate(payload)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"])[:120]
        raise Refused("invalid_input", f"{field}: {first['msg']}", field=field) from None


def moment(at: datetime | None) -> str | None:
    """A time as clients get it."""
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")
