"""The command line. Exit codes: 0 done, 1 it ran and something failed, 2 it could not start as asked."""

import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from afterbell import __version__
from afterbell.cli.overview import Overview
from afterbell.core.errors import AfterbellError, InvalidInput, StoreUnavailable
from afterbell.startup import starting

if TYPE_CHECKING:
    from afterbell.cli.api_client import ApiClient

app = typer.Typer(
    help="Reports about tutoring sessions: run the platform or one of its processes.",
    no_args_is_help=True,
    cls=Overview,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _group(name: str, about: str) -> typer.Typer:
    group = typer.Typer(help=about, no_args_is_help=True)
    app.add_typer(group, name=name)
    return group


model_app = _group("model", "Try the configured models.")
session_app = _group("session", "Import sessions and have their reports written.")
webhook_app = _group("webhook", "Test webhooks.")
retention_app = _group("retention", "Delete data past its retention period.")
student_app = _group("student", "Export or erase one student's data.")
operator_app = _group("operator", "Scale pods on Kubernetes, and replay or simulate its decisions.")

CANNOT_START = 2


class StubPace(StrEnum):
    """How fast the stub model writes."""

    real = "real"
    quick = "quick"
    none = "none"


WAIT = Annotated[
    float, typer.Option(min=0, max=3600, help="Seconds to wait for PostgreSQL, where it or its tables come later.")
]
FILE = Annotated[
    str | None,
    typer.Argument(help="One session as JSON, many as JSON lines, or - for standard input; default: an example."),
]


@app.command()
def demo(
    file: FILE = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one report a line, as JSON.")] = False,
    pace: Annotated[StubPace, typer.Option(help="Speed of the stub model.")] = StubPace.quick,
) -> None:
    """Start everything, send sessions, show progress and print their reports."""
    from afterbell.cli import demo as command
    from afterbell.cli.session_files import read_sessions
    from afterbell.dev.platform import stores
    from afterbell.settings import StoreSettings, read

    _log(default="warning")
    sessions = read_sessions(file)
    with stores(read(StoreSettings)) as settings:
        code = _run(command.run(settings, sessions, pace=pace.value, as_json=as_json))
    raise typer.Exit(code)


@app.command()
def dev(pace: Annotated[StubPace, typer.Option(help="Speed of the stub model.")] = StubPace.real) -> None:
    """Run the whole platform on this machine and serve on PORT."""
    from afterbell.cli import dev as command
    from afterbell.dev.platform import stores
    from afterbell.settings import StoreSettings, read

    _log()
    with stores(read(StoreSettings)) as settings:
        _run(command.run(settings, pace=pace.value))


@app.command()
def api() -> None:
    """Run the api process: REST on PORT, health and metrics on the internal port."""
    with starting("rich", "aiohttp"):
        from afterbell.api.main import process
        from afterbell.serving import serve
        from afterbell.settings import ApiSettings, read

        _log()
        _run(serve(process(read(ApiSettings))))


@app.command()
def worker(wait: WAIT = 0) -> None:
    """Run the worker process: takes jobs, writes reports, drains on SIGTERM."""
    with starting("rich", "fastapi"):
        from afterbell.serving import serve
        from afterbell.settings import WorkerSettings, read
        from afterbell.worker.main import process

        _log()
        _run(serve(process(read(WorkerSettings), wait_s=wait)))


@operator_app.command("run")
def operator_run() -> None:
    """Run the operator process: keeps the pods of every Pool at what its queue needs."""
    with starting("rich"):
        import asyncio

        from afterbell.serving import serve
        from afterbell.settings import OperatorSettings, read
        from afterbell_operator.main import process

        _log()
        with asyncio.Runner() as runner:  # not uvloop: kopf is tried on asyncio's own loop
            runner.run(serve(process(read(OperatorSettings))))


@operator_app.command("replay")
def operator_replay(
    file: Annotated[Path, typer.Argument(help="Recorded decisions, one per line.", exists=True, dir_okay=False)],
    spec: Annotated[
        Path | None, typer.Option(help="Manifest of a Pool: what would it have decided?", exists=True, dir_okay=False)
    ] = None,
) -> None:
    """Replay recorded decisions, as they were or with another spec."""
    from afterbell_operator.replay import replay

    differing = 0
    for sentence, same in replay(
        file.read_text("utf-8").splitlines(), None if spec is None else spec.read_text("utf-8")
    ):
        typer.echo(sentence)
        differing += not same
    raise typer.Exit(1 if differing and spec is None else 0)


@operator_app.command("simulate")
def operator_simulate(
    out: Annotated[Path, typer.Argument(help="File for the chart (SVG).", dir_okay=False)],
    spec: Annotated[
        Path | None, typer.Option(help="Manifest of a Pool; default: 5 jobs per pod, at most 60 pods.", exists=True)
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=100_000, help="Number of jobs.")] = 3000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same day.")] = 1,
) -> None:
    """Simulate a day of jobs with the operator's decisions, and draw it."""
    from afterbell_operator.replay import simulated

    chart, sentence = simulated(None if spec is None else spec.read_text("utf-8"), jobs, seed)
    out.write_text(chart, "utf-8")
    typer.echo(f"{sentence}; drawn in {out}")


