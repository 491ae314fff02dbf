"""Jobs through the admin API: list them, show one, print its log lines, act on one or on all that match."""

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

from afterbell.cli.admin.admin_client import BEARER, DEFAULT_URL, URL, AdminClient, run_admin
from afterbell.cli.admin.job_filters import filtered
from afterbell.cli.api_client import ApiRefused
from afterbell.cli.output import OUTPUT, WATCH, Output, ago, cells, lasted, plain_table, show, shown
from afterbell.core.errors import InvalidInput

REASON = Annotated[str, typer.Option(help="Reason, kept in the audit log.")]
JOB = Annotated[str, typer.Argument(help="Job id: report-…")]
JOBS = Annotated[list[str] | None, typer.Argument(help="Job ids; or use --all.")]
ALL = Annotated[bool, typer.Option("--all", help="All jobs that match the filters.")]
DRY_RUN = Annotated[bool, typer.Option("--dry-run", help="Only count the matching jobs.")]
YES = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
LIMIT = Annotated[int, typer.Option(min=1, max=200, help="Maximum number of jobs.")]
PAGE = Annotated[str | None, typer.Option(help="Cursor of the page, from the previous list.")]
ATTEMPT = Annotated[int | None, typer.Option(min=1, help="Only this attempt.")]
ERROR_CHARS: Final = 60
VERBS: Final = {
    "retry": "Retry failed jobs.",
    "cancel": "Cancel jobs: waiting ones never start, running ones are stopped.",
    "promote": "Start delayed jobs now instead of at their scheduled time.",
    "remove": "Delete waiting, failed or cancelled jobs.",
}


def add_to(app: typer.Typer) -> None:
    """Give a group the commands about jobs."""
    app.command("list", help="List jobs, newest first.")(jobs_list)
    app.command("show", help="Show one job: its state, each attempt with its error, the cost of its model calls.")(
        jobs_show
    )
    app.command("logs", help="Print the log lines of each attempt of a job.")(jobs_logs)
    for verb, description in VERBS.items():
        app.command(verb, help=description)(_verb(verb))


@filtered
def jobs_list(
    where: dict[str, Any],
    limit: LIMIT = 50,
    page: PAGE = None,
    url: URL = DEFAULT_URL,
    bearer: BEARER = None,
    output: OUTPUT = Output.table,
    watch: WATCH = False,
) -> None:
    """List jobs, newest first."""
    asked = where | {"limit": limit} | ({"page": page} if page else {})
    pairs = [(name, item) for name, value in asked.items() for item in (value if isinstance(value, list) else [value])]
    path = "/admin/jobs?" + "&".join(f"{name}={quote(str(value), safe='')}" for name, value in pairs)
    answer = show(url, bearer, path, table_of_jobs, output=output, watch=watch)
    if answer["nextPage"] and output in (Output.table, Output.wide):
        typer.echo(f"more jobs: --page {answer['nextPage']}", err=True)


def jobs_show(
    job: JOB, url: URL = DEFAULT_URL, bearer: BEARER = None, output: OUTPUT = Output.table, watch: WATCH = False
) -> None:
    """One job."""
    show(url, bearer, f"/admin/jobs/{quote(job, safe='')}", _draw_job, output=output, watch=watch)


def jobs_logs(
    job: JOB,
    attempt: ATTEMPT = None,
    url: URL = DEFAULT_URL,
    bearer: BEARER = None,
    output: OUTPUT = Output.table,
    watch: WATCH = False,
) -> None:
    """The log lines of a job."""
    asked = "" if attempt is None else f"?attempt={attempt}"
    show(url, bearer, f"/admin/jobs/{quote(job, safe='')}/logs{asked}", _draw_logs, output=output, watch=watch)


def table_of_jobs(answer: dict[str, Any], wide: bool) -> RenderableType:
    """A list of jobs, with times and the whole error only when ``wide``."""
    if not answer["jobs"]:
        return Text("no matching jobs")
    more = ("requested", "started", "finished", "by", "bulk") if wide else ()
    table = plain_table(
        "job",
        "state",
        "%",
        "attempts",
        "age",
        "tenant",
        "session",
        *more,
        "error",
        numbers=("%", "attempts", "age"),
        wide=wide,
    )
    now = datetime.now(UTC)
    for job in answer["jobs"]:
        moments = (job["created_at"], job["started_at"], job["finished_at"], job["requested_by"], job["bulk"])
        error = (job["error"] or "") if wide else (job["error"] or "")[:ERROR_CHARS]
        table.add_row(
            *cells(
                job["jobId"],
                job["status"],
                job["progress"],
                job["attempt"],
                ago(job["created_at"], now),
                job["tenant_id"],
                job["session_id"],
                *(moments if wide else ()),
                error,
            )
        )
    return table


def _draw_job(job: dict[str, Any], wide: bool) -> RenderableType:
    facts = Table(show_header=False, box=None, pad_edge=False)
    for name, value in job.items():
        if name not in ("success", "attempts", "calls"):
            facts.add_row(*cells(name, value))
    names = ("model", "request_id", "input_tokens", "output_tokens") if wide else ()
    tries = plain_table(
        "attempt",
        "worker",
        "started",
        "took",
        "outcome",
        *(name.replace("_", " ") for name in names),
        "error",
        numbers=("attempt", "took", "input tokens", "output tokens"),
        wide=wide,
    )
    for attempt in job["attempts"]:
        tries.add_row(
            *cells(
                attempt["attempt"],
                attempt["worker"],
                attempt["started_at"][:19],
                _took(attempt),
                attempt["outcome"],
                *(attempt[name] for name in names),
                attempt["error"],
            )
        )
    return Group(facts, Text(""), tries)


def _took(attempt: dict[str, Any]) -> str:
    if attempt["ended_at"] is None:
        return "-"
    ended, started = (datetime.fromisoformat(attempt[name]) for name in ("ended_at", "started_at"))
    return lasted((ended - started).total_seconds())


def _draw_logs(answer: dict[str, Any], wide: bool) -> RenderableType:  # noqa: ARG001 - a line has one form
    lines: list[RenderableType] = []
    for attempt in answer["tries"]:
        lines.append(
            Text(f"attempt {attempt['attempt']} on {shown(attempt['worker'])}: {attempt['outcome'] or 'running'}")
        )
        lines += [Text(f"  {_line(line)}", no_wrap=True) for line in attempt["log"]]
    return Group(*lines) if lines else Text("no attempts yet")


def _line(line: dict[str, str]) -> str:
    rest = " ".join(
        f"{name}={shown(value)}" for name, value in line.items() if name not in ("timestamp", "level", "event")
    )
    return f"{shown(line.get('timestamp', ''))} {shown(line.get('level', '')):7} {shown(line['event'])} {rest}".rstrip()


def _verb(verb: str) -> Callable[..., None]:
    @filtered
    def command(
        reason: REASON,
        job_ids: JOBS = None,
        every: ALL = False,
        *,
        where: dict[str, Any],
        dry_run: DRY_RUN = False,
        yes: YES = False,
        url: URL = DEFAULT_URL,
        bearer: BEARER = None,
    ) -> None:
        if bool(job_ids) == every or (job_ids and (where or dry_run)):
            raise InvalidInput(f"name the jobs (`jobs {verb} ID…`), or use --all, which takes filters and --dry-run")
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
    """Act on each job. Exit code 1 if one was refused; the others are done all the same."""
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
