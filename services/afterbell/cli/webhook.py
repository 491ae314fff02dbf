"""``afterbell webhook test``: send one signed message to a URL and print everything about it and the answer."""

import secrets
import uuid
from datetime import UTC, datetime
from time import perf_counter
from typing import Final

import orjson
import typer

from afterbell.adapters.webhooks.webhook_client import WebhookClient
from afterbell.core.webhooks.destinations import networks_of
from afterbell.core.webhooks.signing import SECRET_BYTES, TEST_EVENT, Answer, headers, key_of, new_secret
from afterbell.settings import WebhookSettings

_HELP: Final = {
    410: "410 means gone: a webhook whose receiver answers 410 is disabled at once",
    301: "redirects are not followed: use the URL they lead to",
    302: "redirects are not followed: use the URL they lead to",
    307: "redirects are not followed: use the URL they lead to",
    308: "redirects are not followed: use the URL they lead to",
    401: "the signature authenticates the request: accept it without a login",
    403: "the signature authenticates the request: accept it without a login",
    404: "the receiver serves nothing at this path: check the URL",
    405: "the receiver must accept POST",
}


async def run(settings: WebhookSettings, url: str, secret: str | None) -> int:
    """Send a test event. Returns 0 if it was accepted, else 1. Raises InvalidInput for a URL the guard refuses."""
    if secret is not None:
        key_of(secret)
    chosen = secret or new_secret(secrets.token_bytes(SECRET_BYTES))
    now = datetime.now(UTC)
    body = orjson.dumps({"type": TEST_EVENT, "timestamp": now.isoformat(), "data": {"triedBy": "cli"}})
    signed = headers([chosen], f"msg_{uuid.uuid4().hex}", int(now.timestamp()), body)
    client = WebhookClient(allowed=networks_of(settings.webhook_allow), timeout_s=settings.webhook_timeout_s)
    try:
        target, addresses = await client.judged(url)
        _say("to", f"{target.host} at {', '.join(map(str, addresses))}")
        _say("secret", "the one given" if secret else f"{chosen} (made for this test; give yours with --secret)")
        for name, value in signed.items():
            _say(name, value)
        _say("body", body.decode())
        started = perf_counter()
        answer = await client.post(url, signed, body)
    finally:
        await client.aclose()
    return _tell(answer, perf_counter() - started)


def _tell(answer: Answer, seconds: float) -> int:
    if answer.accepted:
        typer.echo(f"accepted: {answer.status} in {seconds * 1000:.0f} ms")
        return 0
    what = answer.error or "refused"
    advice = _HELP.get(answer.status or 0, "answer 2xx within the timeout once the signature is verified")
    typer.echo(f"not accepted: {what} in {seconds * 1000:.0f} ms. {advice}.")
    return 1


def _say(name: str, value: str) -> None:
    typer.echo(f"{name + ':':<20}{value}")
