"""`afterbell queue top`: queue, workers, running jobs and costs on one live screen."""

import asyncio
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from afterbell.cli.admin_client import AdminClient
from afterbell.cli.output import cells, plain_table, shown

EVERY_S: Final = 1.0
ROWS_MAX: Final = 12
_BAR_CHARS: Final = 20


async def run(client: AdminClient, *, frames: int = 0) -> None:
    """Draw the screen anew each second until interrupted, or so many times."""
    drawn = 0
    with Live(screen=True, auto_refresh=False) as live:
        while True:
            live.update(frame(await looked(client)), refresh=True)
            drawn += 1
            if drawn == frames:
                return
            await asyncio.sleep(EVERY_S)


async def looked(client: AdminClient) -> dict[str, Any]:
    """What the screen shows, of this moment."""
    status, why, jobs, costs = await asyncio.gather(
        client.get("/admin/queue"), client.get("/admin/queue/why"),
        client.get(f"/admin/jobs?state=running&limit={ROWS_MAX}"), client.get("/admin/costs"),
    )  # fmt: skip
    return {"status": status, "why": why, "jobs": jobs["jobs"], "costs": costs}


def frame(found: dict[str, Any]) -> RenderableType:
    """One screen."""
    sides = Table.grid(expand=True)
    sides.add_column(ratio=1)
    sides.add_column(ratio=1)
    sides.add_row(Panel(_workers(found["status"]), title="workers"), Panel(_costs(found["costs"]), title="costs today"))
    return Group(_head(found["status"], found["why"]), sides, Panel(_jobs(found["jobs"]), title="running"))


def _head(status: dict[str, Any], why: dict[str, Any]) -> RenderableType:
    facts = status["facts"]
    names = ("waiting", "active", "due", "dead", "overdue", "idle_workers", "starts_in_window", "commands_today")
    counts = "   ".join(f"{name.replace('_', ' ')} {facts[name]}" for name in names)
    age_ms = facts["oldest_waiting_age_ms"]
    oldest = "-" if age_ms is None else f"{age_ms / 1000:.0f} s"
    style = "green" if why["cause"] in ("nothing_waits", "starting") else "yellow"
    sentence = Text(f"{why['cause']}: {shown(why['sentence'])}", style=style)
    state = "paused" if facts["paused"] else "running"
    return Panel(Group(Text(f"{counts}   oldest waits {oldest}"), sentence), title=f"queue {status['name']}: {state}")


def _workers(status: dict[str, Any]) -> RenderableType:
    table = plain_table("pod", "jobs", "")
    running = sorted(status["running"].items(), key=lambda item: -item[1])
    for pod, jobs in running[:ROWS_MAX]:
        table.add_row(*cells(pod, jobs, "drained" if pod in status["drained"] else ""))
    for name in [name for name in status["drained"] if name not in status["running"]][:ROWS_MAX]:
        table.add_row(*cells(name, 0, "drained"))
    return table if table.row_count else Text("no job runs")


def _costs(costs: dict[str, Any]) -> RenderableType:
    table = plain_table("tenant", "model", "calls", "usd")
    for line in costs["lines"][:ROWS_MAX]:
        table.add_row(*cells(line["tenant_id"], line["model"], line["calls"], line["cost_usd"]))
    return Group(Text(f"{costs['cost_usd']} USD in {costs['calls']} calls"), table)


def _jobs(jobs: list[dict[str, Any]]) -> RenderableType:
    table = plain_table("job", "tenant", "stage", "progress", "tries")
    for job in jobs:
        filled = round(job["progress"] / 100 * _BAR_CHARS)
        bar = f"{'#' * filled}{'.' * (_BAR_CHARS - filled)} {job['progress']} %"
        table.add_row(*cells(job["jobId"], job["tenant_id"], job["stage"], bar, job["attempt"]))
    return table if jobs else Text("nothing runs")
