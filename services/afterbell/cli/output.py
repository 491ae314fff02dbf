"""What a command of the admin API prints: a table, a wide one, JSON or YAML; once, or whenever it changes."""

import asyncio
import json
import math
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final

import typer
import yaml
from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions, Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from afterbell.cli.admin.admin_client import AdminClient, run_admin
from afterbell.core.report.attempt_log import visible

WATCH_EVERY_S: Final = 2.0
# Wide enough for every column when the output is not a terminal: a pipe wraps nothing.
PIPE_COLUMNS: Final = 400
LAST_COLUMN_MIN: Final = 24
COLUMN_GAP: Final = 2


class Output(StrEnum):
    """The formats kubectl has."""

    table = "table"
    wide = "wide"
    json = "json"
    yaml = "yaml"


OUTPUT = Annotated[Output, typer.Option("--output", "-o", help="How to print it.")]
WATCH = Annotated[bool, typer.Option("--watch", "-w", help="Print it again whenever it changes, until Ctrl-C.")]
Draw = Callable[[dict[str, Any], bool], RenderableType]
"""Draws an answer; the flag says whether it may be wide."""


def show(url: str, bearer: str | None, path: str, draw: Draw, *, output: Output, watch: bool = False) -> dict[str, Any]:
    """Print the answer of ``path``; with ``watch``, each that differs, until interrupted. Returns the last answer."""

    async def run(client: AdminClient) -> dict[str, Any]:
        printed = ""
        while True:
            answer = await client.get(path)
            if (text := rendered(answer, draw, output)) != printed:
                typer.echo(text)
                printed = text
            if not watch:
                return answer
            await asyncio.sleep(WATCH_EVERY_S)

    return run_admin(url, bearer, run)


def rendered(answer: dict[str, Any], draw: Draw, output: Output) -> str:
    """The answer as it is printed, without the last line break."""
    if output is Output.json:
        return json.dumps(answer, ensure_ascii=False)
    if output is Output.yaml:
        return yaml_of(answer)
    screen, drawn = Console(), draw(answer, output is Output.wide)
    columns = screen.width if screen.is_terminal else PIPE_COLUMNS
    screen.size = ConsoleDimensions(_columns_for(drawn, columns), screen.height)
    with screen.capture() as captured:
        screen.print(drawn)
    return "\n".join(line.rstrip() for line in captured.get().rstrip("\n").splitlines())


def yaml_of(value: Any) -> str:
    """JSON-ready ``value`` as block YAML, in ASCII only if it contains characters that a terminal should not get."""
    text = _dumped(value, allow_unicode=True)
    return text if text.replace("\n", "").isprintable() else _dumped(value, allow_unicode=False)


def _dumped(value: Any, *, allow_unicode: bool) -> str:
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=allow_unicode, width=math.inf)
    return text.removesuffix("...\n").rstrip("\n")


def _columns_for(drawn: RenderableType, columns: int) -> int:
    """How wide it is drawn. As with kubectl, the terminal wraps what does not fit, and no id is cut.

    Only the last column of a table, such as an error, shrinks, down to ``LAST_COLUMN_MIN``.
    """
    if isinstance(drawn, Group):
        return max((_columns_for(part, columns) for part in drawn.renderables), default=columns)
    if isinstance(drawn, Text):
        return max(columns, drawn.cell_len) if drawn.no_wrap else columns
    if not isinstance(drawn, Table):
        return columns
    *first, last = (max(cell_len(str(cell)) for cell in (column.header, *column.cells)) for column in drawn.columns)
    before_last = sum(first) + COLUMN_GAP * len(first)
    needed = max(columns, before_last + min(last, LAST_COLUMN_MIN))
    drawn.columns[-1].max_width = needed - before_last
    return needed


def plain_table(*columns: str, numbers: Collection[str] = (), wide: bool = False) -> Table:
    """A table as kubectl draws it: no lines, and only the last column may be cut, but not when ``wide``.

    The columns named in ``numbers`` are right-aligned.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        justify: JustifyMethod = "right" if column in numbers else "left"
        table.add_column(column.upper(), justify=justify, no_wrap=True, overflow="ellipsis")
    if wide:
        table.columns[-1].no_wrap, table.columns[-1].overflow = False, "fold"
    return table


def ago(moment: str | None, now: datetime) -> str:
    """The age of an ISO 8601 time as kubectl writes ages: 45s, 12m, 5h, 3d."""
    if moment is None:
        return "-"
    then = datetime.fromisoformat(moment)
    passed = now - (then if then.tzinfo else then.replace(tzinfo=UTC))
    return lasted(max(passed.total_seconds(), 0.0))


def lasted(seconds: float) -> str:
    """A duration in the largest unit of which it has two or more."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:.0f}s"


def shown(value: object) -> str:
    """Text for a terminal, with control characters made visible."""
    return visible("-" if value is None else str(value))


def cells(*values: object) -> tuple[Text, ...]:
    """A row of texts that are not read as markup."""
    return tuple(Text(shown(value)) for value in values)
