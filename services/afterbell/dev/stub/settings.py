"""How the stub behaves."""

from dataclasses import dataclass, field
from typing import Final

from afterbell.core.errors import SettingsError


@dataclass(frozen=True, slots=True)
class StubSettings:
    """``ttft_ms`` until the first token, then ``tokens_per_s`` (0: all at once). None: no limit, any key.

    Raises SettingsError for a number that cannot be.
    """

    ttft_ms: int = 0
    tokens_per_s: float = 0.0
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    api_key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name, value, least in (
            ("ttft_ms", self.ttft_ms, 0),
            ("tokens_per_s", self.tokens_per_s, 0),
            ("requests_per_minute", self.requests_per_minute, 1),
            ("tokens_per_minute", self.tokens_per_minute, 1),
        ):
            if value is not None and not value >= least:
                raise SettingsError(f"{name} must be {least} or more, not {value}.", field=name)


# A hosted model streams a report in 30-60 s; `demo` shows the same in a few.
PACES: Final = {
    "real": StubSettings(ttft_ms=1_500, tokens_per_s=30),
    "quick": StubSettings(ttft_ms=200, tokens_per_s=300),
    "none": StubSettings(),
}
