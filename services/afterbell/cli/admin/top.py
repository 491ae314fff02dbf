"""`afterbell queue top`: queue, workers, running jobs and costs on one live screen."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from afterbell.cli.admin.admin_client import AdminClient
from afterbell.cli.admin.rendering import state_of, usd
from afterbell.cli.api_client import ApiRefused
from afterbell.cli.output import ago, cells, plain_table, shown

EVERY_S: Final = 2.0
ROWS_MAX: Final = 12
# On a narrower screen there is no room for more beside a job's id.
WIDE_COLUMNS_MIN: Final = 100
_BAR_CHARS: Final = 8
_STYLES: Final = {"busy": "green", "drained": "yellow", "gone": "red"}


async def run(client: AdminClient, *, every_s: float = EVERY_S, frames: int = 0) -> None:
    """Redraw the screen until interrupted, or ``frames`` times. Raises ApiRefused if the first request fails; later
    failures are shown on the screen, and the numbers stay.
    """
    drawn, snapshot = 0, await looked(client)
    with Live(screen=True, auto_refresh=False) as live:
        while True:
            live.update(frame(snapshot, datetime.now(UTC), live.console.width), refresh=True)
            drawn += 1
            if drawn == frames:
                return
            await asyncio.sleep(every_s)
            try:
                snapshot = await looked(client)
            except ApiRefused as error:
                snapshot = snapshot | {"trouble": str(error)}


async def looked(client: AdminClient) -> dict[str, Any]:
    """What the screen shows at this moment."""
    status, why, workers, jobs, costs = await asyncio.gather(
        client.get("/admin/queue"),
        client.get("/admin/queue/why"),
        client.get("/admin/workers"),
        client.get(f"/admin/jobs?state=running&limit={ROWS_MAX}"),
        client.get("/admin/costs"),
    )
    return {"status": status, "why": why, "workers": workers, "jobs": jobs["jobs"], "costs": costs}


def frame(snapshot: dict[str, Any], now: datetime, columns: int) -> RenderableType:
    """One screen."""
    sides = Table.grid(expand=True)
    sides.add_column(ratio=1)
    sides.add_column(ratio=1)
    workers, costs = _workers(snapshot["workers"]), _costs(snapshot["costs"])
    sides.add_row(Panel(workers, title="workers"), Panel(costs, title="model costs today"))
    running = Panel(_jobs(snapshot["jobs"], now, wide=columns >= WIDE_COLUMNS_MIN), title="running")
    return Group(_head(snapshot), sides, running)


def _head(snapshot: dict[str, Any]) -> RenderableType:
    status, why = snapshot["status"], snapshot["why"]
    style = "green" if why["cause"] in ("nothing_waits", "starting") else "yellow"
    lines: list[RenderableType] = [Columns(list(_numbers(status)), padding=(0, 3))]
    lines.append(Text(f"{why['cause']}: {shown(why['sentence'])}", style=style))
    if trouble := snapshot.get("trouble"):
        lines.append(Text(f"not up to date: {shown(trouble)}", style="red"))
    state = "paused" if status["facts"]["paused"] else "running"
    return Panel(Group(*lines), title=f"queue {status['name']}: {state}")


def _numbers(status: dict[str, Any]) -> Iterator[Text]:
    facts, jobs = status["facts"], status["jobs"]
    age_ms = facts["oldest_waiting_age_ms"]
    for name in ("waiting", "active", "due", "overdue", "dead"):
        yield _number(name, facts[name], "red" if name in ("overdue", "dead") and facts[name] else "")
    yield _number("oldest waiting", "-" if age_ms is None else f"{age_ms / 1000:.0f} s")
    yield _number("starts in window", facts["starts_in_window"])
    yield _number("commands today", f"{facts['commands_today']:,}")
    for name in ("succeeded", "failed"):
        yield _number(f"{name} in all", f"{jobs.get(name, 0):,}")


def _number(name: str, value: object, style: str = "") -> Text:
    return Text.assemble((f"{name} ", "dim"), (str(value), f"bold {style}"))


def _workers(answer: dict[str, Any]) -> RenderableType:
    table = plain_table("worker", "jobs", "state", numbers=("jobs",))
    for worker in answer["workers"][:ROWS_MAX]:
        name, jobs, state = cells(worker["name"], worker["jobs"], state_of(worker))
        table.add_row(name, jobs, Text(str(state), style=_STYLES.get(str(state), "")))
    for name in answer["drained_unseen"][: ROWS_MAX - table.row_count]:
        table.add_row(*cells(name, 0, "drained"))
    left_out = len(answer["workers"]) + len(answer["drained_unseen"]) - table.row_count
    if not table.row_count:
        return Text("no workers")
    return Group(table, Text(f"and {left_out} more: afterbell queue workers", style="dim")) if left_out else table


def _costs(costs: dict[str, Any]) -> RenderableType:
    table = plain_table("calls", "usd", "model", "tenant", numbers=("calls", "usd"))
    for name in table.columns[2:]:
        name.no_wrap = False  # so that names are cut before numbers are
    for line in costs["lines"][:ROWS_MAX]:
        table.add_row(*cells(line["calls"], f"{float(line['cost_usd']):.4f}", line["model"], line["tenant_id"]))
    return Group(Text(f"{usd(costs['cost_usd'])} in {costs['calls']:,} calls"), table)


def _jobs(jobs: list[dict[str, Any]], now: datetime, *, wide: bool) -> RenderableType:
    table = plain_table(
        "job", "progress", "stage", "for", *(["attempt", "tenant"] if wide else []), numbers=("for", "attempt")
    )
    if wide:
        table.columns[-1].no_wrap = False  # so that a tenant is cut before its job's progress is
    for job in jobs:
        filled = round(job["progress"] / 100 * _BAR_CHARS)
        bar = Text.assemble(("█" * filled, "green"), ("░" * (_BAR_CHARS - filled), "dim"), f" {job['progress']:3} %")
        more = (job["attempt"], job["tenant_id"]) if wide else ()
        name, *rest = cells(job["jobId"], job["stage"], ago(job["started_at"], now), *more)
        table.add_row(name, bar, *rest)
    return table if jobs else Text("no running jobs")
