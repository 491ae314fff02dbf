"""The command line. Exit codes: 0 done, 1 it ran and something failed, 2 it could not start as asked."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from afterbell import __version__
from afterbell.core.errors import AfterbellError, InvalidInput, StoreUnavailable
from afterbell.core.report import Role


class _Commands(TyperGroup):
    """Loads `queue` and `jobs`, with all they draw with, when they are asked for: processes of the platform do not."""

    late = ("queue", "jobs")

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Every command, the late ones at the end."""
        return [*super().list_commands(ctx), *self.late]

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]
        """A command by its name."""
        if cmd_name not in self.late:
            return super().get_command(ctx, cmd_name)
        from afterbell.cli.admin import jobs_app, queue_app

        return typer.main.get_group(queue_app if cmd_name == "queue" else jobs_app)


app = typer.Typer(help="Reports about tutoring sessions: run the platform, or a part of it.", no_args_is_help=True,
                  cls=_Commands, pretty_exceptions_enable=False, rich_markup_mode="rich")  # fmt: skip
session_app = typer.Typer(help="Work with sessions.", no_args_is_help=True)
app.add_typer(session_app, name="session")
webhook_app = typer.Typer(help="Try webhooks.", no_args_is_help=True)
app.add_typer(webhook_app, name="webhook")
retention_app = typer.Typer(help="Keep nothing longer than you said.", no_args_is_help=True)
app.add_typer(retention_app, name="retention")
student_app = typer.Typer(help="What is kept about one student.", no_args_is_help=True)
app.add_typer(student_app, name="student")
operator_app = typer.Typer(help="Scale workers on Kubernetes, and see why.", no_args_is_help=True)
app.add_typer(operator_app, name="operator")

CANNOT_START = 2


class Pace(StrEnum):
    """How fast the stub model writes."""

    real = "real"
    quick = "quick"
    none = "none"


FILE = Annotated[
    str | None,
    typer.Argument(help="One session as JSON, many as JSON lines, or - for standard input; without it, an example."),
]


@app.command()
def demo(
    file: FILE = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one report a line, as JSON.")] = False,
    pace: Annotated[Pace, typer.Option(help="How fast the stub model writes.")] = Pace.quick,
) -> None:
    """Start everything, send sessions, watch their reports being made, print them."""
    from afterbell.cli import demo as command
    from afterbell.cli.platform import stores
    from afterbell.cli.sessions import read_sessions
    from afterbell.settings import StoreSettings, read

    _log(default="warning")
    sessions = read_sessions(file)
    with stores(read(StoreSettings)) as found:
        code = _run(command.run(found, sessions, pace=pace.value, as_json=as_json))
    raise typer.Exit(code)


@app.command()
def dev(pace: Annotated[Pace, typer.Option(help="How fast the stub model writes.")] = Pace.real) -> None:
    """Run the whole platform on this machine and keep serving on PORT."""
    from afterbell.cli import dev as command
    from afterbell.cli.platform import stores
    from afterbell.settings import StoreSettings, read

    _log()
    with stores(read(StoreSettings)) as found:
        _run(command.run(found, pace=pace.value))


@app.command()
def api() -> None:
    """Run the api process: REST on PORT, health and metrics on the internal port."""
    from afterbell.api.main import serve
    from afterbell.settings import ApiSettings, read

    _log()
    _run(serve(read(ApiSettings)))


@app.command()
def worker() -> None:
    """Run the worker process: takes jobs, writes reports, drains on SIGTERM."""
    from afterbell.settings import WorkerSettings, read
    from afterbell.worker.main import serve

    _log()
    _run(serve(read(WorkerSettings)))


@operator_app.command("run")
def operator_run() -> None:
    """Run the operator process: keeps the pods of every Pool at what its queue needs."""
    from afterbell.settings import OperatorSettings, read
    from afterbell_operator.main import serve

    _log()
    with asyncio.Runner() as runner:  # not uvloop: kopf is tried on asyncio's own loop
        runner.run(serve(read(OperatorSettings)))


