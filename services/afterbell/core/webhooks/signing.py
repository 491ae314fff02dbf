"""Webhooks as Standard Webhooks states them (standardwebhooks.com, specification 1.0): signature and schedule.

A message is signed as ``id.timestamp.body`` with HMAC-SHA256; during a rotation it carries one signature a secret.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from afterbell.core.errors import InvalidInput

ReportEvent = Literal["report.ready", "report.failed", "report.concern", "concern.raised"]
Event = Literal[ReportEvent, "webhook.test"]
TEST_EVENT: Final[Event] = "webhook.test"
# Concerns go to people who asked for them.
DEFAULT_EVENTS: Final[tuple[ReportEvent, ...]] = ("report.ready", "report.failed")

SECRET_PREFIX: Final = "whsec_"  # noqa: S105  # how every secret begins
SECRET_BYTES: Final = 32
SECRET_BYTES_MIN, SECRET_BYTES_MAX = 24, 64
_MINUTE, _HOUR = 60.0, 3600.0
# Seconds before the first, second, … attempt, each counted from the end of the one before: some 75 hours in all.
SCHEDULE_S: Final = (
    0.0,
    5.0,
    5 * _MINUTE,
    30 * _MINUTE,
    2 * _HOUR,
    5 * _HOUR,
    10 * _HOUR,
    14 * _HOUR,
    20 * _HOUR,
    24 * _HOUR,
)
RETRY_AFTER_MAX_S: Final = 24 * _HOUR
# So that what failed together does not come back together.
JITTER: Final = 0.1
_GONE: Final = 410


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one attempt: a status, or None and the ``error`` that kept one away."""

    status: int | None
    error: str | None = None
    retry_after_s: float | None = None

    @property
    def accepted(self) -> bool:
        """2xx, and nothing else: a redirect is a refusal."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver took it."""


@dataclass(frozen=True, slots=True)
class Again:
    """To be sent again in ``delay_s``."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Not sent again. ``gone``: the receiver said 410, so nothing more is sent to it at all."""

    gone: bool


Verdict = Delivered | Again | GivenUp


def new_secret(random: bytes) -> str:
    """A secret as receivers are shown it, from SECRET_BYTES random bytes."""
    assert len(random) == SECRET_BYTES
    return SECRET_PREFIX + base64.b64encode(random).decode()


def key_of(secret: str) -> bytes:
    """The bytes a secret stands for. Raises InvalidInput, which shows nothing of it."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(SECRET_PREFIX) or not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
        raise InvalidInput(
            f"invalid webhook secret: expected {SECRET_PREFIX} and the base64 of {SECRET_BYTES_MIN} to "
            f"{SECRET_BYTES_MAX} bytes",
            field="secret",
        )
    return key


def headers(secrets: Sequence[str], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of a message. ``timestamp``: seconds since 1970. Raises InvalidInput for an unusable secret."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    signatures = [base64.b64encode(hmac.new(key_of(secret), signed, hashlib.sha256).digest()) for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature.decode()}" for signature in signatures),
    }


def verdict(attempt: int, answer: Answer, *, chance: float) -> Verdict:
    """What becomes of a message after its ``attempt`` (1 = the first). ``chance``: 0 to 1, spreads the waits."""
    if answer.accepted:
        return Delivered()
    if answer.status == _GONE:
        return GivenUp(gone=True)
    if attempt >= len(SCHEDULE_S):
        return GivenUp(gone=False)
    delay_s = SCHEDULE_S[attempt] * (1 + JITTER * chance)
    return Again(max(delay_s, min(answer.retry_after_s or 0.0, RETRY_AFTER_MAX_S)))
