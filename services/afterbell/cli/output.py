"""What a command of the admin API prints: a table, a wide one, JSON or YAML; once, or whenever it changes."""

import asyncio
import json
import math
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any, Final

import typer
import yaml
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from afterbell.cli.admin_client import AdminClient, run_admin
from afterbell.core.trylog import visible

WATCH_EVERY_S: Final = 2.0
# Wide enough for every column where the output is no terminal: a pipe wraps nothing.
PIPE_COLUMNS: Final = 400


class Output(StrEnum):
    """The formats kubectl has."""

    table = "table"
    wide = "wide"
    json = "json"
    yaml = "yaml"


OUTPUT = Annotated[Output, typer.Option("--output", "-o", help="How to print it.")]
WATCH = Annotated[bool, typer.Option("--watch", "-w", help="Print it again whenever it changes, until Ctrl-C.")]
Draw = Callable[[dict[str, Any], bool], RenderableType]
"""Of an answer and whether it may be wide."""


def show(url: str, bearer: str | None, path: str, draw: Draw, *, output: Output, watch: bool = False) -> dict[str, Any]:
    """Print the answer of ``path``; with ``watch`` each one that differs, until interrupted. The last answer."""

    async def run(client: AdminClient) -> dict[str, Any]:
        printed = ""
        while True:
            found = await client.get(path)
            if (text := told(found, draw, output)) != printed:
                typer.echo(text)
                printed = text
            if not watch:
                return found
            await asyncio.sleep(WATCH_EVERY_S)

    return run_admin(url, bearer, run)


def told(found: dict[str, Any], draw: Draw, output: Output) -> str:
    """The answer as it is printed, without the last line break."""
    if output is Output.json:
        return json.dumps(found, ensure_ascii=False)
    if output is Output.yaml:
        return yaml_of(found)
    screen = Console()
    if not screen.is_terminal:
        screen = Console(width=PIPE_COLUMNS)
    with screen.capture() as captured:
        screen.print(draw(found, output is Output.wide))
    return captured.get().rstrip("\n")


def yaml_of(value: Any) -> str:
    """JSON-ready ``value`` as block YAML; all in ASCII where it has a character that no terminal should get."""
    text = _dumped(value, allow_unicode=True)
    return text if text.replace("\n", "").isprintable() else _dumped(value, allow_unicode=False)


def _dumped(value: Any, *, allow_unicode: bool) -> str:
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=allow_unicode, width=math.inf)
    return text.removesuffix("...\n").rstrip("\n")


def plain_table(*columns: str) -> Table:
    """A table as kubectl draws them: no lines."""
    return Table(*(column.upper() for column in columns), box=None, pad_edge=False, header_style="bold")


def shown(value: object) -> str:
    """For a terminal: control characters of a hostile text made visible."""
    return visible("-" if value is None else str(value))


def cells(*values: object) -> tuple[Text, ...]:
    """A row whose texts are no markup."""
    return tuple(Text(shown(value)) for value in values)
