"""The classroom page: two people in a lesson, in two tabs. Files of ``afterbell/web``, and seats in development.

A seat is a token for one of three fixed people of the tenant "dev". Only development hands them out: in production,
where the page is served at all, the platform opens it with a token of its own (``/?lesson=…#token=…``).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, Literal

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from afterbell.api.auth.bearer import mint
from afterbell.api.reports import page
from afterbell.api.services import services_of
from afterbell.core.errors import Forbidden
from afterbell.core.report.report import Role
from afterbell.settings import ApiSettings

WEB: Final = Path(__file__).parents[1] / "web"
# `make web` copies it from npm's socket.io-client; the page does without it, more slowly.
LIVE_CLIENT: Final = WEB / "vendor" / "socket.io.esm.min.js"
SEAT_LIFETIME: Final = timedelta(hours=1)
_FOLDERS: Final = ("classroom", "client", "vendor")
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    f"style-src 'self' {page.style_source()}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
_OWN_SITE: Final = "same-origin"
_SCRIPT: Final = "text/javascript; charset=utf-8"  # mimetypes asks the machine, and some answer text/plain


@dataclass(frozen=True, slots=True)
class _Person:
    subject: str
    role: Role
    students: tuple[str, ...] = ()


Seat = Literal["tutor", "student", "parent"]
_PEOPLE: Final[dict[Seat, _Person]] = {
    "tutor": _Person("tutor", "tutor"),
    "student": _Person("student", "student"),
    "parent": _Person("parent", "parent", students=("student",)),
}


class DevLoginOut(BaseModel):
    """A token and whom it speaks for."""

    token: str
    user: str
    role: Role


def missing() -> str | None:
    """What the page lacks on this machine, for people; None where it has everything."""
    if LIVE_CLIENT.is_file():
        return None
    return "without socket.io-client it polls every few seconds: run `make web`"


def install(app: FastAPI, settings: ApiSettings) -> None:
    """Serve the page at ``/``, its files at ``/web``, and in development the seats."""
    app.include_router(_page)
    for folder in _FOLDERS:
        if (WEB / folder).is_dir():  # that of what npm brings is not there before `make web`
            app.mount(f"/web/{folder}", _Files(directory=WEB / folder))
    if not settings.production:
        app.include_router(_seats)


_page = APIRouter(include_in_schema=False)
_seats = APIRouter(include_in_schema=False)


@_page.get("/")
async def classroom() -> Response:
    """The page; everything it shows it asks the API for."""
    text = (WEB / "classroom" / "index.html").read_text("utf-8")
    return HTMLResponse(text, headers=_HEADERS)


@_seats.post("/classroom/seat")
async def dev_login(seat: Annotated[Seat, Query(alias="as")], request: Request) -> DevLoginOut:
    """A token for this seat, for an hour. Not for other sites: any page a developer visits could ask for one."""
    if request.headers.get("sec-fetch-site", _OWN_SITE) not in (_OWN_SITE, "none"):
        raise Forbidden("development logins are only for this server's own classroom page")
    person, settings = _PEOPLE[seat], services_of(request).settings
    token = mint(
        settings.jwt_secret.get_secret_value(),
        subject=person.subject,
        tenant="dev",
        role=person.role,
        now=datetime.now(UTC),
        lifetime=SEAT_LIFETIME,
        students=person.students,
        audience=settings.jwt_audience,
    )
    return DevLoginOut(token=token, user=person.subject, role=person.role)


class _Files(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, with the page's headers."""
        answer = await super().get_response(path, scope)
        answer.headers.update(_HEADERS)
        if path.endswith(".js"):
            answer.headers["content-type"] = _SCRIPT
        return answer
