"""Where a webhook may be sent: which URLs and which addresses, so that nobody makes us call our own network.

An address is judged after it was resolved and connected to as it was judged; nothing here resolves a name.
IPv6 is allowed by what it is (global unicast), not by what it is not: ``ipaddress.is_global`` says yes to NAT64, 6to4
and multicast, and the first two can carry an IPv4 address of ours.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from afterbell.core.errors import InvalidInput

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

URL_CHARS_MAX: Final = 2_000
HOST_CHARS_MAX: Final = 253
PORTS: Final = (443, 8443)
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_PLAIN_URL: Final = re.compile(r"[!-~]+")
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?")
# What inet_aton takes for an address: 2130706433, 0x7f.1, 0177.0.0.1. WHATWG's "ends in a number".
_NUMBER: Final = re.compile(r"(0x[0-9a-f]*|[0-9]+)")

# IANA's special-purpose registries, read in November 2026, and one address that Azure gives its own host agent.
_IPV4_DENIED: Final = tuple(
    (IPv4Network(network), why)
    for network, why in (
        ("0.0.0.0/8", "this host"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by carriers"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "a cloud's host agent"),
        ("169.254.0.0/16", "link-local, cloud metadata"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "protocol assignments"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarks"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved or broadcast"),
    )
)
_IPV6_GLOBAL: Final = IPv6Network("2000::/3")
_IPV6_DENIED: Final = tuple(
    (IPv6Network(network), why)
    for network, why in (
        ("2001::/23", "protocol assignments, Teredo"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4, carries an IPv4 address"),
        ("3fff::/20", "documentation"),
    )
)
_IPV6_TOLD: Final = tuple(
    (IPv6Network(network), why)
    for network, why in (
        ("::/128", "this host"),
        ("::1/128", "loopback"),
        ("::ffff:0:0/96", "carries an IPv4 address"),
        ("64:ff9b::/96", "NAT64, carries an IPv4 address"),
        ("64:ff9b:1::/48", "NAT64, carries an IPv4 address"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("ff00::/8", "multicast"),
    )
)


@dataclass(frozen=True, slots=True)
class Destination:
    """A URL taken apart. ``host`` is lower case, without brackets; ``path`` has the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def destination_of(url: str) -> Destination:
    """The URL taken apart. Raises InvalidInput, field ``url``, for what can be read in two ways or names no host."""
    if len(url) > URL_CHARS_MAX or not _PLAIN_URL.fullmatch(url) or "\\" in url:
        raise _unusable(
            f"expected up to {URL_CHARS_MAX} visible ASCII characters without backslash; "
            "write a name in another script as punycode (xn--…)"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _unusable(str(error)) from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise _unusable("it must start with https://")
    if "@" in parts.netloc:
        raise _unusable("it must not contain a user or password")
    if "#" in url:
        raise _unusable("it must not contain a fragment (#…)")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Destination(
        parts.scheme, _host(parts.hostname or ""), _DEFAULT_PORTS[parts.scheme] if port is None else port, path
    )


def networks_of(texts: Sequence[str]) -> tuple[Network, ...]:
    """Networks as ``10.1.0.0/16`` or single addresses. Raises ValueError naming the one that is none."""
    return tuple(ip_network(text.strip()) for text in texts if text.strip())


def check(target: Destination, addresses: Sequence[str], allowed: Sequence[Network] = ()) -> tuple[Address, ...]:
    """The addresses a host resolved to, if every one of them may be connected to.

    ``allowed`` are networks of the operator's own, where http and every port will do. One bad address among good ones
    refuses them all: who controls the name controls which one is taken. Raises InvalidInput, field ``url``.
    """
    parsed = tuple(ip_address(text) for text in addresses)
    if not parsed:
        raise _unusable(f"{target.host} does not resolve to an address")
    ours = [any(address in network for network in allowed) for address in parsed]
    for address, is_ours in zip(parsed, ours, strict=True):
        reason = None if is_ours else refusal(address)
        if reason is not None:
            raise _unusable(f"{target.host} resolves to an address that webhooks must not reach ({reason})")
    if not all(ours):
        _check_public(target)
    return parsed


def refusal(address: Address) -> str | None:
    """Why nothing is sent to this address; None where it is an ordinary public one."""
    if isinstance(address, IPv4Address):
        return _first(address, _IPV4_DENIED)
    if address.scope_id is not None:
        return "it names a network interface"
    if address not in _IPV6_GLOBAL:
        return _first(address, _IPV6_TOLD) or "not global unicast"
    return _first(address, _IPV6_DENIED)


def _first(address: Address, networks: Sequence[tuple[Network, str]]) -> str | None:
    return next((why for network, why in networks if address in network), None)


def _check_public(target: Destination) -> None:
    if target.scheme != "https":
        raise _unusable("it must start with https://")
    if target.port not in PORTS:
        raise _unusable(f"its port must be {' or '.join(map(str, PORTS))}, not {target.port}")


def _host(host: str) -> str:
    if "%" in host:
        raise _unusable("its host contains a percent sign")
    try:
        return str(ip_address(host))
    except ValueError:
        pass
    labels = host.removesuffix(".").split(".")
    if len(host) > HOST_CHARS_MAX or not all(_LABEL.fullmatch(label) for label in labels):
        raise _unusable("its host is not a name or address")
    if _NUMBER.fullmatch(labels[-1]):
        raise _unusable("its host looks like a number; write an address as four decimal numbers")
    return ".".join(labels)


def _unusable(why: str) -> InvalidInput:
    return InvalidInput(f"the URL cannot be used for webhooks: {why}", field="url")
