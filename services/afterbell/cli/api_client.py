"""How the CLI reaches the API: the same REST calls that every client makes."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import quote

import httpx2

from afterbell.core.errors import AfterbellError, InvalidInput

TIMEOUT_S: Final = 30.0
POLL_S: Final = 0.2


class ApiRefused(AfterbellError):
    """The API answered with a problem; its detail is the message."""

    code = "api_refused"


@dataclass(frozen=True, slots=True)
class ReportStatus:
    """One answer of the status endpoint."""

    status: str
    percent: int
    stage: str
    error: str | None

    @property
    def ended(self) -> bool:
        """Whether it will no longer change by itself."""
        return self.status in ("completed", "failed")


class ApiClient:
    """Calls one API with one token, sent in ``header``; over ``transport`` if not over TCP.

    Raises InvalidInput for an invalid URL and for a token that no header can carry.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        header: str = "Authorization",
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        if not (token.isascii() and token.isprintable() and " " not in token):
            raise InvalidInput("malformed token: contains whitespace or invalid characters")
        headers = {header: f"Bearer {token}"}
        try:
            self._http = httpx2.AsyncClient(base_url=base_url, timeout=TIMEOUT_S, headers=headers, transport=transport)
        except httpx2.InvalidURL as error:
            raise InvalidInput(f"{base_url} is not a URL ({error})", field="url") from None

    async def __aenter__(self) -> Self:
        """The client, open."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def import_session(self, session: dict[str, Any]) -> dict[str, Any]:
        """PUT a session. Raises ApiRefused with the field at fault."""
        return await self._call("PUT", f"/api/sessions/{_id(session)}", session)

    async def request_report(self, session_id: str) -> dict[str, Any]:
        """Ask for the session's report."""
        return await self._call("POST", f"/api/reports/session/{quote(session_id, safe='')}")

    async def status(self, session_id: str) -> ReportStatus:
        """Where the report is."""
        answer = await self._call("GET", f"/api/reports/session/{quote(session_id, safe='')}/status")
        return ReportStatus(answer["status"], answer["progress"], answer["stage"], answer.get("error"))

    async def report(self, session_id: str) -> dict[str, Any]:
        """The finished report in the caller's view."""
        answer = await self._call("GET", f"/api/reports/session/{quote(session_id, safe='')}")
        report: dict[str, Any] = answer["report"]
        return report

    async def _call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        try:
            answer = await self._http.request(method, path, json=body)
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            where = f"{method} {str(self._http.base_url).rstrip('/')}{path}"
            raise ApiRefused(f"{where}: no answer ({type(error).__name__}: {error})") from error
        except ValueError as error:  # half a surrogate pair, or NaN: Python reads them, but JSON cannot hold them
            raise ApiRefused(f"{method} {path}: the body cannot be encoded as JSON ({error})") from None
        try:
            content: dict[str, Any] = answer.json()
        except ValueError:
            raise ApiRefused(f"{method} {path}: answer {answer.status_code} is not JSON") from None
        if answer.status_code >= httpx2.codes.BAD_REQUEST:
            raise ApiRefused(f"{method} {path}: {answer.status_code} {content.get('detail', content)}")
        return content


async def write_report(client: ApiClient, session_id: str, on_change: Callable[[ReportStatus], None]) -> dict[str, Any]:
    """Request a session's report, tell ``on_change`` how far it is, and read it. Raises ApiRefused where it fails."""
    await client.request_report(session_id)
    while True:
        status = await client.status(session_id)
        on_change(status)
        if status.ended:
            break
        await asyncio.sleep(POLL_S)
    if status.status != "completed":
        raise ApiRefused(f"the report failed: {status.error or 'no reason given'}")
    return await client.report(session_id)


def _id(session: dict[str, Any]) -> str:
    session_id = session.get("id")
    if not isinstance(session_id, str) or not session_id:
        raise ApiRefused('the session has no id: add "id"')
    try:
        return quote(session_id, safe="")
    except UnicodeEncodeError:
        raise ApiRefused("the session's id contains an unpaired surrogate") from None