@operator_app.command("replay")
def operator_replay(
    file: Annotated[Path, typer.Argument(help="Records of the operator, one a line.", exists=True, dir_okay=False)],
    spec: Annotated[
        Path | None, typer.Option(help="A Pool's manifest: what would it have answered?", exists=True, dir_okay=False)
    ] = None,
) -> None:
    """Decide records of the operator again, as they were or with another spec."""
    from afterbell_operator.replay import replay

    differing = 0
    for told, same in replay(file.read_text("utf-8").splitlines(), None if spec is None else spec.read_text("utf-8")):
        typer.echo(told)
        differing += not same
    raise typer.Exit(1 if differing and spec is None else 0)


@operator_app.command("simulate")
def operator_simulate(
    out: Annotated[Path, typer.Argument(help="Where the chart goes, as SVG.", dir_okay=False)],
    spec: Annotated[
        Path | None, typer.Option(help="A Pool's manifest; without it, 5 jobs a pod, at most 60 pods.", exists=True)
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=100_000, help="Jobs in the day.")] = 3000,
    seed: Annotated[int, typer.Option(help="The same seed, the same day.")] = 1,
) -> None:
    """Run a day of jobs through the operator's decisions in seconds, and draw it."""
    from afterbell_operator.replay import simulated

    chart, told = simulated(None if spec is None else spec.read_text("utf-8"), jobs, seed)
    out.write_text(chart, "utf-8")
    typer.echo(f"{told}; drawn in {out}")


@app.command()
def migrate() -> None:
    """Bring the tables at DATABASE_URL to the version this code works with."""
    from afterbell.adapters.db.engine import Database
    from afterbell.adapters.db.migrate import upgrade
    from afterbell.settings import StoreSettings, read, required

    async def run() -> str:
        url = required(read(StoreSettings).database_url, "DATABASE_URL")
        database = Database(url, pool_size=1, patience_s=None)
        try:
            await database.check()
            return await upgrade(database)
        finally:
            await database.close()

    typer.echo(f"the tables are at revision {_run(run())}")


@app.command()
def token(
    role: Annotated[str, typer.Option(help="student, tutor, parent, staff or admin")] = "staff",
    sub: Annotated[str, typer.Option(help="Whose token: a participant's id for students and tutors.")] = "dev",
    tenant: Annotated[str, typer.Option(help="The platform's customer.")] = "dev",
    student: Annotated[list[str] | None, typer.Option(help="A child a parent may read about; repeatable.")] = None,
    hours: Annotated[float, typer.Option(min=0.01, max=8760, help="How long it holds.")] = 24.0,
    admin: Annotated[str | None, typer.Option(help="viewer or operator: a token of the admin API instead.")] = None,
) -> None:
    """Mint a token with AFTERBELL_JWT_SECRET, for development and tests; or one of the admin API."""
    if admin is not None:
        typer.echo(_admin_token(admin, sub, hours))
        return
    from afterbell.api.auth import mint
    from afterbell.settings import ApiSettings, read

    settings = read(ApiSettings)
    typer.echo(
        mint(
            settings.jwt_secret.get_secret_value(),
            subject=sub,
            tenant=tenant,
            role=_role(role),
            now=datetime.now(UTC),
            lifetime=timedelta(hours=hours),
            students=tuple(student or ()),
            audience=settings.jwt_audience,
        )
    )


@app.command()
def llm_stub(
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8089,
    pace: Annotated[Pace, typer.Option(help="How fast it writes.")] = Pace.real,
) -> None:
    """Run the OpenAI-compatible stub alone, on loopback; point OPENAI_BASE_URL at it."""
    from afterbell.cli.platform import LOOPBACK, PACES
    from afterbell.llm_stub.app import create_app
    from afterbell.serving import Serving, bind, port_of, until_told

    _log()
    listening = bind(LOOPBACK, port, variable="--port")

    async def run() -> None:
        serving = Serving(create_app(PACES[pace.value]), listening)
        await serving.start()
        typer.echo(f"OPENAI_BASE_URL=http://{LOOPBACK}:{port_of(listening)}/v1", err=True)
        await until_told()
        await serving.stop()

    _run(run())


