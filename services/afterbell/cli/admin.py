"""`afterbell queue …` and `afterbell jobs …`: the admin API from a terminal."""

import asyncio
from collections import Counter
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from afterbell.cli.client import ApiClient, ApiRefused
from afterbell.core.errors import InvalidInput

queue_app = typer.Typer(help="See and steer the queue, through the admin API.", no_args_is_help=True)
jobs_app = typer.Typer(help="See and steer jobs, through the admin API.", no_args_is_help=True)

URL = Annotated[str, typer.Option(help="The internal port of the API.", envvar="AFTERBELL_ADMIN_URL")]
BEARER = Annotated[
    str | None, typer.Option("--token", envvar="AFTERBELL_ADMIN_TOKEN", help="See `afterbell token --admin`.")
]
JSON = Annotated[bool, typer.Option("--json", help="Print the API's answer.")]
REASON = Annotated[str, typer.Option(help="Why; the audit log keeps it.")]
WORKER = Annotated[str, typer.Argument(help="A worker, or a pod for all of its workers.")]
JOB = Annotated[str, typer.Argument(help="The job's id: report-…")]
JOBS = Annotated[list[str] | None, typer.Argument(help="Ids of jobs; without them, give --all.")]
STATE = Annotated[
    list[str] | None,
    typer.Option(help="queued, deferred, running, succeeded, failed or cancelled; repeatable."),
]
TENANT = Annotated[str | None, typer.Option(help="Only this tenant's.")]
SESSION = Annotated[str | None, typer.Option(help="Only this session's.")]
ERROR = Annotated[str | None, typer.Option(help="Only those whose error has these words.")]
OLDER = Annotated[float | None, typer.Option(min=0, help="Only those asked for longer ago, in seconds.")]
ALL = Annotated[bool, typer.Option("--all", help="All that match the filters.")]
DRY_RUN = Annotated[bool, typer.Option("--dry-run", help="Only say how many.")]
YES = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DEFAULT_URL: Final = "http://127.0.0.1:9000"


class AdminClient(ApiClient):
    """Calls the admin API. Raises ApiRefused with the problem's detail."""

    async def get(self, path: str) -> dict[str, Any]:
        """One answer."""
        return await self._call("GET", path)

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """One act."""
        return await self._call("POST", path, body)


@queue_app.command("status")
def queue_status(url: URL = DEFAULT_URL, bearer: BEARER = None, as_json: JSON = False) -> None:
    """What waits, runs and failed, who runs it, and whether anything is paused or drained."""
    found = _get(url, bearer, "/admin/queue")
    if as_json:
        _print_json(found)
        return
    facts = found["facts"]
    table = Table(title=Text(f"queue {found['name']}: {'paused' if facts['paused'] else 'running'}"), show_header=False)
    for name in ("waiting", "active", "due", "dead", "overdue", "idle_workers", "starts_in_window", "commands_today"):
        table.add_row(name.replace("_", " "), str(facts[name]))
    age_ms = facts["oldest_waiting_age_ms"]
    table.add_row("oldest waits", "-" if age_ms is None else f"{age_ms / 1000:.0f} s")
    table.add_row("drained", ", ".join(found["drained"]) or "-")
    for pod, running in sorted(found["running"].items()):
        table.add_row(f"runs on {pod}", str(running))
    for status, count in sorted(found["jobs"].items()):
        table.add_row(f"jobs {status}", str(count))
    Console().print(table)


@queue_app.command("why")
def queue_why(url: URL = DEFAULT_URL, bearer: BEARER = None, as_json: JSON = False) -> None:
    """Why work waits, in one sentence."""
    found = _get(url, bearer, "/admin/queue/why")
    if as_json:
        _print_json(found)
    else:
        typer.echo(f"{found['cause']}: {_shown(found['sentence'])}")


@queue_app.command("pause")
def queue_pause(reason: REASON, url: URL = DEFAULT_URL, bearer: BEARER = None) -> None:
    """Start nothing more; what runs goes on."""
    _post(url, bearer, "/admin/queue/pause", reason)
    typer.echo("the queue is paused")