@app.command()
def migrate(wait: WAIT = 0) -> None:
    """Migrate the tables at DATABASE_URL to the revision this version needs."""
    from afterbell.adapters.db.database import Database
    from afterbell.adapters.db.migrate import upgrade
    from afterbell.adapters.db.waiting import until_it_answers
    from afterbell.settings import StoreSettings, read, required

    async def run() -> str:
        url = required(read(StoreSettings).database_url, "DATABASE_URL")
        database = Database(url, pool_size=1, patience_s=None)
        try:
            await until_it_answers(database, patience_s=wait)
            return await upgrade(database)
        finally:
            await database.close()

    _log()
    typer.echo(f"the tables are at revision {_run(run())}")


@app.command()
def token(
    role: Annotated[str, typer.Option(help="student, tutor, parent, staff or admin")] = "staff",
    sub: Annotated[str, typer.Option(help="Subject: the participant id of a student or tutor.")] = "dev",
    tenant: Annotated[str, typer.Option(help="Tenant, a customer of the platform.")] = "dev",
    student: Annotated[
        list[str] | None, typer.Option(help="Child whose reports a parent may read; repeatable.")
    ] = None,
    hours: Annotated[float, typer.Option(min=0.01, max=8760, help="Lifetime in hours.")] = 24.0,
    admin: Annotated[
        str | None, typer.Option(help="viewer or operator: print a token for the admin API instead.")
    ] = None,
) -> None:
    """Print a token signed with AFTERBELL_JWT_SECRET, for development and tests, or one for the admin API."""
    if admin is not None:
        from afterbell.cli.token_options import admin_token

        typer.echo(admin_token(admin, sub, hours))
        return
    from afterbell.api.auth.bearer import mint
    from afterbell.cli.token_options import role_of
    from afterbell.settings import ApiSettings, read

    settings = read(ApiSettings)
    typer.echo(
        mint(
            settings.jwt_secret.get_secret_value(),
            subject=sub,
            tenant=tenant,
            role=role_of(role),
            now=datetime.now(UTC),
            lifetime=timedelta(hours=hours),
            students=tuple(student or ()),
            audience=settings.jwt_audience,
        )
    )


@app.command()
def llm_stub(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on loopback; 0 picks a free one.")] = 8089,
    pace: Annotated[StubPace, typer.Option(help="Speed of the stub model.")] = StubPace.real,
) -> None:
    """Run the OpenAI-compatible stub model alone, on loopback."""
    from afterbell.dev.stub.app import serving
    from afterbell.dev.stub.settings import PACES
    from afterbell.serving import LOOPBACK, bind, port_of, until_signalled

    _log()
    listening = bind(LOOPBACK, port, variable="--port")

    async def run() -> None:
        async with serving(PACES[pace.value], listening):
            typer.echo(f"OPENAI_BASE_URL=http://{LOOPBACK}:{port_of(listening)}/v1", err=True)
            await until_signalled()

    _run(run())


@model_app.command("check")
def model_check() -> None:
    """Ask each configured model once about an example lesson, and say what it can do and what to change."""
    from afterbell.cli import model as command
    from afterbell.settings import ModelCheckSettings, read

    raise typer.Exit(_run(command.run(read(ModelCheckSettings))))


URL = Annotated[str, typer.Option(help="URL of the API.", envvar="AFTERBELL_URL")]
TOKEN = Annotated[str, typer.Option("--token", envvar="AFTERBELL_TOKEN", help="See `afterbell token`.")]


