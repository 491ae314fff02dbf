"""``afterbell session``: send sessions to a running API, and have one's report written."""

import json
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from afterbell.cli.api_client import ApiClient, ReportStatus, write_report
from afterbell.cli.progress_bar import progress_bar
from afterbell.cli.show_report import show_report


async def import_all(client: ApiClient, sessions: list[dict[str, Any]]) -> None:
    """Send each session and say whether it was new. Raises ApiRefused for the first that is refused."""
    async with client:
        for session in sessions:
            stored = await client.import_session(session)
            typer.echo(f"{stored['sessionId']}: {'stored' if stored['changed'] else 'unchanged'}")


async def print_report(client: ApiClient, session_id: str, *, as_json: bool) -> None:
    """Request a session's report, show how far it is, and print it. Raises ApiRefused if it fails."""
    async with client:
        with progress_bar(Console(stderr=True)) as bars:
            bar = bars.add_task(escape(session_id), total=100, stage="")

            def moved(status: ReportStatus) -> None:
                bars.update(bar, completed=status.percent, stage=status.stage)

            report = await write_report(client, session_id, moved)
    # Only staff get all that is drawn for a terminal.
    if as_json or "provenance" not in report:
        typer.echo(json.dumps(report, ensure_ascii=False))
    else:
        show_report(Console(), report)
