"""Settings of the live channel."""

from typing import Annotated, Final

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from afterbell.settings.group import SettingsGroup

_USUAL_PORT: Final = {"http": ":80", "https": ":443"}


class RealtimeSettings(SettingsGroup):
    """Sockets: limits, rates and origins."""

    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        alias="AFTERBELL_ALLOWED_ORIGINS",
        description="comma-separated origins whose pages may use sockets, REST and progress streams; "
        "empty = only the API's own",
    )
    live_redis_url: SecretStr | None = Field(
        None,
        alias="AFTERBELL_LIVE_REDIS_URL",
        description="Redis that carries chat between api processes; empty = REDIS_URL; `none` = a single "
        "api process without Redis",
    )
    pod_name: str = Field(
        "",
        alias="AFTERBELL_POD_NAME",
        max_length=253,
        description="name of this api pod in Kubernetes; set it when a Pool scales api pods on their "
        "sockets. The pod then reports its sockets to the operator, at one Redis command "
        "every 5 s",
    )
    sockets_max: int = Field(
        2_000,
        ge=1,
        alias="AFTERBELL_SOCKETS_MAX",
        description="maximum sockets per process; further handshakes get 503",
    )
    sockets_per_user: int = Field(
        10, ge=1, alias="AFTERBELL_SOCKETS_PER_USER", description="maximum sockets per user in one process"
    )
    streams_per_user: int = Field(
        10,
        ge=1,
        alias="AFTERBELL_STREAMS_PER_USER",
        description="maximum progress streams (SSE) per user in one process",
    )
    streams_per_tenant: int = Field(
        1_000,
        ge=1,
        alias="AFTERBELL_STREAMS_PER_TENANT",
        description="maximum progress streams (SSE) per tenant in one process",
    )
    rooms_per_socket: int = Field(
        64, ge=1, alias="AFTERBELL_ROOMS_PER_SOCKET", description="maximum sessions one socket may join or watch"
    )
    events_per_s: float = Field(
        10,
        gt=0,
        alias="AFTERBELL_EVENTS_PER_SECOND",
        description="events per second one user may send, over all sockets of one process",
    )
    events_burst: int = Field(
        20, ge=1, alias="AFTERBELL_EVENTS_BURST", description="events one user may send in a burst"
    )
    # The longest message, 8,000 characters, takes 96,000 bytes where a client escapes each beyond the first 65,536.
    frame_bytes_max: int = Field(
        131_072, ge=1024, alias="AFTERBELL_FRAME_BYTES_MAX", description="maximum size of a packet from a socket"
    )
    drain_window_s: float = Field(
        20,
        ge=0,
        le=600,
        alias="AFTERBELL_DRAIN_WINDOW_SECONDS",
        description="time a stopping process takes to disconnect its sockets; development disconnects at once",
    )

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def _origins(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(_as_browsers_send(part.strip()) for part in value.split(",") if part.strip())


def _as_browsers_send(origin: str) -> str:
    """An origin is compared letter by letter: browsers send it in small letters, without a slash or a usual port."""
    written = origin.lower().rstrip("/")
    scheme = written.partition("://")[0]
    return written.removesuffix(_USUAL_PORT.get(scheme, "/"))
