"""``afterbell dev``: the whole platform, serving until Ctrl-C, with what a developer wants to open and to paste."""

import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from afterbell.api import classroom
from afterbell.api.admin.admin_tokens import mint_admin
from afterbell.api.auth.bearer import mint
from afterbell.core.errors import SettingsError
from afterbell.dev.engines.folder import PRIVATE_DIR, PRIVATE_FILE
from afterbell.dev.platform import Platform, platform
from afterbell.serving import until_signalled
from afterbell.settings import ApiSettings, AuthSettings, StoreSettings, read

TOKEN_LIFETIME: Final = timedelta(days=1)


async def run(settings: StoreSettings, *, pace: str) -> int:
    """Serve on PORT until told to stop."""
    async with platform(settings, port=None, pace=pace) as up:
        variables = settings.data_dir / "dev.env"
        _write_private(variables, "".join(f"export {name}={shlex.quote(value)}\n" for name, value in _variables(up)))
        _show(Console(stderr=True), up)
        # Plain print: a wrapped line cannot be pasted.
        print(_lines_to_paste(variables), flush=True)  # noqa: T201
        await until_signalled()
    return 0


def _variables(up: Platform) -> Iterator[tuple[str, str]]:
    """What our own commands and curl need to reach the platform, as the staff and as an operator."""
    auth, now = read(AuthSettings), datetime.now(UTC)
    yield "AFTERBELL_URL", up.api_url
    yield (
        "AFTERBELL_TOKEN",
        mint(
            auth.jwt_secret.get_secret_value(),
            subject="dev",
            tenant="dev",
            role="staff",
            now=now,
            lifetime=TOKEN_LIFETIME,
            audience=auth.jwt_audience,
        ),
    )
    if keys := read(ApiSettings).admin_keys:
        yield "AFTERBELL_ADMIN_URL", up.internal_url
        yield (
            "AFTERBELL_ADMIN_TOKEN",
            mint_admin(keys[0], subject="dev", role="operator", now=now, lifetime=TOKEN_LIFETIME),
        )


def _write_private(path: Path, text: str) -> None:
    """Write a file that nobody else may read. Raises SettingsError where AFTERBELL_DATA_DIR cannot hold it."""
    try:
        path.parent.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # one with other rights would keep them
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    except OSError as error:
        problem = f"AFTERBELL_DATA_DIR {path.parent} is not writable: {error}; choose another"
        raise SettingsError(problem, field="AFTERBELL_DATA_DIR") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _show(screen: Console, up: Platform) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(style="dim")
    if read(ApiSettings).serves_classroom:
        table.add_row("lesson", up.api_url + "/", classroom.missing() or "chat in two tabs, and the report")
    table.add_row("API", up.api_url + "/docs", "every endpoint, to try")
    table.add_row("metrics", up.internal_url + "/metrics", "and the admin API")
    table.add_row("model", *up.model)
    table.add_row("record", *up.database)
    table.add_row("queue", *up.redis)
    screen.print("Afterbell runs on this machine. Ctrl-C stops it.\n", style="bold")
    screen.print(table, highlight=False)
    screen.print("\nIn another terminal, send the example lesson, read its report, watch the queue:\n", style="dim")


def _lines_to_paste(variables: Path) -> str:
    command, relative = _command(), os.path.relpath(variables)
    # The shell looks for a name without a slash on its PATH.
    file = relative if os.sep in relative else f"./{relative}"
    lines = (
        f". {shlex.quote(file)}",
        f"{command} session import",
        f"{command} session report fractions-lesson",
        f"{command} queue top",
    )
    return "\n".join(f"  {line}" for line in lines)


def _command() -> str:
    """How to call this program from the same folder, also without its virtual environment."""
    started = Path(sys.argv[0])
    if started.name != "afterbell":
        return f"{shlex.quote(sys.executable)} -m afterbell"
    installed = shutil.which("afterbell")
    if installed is not None and Path(installed).samefile(started):
        return "afterbell"
    return shlex.quote(os.path.relpath(started))
