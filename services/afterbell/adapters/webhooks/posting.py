"""HTTP to an address that was judged: the name is the host's, the connection goes nowhere else."""

import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import httpx2

from afterbell.core.http_dates import seconds_until
from afterbell.core.webhooks.destinations import Address, Destination
from afterbell.core.webhooks.signing import Answer

ADDRESSES_TRIED_MAX: Final = 3
USER_AGENT: Final = "afterbell-webhooks/1"


class Posting:
    """Posts messages, each over a connection of its own. Whatever goes wrong is an Answer; no body is read."""

    def __init__(self, *, timeout_s: float, trust: ssl.SSLContext | None) -> None:
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

    async def to_first(
        self, target: Destination, addresses: Sequence[Address], headers: Mapping[str, str], body: bytes
    ) -> Answer:
        """One attempt at the first address that lets us connect. What was sent once is not sent to the next one."""
        *others, last = addresses[:ADDRESSES_TRIED_MAX]
        try:
            for address in others:
                with suppress(httpx2.ConnectError):
                    return await self._post_to(target, address, headers, body)
            return await self._post_to(target, last, headers, body)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            return Answer(None, f"no answer: {type(error).__name__}")

    async def _post_to(self, target: Destination, address: Address, headers: Mapping[str, str], body: bytes) -> Answer:
        host = f"[{address}]" if address.version == 6 else str(address)
        url = f"{target.scheme}://{host}:{target.port}{target.path}"
        request = self._http.stream(
            "POST",
            url,
            content=body,
            headers={**headers, "Host": target.authority},
            extensions={"sni_hostname": target.host},
        )
        async with request as response:
            error = None if response.is_success else f"answered {response.status_code}"
            return Answer(response.status_code, error, _seconds(response.headers.get("retry-after", "")))


def _seconds(retry_after: str) -> float | None:
    """A Retry-After header in either of its forms, as seconds from now."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    return seconds_until(retry_after, datetime.now(UTC))