@session_app.command("import")
def session_import(
    file: Annotated[str, typer.Argument(help="One session as JSON, many as JSON lines, or - for standard input.")],
    url: Annotated[str, typer.Option(help="The API.", envvar="AFTERBELL_URL")] = "http://127.0.0.1:5000",
    bearer: Annotated[
        str | None, typer.Option("--token", envvar="AFTERBELL_TOKEN", help="See `afterbell token`.")
    ] = None,
) -> None:
    """Send sessions to a running API. Those that were sent before and did not change are left alone."""
    from afterbell.cli.client import ApiClient
    from afterbell.cli.sessions import read_sessions

    if not bearer:
        raise InvalidInput("no token: give --token or AFTERBELL_TOKEN (mint one with `afterbell token`)")
    sessions = read_sessions(file)

    async def run() -> None:
        async with ApiClient(url, bearer) as client:
            for session in sessions:
                stored = await client.import_session(session)
                typer.echo(f"{stored['sessionId']}: {'stored' if stored['changed'] else 'unchanged'}")

    _run(run())


@webhook_app.command("test")
def webhook_test(
    url: Annotated[str, typer.Argument(help="The receiver's URL.")],
    secret: Annotated[
        str | None, typer.Option(envvar="AFTERBELL_WEBHOOK_SECRET", help="whsec_…; without it one is made and shown.")
    ] = None,
) -> None:
    """Send one signed test event to a URL, with the checks every delivery goes through."""
    from afterbell.cli import webhook as command
    from afterbell.settings import WebhookSettings, read

    raise typer.Exit(_run(command.run(read(WebhookSettings), url, secret)))


@retention_app.command("run")
def retention_run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be deleted.")] = False,
) -> None:
    """Delete what is older than AFTERBELL_KEEP_…_DAYS. Run it every night."""
    from afterbell.cli import privacy as command
    from afterbell.settings import RetentionSettings, read

    raise typer.Exit(_run(command.run_retention(read(RetentionSettings), dry_run=dry_run)))


STUDENT = Annotated[str, typer.Argument(help="The student's participant id.")]
TENANT = Annotated[str, typer.Option(help="Whose student: the tenant in the platform's tokens.")]
REASON = Annotated[str, typer.Option(help="Why; the audit log keeps it.")]


@student_app.command("export")
def student_export(student: STUDENT, tenant: TENANT, reason: REASON) -> None:
    """Print all that is kept about a student, as JSON."""
    from afterbell.cli import privacy as command
    from afterbell.settings import StoreSettings, read

    raise typer.Exit(_run(command.export_student(read(StoreSettings), tenant, student, reason)))


@student_app.command("erase")
def student_erase(student: STUDENT, tenant: TENANT, reason: REASON) -> None:
    """Erase a student: sessions, words, name and the reports about them."""
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
    """Every foreseen failure is one line on standard error and an exit code."""
    try:
        run()
    except (InvalidInput, StoreUnavailable) as error:
        _fail(error, CANNOT_START)
    except AfterbellError as error:
        _fail(error, CANNOT_START if error.code == "engines_unavailable" else 1)
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(error: AfterbellError, code: int) -> None:
    typer.echo(f"afterbell: {error}", err=True)
    sys.exit(code)


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def _log(default: str | None = None) -> None:
    from afterbell.observability.logs import configure
    from afterbell.settings import ProcessSettings, read

    settings = read(ProcessSettings)
    level = settings.log_level if default is None or "log_level" in settings.model_fields_set else default
    configure(level, settings.log_style)


def _admin_token(text: str, sub: str, hours: float) -> str:
    from afterbell.api.admin_auth import ADMIN_ROLES, mint_admin
    from afterbell.settings import ApiSettings, read

    key = read(ApiSettings).admin_key
    if key is None:
        raise InvalidInput("AFTERBELL_ADMIN_SECRET is not set: in production there is no admin API without it")
    for role in ADMIN_ROLES:
        if role == text:
            lifetime = timedelta(hours=hours)
            return mint_admin(key, subject=sub, role=role, now=datetime.now(UTC), lifetime=lifetime)
    raise InvalidInput(f"--admin {text!r} is not one of {', '.join(ADMIN_ROLES)}", field="admin")


def _role(text: str) -> Role:
    from afterbell.core.report import ROLES

    for role in ROLES:
        if role == text:
            return role
    raise InvalidInput(f"role {text!r} is not one of {', '.join(ROLES)}", field="role")