@queue_app.command("resume")
def queue_resume(reason: REASON, url: URL = DEFAULT_URL, bearer: BEARER = None) -> None:
    """End a pause."""
    _post(url, bearer, "/admin/queue/resume", reason)
    typer.echo("the queue runs")


@queue_app.command("drain")
def queue_drain(worker: WORKER, reason: REASON, url: URL = DEFAULT_URL, bearer: BEARER = None) -> None:
    """Let a worker, or a pod, finish what it runs and start nothing more."""
    _post(url, bearer, f"/admin/workers/{quote(worker, safe='')}/drain", reason)
    typer.echo(f"{worker} starts nothing more")


@queue_app.command("undrain")
def queue_undrain(worker: WORKER, reason: REASON, url: URL = DEFAULT_URL, bearer: BEARER = None) -> None:
    """End a drain."""
    _post(url, bearer, f"/admin/workers/{quote(worker, safe='')}/undrain", reason)
    typer.echo(f"{worker} starts jobs again")


@jobs_app.command("list")
def jobs_list(
    state: STATE = None, tenant: TENANT = None, session: SESSION = None, error: ERROR = None,
    older_than_s: OLDER = None, limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    page: Annotated[str | None, typer.Option(help="Where the last list ended.")] = None,
    url: URL = DEFAULT_URL, bearer: BEARER = None, as_json: JSON = False,
) -> None:  # fmt: skip
    """List jobs, newest first."""
    asked = _where(state, tenant, session, error, older_than_s) | {"limit": limit} | ({"page": page} if page else {})
    pairs = [(name, one) for name, value in asked.items() for one in (value if isinstance(value, list) else [value])]
    found = _get(url, bearer, "/admin/jobs?" + "&".join(f"{name}={quote(str(one), safe='')}" for name, one in pairs))
    if as_json:
        _print_json(found)
        return
    table = Table("job", "state", "%", "tries", "tenant", "session", "asked for", "error")
    for job in found["jobs"]:
        cells = (job["jobId"], job["status"], job["progress"], job["attempt"], job["tenant_id"], job["session_id"],
                 job["created_at"][:19], job["error"] or "")  # fmt: skip
        table.add_row(*(Text(_shown(cell)) for cell in cells))
    Console().print(table)
    if found["nextPage"]:
        typer.echo(f"there are more: --page {found['nextPage']}", err=True)


@jobs_app.command("show")
def jobs_show(job: JOB, url: URL = DEFAULT_URL, bearer: BEARER = None, as_json: JSON = False) -> None:
    """One job: where it is, each try with its error, what its model calls cost."""
    found = _get(url, bearer, f"/admin/jobs/{quote(job, safe='')}")
    if as_json:
        _print_json(found)
        return
    facts = Table(show_header=False)
    for name, value in found.items():
        if name not in ("success", "attempts", "calls"):
            facts.add_row(name, Text(_shown(value)))
    tries = Table("try", "worker", "started", "ended", "outcome", "error")
    for one in found["attempts"]:
        names = ("attempt", "worker", "started_at", "ended_at", "outcome", "error")
        tries.add_row(*(Text(_shown(one[name])) for name in names))
    screen = Console()
    screen.print(facts)
    screen.print(tries)


@jobs_app.command("logs")
def jobs_logs(
    job: JOB, attempt: Annotated[int | None, typer.Option(min=1, help="Only this try's.")] = None,
    url: URL = DEFAULT_URL, bearer: BEARER = None, as_json: JSON = False,
) -> None:  # fmt: skip
    """The log lines that each try of a job left when it ended."""
    asked = "" if attempt is None else f"?attempt={attempt}"
    found = _get(url, bearer, f"/admin/jobs/{quote(job, safe='')}/logs{asked}")
    if as_json:
        _print_json(found)
        return
    for one in found["tries"]:
        typer.echo(f"try {one['attempt']} on {_shown(one['worker'])}: {one['outcome'] or 'running'}")
        for line in one["log"]:
            typer.echo(f"  {_line(line)}")


def _line(line: dict[str, str]) -> str:
    rest = " ".join(f"{name}={_shown(value)}" for name, value in line.items()
                    if name not in ("timestamp", "level", "event"))  # fmt: skip
    return (
        f"{_shown(line.get('timestamp', ''))} {_shown(line.get('level', '')):7} {_shown(line['event'])} {rest}".rstrip()
    )


