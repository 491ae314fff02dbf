"""The list of all commands, which loads none of them."""

from typing import Any

import typer
from typer.core import TyperGroup

from afterbell.cli.admin import HELP


class Overview(TyperGroup):
    """Loads `queue` and `jobs`, with all they draw with, when they are asked for: processes of the platform do not."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Every command, `queue` and `jobs` at the end."""
        return [*super().list_commands(ctx), *HELP]

    def format_commands(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]  # noqa: ARG002
        """List the commands without loading any."""
        commands = {name: str(command.help) for name, command in self.commands.items()} | HELP
        with formatter.section("Commands"):
            formatter.write_dl([(name, said.split("\n\n")[0].rstrip(".")) for name, said in commands.items()])

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]
        """A command by its name."""
        if cmd_name not in HELP:
            return super().get_command(ctx, cmd_name)
        from afterbell.cli.admin.commands import jobs_app, queue_app

        return typer.main.get_group(queue_app if cmd_name == "queue" else jobs_app)