@session_app.command("import")
def session_import(file: FILE = None, url: URL = "http://127.0.0.1:5000", token: TOKEN = "") -> None:
    """Send sessions to a running API. Unchanged sessions are left alone."""
    from afterbell.cli import session_commands as command
    from afterbell.cli.session_files import read_sessions

    _run(command.import_all(_client(url, token), read_sessions(file)))


@session_app.command("report")
def session_report(
    session: Annotated[str, typer.Argument(help="The session's id.")],
    url: URL = "http://127.0.0.1:5000",
    token: TOKEN = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Request a session's report, follow it and print it."""
    from afterbell.cli import session_commands as command

    _run(command.print_report(_client(url, token), session, as_json=as_json))


def _client(url: str, token: str) -> "ApiClient":
    from afterbell.cli.api_client import ApiClient

    if not token:
        raise InvalidInput("no token: pass --token or set AFTERBELL_TOKEN (`afterbell token` prints one)")
    return ApiClient(url, token)


@webhook_app.command("test")
def webhook_test(
    url: Annotated[str, typer.Argument(help="URL of the receiver.")],
    secret: Annotated[
        str | None, typer.Option(envvar="AFTERBELL_WEBHOOK_SECRET", help="whsec_… secret; default: a new one, printed.")
    ] = None,
) -> None:
    """Send one signed test event to a URL, with the checks of a real delivery."""
    from afterbell.cli import webhook as command
    from afterbell.settings import WebhookSettings, read

    raise typer.Exit(_run(command.run(read(WebhookSettings), url, secret)))


@retention_app.command("run")
def retention_run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the rows that would be deleted.")] = False,
) -> None:
    """Delete data past its retention period (AFTERBELL_KEEP_…_DAYS). Run it every night."""
    from afterbell.cli import privacy as command
    from afterbell.settings import RetentionSettings, read

    raise typer.Exit(_run(command.run_retention(read(RetentionSettings), dry_run=dry_run)))


STUDENT = Annotated[str, typer.Argument(help="The student's participant id.")]
TENANT = Annotated[str, typer.Option(help="Tenant of the student, as in the platform's tokens.")]
REASON = Annotated[str, typer.Option(help="Reason, kept in the audit log.")]


@student_app.command("export")
def student_export(student: STUDENT, tenant: TENANT, reason: REASON) -> None:
    """Print everything stored about a student, as JSON."""
    from afterbell.cli import privacy as command
    from afterbell.settings import StoreSettings, read

    raise typer.Exit(_run(command.export_student(read(StoreSettings), tenant, student, reason)))


@student_app.command("erase")
def student_erase(student: STUDENT, tenant: TENANT, reason: REASON) -> None:
    """Erase a student: sessions, messages, name and reports about them."""
    from afterbell.cli import privacy as command
    from afterbell.settings import StoreSettings, read

    raise typer.Exit(_run(command.erase_student(read(StoreSettings), tenant, student, reason)))


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(f"afterbell {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line."""
    guarded(app)


def guarded(run: Callable[[], object]) -> None:
    """Print every expected failure as one line on standard error, with an exit code."""
    try:
        run()
    except (InvalidInput, StoreUnavailable) as error:
        _fail(error, CANNOT_START)
    except ModuleNotFoundError as error:
        lacks = (
            f"{error.name} is not installed: an image has only its own process's packages, a plain wheel has no extras"
        )
        _fail(InvalidInput(lacks), CANNOT_START)
    except AfterbellError as error:
        _fail(error, CANNOT_START if error.code == "engines_unavailable" else 1)
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(error: AfterbellError, code: int) -> None:
    typer.echo(f"afterbell: {error}", err=True)
    sys.exit(code)


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    import asyncio

    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def _log(default: str | None = None) -> None:
    import structlog

    from afterbell.observability.logs import configure
    from afterbell.settings import ProcessSettings, read, unknown_names

    settings = read(ProcessSettings)
    level = settings.log_level if default is None or "log_level" in settings.model_fields_set else default
    configure(level, settings.log_style)
    for name, similar in unknown_names():
        advice = f"did you mean {similar}?" if similar else "no setting has this name"
        structlog.get_logger(__name__).warning("setting_unknown", name=name, advice=advice)
