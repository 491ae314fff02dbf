"""Jobs through the admin API: lists, one of them, its log lines, and what is done to one or to all that match."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer
from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from afterbell.cli.admin_client import BEARER, DEFAULT_URL, URL, AdminClient, run_admin
from afterbell.cli.client import ApiRefused
from afterbell.cli.output import OUTPUT, WATCH, Output, ago, cells, lasted, plain_table, show, shown
from afterbell.core.errors import InvalidInput

REASON = Annotated[str, typer.Option(help="Why; the audit log keeps it.")]
JOB = Annotated[str, typer.Argument(help="The job's id: report-…")]
JOBS = Annotated[list[str] | None, typer.Argument(help="Ids of jobs; without them, give --all.")]
STATE = Annotated[
    list[str] | None,
    typer.Option(help="queued, deferred, running, succeeded, failed or cancelled; repeatable."),
]
TENANT = Annotated[str | None, typer.Option(help="Only this tenant's.")]
SESSION = Annotated[str | None, typer.Option(help="Only this session's.")]
ERROR = Annotated[str | None, typer.Option(help="Only those whose error has these words.")]
PARTICIPANT = Annotated[str | None, typer.Option(help="Only of sessions this person took part in, by their id.")]
SINCE = Annotated[str | None, typer.Option(help="Only those asked for since then: 90s, 15m, 2h or 7d ago.")]
OLDER = Annotated[str | None, typer.Option("--older-than", help="Only those asked for longer ago: 90s, 15m, 2h, 7d.")]
ALL = Annotated[bool, typer.Option("--all", help="All that match the filters.")]
DRY_RUN = Annotated[bool, typer.Option("--dry-run", help="Only say how many.")]
YES = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
LIMIT = Annotated[int, typer.Option(min=1, max=200)]
PAGE = Annotated[str | None, typer.Option(help="Where the last list ended.")]
ATTEMPT = Annotated[int | None, typer.Option(min=1, help="Only this try's.")]
ERROR_CHARS: Final = 60
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
VERBS: Final = {
    "retry": "Start failed jobs again.",
    "cancel": "Stop jobs: those that wait never start, those that run are told to stop.",
    "promote": "Let jobs that wait for their time start now.",
    "remove": "Delete jobs that wait, failed or were cancelled.",
}


def add_to(app: typer.Typer, *, listed: str, one: str) -> None:
    """Give a group the commands about jobs; ``listed`` and ``one`` are what it calls the list and one job."""
    app.command(listed, help="List jobs, newest first.")(jobs_list)
    app.command(one, help="One job: where it is, each try with its error, what its model calls cost.")(jobs_show)
    app.command("logs", help="The log lines that each try of a job left when it ended.")(jobs_logs)
    for verb, said in VERBS.items():
        app.command(verb, help=said)(_verb(app.info.name or "jobs", verb))


def jobs_list(
    state: STATE = None, tenant: TENANT = None, session: SESSION = None, participant: PARTICIPANT = None,
    error: ERROR = None, since: SINCE = None, older_than: OLDER = None, limit: LIMIT = 50, page: PAGE = None,
    url: URL = DEFAULT_URL, bearer: BEARER = None, output: OUTPUT = Output.table, watch: WATCH = False,
) -> None:  # fmt: skip
    """List jobs, newest first."""
    where = where_of(state=state, tenant=tenant, session=session, participant=participant, error=error,
                     newer_than_s=seconds_of(since), older_than_s=seconds_of(older_than))  # fmt: skip
    asked = where | {"limit": limit} | ({"page": page} if page else {})
    pairs = [(name, one) for name, value in asked.items() for one in (value if isinstance(value, list) else [value])]
    path = "/admin/jobs?" + "&".join(f"{name}={quote(str(one), safe='')}" for name, one in pairs)
    found = show(url, bearer, path, table_of_jobs, output=output, watch=watch)
    if found["nextPage"] and output in (Output.table, Output.wide):
        typer.echo(f"there are more: --page {found['nextPage']}", err=True)


def jobs_show(
    job: JOB, url: URL = DEFAULT_URL, bearer: BEARER = None, output: OUTPUT = Output.table, watch: WATCH = False
) -> None:
    """One job."""
    show(url, bearer, f"/admin/jobs/{quote(job, safe='')}", _draw_job, output=output, watch=watch)


def jobs_logs(
    job: JOB, attempt: ATTEMPT = None, url: URL = DEFAULT_URL, bearer: BEARER = None, output: OUTPUT = Output.table,
    watch: WATCH = False,
) -> None:  # fmt: skip
    """The log lines of a job."""
    asked = "" if attempt is None else f"?attempt={attempt}"
    show(url, bearer, f"/admin/jobs/{quote(job, safe='')}/logs{asked}", _draw_logs, output=output, watch=watch)


def table_of_jobs(found: dict[str, Any], wide: bool) -> RenderableType:
    """A list of jobs; moments and the whole error only where it may be wide."""
    if not found["jobs"]:
        return Text("no job matches")
    more = ("asked for", "started", "finished", "by", "bulk") if wide else ()
    table = plain_table("job", "state", "%", "tries", "age", "tenant", "session", *more, "error",
                        numbers=("%", "tries", "age"), wide=wide)  # fmt: skip
    now = datetime.now(UTC)
    for job in found["jobs"]:
        moments = (job["created_at"], job["started_at"], job["finished_at"], job["requested_by"], job["bulk"])
        error = (job["error"] or "") if wide else (job["error"] or "")[:ERROR_CHARS]
        table.add_row(*cells(job["jobId"], job["status"], job["progress"], job["attempt"], ago(job["created_at"], now),
                             job["tenant_id"], job["session_id"], *(moments if wide else ()), error))  # fmt: skip
    return table


def _draw_job(found: dict[str, Any], wide: bool) -> RenderableType:
    facts = Table(show_header=False, box=None, pad_edge=False)
    for name, value in found.items():
        if name not in ("success", "attempts", "calls"):
            facts.add_row(*cells(name, value))
    names = ("model", "request_id", "input_tokens", "output_tokens") if wide else ()
    tries = plain_table("try", "worker", "started", "took", "outcome", *(name.replace("_", " ") for name in names),
                        "error", numbers=("try", "took", "input tokens", "output tokens"), wide=wide)  # fmt: skip
    for one in found["attempts"]:
        tries.add_row(*cells(one["attempt"], one["worker"], one["started_at"][:19], _took(one), one["outcome"],
                             *(one[name] for name in names), one["error"]))  # fmt: skip
    return Group(facts, Text(""), tries)


def _took(one: dict[str, Any]) -> str:
    if one["ended_at"] is None:
        return "-"
    ended, started = (datetime.fromisoformat(one[name]) for name in ("ended_at", "started_at"))
    return lasted((ended - started).total_seconds())


def _draw_logs(found: dict[str, Any], wide: bool) -> RenderableType:  # noqa: ARG001 - a line has one form
    lines: list[RenderableType] = []
    for one in found["tries"]:
        lines.append(Text(f"try {one['attempt']} on {shown(one['worker'])}: {one['outcome'] or 'running'}"))
        lines += [Text(f"  {_line(line)}", no_wrap=True) for line in one["log"]]
    return Group(*lines) if lines else Text("no try yet")


def _line(line: dict[str, str]) -> str:
    rest = " ".join(f"{name}={shown(value)}" for name, value in line.items()
                    if name not in ("timestamp", "level", "event"))  # fmt: skip
    return f"{shown(line.get('timestamp', ''))} {shown(line.get('level', '')):7} {shown(line['event'])} {rest}".rstrip()


def _verb(group: str, verb: str) -> Callable[..., None]:
    def command(
        reason: REASON, job_ids: JOBS = None, every: ALL = False, state: STATE = None, tenant: TENANT = None,
        session: SESSION = None, participant: PARTICIPANT = None, error: ERROR = None, since: SINCE = None,
        older_than: OLDER = None, dry_run: DRY_RUN = False, yes: YES = False, url: URL = DEFAULT_URL,
        bearer: BEARER = None,
    ) -> None:  # fmt: skip
        where = where_of(state=state, tenant=tenant, session=session, participant=participant, error=error,
                         newer_than_s=seconds_of(since), older_than_s=seconds_of(older_than))  # fmt: skip
        if bool(job_ids) == every or (job_ids and (where or dry_run)):
            raise InvalidInput(f"which jobs? `afterbell {group} {verb} ID…`, or --all with filters and --dry-run")
        if job_ids:
            ids = list(job_ids)
            raise typer.Exit(run_admin(url, bearer, lambda client: _each(client, verb, ids, reason)))
        body = {"reason": reason, "where": where}
        matched = run_admin(url, bearer, lambda client: _matched(client, verb, body))
        typer.echo("1 job matches" if matched == 1 else f"{matched} jobs match")
        if dry_run or matched == 0:
            return
        if not yes:
            typer.confirm(f"{verb} {matched} jobs?", abort=True, err=True)
        raise typer.Exit(run_admin(url, bearer, lambda client: _all(client, verb, body, matched)))

    return command


async def _matched(client: AdminClient, verb: str, body: dict[str, Any]) -> int:
    return int((await client.post(f"/admin/jobs/{verb}", body | {"dry_run": True}))["matched"])


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


def where_of(**given: object) -> dict[str, Any]:
    """The filters that were given, as the API names them."""
    return {name: value for name, value in given.items() if value not in (None, [])}


def seconds_of(duration: str | None) -> float | None:
    """Of 90s, 15m, 2h or 7d, as kubectl's --since takes them. Raises InvalidInput for anything else."""
    if duration is None:
        return None
    number, unit = duration[:-1], duration[-1:]
    if not number.isascii() or not number.isdigit() or unit not in _SECONDS:
        raise InvalidInput(f"{duration!r} is no duration: give a whole number with s, m, h or d, such as 90s or 2h")
    return float(number) * _SECONDS[unit]
