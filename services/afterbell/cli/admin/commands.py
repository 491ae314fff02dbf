"""`afterbell queue …` and `afterbell jobs …`: the admin API from a terminal."""

from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from afterbell.cli.admin import HELP, rendering, top
from afterbell.cli.admin import jobs as admin_jobs
from afterbell.cli.admin.admin_client import BEARER, DEFAULT_URL, URL, post, run_admin
from afterbell.cli.admin.jobs import REASON
from afterbell.cli.output import OUTPUT, WATCH, Output, cells, plain_table, show, shown
from afterbell.core.errors import InvalidInput

queue_app = typer.Typer(name="queue", help=HELP["queue"], no_args_is_help=True)
jobs_app = typer.Typer(name="jobs", help=HELP["jobs"], no_args_is_help=True)
admin_jobs.add_to(jobs_app)
# Until 0.2 `queue` listed and changed jobs too. For one release the old commands name the new ones.
MOVED = {"jobs": "list", "job": "show"} | {verb: verb for verb in ("logs", *admin_jobs.VERBS)}

WORKER = Annotated[str, typer.Argument(help="A worker, or a pod for all its workers.")]


@queue_app.command("status")
def queue_status(
    url: URL = DEFAULT_URL, bearer: BEARER = None, output: OUTPUT = Output.table, watch: WATCH = False
) -> None:
    """Show waiting, running and failed jobs, and whether anything is paused or drained."""
    show(url, bearer, "/admin/queue", _draw_status, output=output, watch=watch)


@queue_app.command("why")
def queue_why(
    url: URL = DEFAULT_URL, bearer: BEARER = None, output: OUTPUT = Output.table, watch: WATCH = False
) -> None:
    """Explain in one sentence why jobs are waiting."""
    show(url, bearer, "/admin/queue/why", _draw_why, output=output, watch=watch)


@queue_app.command("workers")
def queue_workers(
    url: URL = DEFAULT_URL, bearer: BEARER = None, output: OUTPUT = Output.table, watch: WATCH = False
) -> None:
    """List all workers, idle ones included."""
    show(url, bearer, "/admin/workers", rendering.workers, output=output, watch=watch)


@queue_app.command("limits")
def queue_limits(
    url: URL = DEFAULT_URL, bearer: BEARER = None, output: OUTPUT = Output.table, watch: WATCH = False
) -> None:
    """Show limits and their use: rate limiter, breakers, quotas, budgets."""
    show(url, bearer, "/admin/limits", rendering.limits, output=output, watch=watch)


@queue_app.command("top")
def queue_top(
    url: URL = DEFAULT_URL,
    bearer: BEARER = None,
    every_s: Annotated[
        float,
        typer.Option("--interval", "-i", min=0.5, help="Seconds between refreshes; each costs four Redis commands."),
    ] = top.EVERY_S,
    frames: Annotated[int, typer.Option(min=0, help="Stop after this many screens; 0: run until Ctrl-C.")] = 0,
) -> None:
    """Show the queue, workers, running jobs and costs live, full screen."""
    run_admin(url, bearer, lambda client: top.run(client, every_s=every_s, frames=frames))


@queue_app.command("audit")
def queue_audit(
    limit: Annotated[int, typer.Option(min=1, max=200, help="Maximum number of entries.")] = 50,
    url: URL = DEFAULT_URL,
    bearer: BEARER = None,
    output: OUTPUT = Output.table,
    watch: WATCH = False,
) -> None:
    """Print the audit log: who did what, when and why, newest first."""
    show(url, bearer, f"/admin/audit?limit={limit}", _draw_audit, output=output, watch=watch)


@queue_app.command("pause")
def queue_pause(reason: REASON, url: URL = DEFAULT_URL, bearer: BEARER = None) -> None:
    """Stop new jobs from starting; running jobs continue."""
    post(url, bearer, "/admin/queue/pause", reason)
    typer.echo("the queue is paused")


@queue_app.command("resume")
def queue_resume(reason: REASON, url: URL = DEFAULT_URL, bearer: BEARER = None) -> None:
    """End a pause."""
    post(url, bearer, "/admin/queue/resume", reason)
    typer.echo("the queue is running")


@queue_app.command("drain")
def queue_drain(worker: WORKER, reason: REASON, url: URL = DEFAULT_URL, bearer: BEARER = None) -> None:
    """Let a worker, or a pod, finish its running jobs and start no more."""
    post(url, bearer, f"/admin/workers/{quote(worker, safe='')}/drain", reason)
    typer.echo(f"{worker} is drained: it starts no more jobs")


@queue_app.command("undrain")
def queue_undrain(worker: WORKER, reason: REASON, url: URL = DEFAULT_URL, bearer: BEARER = None) -> None:
    """End a drain."""
    post(url, bearer, f"/admin/workers/{quote(worker, safe='')}/undrain", reason)
    typer.echo(f"{worker} starts jobs again")


def _moved(old: str, new: str) -> None:
    @queue_app.command(old, hidden=True, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
    def moved() -> None:
        raise InvalidInput(f"`queue {old}` was renamed: use `jobs {new}`")


for _old, _new in MOVED.items():
    _moved(_old, _new)


def _draw_status(answer: dict[str, Any], wide: bool) -> RenderableType:
    facts = answer["facts"]
    state = "paused" if facts["paused"] else "running"
    table = Table(show_header=False, box=None, pad_edge=False)
    names = ("waiting", "active", "due", "dead", "overdue", "idle_workers", "starts_in_window", "commands_today")
    for name in (*names, "lanes", "next_due_in_ms") if wide else names:
        table.add_row(*cells(name.replace("_", " "), facts[name]))
    age_ms = facts["oldest_waiting_age_ms"]
    table.add_row("oldest waiting", "-" if age_ms is None else f"{age_ms / 1000:.0f} s")
    table.add_row(*cells("drained", ", ".join(answer["drained"]) or "-"))
    for pod, running in sorted(answer["running"].items()):
        table.add_row(*cells(f"running on {pod}", running))
    for status, count in sorted(answer["jobs"].items()):
        table.add_row(*cells(f"jobs {status}", count))
    return Group(Text(f"queue {answer['name']}: {state}"), table)


def _draw_why(answer: dict[str, Any], wide: bool) -> RenderableType:  # noqa: ARG001 - a sentence has one form
    return Text(f"{answer['cause']}: {shown(answer['sentence'])}")


def _draw_audit(answer: dict[str, Any], wide: bool) -> RenderableType:
    table = plain_table("at", "who", "did", "to", "why", *(["tenant", "details"] if wide else []))
    for act in answer["acts"]:
        more = (act["tenant"], act["details"]) if wide else ()
        table.add_row(*cells(act["at"][:19], act["actor"], act["action"], act["subject"], act["reason"], *more))
    return table
