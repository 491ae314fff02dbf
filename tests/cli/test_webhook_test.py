"""`afterbell webhook test`: what was sent and what came of it, or why nothing was sent."""

import asyncio
from typing import Any

import pytest
from standardwebhooks import Webhook
from tests.support.command import refused, run
from tests.support.receiver import Receiver, answer, receiver

SECRET = "whsec_" + "QUJD" * 8
ALLOW = {"AFTERBELL_WEBHOOK_ALLOW": "127.0.0.1"}


async def tried(*answers: str, options: tuple[str, ...] = ()) -> tuple[Any, Receiver]:
    async with receiver(answers=[*answers]) as at:
        return await asyncio.to_thread(lambda: run("webhook", "test", at.url, *options, **ALLOW)), at


async def test_a_signed_event_is_sent_and_told() -> None:
    done, at = await tried(options=("--secret", SECRET))
    assert done.returncode == 0, done.stderr
    assert "accepted: 204" in done.stdout
    assert "127.0.0.1 at 127.0.0.1" in done.stdout
    (got,) = at.got
    assert got.headers["webhook-signature"] in done.stdout
    event: Any = Webhook(SECRET).verify(got.body, got.headers)
    assert event["type"] == "webhook.test"
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize(("status", "said"), [(410, "gone"), (302, "redirects"), (403, "signature"), (500, "2xx")])
async def test_a_refusal_is_told_with_what_to_do(status: int, said: str) -> None:
    done, at = await tried(answer(status))
    assert done.returncode == 1
    assert f"answered {status}" in done.stdout
    assert said in done.stdout
    assert len(at.got) == 1


def test_a_url_that_webhooks_are_not_sent_to_is_refused_in_one_line() -> None:
    refused(run("webhook", "test", "http://127.0.0.1:1/"), "loopback")
    refused(run("webhook", "test", "https://2130706433/"), "looks like a number")
    refused(run("webhook", "test", "https://93.184.215.14/", "--secret", "whsec_s3cret"), "whsec_")
    refused(run("webhook", "test", "https://x/", AFTERBELL_WEBHOOK_ALLOW="kitchen"), "AFTERBELL_WEBHOOK_ALLOW")
