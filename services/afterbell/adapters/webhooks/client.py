"""Sends one webhook message, to an address that was judged before it is connected to.

The host is resolved once an attempt; the connection goes to the very address that was judged, with the host's name in
SNI and in the Host header. A name that answers something else the next moment changes nothing.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx2

from afterbell.core.addresses import Address, Network, Target, check, target_of
from afterbell.core.errors import InvalidInput
from afterbell.core.webhooks import Answer

Resolve = Callable[[str, int], Awaitable[list[str]]]

ADDRESSES_TRIED_MAX: Final = 3
USER_AGENT: Final = "afterbell-webhooks/1"


async def resolve(host: str, port: int) -> list[str]:
    """Every address of a host, as the system knows it, each once. Raises OSError where it has none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class WebhookClient:
    """Posts messages. ``allowed``: networks of the operator's own, which the guard lets through."""

    def __init__(
        self,
        *,
        allowed: Sequence[Network] = (),
        timeout_s: float,
        resolve: Resolve = resolve,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._allowed, self._timeout_s, self._resolve = tuple(allowed), timeout_s, resolve
        # No proxy and no certificate store from the environment: both would decide where a message goes. No connection
        # is kept: one to an address would be used for another name at the same address.
        self._http = httpx2.AsyncClient(
            verify=trust or httpx2.create_ssl_context(trust_env=False),
            trust_env=False,
            follow_redirects=False,
            timeout=timeout_s,
            limits=httpx2.Limits(max_keepalive_connections=0),
            headers={"User-Agent": USER_AGENT, "Content-Type": "application/json", "Accept-Encoding": "identity"},
        )

    async def aclose(self) -> None:
        """Close what is open."""
        await self._http.aclose()

    async def judged(self, url: str) -> tuple[Target, tuple[Address, ...]]:
        """The URL and the addresses it may be sent to. Raises InvalidInput, field ``url``, with the reason."""
        target = target_of(url)
        try:
            async with asyncio.timeout(self._timeout_s):
                addresses = await self._resolve(target.host, target.port)
        except (OSError, UnicodeError, TimeoutError):
            raise InvalidInput(f"the URL cannot be used for webhooks: no address is found for {target.host}",
                               field="url") from None  # fmt: skip
        return target, check(target, addresses, self._allowed)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """One attempt, over within the timeout. Whatever goes wrong is an Answer; the response's body is not read."""
        try:
            async with asyncio.timeout(self._timeout_s):
                target, addresses = await self.judged(url)
                return await self._post_to_first(target, addresses, headers, body)
        except InvalidInput as error:
            return Answer(None, str(error))
        except TimeoutError:
            return Answer(None, f"no answer within {self._timeout_s:g} s")
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            return Answer(None, f"no answer: {type(error).__name__}")

    async def _post_to_first(
        self, target: Target, addresses: Sequence[Address], headers: Mapping[str, str], body: bytes
    ) -> Answer:
        """The first address that lets us connect. What was sent once is not sent to the next one."""
        *others, last = addresses[:ADDRESSES_TRIED_MAX]
        for address in others:
            with suppress(httpx2.ConnectError):
                return await self._post_to(target, address, headers, body)
        return await self._post_to(target, last, headers, body)

    async def _post_to(self, target: Target, address: Address, headers: Mapping[str, str], body: bytes) -> Answer:
        host = f"[{address}]" if address.version == 6 else str(address)
        url = f"{target.scheme}://{host}:{target.port}{target.path}"
        request = self._http.stream(
            "POST", url, content=body, headers={**headers, "Host": target.authority},
            extensions={"sni_hostname": target.host},
        )  # fmt: skip
        async with request as response:
            error = None if response.is_success else f"answered {response.status_code}"
            return Answer(response.status_code, error, _seconds(response.headers.get("retry-after", "")))


def _seconds(retry_after: str) -> float | None:
    """A Retry-After header in either of its forms, as seconds from now."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((aware - datetime.now(UTC)).total_seconds(), 0.0)
