"""One attempt on the wire: to the judged address, under the host's name, never elsewhere, never for long."""

import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.support.receiver import Receiver, answer, receiver
from tests.support.redis_engines import OPENSSL_PROGRAM, missing

from afterbell.adapters.webhooks.webhook_client import WebhookClient
from afterbell.core.webhooks.destinations import networks_of
from afterbell.core.webhooks.signing import Answer

LOOPBACK = networks_of(["127.0.0.1"])
HEADERS = {"webhook-id": "msg_1"}


class Names:
    """A name server of the test's own: each question gets the next answer, the last one again and again."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.asked = [*answers], 0

    async def __call__(self, *_: object) -> list[str]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def posted(work: Callable[[Receiver], Awaitable[Answer]], **given: list[str]) -> tuple[Answer, Receiver]:
    async with receiver(**given) as at:
        return await work(at), at


async def post(url: str, *, timeout_s: float = 5, **options: object) -> Answer:
    client = WebhookClient(timeout_s=timeout_s, **{"allowed": LOOPBACK} | options)  # type: ignore[arg-type]
    try:
        return await client.post(url, HEADERS, b"{}")
    finally:
        await client.aclose()


async def test_a_message_arrives_as_it_was_signed() -> None:
    said, receiving = await posted(lambda at: post(at.url))
    assert said == Answer(204)
    (got,) = receiving.got
    assert (got.path, got.body, got.headers["webhook-id"]) == ("/hook?a=1", b"{}", "msg_1")
    assert got.headers["content-type"] == "application/json"
    assert got.headers["host"] == f"127.0.0.1:{receiving.port}"


async def test_a_redirect_is_not_followed() -> None:
    said, receiving = await posted(
        lambda at: post(at.url), answers=[answer(302, "Location: http://127.0.0.1:1/inside")]
    )
    assert said == Answer(302, "answered 302")
    assert len(receiving.got) == 1


async def test_a_name_that_answers_something_else_the_next_moment_changes_nothing() -> None:
    """Rebinding: judged and connected to is one answer, and the next attempt is judged anew."""
    names = Names(["127.0.0.1"], ["169.254.169.254"])

    async def work(at: Receiver) -> Answer:
        client = WebhookClient(timeout_s=5, allowed=LOOPBACK, resolve=names)
        try:
            url = f"http://rebinding.example.com:{at.port}/"
            assert (await client.post(url, HEADERS, b"{}")).status == 204
            assert names.asked == 1
            return await client.post(url, HEADERS, b"{}")
        finally:
            await client.aclose()

    said, receiving = await posted(work)
    assert said.status is None
    assert "link-local" in (said.error or "")
    assert receiving.got[0].headers["host"] == f"rebinding.example.com:{receiving.port}"
    assert len(receiving.got) == 1


async def test_our_own_network_is_not_reached_without_being_allowed() -> None:
    said, receiving = await posted(lambda at: post(at.url, allowed=()))
    assert "loopback" in (said.error or "")
    assert receiving.got == []


async def test_what_is_slow_is_cut_off_and_what_is_closed_is_told() -> None:
    said, _ = await posted(lambda at: post(at.url, timeout_s=0.2), answers=[""])
    assert said == Answer(None, "no answer within 0.2 s")
    said = await post("http://127.0.0.1:1/")
    assert said == Answer(None, "no answer: ConnectError")
    said, _ = await posted(lambda at: post(at.url), answers=["nonsense\r\n\r\n"])
    assert said.error == "no answer: RemoteProtocolError"


async def test_the_next_address_is_tried_where_one_does_not_connect() -> None:
    names = Names(["127.0.0.2", "127.0.0.1"])
    allowed = networks_of(["127.0.0.0/8"])
    said, _ = await posted(lambda at: post(f"http://two.example.com:{at.port}/", resolve=names, allowed=allowed))
    assert said.accepted


async def test_how_long_to_wait_is_read_in_both_of_its_forms() -> None:
    zone_of_years = "Mon, 30 Nov 2026 12:00:00 +99999999999999"
    dated = ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)
    for header, expected in (("120", 120.0), dated, ("soon", None), (zone_of_years, None)):
        said, _ = await posted(lambda at: post(at.url), answers=[answer(503, f"Retry-After: {header}")])
        assert said.retry_after_s == expected


async def test_tls_is_checked_against_the_name_and_not_the_address(tmp_path: Path) -> None:
    if lacking := missing(OPENSSL_PROGRAM):
        pytest.skip(lacking)
    serving, trust = certificate(tmp_path, "hooks.example.com")

    async with receiver(serving) as at:
        names = Names(["127.0.0.1"])
        right = await post(f"https://hooks.example.com:{at.port}/", resolve=names, trust=trust)
        wrong = await post(f"https://another.example.com:{at.port}/", resolve=names, trust=trust)
    assert right.accepted
    assert wrong == Answer(None, "no answer: ConnectError")
    assert [got.headers["host"].partition(":")[0] for got in at.got] == ["hooks.example.com"]


def certificate(home: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What a server called ``name`` serves with, and what trusts it."""
    made = (
        f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={name} "
        f"-addext subjectAltName=DNS:{name} -addext keyUsage=digitalSignature,keyCertSign"
    )
    files = ["-keyout", str(home / "key.pem"), "-out", str(home / "certificate.pem")]
    subprocess.run([OPENSSL_PROGRAM, *made.split(), *files], check=True, capture_output=True)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(home / "certificate.pem", home / "key.pem")
    return serving, ssl.create_default_context(cafile=str(home / "certificate.pem"))
