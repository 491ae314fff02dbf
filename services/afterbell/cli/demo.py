"""``afterbell demo``: from sessions to finished reports, with the real processes and a progress bar."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TaskID

from afterbell.api.auth.bearer import mint
from afterbell.cli.api_client import ApiClient, ApiRefused, write_report
from afterbell.cli.progress_bar import progress_bar
from afterbell.cli.show_report import show_report
from afterbell.dev.platform import Platform, platform
from afterbell.settings import AuthSettings, QueueSettings, StoreSettings, read

AT_ONCE: Final = 20
TOKEN_LIFETIME: Final = timedelta(hours=12)


@dataclass(slots=True)
class Tally:
    """How the sessions ended."""

    reports: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


async def run(settings: StoreSettings, sessions: list[dict[str, Any]], *, pace: str, as_json: bool) -> int:
    """Send ``sessions``, wait for their reports and print them. Returns 0 if every session has its report, else 1."""
    screen = Console(stderr=True)
    async with platform(settings, port=0, pace=pace) as up:
        _introduce(screen, up, len(sessions))
        async with _client(up) as client, _bars(screen, sessions) as bars:
            tally = await _write_all(client, sessions, bars)
    _print_reports(tally, as_json=as_json)
    _conclude(screen, tally)
    return 1 if tally.problems else 0


def _client(up: Platform) -> ApiClient:
    # Each run has its own tenant: it makes its reports anew and sees no others.
    auth = read(AuthSettings)
    token = mint(
        auth.jwt_secret.get_secret_value(),
        subject="demo",
        tenant=f"demo-{secrets.token_hex(4)}",
        role="staff",
        now=datetime.now(UTC),
        lifetime=TOKEN_LIFETIME,
        audience=auth.jwt_audience,
    )
    return ApiClient(up.api_url, token)


async def _write_all(client: ApiClient, sessions: list[dict[str, Any]], bars: "_Bars") -> Tally:
    tally, slots = Tally(), asyncio.Semaphore(AT_ONCE)

    async def write(session: dict[str, Any]) -> None:
        name = str(session.get("id", "a session without id"))
        async with slots:
            try:
                tally.reports.append(await _write_one(client, session, bars))
            except ApiRefused as error:
                tally.problems.append(f"{name}: {error}")
        bars.ended(name)

    await asyncio.gather(*(write(session) for session in sessions))
    return tally


async def _write_one(client: ApiClient, session: dict[str, Any], bars: "_Bars") -> dict[str, Any]:
    await client.import_session(session)
    name = str(session["id"])
    return await write_report(client, name, lambda status: bars.moved(name, status.percent, status.stage))


class _Bars:
    """One bar with the stage for one session; one bar over all for several."""

    def __init__(self, bars: Progress, sessions: list[dict[str, Any]]) -> None:
        self._bars, self._many = bars, len(sessions) > 1
        title = f"{len(sessions)} sessions" if self._many else str(sessions[0].get("id", "session"))
        self._bar: TaskID = bars.add_task(escape(title), total=len(sessions) if self._many else 100, stage="")

    def moved(self, name: str, percent: int, stage: str) -> None:
        if self._many:
            self._bars.update(self._bar, stage=escape(f"{name}: {stage}"))
        else:
            self._bars.update(self._bar, completed=percent, stage=stage)

    def ended(self, name: str) -> None:
        if self._many:
            self._bars.update(self._bar, advance=1, stage=escape(name))


@asynccontextmanager
async def _bars(screen: Console, sessions: list[dict[str, Any]]) -> AsyncIterator[_Bars]:
    with progress_bar(screen) as bars:
        yield _Bars(bars, sessions)


def _introduce(screen: Console, up: Platform, count: int) -> None:
    what = "one session" if count == 1 else f"{count} sessions"
    screen.print(f"[bold]Afterbell[/bold]: {what} → API → PostgreSQL → queue → worker → model → report")
    queue, record = (" ".join(part).strip() for part in (up.redis, up.database))
    screen.print(
        f"[dim]api {up.api_url} · queue: {queue} · record: {record} · model: {', '.join(up.model)}", highlight=False
    )
    rules = read(QueueSettings)
    if 0 < rules.starts_max < count:
        minutes = count / rules.starts_max * rules.window_s / 60
        screen.print(
            f"[dim]{rules.starts_max} reports may start each {rules.window_s:g} s: about {minutes:.0f} min in all; "
            "AFTERBELL_STARTS_PER_WINDOW=0 lifts the limit"
        )


def _print_reports(tally: Tally, *, as_json: bool) -> None:
    out = Console()
    for report in tally.reports:
        if as_json:
            print(json.dumps(report, ensure_ascii=False))  # noqa: T201  # the command's result
        elif len(tally.reports) == 1:
            show_report(out, report)


def _conclude(screen: Console, tally: Tally) -> None:
    claims = sum(report["checks"]["claims"] for report in tally.reports)
    dropped = sum(len(report["checks"]["dropped"]) for report in tally.reports)
    for problem in tally.problems[:20]:
        screen.print(f"[red]failed[/red] {escape(problem)}", highlight=False)
    made = "1 report" if len(tally.reports) == 1 else f"{len(tally.reports)} reports"
    checked = f"{claims} claims checked against the turns they cite, {dropped} dropped"
    screen.print(f"{made}, {len(tally.problems)} failed; {checked}")
