"""`afterbell queue …` and `afterbell jobs …`: the admin API from a terminal."""

from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from afterbell.cli import admin_jobs, admin_views, top
from afterbell.cli.admin_client import BEARER, DEFAULT_URL, URL, post, run_admin
from afterbell.cli.admin_jobs import REASON
from afterbell.cli.output import OUTPUT, WATCH, Output, cells, plain_table, show, shown

queue_app = typer.Typer(name="queue", help="See and steer the queue, through the admin API.", no_args_is_help=True)
jobs_app = typer.Typer(name="jobs", help="See and steer jobs, through the admin API.", no_args_is_help=True)
admin_jobs.add_to(jobs_app, listed="list", one="show")
admin_jobs.add_to(queue_app, listed="jobs", one="job")

WORKER = Annotated[str, typer.Argument(help="A worker, or a pod for all of its workers.")]


@queue_app.command("status")
def queue_status(
    url: URL = DEFAULT_URL, bearer: BEARER = None, output: OUTPUT = Output.table, watch: WATCH = False
) -> None:
    """What waits, runs and failed, who runs it, and whether anything is paused or drained."""
    show(url, bearer, "/admin/queue", _draw_status, output=output, watch=watch)


@queue_app.command("why")
def queue_why(
    url: URL = DEFAULT_URL, bearer: BEARER = None, output: OUTPUT = Output.table, watch: WATCH = False
) -> None:
    """Why work waits, in one sentence."""
    show(url, bearer, "/admin/queue/why", _draw_why, output=output, watch=watch)


@queue_app.command("workers")
def queue_workers(
    url: URL = DEFAULT_URL, bearer: BEARER = None, output: OUTPUT = Output.table, watch: WATCH = False
) -> None:
    """Who runs jobs or waits for them, also the idle ones."""
    show(url, bearer, "/admin/workers", admin_views.workers, output=output, watch=watch)


@queue_app.command("limits")
def queue_limits(
    url: URL = DEFAULT_URL, bearer: BEARER = None, output: OUTPUT = Output.table, watch: WATCH = False
) -> None:
    """Limiter, breakers, quotas and budgets: what is allowed and what has been used."""
    show(url, bearer, "/admin/limits", admin_views.limits, output=output, watch=watch)


@queue_app.command("top")
def queue_top(
    url: URL = DEFAULT_URL,
    bearer: BEARER = None,
    every_s: Annotated[
        float, typer.Option("--interval", "-i", min=0.5, help="Seconds between looks; each costs four Redis commands.")
    ] = top.EVERY_S,
    frames: Annotated[int, typer.Option(min=0, help="End after so many screens; 0: with Ctrl-C.")] = 0,
) -> None:
    """Queue, workers, running jobs and costs, live on the whole screen."""
    run_admin(url, bearer, lambda client: top.run(client, every_s=every_s, frames=frames))


@queue_app.command("audit")
def queue_audit(
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    url: URL = DEFAULT_URL, bearer: BEARER = None, output: OUTPUT = Output.table, watch: WATCH = False,
) -> None:  # fmt: skip
    """Who did what, when and why, newest first."""
    show(url, bearer, f"/admin/audit?limit={limit}", _draw_audit, output=output, watch=watch)


@queue_app.command("pause")
def queue_pause(reason: REASON, url: URL = DEFAULT_URL, bearer: BEARER = None) -> None:
    """Start nothing more; what runs goes on."""
    post(url, bearer, "/admin/queue/pause", reason)
    typer.echo("the queue is paused")


@queue_app.command("resume")
def queue_resume(reason: REASON, url: URL = DEFAULT_URL, bearer: BEARER = None) -> None:
    """End a pause."""
    post(url, bearer, "/admin/queue/resume", reason)
    typer.echo("the queue runs")


@queue_app.command("drain")
def queue_drain(worker: WORKER, reason: REASON, url: URL = DEFAULT_URL, bearer: BEARER = None) -> None:
    """Let a worker, or a pod, finish what it runs and start nothing more."""
    post(url, bearer, f"/admin/workers/{quote(worker, safe='')}/drain", reason)
    typer.echo(f"{worker} starts nothing more")


@queue_app.command("undrain")
def queue_undrain(worker: WORKER, reason: REASON, url: URL = DEFAULT_URL, bearer: BEARER = None) -> None:
    """End a drain."""
    post(url, bearer, f"/admin/workers/{quote(worker, safe='')}/undrain", reason)
    typer.echo(f"{worker} starts jobs again")


def _draw_status(found: dict[str, Any], wide: bool) -> RenderableType:
    facts = found["facts"]
    state = "paused" if facts["paused"] else "running"
    table = Table(show_header=False, box=None, pad_edge=False)
    names = ("waiting", "active", "due", "dead", "overdue", "idle_workers", "starts_in_window", "commands_today")
    for name in (*names, "lanes", "next_due_in_ms") if wide else names:
        table.add_row(*cells(name.replace("_", " "), facts[name]))
    age_ms = facts["oldest_waiting_age_ms"]
    table.add_row("oldest waits", "-" if age_ms is None else f"{age_ms / 1000:.0f} s")
    table.add_row(*cells("drained", ", ".join(found["drained"]) or "-"))
    for pod, running in sorted(found["running"].items()):
        table.add_row(*cells(f"runs on {pod}", running))
    for status, count in sorted(found["jobs"].items()):
        table.add_row(*cells(f"jobs {status}", count))
    return Group(Text(f"queue {found['name']}: {state}"), table)


def _draw_why(found: dict[str, Any], wide: bool) -> RenderableType:  # noqa: ARG001 - a sentence has one form
    return Text(f"{found['cause']}: {shown(found['sentence'])}")


def _draw_audit(found: dict[str, Any], wide: bool) -> RenderableType:
    table = plain_table("at", "who", "did", "to", "why", *(["tenant", "details"] if wide else []))
    for act in found["acts"]:
        more = (act["tenant"], act["details"]) if wide else ()
        table.add_row(*cells(act["at"][:19], act["actor"], act["action"], act["subject"], act["reason"], *more))
    return table
