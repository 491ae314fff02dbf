"""Webhooks never reach our own network, however the way there is written."""

import pytest

from afterbell.core.errors import InvalidInput
from afterbell.core.webhooks.destinations import check, destination_of, networks_of

PUBLIC = "93.184.215.14"
# (URL, what its host resolves to; none where the URL itself is refused)
HOSTILE = [
    ("https://127.0.0.1/", ["127.0.0.1"]),
    ("https://localhost/", ["127.0.0.1", "::1"]),
    ("https://localhost./", ["127.0.0.1"]),
    ("https://2130706433/", []),
    ("https://0x7f000001/", []),
    ("https://0x7f.1/", []),
    ("https://0177.0.0.1/", []),
    ("https://127.1/", []),
    ("https://0/", []),
    ("https://0.0.0.0/", ["0.0.0.0"]),  # noqa: S104 - refused, not bound
    ("https://127.0.0.1./", []),
    ("https://[::1]/", ["::1"]),
    ("https://[::]/", ["::"]),
    ("https://[::ffff:127.0.0.1]/", ["::ffff:127.0.0.1"]),
    ("https://[::ffff:7f00:1]/", ["::ffff:7f00:1"]),
    ("https://[::127.0.0.1]/", ["::7f00:1"]),
    ("https://[64:ff9b::7f00:1]/", ["64:ff9b::7f00:1"]),
    ("https://[64:ff9b:1::a00:1]/", ["64:ff9b:1::a00:1"]),
    ("https://[2002:7f00:1::]/", ["2002:7f00:1::"]),
    ("https://[2001:0:7f00:1::]/", ["2001:0:7f00:1::"]),
    ("https://[fe80::1%25eth0]/", []),
    ("https://[fd00:ec2::254]/", ["fd00:ec2::254"]),
    ("https://[ff02::1]/", ["ff02::1"]),
    ("https://169.254.169.254/latest/meta-data/", ["169.254.169.254"]),
    ("https://metadata.google.internal/", ["169.254.169.254"]),
    ("https://100.100.100.200/", ["100.100.100.200"]),
    ("https://168.63.129.16/", ["168.63.129.16"]),
    ("https://10.0.0.1/", ["10.0.0.1"]),
    ("https://172.31.255.255/", ["172.31.255.255"]),
    ("https://192.168.1.1/", ["192.168.1.1"]),
    ("https://192.88.99.1/", ["192.88.99.1"]),
    ("https://198.18.0.1/", ["198.18.0.1"]),
    ("https://224.0.0.1/", ["224.0.0.1"]),
    ("https://255.255.255.255/", ["255.255.255.255"]),
    ("https://kubernetes.default.svc/", ["10.96.0.1"]),
    ("https://one-of-two.example.com/", [PUBLIC, "10.0.0.1"]),
    ("https://nowhere.example.com/", []),
    ("http://hooks.example.com/", [PUBLIC]),
    ("ftp://hooks.example.com/", []),
    ("file:///etc/passwd", []),
    ("gopher://hooks.example.com/", []),
    ("https://hooks.example.com:22/", [PUBLIC]),
    ("https://hooks.example.com:0/", [PUBLIC]),
    ("https://hooks.example.com:99999/", []),
    ("https://user:pass@hooks.example.com/", []),
    ("https://hooks.example.com@127.0.0.1/", []),
    ("https://hooks.example.com#@127.0.0.1/", []),
    ("https://hooks.example.com\\@127.0.0.1/", []),
    ("https://127.0.0.1%2f@hooks.example.com/", []),
    ("https://127%2e0.0.1/", []),
    ("https://hooks.example.com\n.evil/", []),
    ("https:// 127.0.0.1/", []),
    ("https://\uff11\uff12\uff17.0.0.1/", []),
    ("https://\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3/", []),
    ("https:///hooks", []),
    ("https://", []),
    ("//hooks.example.com/", []),
    ("https://-.example.com/", []),
    ("https://a..b/", []),
    ("https://" + "a" * 300 + ".com/", []),
    ("https://hooks.example.com/" + "a" * 2000, []),
]


@pytest.mark.parametrize(("url", "addresses"), HOSTILE, ids=[url[:40] for url, _ in HOSTILE])
def test_no_way_into_our_own_network_is_taken(url: str, addresses: list[str]) -> None:
    with pytest.raises(InvalidInput, match="cannot be used for webhooks") as refused:
        check(destination_of(url), addresses)
    assert refused.value.field == "url"


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("https://hooks.example.com/afterbell?key=1", [PUBLIC]),
        ("https://Hooks.Example.com:8443", [PUBLIC, "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]),
        (f"https://{PUBLIC}/", [PUBLIC]),
        ("https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/", ["2606:2800:21f:cb07:6820:80da:af6b:8b2c"]),
        ("https://xn--bcher-kva.example/", [PUBLIC]),
    ],
)
def test_an_ordinary_public_receiver_is_taken(url: str, addresses: list[str]) -> None:
    assert [str(address) for address in check(destination_of(url), addresses)] == addresses


def test_a_url_is_taken_apart_as_it_is_sent() -> None:
    target = destination_of("https://Hooks.Example.com.:8443/a/b?c=d")
    assert (target.host, target.port, target.path) == ("hooks.example.com", 8443, "/a/b?c=d")
    assert target.authority == "hooks.example.com:8443"
    assert destination_of("https://[2606:2800::1]").authority == "[2606:2800::1]"
    assert destination_of("https://[2606:2800::1]").path == "/"


def test_a_network_of_the_operators_own_may_be_allowed_by_name() -> None:
    allowed = networks_of(["10.1.0.0/16", "::1"])
    assert check(destination_of("http://hooks.internal:9000/"), ["10.1.2.3", "::1"], allowed)
    with pytest.raises(InvalidInput):
        check(destination_of("http://hooks.internal/"), ["10.1.2.3", "10.2.0.1"], allowed)
    with pytest.raises(InvalidInput, match="https"):
        check(destination_of("http://hooks.internal/"), ["10.1.2.3", PUBLIC], allowed)
    with pytest.raises(ValueError, match="kitchen"):
        networks_of(["kitchen"])
