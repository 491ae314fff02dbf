"""Signatures that two independent verifiers accept, and a schedule that ends."""

import base64
import json
from datetime import UTC, datetime

import openai
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from afterbell.core.errors import InvalidInput
from afterbell.core.webhooks.signing import (
    SCHEDULE_S,
    Again,
    Answer,
    Delivered,
    GivenUp,
    Verdict,
    headers,
    key_of,
    new_secret,
    verdict,
)

OLD, NEW = new_secret(bytes(range(32))), new_secret(bytes(range(32, 64)))
BODY = json.dumps({"type": "report.ready", "data": {"sessionId": "Mathe-Ü"}}, ensure_ascii=False).encode()


def signed(*secrets: str, body: bytes = BODY, at: int | None = None) -> dict[str, str]:
    return headers(secrets, "msg_1", int(datetime.now(UTC).timestamp()) if at is None else at, body)


def by_standard_webhooks(secret: str, body: bytes, sent: dict[str, str]) -> None:
    Webhook(secret).verify(body, sent)


def by_openai(secret: str, body: bytes, sent: dict[str, str]) -> None:
    with openai.OpenAI(api_key="none", webhook_secret=secret) as client:
        client.webhooks.verify_signature(body, sent)


VERIFIERS = pytest.mark.parametrize("verify", [by_standard_webhooks, by_openai])
REFUSED = (WebhookVerificationError, openai.InvalidWebhookSignatureError)


@VERIFIERS
def test_an_independent_verifier_accepts_our_signature(verify: object) -> None:
    assert callable(verify)
    verify(OLD, BODY, signed(OLD))


@VERIFIERS
def test_during_a_rotation_either_secret_verifies(verify: object) -> None:
    assert callable(verify)
    sent = signed(NEW, OLD)
    verify(NEW, BODY, sent)
    verify(OLD, BODY, sent)


@VERIFIERS
def test_what_was_changed_replayed_or_signed_by_another_is_refused(verify: object) -> None:
    assert callable(verify)
    for secret, body, sent in (
        (OLD, BODY + b" ", signed(OLD)),
        (NEW, BODY, signed(OLD)),
        (OLD, BODY, signed(OLD) | {"webhook-id": "msg_2"}),
        (OLD, BODY, signed(OLD, at=1_700_000_000)),
    ):
        with pytest.raises(REFUSED):
            verify(secret, body, sent)


def test_a_secret_is_told_from_what_is_none_and_never_shown() -> None:
    assert key_of(OLD) == bytes(range(32))
    for wrong in (
        "",
        "whsec_",
        "whsec_Zm9v",
        OLD.removeprefix("whsec_"),
        "whsec_" + "=" * 40,
        "whsec_" + base64.b64encode(bytes(65)).decode(),
    ):
        with pytest.raises(InvalidInput) as refused:
            key_of(wrong)
        assert "Zm9v" not in str(refused.value)


@pytest.mark.parametrize(
    ("attempt", "answer", "expected"),
    [
        (1, Answer(200), Delivered()),
        (1, Answer(204), Delivered()),
        (1, Answer(302), Again(5)),
        (1, Answer(400), Again(5)),
        (1, Answer(410), GivenUp(gone=True)),
        (1, Answer(None, "no answer"), Again(5)),
        (2, Answer(500), Again(300)),
        (2, Answer(429, retry_after_s=10), Again(300)),
        (2, Answer(503, retry_after_s=4000), Again(4000)),
        (2, Answer(503, retry_after_s=1e9), Again(86_400)),
        (9, Answer(500), Again(86_400)),
        (10, Answer(500), GivenUp(gone=False)),
        (11, Answer(None, "no answer"), GivenUp(gone=False)),
    ],
)
def test_what_becomes_of_an_attempt(attempt: int, answer: Answer, expected: Verdict) -> None:
    assert verdict(attempt, answer, chance=0.0) == expected


def test_the_schedule_is_that_of_the_specification_spread_by_a_tenth() -> None:
    assert SCHEDULE_S == (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
    assert verdict(2, Answer(500), chance=1.0) == Again(pytest.approx(330))
