"""Settings of the live channel."""

from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from afterbell.settings.group import SettingsGroup


class RealtimeSettings(SettingsGroup):
    """Sockets: how many, how fast, from where."""

    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        alias="AFTERBELL_ALLOWED_ORIGINS",
        description="origins of pages that may connect, comma-separated; empty: only the API's own",
    )
    live_redis_url: SecretStr | None = Field(
        None,
        alias="AFTERBELL_LIVE_REDIS_URL",
        description="Redis that carries chat between api processes; empty: REDIS_URL; `none`: there is but one",
    )
    pod_name: str = Field(
        "",
        alias="AFTERBELL_POD_NAME",
        max_length=253,
        description="name of this api pod in Kubernetes, where a Pool follows the sockets: it tells the operator how "
        "many it has, with a Redis command every 5 s; empty: it tells nobody",
    )
    sockets_max: int = Field(
        2_000, ge=1, alias="AFTERBELL_SOCKETS_MAX", description="sockets a process holds; more are refused with 503"
    )
    sockets_per_user: int = Field(
        10, ge=1, alias="AFTERBELL_SOCKETS_PER_USER", description="sockets one user may have open in a process"
    )
    rooms_per_socket: int = Field(
        64, ge=1, alias="AFTERBELL_ROOMS_PER_SOCKET", description="sessions one socket may have joined or watch"
    )
    events_per_s: float = Field(
        10, gt=0, alias="AFTERBELL_EVENTS_PER_SECOND", description="events a second one socket may send"
    )
    events_burst: int = Field(
        20, ge=1, alias="AFTERBELL_EVENTS_BURST", description="events one socket may send at once after a silence"
    )
    frame_bytes_max: int = Field(
        65_536, ge=1024, alias="AFTERBELL_FRAME_BYTES_MAX", description="largest packet a socket may send"
    )
    drain_window_s: float = Field(
        20,
        ge=0,
        le=600,
        alias="AFTERBELL_DRAIN_WINDOW_SECONDS",
        description="time over which a stopping process sends its sockets away; development does it at once",
    )

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def _origins(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
