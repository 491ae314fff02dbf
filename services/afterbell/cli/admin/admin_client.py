"""How the CLI reaches the admin API: by a URL, or through a Unix socket of `kubectl proxy`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeVar

import httpx2
import typer

from afterbell.cli.api_client import ApiClient
from afterbell.core.errors import InvalidInput

DEFAULT_URL: Final = "http://127.0.0.1:9000"
URL = Annotated[str, typer.Option(help="The internal port of the API.", envvar="AFTERBELL_ADMIN_URL")]
BEARER = Annotated[
    str | None, typer.Option("--token", envvar="AFTERBELL_ADMIN_TOKEN", help="See `afterbell token --admin`.")
]
# unix:SOCKET:PATH, such as unix:/tmp/x/kubectl:/api/v1/namespaces/school/services/…/proxy
UNIX: Final = "unix:"
# The Kubernetes API server reads Authorization itself and does not pass it on.
PROXIED_HEADER: Final = "X-Afterbell-Authorization"
T = TypeVar("T")


class AdminClient(ApiClient):
    """Calls the admin API. Raises ApiRefused with the problem's detail."""

    def __init__(self, url: str, token: str) -> None:
        if not url.startswith(UNIX):
            super().__init__(url, token)
            return
        socket, _, path = url.removeprefix(UNIX).partition(":")
        super().__init__(
            f"http://localhost{path}", token, header=PROXIED_HEADER, transport=httpx2.AsyncHTTPTransport(uds=socket)
        )

    async def get(self, path: str) -> dict[str, Any]:
        """One answer."""
        return await self._call("GET", path)

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """One action."""
        return await self._call("POST", path, body)


def run_admin(url: str, bearer: str | None, work: Callable[[AdminClient], Awaitable[T]]) -> T:
    """Do ``work`` with a client. Raises InvalidInput without a token."""
    if not bearer:
        raise InvalidInput(
            "no admin token: pass --token or set AFTERBELL_ADMIN_TOKEN (`afterbell token --admin operator`)"
        )

    async def run() -> T:
        async with AdminClient(url, bearer) as client:
            return await work(client)

    return asyncio.run(run())


def post(url: str, bearer: str | None, path: str, reason: str) -> dict[str, Any]:
    """One action, with its reason."""
    return run_admin(url, bearer, lambda client: client.post(path, {"reason": reason}))
