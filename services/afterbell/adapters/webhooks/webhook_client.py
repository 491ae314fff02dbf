"""Sends one webhook message, to an address that was judged before it is connected to.

The host is resolved once an attempt; the connection goes to the very address that was judged, with the host's name in
SNI and in the Host header. A name that answers something else the next moment changes nothing.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from afterbell.core.errors import InvalidInput
from afterbell.core.webhooks.destinations import Address, Destination, Network, check, destination_of
from afterbell.core.webhooks.signing import Answer

if TYPE_CHECKING:
    import ssl

    from afterbell.adapters.webhooks.posting import Posting

Resolve = Callable[[str, int], Awaitable[list[str]]]


async def resolve(host: str, port: int) -> list[str]:
    """Every address of a host, as the system knows it, each once. Raises OSError where it has none."""
    entries = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in entries))


class WebhookClient:
    """Posts messages. ``allowed``: networks of the operator's own, which the guard lets through."""

    def __init__(
        self,
        *,
        allowed: Sequence[Network] = (),
        timeout_s: float,
        resolve: Resolve = resolve,
        trust: "ssl.SSLContext | None" = None,
    ) -> None:
        self._allowed, self._timeout_s, self._resolve = tuple(allowed), timeout_s, resolve
        self._trust = trust
        self._posting: Posting | None = None

    async def aclose(self) -> None:
        """Close what is open."""
        if self._posting is not None:
            await self._posting.aclose()

    async def judged(self, url: str) -> tuple[Destination, tuple[Address, ...]]:
        """The URL and the addresses it may be sent to. Raises InvalidInput, field ``url``, with the reason."""
        target = destination_of(url)
        try:
            async with asyncio.timeout(self._timeout_s):
                addresses = await self._resolve(target.host, target.port)
        except (OSError, UnicodeError, TimeoutError):
            raise InvalidInput(
                f"the URL cannot be used for webhooks: no address is found for {target.host}", field="url"
            ) from None
        return target, check(target, addresses, self._allowed)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """One attempt, over within the timeout. Whatever goes wrong is an Answer; the response's body is not read."""
        try:
            async with asyncio.timeout(self._timeout_s):
                target, addresses = await self.judged(url)
                return await self._made().to_first(target, addresses, headers, body)
        except InvalidInput as error:
            return Answer(None, str(error))
        except TimeoutError:
            return Answer(None, f"no answer within {self._timeout_s:g} s")

    def _made(self) -> "Posting":
        """The HTTP client, from the first message on: it is 6 MB of every process, and few have webhooks to send."""
        if self._posting is None:
            from afterbell.adapters.webhooks.posting import Posting

            self._posting = Posting(timeout_s=self._timeout_s, trust=self._trust)
        return self._posting