def _verb(verb: str, said: str) -> None:
    def command(
        reason: REASON, job_ids: JOBS = None, every: ALL = False, state: STATE = None, tenant: TENANT = None,
        session: SESSION = None, error: ERROR = None, older_than_s: OLDER = None, dry_run: DRY_RUN = False,
        yes: YES = False, url: URL = DEFAULT_URL, bearer: BEARER = None,
    ) -> None:  # fmt: skip
        where = _where(state, tenant, session, error, older_than_s)
        if bool(job_ids) == every or (job_ids and (where or dry_run)):
            raise InvalidInput(f"which jobs? `afterbell jobs {verb} ID…`, or --all with filters and --dry-run")
        if job_ids:
            raise typer.Exit(_run_admin(url, bearer, lambda client: _each(client, verb, job_ids, reason)))
        body = {"reason": reason, "where": where}
        matched = _run_admin(url, bearer, lambda client: client.post(f"/admin/jobs/{verb}", body | {"dry_run": True}))[
            "matched"
        ]
        typer.echo(f"{matched} jobs match")
        if dry_run or matched == 0:
            return
        if not yes:
            typer.confirm(f"{verb} {matched} jobs?", abort=True, err=True)
        raise typer.Exit(_run_admin(url, bearer, lambda client: _all(client, verb, body, matched)))

    jobs_app.command(verb, help=said)(command)


_verb("retry", "Start failed jobs again.")
_verb("cancel", "Stop jobs: those that wait never start, those that run are told to stop.")
_verb("promote", "Let jobs that wait for their time start now.")
_verb("remove", "Delete jobs that wait, failed or were cancelled.")


async def _each(client: AdminClient, verb: str, job_ids: list[str], reason: str) -> int:
    """Exit code 1 where one was refused; the others are done all the same."""
    code = 0
    for job_id in job_ids:
        try:
            await client.post(f"/admin/jobs/{quote(job_id, safe='')}/{verb}", {"reason": reason})
            typer.echo(f"{job_id}: {verb} done")
        except ApiRefused as error:
            typer.echo(f"afterbell: {error}", err=True)
            code = 1
    return code


async def _all(client: AdminClient, verb: str, body: dict[str, Any], matched: int) -> int:
    done, skipped, page = 0, Counter[str](), None
    columns = (TextColumn(verb), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(verb, total=matched)
        while True:
            answer = await client.post(f"/admin/jobs/{verb}", body | ({"page": page} if page else {}))
            done, page = done + answer["done"], answer["nextPage"]
            skipped.update(answer["skipped"])
            bar.update(task, completed=done + skipped.total())
            if page is None:
                break
    typer.echo(f"{verb}: {done} done" + "".join(f", {count} {state}" for state, count in sorted(skipped.items())))
    return 1 if skipped else 0


def _where(
    state: list[str] | None, tenant: str | None, session: str | None, error: str | None, older_than_s: float | None
) -> dict[str, Any]:
    given = {"state": state, "tenant": tenant, "session": session, "error": error, "older_than_s": older_than_s}
    return {name: value for name, value in given.items() if value not in (None, [])}


def _get(url: str, bearer: str | None, path: str) -> dict[str, Any]:
    found: dict[str, Any] = _run_admin(url, bearer, lambda client: client.get(path))
    return found


def _post(url: str, bearer: str | None, path: str, reason: str) -> None:
    _run_admin(url, bearer, lambda client: client.post(path, {"reason": reason}))


def _run_admin(url: str, bearer: str | None, work: Any) -> Any:
    if not bearer:
        raise InvalidInput("no admin token: give --token or AFTERBELL_ADMIN_TOKEN (`afterbell token --admin operator`)")

    async def run() -> Any:
        async with AdminClient(url, bearer) as client:
            return await work(client)

    return asyncio.run(run())


def _print_json(found: dict[str, Any]) -> None:
    import json

    typer.echo(json.dumps(found, ensure_ascii=False))


def _shown(value: object) -> str:
    """For a terminal: control characters of a hostile text made visible."""
    text = "-" if value is None else str(value)
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
